//! What a look at the journal costs: nothing new, some lines, a storm. A real journald of our own writes.
//!
//! `bench_journal [SECONDS [UNITS]]`, as root: CPU time and reads of one look a second, for so many
//! seconds each (20), in a journal that knows so many units (40).

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a tool for developers"
)]

use std::io::Write;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::journal::{Counts, Journal, Listener};
use flightrec_recorder::sys::process_cpu_ns;
use flightrec_tests::journald::{Journald, Stream};

/// Who logs in the second measured.
const KINDS: [(&str, u32); 4] =
    [("nothing new", 0), ("5 lines/s", 5), ("50 lines/s", 50), ("1,600 lines/s", 1600)];

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
