//! Makes the journal files that the recorder's tests break: `recorder/src/journal/tests/*.zst`.
//!
//! `PATH=/usr/bin:/bin cargo run -p flightrec-tests --example make_journals`, as root: a real journald
//! in a namespace of its own writes them. (The path keeps this machine's own out of the files.)

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use std::io::Write;
use std::path::Path;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_tests::journald::Journald;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recorder/src/journal/tests");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, compact) in [("regular", "0"), ("compact", "1")] {
        let settings = "Storage=persistent\nSystemMaxFileSize=512K\nRuntimeMaxFileSize=512K\n\
            ReadKMsg=no\nRateLimitIntervalSec=1s\nRateLimitBurst=30";
        let environment = [("SYSTEMD_JOURNAL_COMPACT", compact)];
        let mut journald = Journald::start(settings, &environment).unwrap();
        journald.signal("USR1");
        let mut vector = journald.stream("vector", "vector.service");
        let mut nginx = journald.stream("nginx", "nginx.service");
        for round in 0..2 {
            for number in 0..200 {
                writeln!(vector, "<3>cannot send record {round} {number}: 401").unwrap();
            }
            writeln!(nginx, "<6>GET /{round}").unwrap();
            writeln!(nginx, "<6>GET /").unwrap();
            SystemClock.wait(SystemClock.boottime_ns() + 1_500_000_000);
        }
        writeln!(vector, "<4>giving up").unwrap();
        let long = "0123456789".repeat(2000);
        journald.logger(0, &format!("MESSAGE={long}\nPRIORITY=2\nSYSLOG_IDENTIFIER=tool\n"));
        journald.logger(0, "MESSAGE=without a name\n");
        SystemClock.wait(SystemClock.boottime_ns() + 1_000_000_000);
        drop((vector, nginx));
        for line in journald.lines() {
            println!("{} {:?} {:.60}", line.source, line.severity, line.message);
        }
        journald.stop();
        let mut bytes = std::fs::read(journald.var_file("system.journal")).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        bytes.truncate(used.next_multiple_of(4096));
        let packed = zstd::encode_all(bytes.as_slice(), 19).unwrap();
        println!("{name}: {} bytes, packed {}", bytes.len(), packed.len());
        std::fs::write(folder.join(format!("{name}.journal.zst")), packed).unwrap();
    }
}
