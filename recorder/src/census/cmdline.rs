//! What a process was called with, read once, when it gets its first seat.
//!
//! `cmdline` is memory of the process itself: reading it takes a lock of that memory and may page it
//! in, which can take for ever in a machine that thrashes. So neither the sampler nor the census
//! reads it, but the slow thread, which may hang; and it is redacted before anybody else sees it.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flightrec_format::event::EventKind;

use super::pid_path;
use crate::clock::{Clock, SystemClock};
use crate::process::{self, Stat};
use crate::report::Report;
use crate::sources::Look;
use crate::sys;
use crate::words::redact::redact;

/// Requests that wait; more are dropped, and made again when the process gets a seat again.
const WAITING_MAX: usize = 16;

/// Command lines read in one look: they are events, and others shall have room too.
const AT_ONCE: usize = 6;

/// Processes that are remembered as told.
const TOLD_MAX: usize = 64;

/// Bytes of a command line that are read.
const TEXT_LEN: usize = 1024;

/// Which process: its id and its start after boot, 10 ms.
pub(super) type Key = (u32, u64);

/// The census's end: asks once for each process.
#[derive(Debug)]
pub(super) struct Asking {
    told: [Key; TOLD_MAX],
    next: usize,
    to: SyncSender<Key>,
}

/// Reads command lines. Lives on the slow thread.
#[derive(Debug)]
pub struct Cmdlines {
    proc: Option<File>,
    from: Receiver<Key>,
    reports: SyncSender<Report>,
    text: Box<[u8]>,
}

/// Both ends; what was read goes to `reports`.
pub(super) fn cmdlines(proc_root: &Path, reports: SyncSender<Report>) -> (Asking, Cmdlines) {
    let (to, from) = sync_channel(WAITING_MAX);
    let asking = Asking { told: [(0, 0); TOLD_MAX], next: 0, to };
    let text = vec![0; TEXT_LEN].into_boxed_slice();
    (asking, Cmdlines { proc: File::open(proc_root).ok(), from, reports, text })
}

impl Asking {
    /// Asks for the command line of a process, unless that was done.
    pub(super) fn ask(&mut self, key: Key) {
        if self.told.contains(&key) || self.to.try_send(key).is_err() {
            return;
        }
        if let Some(place) = self.told.get_mut(self.next % TOLD_MAX) {
            *place = key;
        }
        self.next = self.next.wrapping_add(1);
    }
}

impl Look for Cmdlines {
    fn look(&mut self) {
        let Some(proc) = &self.proc else { return };
        for (pid, start_ticks) in self.from.try_iter().take(AT_ONCE) {
            let Some(len) = read(proc, pid, "cmdline", &mut self.text) else { continue };
            let mut stat = [0; 512];
            let same = read(proc, pid, "stat", &mut stat).and_then(|len| {
                let stat = Stat::parse(stat.get(..len)?)?;
                (stat.start_ticks == start_ticks).then_some(())
            });
            let text = self.text.get_mut(..len).unwrap_or_default();
            for byte in &mut *text {
                // Arguments end with a zero byte.
                *byte = if *byte == 0 { b' ' } else { *byte };
            }
            let text = text.trim_ascii();
            if same.is_none() || text.is_empty() {
                continue;
            }
            let arguments = [u64::from(pid), start_ticks]
                .map(|number| i64::try_from(number).unwrap_or(i64::MAX));
            let report = Report::new(EventKind::PROCESS, SystemClock.boottime_ns(), arguments);
            // Without room it is not told: the process has its name all the same.
            self.reports.try_send(report.with(redact(text).as_bytes())).ok();
        }
    }
}

fn read(proc: &File, pid: u32, file: &str, text: &mut [u8]) -> Option<usize> {
    let (path, len) = pid_path(pid, file);
    let file = sys::open_at(proc, path.get(..len)?).ok()?;
    process::read(&file, text).ok().map(<[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    #[test]
    fn a_command_line_is_told_once_and_without_its_secrets() {
        let tree = tempfile::tempdir().unwrap();
        let zeros = "0 ".repeat(17);
        std::fs::create_dir(tree.path().join("42")).unwrap();
        let put = |name: &str, text: &[u8]| {
            std::fs::write(tree.path().join("42").join(name), text).unwrap();
        };
        put("stat", format!("42 (vector) S 1 {zeros}900 0 0 0\n").as_bytes());
        put("cmdline", b"/usr/bin/vector\0--api-key=0f1e2d3c4b5a69788796a5b4c3d2e1f0\0--quiet\0");
        let (sender, receiver) = report::channel();
        let (mut asking, mut cmdlines) = cmdlines(tree.path(), sender);
        for _ in 0..3 {
            asking.ask((42, 900));
            asking.ask((43, 900));
            cmdlines.look();
        }
        asking.ask((42, 901));
        cmdlines.look();
        let told: Vec<_> = receiver.try_iter().collect();
        assert_eq!(told.len(), 1, "once, and neither of one that is gone nor of another");
        let text = String::from_utf8(told[0].text().to_vec()).unwrap();
        assert!(text.starts_with("/usr/bin/vector ") && text.ends_with(" --quiet"), "{text}");
        assert!(!text.contains("0f1e2d3c"), "{text}");
        assert_eq!(told[0].arguments(), [42, 900]);
    }
}
