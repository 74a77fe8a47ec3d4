//! Log lines by source, counted from the files of a real journald, against what `journalctl` says.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::journal::{Counts, Journal, Listener};
use flightrec_tests::journald::{Journald, Line};

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
fn begin(settings: &str, environment: &[(&'static str, &'static str)]) -> Option<(Journald, Journal)> {
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
    for _ in 0..4 {
        pause(Duration::from_millis(150));
        journal.look(told);
    }
    assert_eq!(journal.trouble(), None, "{}", journald.var().display());
}

fn count(lines: &[Line], wanted: impl Fn(&Line) -> bool) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines.iter().filter(|line| wanted(line)) {
        *counts.entry(line.source.clone()).or_default() += 1;
    }
    counts
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
            for round in 0..20 {
                for number in 0..round {
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
            assert!(lines.len() > 400);
            assert_eq!(told.lines(), count(&lines, |_| true), "{environment:?}");
            assert_eq!(told.errors(), count(&lines, is_error), "{environment:?}");
        }
    }
}
