//! What a real systemd says of its units, and what becomes of it in the recording.

use std::collections::BTreeMap;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::journal::{Counts, Fate, Journal, Listener};
use flightrec_tests::apart;
use flightrec_tests::manager::Systemd;
use flightrec_tests::programs::{flightrec, say, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// What was told of units.
#[derive(Debug, Default)]
struct Told {
    fates: Vec<(String, bool, String)>,
    restarts: BTreeMap<String, u64>,
}

impl Listener for Told {
    fn source(&mut self, _name: &[u8], _counts: Counts) {}

    fn message(&mut self, _source: &[u8], _severity: u8, _repeats: u64, _text: &[u8]) {}

    fn unit(&mut self, name: &str, is_users: bool, fate: Fate<'_>) {
        let fate = match fate {
            Fate::Failed { result, code, status } => format!("{result} {code} {status}"),
            Fate::Restarts(count) => {
                *self.restarts.entry(name.to_owned()).or_default() += count;
                return;
            }
            Fate::OutOfMemory => "out of memory".to_owned(),
        };
        self.fates.push((name.to_owned(), is_users, fate));
    }
}

/// A service; the first line of what it does, and more settings.
fn service(does: &str, more: &str) -> String {
    format!(
        "[Unit]\nDefaultDependencies=no\nAfter=systemd-journald.service\n\
         StartLimitBurst=3\nStartLimitIntervalSec=60\n\
         [Service]\nExecStart=/bin/sh -c '{does}'\n{more}\n"
    )
}

fn start(units: &[(&str, &str)]) -> Option<Systemd> {
    Systemd::start(units).inspect_err(|reason| println!("skipped: {reason}")).ok()
}

#[test]
fn failures_and_restarts_are_those_that_systemd_tells() {
    let again = "Restart=on-failure\nRestartSec=100ms";
    // Anybody may say that a unit failed; only the service manager is believed.
    let lie = "MESSAGE=failed\nMESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c\nUNIT=honest.service\n\
               USER_UNIT=honest.service\nUNIT_RESULT=exit-code\n";
    let lie = lie.replace('\n', "\\\\n");
    let liar = service(&format!("sleep 1; printf \"{lie}\" | logger --journald"), "");
    let units = [
        ("loop.service", service("sleep 1; exit 3", again)),
        ("killed.service", service("sleep 1; kill -9 $$$$", "")),
        ("slow.service", service("sleep 60", "Type=oneshot\nTimeoutStartSec=1s")),
        ("fine.service", service("sleep 1; exit 0", "")),
        ("liar.service", liar),
    ];
    let units = units.each_ref().map(|(name, text)| (*name, text.as_str()));
    let Some(systemd) = start(&units) else { return };
    let mut journal = Journal::new(&systemd.var(), &systemd.run_log());
    let mut told = Told::default();
    let is_over = wait_until(|| {
        journal.look(&mut told);
        told.fates.len() >= 6
    });
    assert!(is_over, "{told:?}");
    told.fates.sort();
    let fate = |name: &str, fate: &str| (name.to_owned(), false, fate.to_owned());
    let looped = fate("loop.service", "exit-code exited 3");
    // When it has failed too often, no process has ended.
    let expected = [
        fate("killed.service", "signal killed 9"),
        fate("loop.service", "exit-code  0"),
        looped.clone(),
        looped.clone(),
        looped,
        fate("slow.service", "timeout killed 15"),
    ];
    assert_eq!(told.fates, expected);
    assert_eq!(told.restarts, [("loop.service".to_owned(), 3)].into());
}

/// A loop of many failures a second is one event, and one more a minute later; the count is in it.
#[test]
fn a_restart_loop_is_a_few_events_of_the_recording() {
    let again = "Restart=always\nRestartSec=50ms";
    let text = service("exit 7", again).replace("StartLimitBurst=3\n", "StartLimitBurst=100000\n");
    let Some(systemd) = start(&[("loop.service", &text)]) else { return };
    let folder = TempDir::new().unwrap();
    let Some(mut recorder) = apart::record(folder.path(), &systemd.var_log()) else {
        println!("skipped: no mount namespace");
        return;
    };
    SystemClock.wait(SystemClock.boottime_ns() + 6_000_000_000);
    recorder.signal("TERM");
    recorder.0.wait().unwrap();
    let path = folder.path().join("recording.frec");
    let said = say(
        flightrec(),
        [
            "events",
            path.to_str().unwrap(),
            "--boot",
            "all",
            "--kind",
            "unit_*",
            "--format",
            "jsonl",
        ],
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    let events = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let event = &event["event"];
        let [kind, text] = ["kind", "text"].map(|key| event[key].as_str().unwrap().to_owned());
        if text.starts_with("loop.service") && kind != "unit_start" && kind != "unit_end" {
            assert!(event["args"]["count"].as_u64().unwrap() > 0);
            of.entry(kind).or_default().push(text);
        }
    }
    assert_eq!(of["unit_failed"], ["loop.service: exit-code, exited with 7"]);
    assert_eq!(of["unit_restart"], ["loop.service"]);
}
