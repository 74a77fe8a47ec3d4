//! Log lines by source, counted from the files of a real journald, against what `journalctl` says.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::journal::{Counts, Journal, Listener, SEVERITY_UNKNOWN};
use flightrec_tests::journald::{Journald, Line};
use flightrec_tests::programs::wait_until;

/// What was told.
#[derive(Debug, Default)]
struct Told {
    counts: BTreeMap<String, Counts>,
    messages: Vec<(String, u8, u64, String)>,
}

impl Listener for Told {
    fn source(&mut self, name: &[u8], counts: Counts) {
        let name = String::from_utf8_lossy(name).into_owned();
        let before = self.counts.insert(name.clone(), counts).unwrap_or_default();
        assert!(before.lines <= counts.lines && before.errors <= counts.errors, "{name} went back");
    }

    fn message(&mut self, source: &[u8], severity: u8, repeats: u64, text: &[u8]) {
        let [source, text] = [source, text].map(|text| String::from_utf8_lossy(text).into_owned());
        self.messages.push((source, severity, repeats, text));
    }
}

impl Told {
    fn lines(&self) -> BTreeMap<String, u64> {
        let counts = self.counts.iter().map(|(name, counts)| (name.clone(), counts.lines));
        counts.filter(|(_, lines)| *lines > 0).collect()
    }

    fn errors(&self) -> BTreeMap<String, u64> {
        let counts = self.counts.iter().map(|(name, counts)| (name.clone(), counts.errors));
        counts.filter(|(_, errors)| *errors > 0).collect()
    }
}

fn pause(time: Duration) {
    let time = u64::try_from(time.as_nanos()).unwrap();
    SystemClock.wait(SystemClock.boottime_ns() + time);
}

/// Starts one, with a journal that has looked before there was anything; or says why not.
fn begin(
    settings: &str,
    environment: &[(&'static str, &'static str)],
) -> Option<(Journald, Journal)> {
    let started = Journald::prepare(settings, environment).and_then(|mut journald| {
        let mut journal = Journal::new(&journald.var(), &journald.run_log());
        journal.look(&mut Told::default());
        assert!(journal.trouble().unwrap().starts_with("journal: no journald"));
        journald.run()?;
        Ok((journald, journal))
    });
    match started {
        Ok(started) => Some(started),
        Err(reason) => {
            println!("skipped: {reason}");
            None
        }
    }
}

/// Looks until journald has written everything, and twice more.
fn look_to_the_end(journald: &Journald, journal: &mut Journal, told: &mut Told) {
    // What the services' own processes still hold comes first.
    pause(Duration::from_millis(300));
    journald.ask("--sync");
    for _ in 0..4 {
        pause(Duration::from_millis(100));
        journal.look(told);
    }
    assert_eq!(journal.trouble(), None, "{}", journald.var().display());
}

/// Looks until journald has begun to write where it will: what it archives before does not count.
fn look_at_the_first(journal: &mut Journal, told: &mut Told) {
    let is_seen = wait_until(|| {
        journal.look(told);
        !told.counts.is_empty()
    });
    assert!(is_seen);
}

fn count(lines: &[Line], wanted: impl Fn(&Line) -> bool) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines.iter().filter(|line| wanted(line)) {
        *counts.entry(line.source.clone()).or_default() += 1;
    }
    counts
}

/// Units and the kernel to the line; the rest all together, and no identifier too often.
fn assert_lines(told: &Told, lines: &[Line]) {
    let split = |counts: BTreeMap<String, u64>| -> [BTreeMap<String, u64>; 2] {
        let is_counter = |name: &String| name.contains(".service") || name == "kernel";
        let (counters, rest) = counts.into_iter().partition(|(name, _)| is_counter(name));
        [counters, rest]
    };
    let ([told, told_rest], [expected, rest]) =
        (split(told.lines()), split(count(lines, |_| true)));
    assert_eq!(told, expected);
    let sums = [&told_rest, &rest].map(|counts| counts.values().sum::<u64>());
    assert_eq!(sums[0], sums[1], "{told_rest:?} {rest:?}");
    for (name, count) in told_rest.iter().filter(|(name, _)| *name != "others") {
        assert!(rest.get(name).is_some_and(|expected| count <= expected), "{name}: {count}");
    }
}

fn is_error(line: &Line) -> bool {
    line.severity.is_some_and(|severity| severity <= 3)
}

const CALM: &str = "RateLimitBurst=0\nReadKMsg=no\nStorage=persistent";

#[test]
fn lines_and_errors_are_those_that_journalctl_tells() {
    for compact in ["0", "1"] {
        for keyed in ["0", "1"] {
            let environment =
                [("SYSTEMD_JOURNAL_COMPACT", compact), ("SYSTEMD_JOURNAL_KEYED_HASH", keyed)];
            let Some((journald, mut journal)) = begin(CALM, &environment) else { return };
            let mut told = Told::default();
            let mut vector = journald.stream("vector", "vector.service");
            let mut nginx = journald.stream("nginx", "nginx.service");
            for round in 0..30 {
                for number in 0..round % 9 {
                    writeln!(vector, "<3>cannot send: 401 {round} {number}").unwrap();
                    writeln!(nginx, "<6>GET /{number}").unwrap();
                }
                journald.native(&[("MESSAGE", "by itself"), ("SYSLOG_IDENTIFIER", "tool")]);
                journald.native(&[("MESSAGE", "without a name"), ("PRIORITY", "2")]);
                pause(Duration::from_millis(20));
                journal.look(&mut told);
            }
            look_to_the_end(&journald, &mut journal, &mut told);
            let lines = journald.lines();
            assert!(lines.len() > 250);
            assert_lines(&told, &lines);
            let errors = count(&lines, is_error);
            assert_eq!(journal.errors(), errors.values().sum::<u64>(), "{environment:?}");
            // On a busy machine a look may have found too much to tell all of it apart.
            if told.lines() == count(&lines, |_| true) {
                assert_eq!(told.errors(), errors, "{environment:?}");
            } else {
                println!("not told apart: {:?}", told.lines());
            }
        }
    }
}

#[test]
fn nothing_is_lost_or_counted_twice_at_rotations() {
    let Some((journald, mut journal)) = begin(CALM, &[]) else { return };
    let mut told = Told::default();
    look_at_the_first(&mut journal, &mut told);
    let mut vector = journald.stream("vector", "vector.service");
    let mut nginx = journald.stream("nginx", "nginx.service");
    for round in 0..12 {
        // In some rounds journald rotates several times between two looks.
        for turn in 0..=round % 4 {
            for number in 0..10 * round {
                writeln!(vector, "<3>cannot send: 401 {round} {turn} {number}").unwrap();
            }
            writeln!(nginx, "<4>slow").unwrap();
            pause(Duration::from_millis(60));
            journald.signal("USR2");
            writeln!(nginx, "<4>slow").unwrap();
            pause(Duration::from_millis(60));
        }
        journal.look(&mut told);
    }
    look_to_the_end(&journald, &mut journal, &mut told);
    let lines = journald.lines();
    assert!(lines.len() > 1500);
    assert_lines(&told, &lines);
    assert_eq!(journal.errors(), count(&lines, is_error).values().sum::<u64>());
}

/// As on a board with armbian-ramlog: from memory to the disk at the start, and back and forth for each
/// write-back. What a flush copies has been counted before.
#[test]
fn what_a_flush_copies_is_not_counted_again() {
    let settings = "RateLimitBurst=0\nReadKMsg=yes\nStorage=auto";
    // Moves within two looks of each other may cost a line.
    for looks in [3, 5] {
        let Some((journald, mut journal)) = begin(settings, &[]) else { return };
        let mut told = Told::default();
        let mut vector = journald.stream("vector", "vector.service");
        let mut number = 0;
        let mut log = |lines: u64, journal: &mut Journal, told: &mut Told| {
            for _ in 0..lines {
                number += 1;
                writeln!(vector, "<3>line {number}").unwrap();
                writeln!(vector, "<6>the same line").unwrap();
            }
            // Everything below happens between looks, at moments that nobody has chosen.
            for _ in 0..looks {
                pause(Duration::from_millis(70));
                journal.look(told);
            }
        };
        log(50, &mut journal, &mut told);
        for round in 0..5 {
            log(20, &mut journal, &mut told);
            journald.signal("USR1");
            log(30, &mut journal, &mut told);
            log(200 * (round % 2), &mut journal, &mut told);
            if round == 2 {
                journald.signal("USR2");
                log(10, &mut journal, &mut told);
            }
            journald.ask("--relinquish-var");
            log(25, &mut journal, &mut told);
        }
        // The kernel of this machine may say something between a look and the listing.
        let mut lines = Vec::new();
        for _ in 0..5 {
            look_to_the_end(&journald, &mut journal, &mut told);
            lines = journald.lines();
            if told.lines().get("kernel") == count(&lines, |_| true).get("kernel") {
                break;
            }
        }
        assert!(lines.len() > 1000);
        assert_lines(&told, &lines);
        assert_eq!(journal.errors(), count(&lines, is_error).values().sum::<u64>());
        let numbered = told.messages.iter().map(|(.., text)| text);
        let mut numbered: Vec<_> = numbered.filter(|text| text.starts_with("line ")).collect();
        assert!(numbered.len() > 50);
        let all = numbered.len();
        numbered.sort();
        numbered.dedup();
        assert_eq!(numbered.len(), all, "a message was told twice");
    }
}

/// After a crash journald sets the file aside and begins another, with other sequence numbers.
#[test]
fn a_journald_that_dies_and_comes_back_costs_no_line() {
    let Some((mut journald, mut journal)) = begin(CALM, &[]) else { return };
    let mut told = Told::default();
    look_at_the_first(&mut journal, &mut told);
    journald.signal("USR1");
    assert!(wait_until(|| journald.var_file("system.journal").exists()));
    look_to_the_end(&journald, &mut journal, &mut told);
    for round in 0..4 {
        journal.look(&mut told);
        let mut vector = journald.stream("vector", "vector.service");
        for number in 0..50 {
            writeln!(vector, "<3>line {round} {number}").unwrap();
        }
        drop(vector);
        journald.ask("--sync");
        if round % 2 == 0 {
            journald.kill();
        } else {
            journald.stop();
        }
        journald.run().unwrap();
    }
    look_to_the_end(&journald, &mut journal, &mut told);
    let lines = journald.lines();
    assert_lines(&told, &lines);
    // What a journald that is killed had not read is in nobody's files.
    assert!(told.lines()["vector.service"] >= 100);
}

#[test]
fn lines_of_users_in_files_of_their_own_are_counted() {
    let Some((journald, mut journal)) = begin(CALM, &[]) else { return };
    let mut told = Told::default();
    journald.signal("USR1");
    for round in 0..3 {
        for uid in [0, 1000, 1001] {
            journald.logger(
                uid,
                &format!("MESSAGE=of {uid}\nPRIORITY={round}\nSYSLOG_IDENTIFIER=tool\n"),
            );
        }
        pause(Duration::from_millis(100));
        journal.look(&mut told);
    }
    look_to_the_end(&journald, &mut journal, &mut told);
    assert!(journald.var_file("user-1000.journal").exists());
    let lines = journald.lines();
    assert_lines(&told, &lines);
    assert_eq!((told.lines()["tool"], told.errors()["tool"]), (9, 9));
}

#[test]
fn what_was_there_before_does_not_count() {
    let Some((journald, mut early)) = begin(CALM, &[]) else { return };
    let mut vector = journald.stream("vector", "vector.service");
    for number in 0..300 {
        writeln!(vector, "<3>before {number}").unwrap();
    }
    look_to_the_end(&journald, &mut early, &mut Told::default());
    let mut late = Journal::new(&journald.var(), &journald.run_log());
    let mut told = Told::default();
    late.look(&mut told);
    assert_eq!(told.lines(), BTreeMap::new());
    assert!(told.messages.is_empty(), "{:?}", told.messages);
    writeln!(vector, "<3>after").unwrap();
    look_to_the_end(&journald, &mut late, &mut told);
    assert_eq!(
        told.counts["vector.service"],
        Counts { lines: 1, errors: 1, bytes: 0, suppressed: 0 }
    );
    let expected = ("vector.service".to_owned(), 3, 1, "after".to_owned());
    assert_eq!(told.messages, [expected]);
}

#[test]
fn each_new_message_is_told_with_its_source_and_severity_compressed_or_not() {
    for (compact, compress) in [("0", "yes"), ("1", "yes"), ("0", "no"), ("1", "no")] {
        let environment = [("SYSTEMD_JOURNAL_COMPACT", compact)];
        let settings = format!("{CALM}\nCompress={compress}");
        let Some((journald, mut journal)) = begin(&settings, &environment) else { return };
        let mut told = Told::default();
        look_to_the_end(&journald, &mut journal, &mut told);
        told.messages.clear();
        let mut vector = journald.stream("vector", "vector.service");
        let long = "long ".repeat(40);
        // In one piece, so that no look falls between them.
        vector.write_all(format!("<4>{long}\n").repeat(5).as_bytes()).unwrap();
        look_to_the_end(&journald, &mut journal, &mut told);
        journald.native(&[("MESSAGE", "no severity"), ("SYSLOG_IDENTIFIER", "tool")]);
        look_to_the_end(&journald, &mut journal, &mut told);
        let very_long = "0123456789".repeat(100_000);
        journald.logger(0, &format!("MESSAGE={very_long}\nPRIORITY=2\nSYSLOG_IDENTIFIER=tool\n"));
        look_to_the_end(&journald, &mut journal, &mut told);
        vector.write_all(format!("<4>{long}\n").repeat(6).as_bytes()).unwrap();
        look_to_the_end(&journald, &mut journal, &mut told);
        let said = |source: &str, severity, repeats, text: &str| {
            (source.to_owned(), severity, repeats, text.to_owned())
        };
        let cut = &very_long[..512];
        // journald takes the blank off the end of a line.
        let long = long.trim_end();
        let lines = journald.lines();
        assert_lines(&told, &lines);
        // The unit, unless journald did not find out in time.
        let vector = &lines.iter().find(|line| line.message == long).unwrap().source;
        let expected = [
            said(vector, 4, 5, long),
            said("tool", SEVERITY_UNKNOWN, 1, "no severity"),
            said("tool", 2, 1, cut),
            said(vector, 4, 11, long),
        ];
        assert_eq!(told.messages, expected);
    }
}

#[test]
fn suppressed_lines_are_counted_for_the_unit_that_was_suppressed() {
    let settings = "RateLimitBurst=100\nRateLimitIntervalSec=1s\nReadKMsg=no";
    let Some((journald, mut journal)) = begin(settings, &[]) else { return };
    let mut told = Told::default();
    let mut vector = journald.stream("vector", "vector.service");
    let mut sent = 0;
    for round in 0..2 {
        for number in 0..5000 {
            writeln!(vector, "<6>line {round} {number}").unwrap();
            sent += 1;
            // A look reads the newest entries alone: on a busy machine this takes several seconds.
            if number % 250 == 0 {
                journal.look(&mut told);
            }
        }
        pause(Duration::from_millis(1200));
        journal.look(&mut told);
    }
    // How much was suppressed is told before the first line of the next interval. A busy machine may
    // still be at the last one.
    // The first lines go by the program's name where journald did not find its unit in time.
    let heard = |told: &Told| -> u64 {
        let own = ["vector", "vector.service"].iter().filter_map(|name| told.counts.get(*name));
        own.map(|counts| counts.lines + counts.suppressed).sum()
    };
    for _ in 0..5 {
        writeln!(vector, "<6>the last").unwrap();
        sent += 1;
        look_to_the_end(&journald, &mut journal, &mut told);
        if heard(&told) == sent {
            break;
        }
        pause(Duration::from_millis(1200));
    }
    let lines = journald.lines();
    if told.counts.get("vector.service").is_none_or(|counts| counts.suppressed == 0) {
        // Where journald finds another unit of ours by our control group.
        println!("skipped: {:?}, {:?}", told.counts, count(&lines, |_| true));
        return;
    }
    assert_eq!(heard(&told), sent, "{:?}", told.counts);
    assert_lines(&told, &lines);
}

/// 1,600 lines a second for 20 seconds, each its own, all of them errors; and a calm service beside.
#[test]
fn a_storm_is_counted_to_the_line() {
    let Some((journald, mut journal)) = begin(CALM, &[]) else { return };
    let mut told = Told::default();
    let mut vector = journald.stream("vector", "vector.service");
    let mut nginx = journald.stream("nginx", "nginx.service");
    for tick in 0..200 {
        for number in 0..160 {
            writeln!(vector, "<3>cannot send record {tick} {number}: 401 Unauthorized").unwrap();
        }
        writeln!(nginx, "<6>GET /").unwrap();
        pause(Duration::from_millis(100));
        if tick % 10 == 9 {
            journal.look(&mut told);
        }
    }
    look_to_the_end(&journald, &mut journal, &mut told);
    let lines = journald.lines();
    assert_lines(&told, &lines);
    assert_eq!(told.lines()["vector.service"], 32_000);
    assert_eq!(journal.errors(), 32_000);
    // As many as are certain: all but the lines of others.
    assert!(told.errors()["vector.service"] > 31_700, "{:?}", told.errors());
}
