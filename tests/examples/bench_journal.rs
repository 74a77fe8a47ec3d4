//! What a look at the journal costs: nothing new, some lines, a storm. A real journald of our own writes.
//!
//! `bench_journal [SECONDS [UNITS]]`, as root: CPU time and reads of one look a second, for so many
//! seconds each (20), in a journal that knows so many units (40).
//!
//! `bench_journal recorder [SECONDS]`: CPU time of the whole recorder beside a silent journal and in a
//! storm, by turns, for so many seconds each (15).

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a tool for developers"
)]

use std::io::Write;
use std::process::{Command, Stdio};

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::journal::{Counts, Journal, Listener};
use flightrec_recorder::sys::process_cpu_ns;
use flightrec_tests::apart::Running;
use flightrec_tests::journald::{Journald, Stream};
use flightrec_tests::programs::{flightrec, flightrecd, say};

/// Who logs in the second measured.
const KINDS: [(&str, u32); 4] =
    [("nothing new", 0), ("5 lines/s", 5), ("50 lines/s", 50), ("1,600 lines/s", 1600)];

/// How often the recorder's time is measured, in either kind of second.
const TURNS: usize = 8;

#[derive(Default)]
struct Told {
    lines: u64,
    messages: u64,
}

impl Listener for Told {
    fn source(&mut self, _name: &[u8], counts: Counts) {
        self.lines += counts.lines;
    }

    fn message(&mut self, _source: &[u8], _severity: u8, _repeats: u64, _text: &[u8]) {
        self.messages += 1;
    }
}

fn main() {
    if std::env::args().nth(1).is_some_and(|word| word == "recorder") {
        return whole_recorder(std::env::args().nth(2).map_or(15, |word| word.parse().unwrap()));
    }
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u32>().unwrap());
    let (seconds, units) = (arguments.next().unwrap_or(20), arguments.next().unwrap_or(40));
    let settings = "RateLimitBurst=0\nReadKMsg=no\nStorage=persistent";
    let journald = match Journald::start(settings, &[]) {
        Ok(journald) => journald,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    journald.signal("USR1");
    for number in 0..units {
        let mut stream = journald.stream("unit", &format!("unit-{number}.service"));
        writeln!(stream, "<6>started").unwrap();
    }
    let mut vector = journald.stream("vector", "vector.service");
    let mut journal = Journal::new(&journald.var(), &journald.run_log());
    journal.look(&mut Told::default());
    println!(
        "{:>14} {:>8} {:>8} {:>8} {:>7} {:>9} {:>9}",
        "", "least us", "median", "most", "reads", "lines", "messages"
    );
    for (name, lines) in KINDS {
        let (mut times, mut reads) = (Vec::new(), Vec::new());
        let mut told = Told::default();
        let before = counted(&mut journal);
        for second in 0..seconds {
            log(&mut vector, second, lines);
            let reads_before = reads_so_far();
            let cpu_before = process_cpu_ns();
            journal.look(&mut told);
            times.push((process_cpu_ns() - cpu_before) / 1000);
            // One read is that of the counter.
            reads.push(reads_so_far() - reads_before - 1);
        }
        times.sort_unstable();
        reads.sort_unstable();
        let middle = times.len() / 2;
        let counted = counted(&mut journal) - before;
        println!(
            "{name:>14} {:8} {:8} {:8} {:7} {counted:9} {:9}",
            times[0],
            times[middle],
            times[times.len() - 1],
            reads[middle],
            told.messages
        );
    }
}

/// So many lines over a second, each another one, each an error.
fn log(stream: &mut Stream, second: u32, lines: u32) {
    let begin = SystemClock.boottime_ns();
    for tenth in 0..10 {
        for number in (0..lines).filter(|number| number % 10 == tenth) {
            writeln!(stream, "<3>cannot send record {second} {number}: 401 Unauthorized").unwrap();
        }
        SystemClock.wait(begin + u64::from(tenth + 1) * 100_000_000);
    }
}

fn counted(journal: &mut Journal) -> u64 {
    let mut told = Told::default();
    journal.look(&mut told);
    told.lines
}

fn reads_so_far() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap();
    line.parse().unwrap()
}

fn whole_recorder(seconds: u32) {
    let settings = "RateLimitBurst=0\nReadKMsg=no\nStorage=persistent";
    let journald = match Journald::start(settings, &[]) {
        Ok(journald) => journald,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    journald.signal("USR1");
    for number in 0..40 {
        let mut stream = journald.stream("unit", &format!("unit-{number}.service"));
        writeln!(stream, "<6>started").unwrap();
    }
    let mut vector = journald.stream("vector", "vector.service");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("log/journal")).unwrap();
    let recording = folder.path().join("recording.frec");
    let recording = recording.to_str().unwrap();
    let made = say(flightrecd(), ["create", recording, "--size", "64MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let script = "mount --bind \"$0/log\" /var/log && mount --bind \"$1\" /var/log/journal \
                  && shift && exec \"$@\"";
    let child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(folder.path())
        .arg(journald.var())
        .arg(flightrecd())
        .args(["run", "--recording", recording])
        .env("RUNTIME_DIRECTORY", folder.path().join("run"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let recorder = Running(child.unwrap());
    // What it does once at its start is over then.
    log(&mut vector, 0, 0);
    SystemClock.wait(SystemClock.boottime_ns() + 20_000_000_000);
    let kinds = [("silent", 0), ("1,600 lines/s", 1600)];
    let mut used: [Vec<u32>; 2] = Default::default();
    for _ in 0..TURNS {
        for ((_, lines), used) in kinds.iter().zip(&mut used) {
            let before_us = cpu_us(recorder.0.id());
            for second in 0..seconds {
                log(&mut vector, second, *lines);
            }
            used.push((cpu_us(recorder.0.id()) - before_us) / seconds);
        }
    }
    for ((name, _), mut used) in kinds.into_iter().zip(used) {
        used.sort_unstable();
        println!("{name:>14} {:6} us/s, {used:?}", used[TURNS / 2]);
    }
    let said = say(flightrec(), ["log", recording, "--last", "10s", "--source", "journal:*"]);
    println!("{}{}", said.out, said.err);
}

/// User and system time of a process and its threads. `stat` knows it to 10 ms; the clock of the process,
/// to the nanosecond.
fn cpu_us(pid: u32) -> u32 {
    let program = "import sys, time
print(time.clock_gettime_ns((~int(sys.argv[1]) << 3) | 2) // 1000)";
    let said = Command::new("python3").args(["-c", program, &pid.to_string()]).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
}
