//! What `status` makes of recordings that were made up, frame by frame.

use flightrec_format::event::EventKind;

use crate::testing::{Builder, TestRun, flightrec};

fn status(run: &TestRun, last: u64) -> (u8, serde_json::Value, String) {
    let mut builder = Builder::new(1 << 20);
    builder.record(run, last, 10, 200);
    let file = builder.file();
    let path = file.path().to_str().unwrap();
    let (code, json, _) = flightrec(&["status", "--json", path]);
    (code, serde_json::from_str(&json).unwrap(), flightrec(&["status", path]).1)
}

/// One that was found again is not lost; sealed or still open in the tail makes no difference.
#[test]
fn sources_that_do_not_answer_any_more_are_told_with_their_reason() {
    let mut run = TestRun::of_boot(1);
    run.events = vec![
        (EventKind::SOURCE_LOST, 20, vec![5], "/proc/old"),
        (EventKind::SOURCE_LOST, 30, vec![5], "/proc/back"),
        (EventKind::SOURCE_FOUND, 40, vec![], "/proc/back"),
        (EventKind::SOURCE_LOST, 980, vec![13], "journal: not a journal file in /x"),
        (EventKind::SOURCE_LOST, 985, vec![13], "journal: no permission in /x"),
        (EventKind::SOURCE_LOST, 990, vec![19], "/proc/new"),
    ];
    let (code, seen, text) = status(&run, 1000);
    let lost = serde_json::json!(["/proc/old", "journal", "/proc/new"]);
    assert_eq!((code, &seen["lost_sources"]), (0, &lost));
    let text = text.replace("\n           ", " ");
    assert!(text.contains("/proc/new does not answer any more, No such device"), "{text}");
    assert!(text.contains("journal: no permission in /x; lines and messages of"), "{text}");
    assert!(text.contains("Group=systemd-journal"), "{text}");
    assert!(!text.contains("not a journal file"), "{text}");
}

/// What never answered is no fault that came; pressure is told as absent, and not twice.
#[test]
fn sources_that_never_answered_are_told_as_such() {
    let mut run = TestRun::of_boot(1);
    let first = run.begins;
    run.events = vec![
        (EventKind::RUN_START, first, vec![0], "0.1.0"),
        (EventKind::SOURCE_LOST, first, vec![2], "/proc/pressure/io"),
        (EventKind::SOURCE_LOST, first, vec![2], "/proc/swaps"),
        (EventKind::SOURCE_LOST, first + 1, vec![2], "/proc/vmstat"),
    ];
    let (_, seen, text) = status(&run, 1000);
    let all = serde_json::json!(["/proc/pressure/io", "/proc/swaps", "/proc/vmstat"]);
    assert_eq!(seen["lost_sources"], all);
    let text = text.replace("\n           ", " ");
    assert!(text.contains("/proc/swaps has not answered since the start, No such file"), "{text}");
    assert!(text.contains("/proc/vmstat does not answer any more, No such file"), "{text}");
    let absent = ("absent".to_owned(), "pressure, journal".to_owned());
    run.facts.as_mut().unwrap().facts.push(absent);
    let (_, seen, _) = status(&run, 1000);
    assert_eq!(seen["lost_sources"], serde_json::json!(["/proc/swaps", "/proc/vmstat"]));
}

/// Headers alone tell it: from the first tick to the last, in seconds.
#[test]
fn what_is_kept_is_the_time_of_all_runs() {
    let run = TestRun::of_boot(1);
    let (_, seen, text) = status(&run, 1000);
    assert_eq!((&seen["kept_s"], &seen["running"]), (&serde_json::json!(990), &false.into()));
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}
