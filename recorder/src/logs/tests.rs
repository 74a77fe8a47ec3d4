use std::fs;

use super::*;
use crate::clock::SystemClock;
use crate::sources::{MACHINE, RANKS};
use crate::words::{Counts, Text};

/// An ear on real time, and what reaches the sampler.
fn ear(mode: Messages) -> (Ear, Receiver<Word>) {
    let layout = Layout::new(MACHINE, RANKS);
    let (rates, _posted) = page("log rates", &layout, EntityKind::LOG, SERIES, 30);
    let (to, from) = sync_channel(WAITING);
    (Ear::new((rates, 8), mode, to, Arc::new(SystemClock)), from)
}

fn told(words: &Receiver<Word>) -> Vec<(bool, String)> {
    let text = |text: Text| String::from_utf8(text.as_bytes().to_vec()).unwrap();
    words.try_iter().map(|word| (word.event.is_some(), text(word.text))).collect()
}

#[test]
fn messages_and_grave_events_are_told_as_far_as_the_owner_allows() {
    let grave = b"EXT4-fs error (device sda1): comm bob@example.org from 10.0.0.1";
    let shown = "EXT4-fs error (device sda1): comm <email> from <ip>";
    let mut ids = Vec::new();
    for mode in [Messages::Redacted, Messages::Hashes, Messages::None] {
        let (mut ear, words) = ear(mode);
        ear.grave(Some("file system"), 2, grave);
        ear.message(b"journal:vector.service", 3, 1, b"401 for key=abc");
        ear.message(b"journal:flightrec.service", 3, 1, b"our own");
        ear.post();
        let told = told(&words);
        match mode {
            Messages::Redacted => {
                assert_eq!(told, [(true, shown.into()), (false, "401 for key=<secret>".into())]);
            }
            Messages::Hashes => {
                assert_eq!(told.len(), 2, "{told:?}");
                assert!(told[0].1.starts_with("file system #") && told[1].1.starts_with('#'));
                ids.push(told[1].1.clone());
            }
            Messages::None => assert_eq!(told, [(true, "file system".into())]),
        }
    }
    assert_eq!(ids[0].len(), 17);
}

/// What is grave comes first, however much chatter there is; nothing waits for the sampler.
#[test]
fn a_storm_leaves_room_for_what_is_grave_and_waits_for_nobody() {
    let (mut ear, words) = ear(Messages::Redacted);
    for round in 0..10 {
        for number in 0..5000_u32 {
            let word: String = number.to_string().bytes().map(|d| char::from(d + 55)).collect();
            ear.message(b"/var/log/syslog", 6, 1, format!("chatter {word}").as_bytes());
        }
        ear.grave(Some("mmc"), 3, format!("mmc1: error -{round}").as_bytes());
        ear.post();
    }
    let told = told(&words);
    assert_eq!(told.len(), WAITING);
    assert_eq!(told[0], (true, "mmc1: error -0".into()));
}

fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The real threads on a folder of our own.
#[test]
fn rates_reach_the_sampler() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("syslog"), "").unwrap();
    fs::write(folder.path().join("kmsg"), "").unwrap();
    let layout = Layout::new(MACHINE, RANKS);
    let places = Places { dev: folder.path(), var_log: folder.path() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (logs, mut heard) = Logs::new(&layout, places, 10_000_000, Messages::Redacted, &clock);
    let threads = logs.start(Duration::from_millis(20)).unwrap();
    let mut sample = crate::sample::Sample::new(&layout);
    let slots = layout.slots_of(EntityKind::LOG);
    let mut lines_of = |wanted: &[u8]| {
        sample.clear();
        for source in &mut heard.sources {
            source.read(&mut sample).ok();
        }
        let is_it = |slot: &usize| {
            sample.occupant(*slot).is_some_and(|own| own.name.as_bytes().ends_with(wanted))
        };
        let slot = slots.clone().find(is_it)?;
        sample.get(layout.slots()[slot].first_column)
    };
    let deadline_ns = clock.boottime_ns() + 10_000_000_000;
    while lines_of(b"kmsg") != Some(0) || lines_of(b"syslog").is_none_or(|lines| lines < 2) {
        // The first look begins at the end of what is there.
        append(&folder.path().join("syslog"), "one more\n");
        assert!(clock.boottime_ns() < deadline_ns, "nothing was posted");
        clock.wait(clock.boottime_ns() + 5_000_000);
    }
    drop(threads);
}

#[test]
fn counts_that_are_not_told_are_absent() {
    let layout = Layout::new(MACHINE, RANKS);
    let (rates, mut posted) = page("log rates", &layout, EntityKind::LOG, SERIES, 30);
    let (to, _words) = sync_channel(1);
    let mut ear = Ear::new((rates, 8), Messages::Redacted, to, Arc::new(SystemClock));
    let counts = Counts { lines: 3, bytes: 4096, ..Counts::default() };
    ear.source(b"/var/log/syslog", counts);
    ear.post();
    let mut sample = crate::sample::Sample::new(&layout);
    posted.read(&mut sample).unwrap();
    let first = layout.slots()[layout.slots_of(EntityKind::LOG).start].first_column;
    let told = [0, 1, 2, 3].map(|at| sample.get(first + at));
    assert_eq!(told, [Some(3), None, Some(4), None]);
}
