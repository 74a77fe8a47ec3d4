//! `flightrec doctor` and `status` on real file systems: what a commit costs there, and what stands
//! between the owner and the last minutes.

use std::fs;
use std::path::Path;

use flightrec_recorder::clock::SystemClock;
use flightrec_recorder::create;
use flightrec_tests::mount::Mount;
use flightrec_tests::programs::{Said, flightrec, flightrecd, say};
use serde_json::Value;

fn doctor(path: &Path, arguments: &[&str]) -> Said {
    let said = say(flightrec(), [&["doctor", path.to_str().unwrap()], arguments].concat());
    assert!(said.out.lines().all(|line| line.len() <= 80 || arguments.contains(&"--json")));
    said
}

/// Grade and what was seen of one check; `None`: it was not made.
fn check(path: &Path, check: &str) -> Option<(String, String)> {
    let said = doctor(path, &["--json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let findings = told["checks"].as_array().unwrap().iter();
    let found = findings.clone().find(|finding| finding["check"] == check)?;
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    Some((text("grade"), text("seen")))
}

fn create(path: &Path, arguments: &[&str]) -> Said {
    let said = say(
        flightrecd(),
        [&["create", path.to_str().unwrap(), "--size", "4MiB"], arguments].concat(),
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    said
}

/// Records for some seconds, and says what the recorder told and what `status` tells.
fn record(path: &Path, arguments: &[&str]) -> (Said, Value, String) {
    let shown = path.to_str().unwrap();
    let first = ["run", "--recording", shown, "--interval", "100ms", "--for", "3s"];
    let told = say(flightrecd(), [&first, arguments].concat());
    assert_eq!(told.code, Some(0), "{told:?}");
    let seen = say(flightrec(), ["status", shown, "--json"]);
    let text = say(flightrec(), ["status", shown]).out;
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    (told, serde_json::from_str(&seen.out).unwrap(), text.replace("\n           ", " "))
}

#[test]
fn ext4_without_a_journal_is_not_charged_for_one() {
    for (feature, with) in [("has_journal", true), ("^has_journal", false)] {
        let Some(mount) = Mount::with("ext4", &["-q", "-O", feature], 64 << 20) else { return };
        let path = mount.point.join("a.frec");
        create(&path, &[]);
        let (grade, seen) = check(&path, "journal").unwrap();
        assert_eq!(grade, if with { "warn" } else { "ok" }, "{seen}");
        let words = if with { "commit=5: the journal adds" } else { "ext4 without a journal" };
        assert!(seen.contains(words), "{seen}");
        let (_, seen, text) = record(&path, &["--commit", "1s"]);
        let words = if with { "the journal included" } else { "no journal" };
        assert!(text.contains(words), "{text}");
        let ours = seen["ours_bytes_per_day"].as_u64().unwrap();
        assert!(seen["device_bytes_per_day"].as_u64().unwrap() > ours, "{seen}");
        assert_eq!(check(&path, "lanes").unwrap().0, "ok");
        assert_eq!(check(&path, "nocow"), None);
    }
}

/// Everybody who looks is told: who creates, who reads the log, `status` and `doctor`. And the
/// owner has the last word.
#[test]
fn on_btrfs_commits_are_far_apart_and_that_is_said_everywhere() {
    let Some(mount) = Mount::new("btrfs", 256 << 20) else { return };
    let path = mount.point.join("a.frec");
    let made = create(&path, &[]);
    assert!(made.err.contains("each 180 s") && made.err.contains("may cost 181 s"), "{made:?}");
    assert!(made.err.lines().all(|line| line.len() <= 80), "{made:?}");
    assert_eq!(check(&path, "nocow").unwrap().0, "ok");
    assert_eq!(check(&path, "place").unwrap().0, "warn");
    let (told, seen, text) = record(&path, &[]);
    assert!(told.err.contains("a commit each 180 s instead of 10s"), "{told:?}");
    assert_eq!(seen["commit_ms"], 180_000);
    assert!(text.contains("a commit each 180 s instead of 10s"), "{text}");
    assert_eq!(check(&path, "cadence").unwrap().0, "warn");
    let events = say(flightrec(), ["dump", path.to_str().unwrap(), "--format", "jsonl"]).out;
    let told = events.lines().find(|line| line.contains("\"kind\":\"cadence\"")).unwrap();
    assert!(told.contains("180000") && told.contains("btrfs"), "{told}");

    let (told, seen, _) = record(&path, &["--commit", "1s"]);
    assert!(!told.err.contains("instead of"), "{told:?}");
    assert_eq!(seen["commit_ms"], 1000);
    assert_eq!(check(&path, "cadence"), None);

    // A copy that nobody made for the purpose is copied on write.
    let copy = mount.point.join("copy.frec");
    fs::write(&copy, fs::read(&path).unwrap()).unwrap();
    assert_eq!(check(&copy, "nocow").unwrap().0, "warn");
}

#[test]
fn a_recording_in_ram_is_bad() {
    let Some(mount) = Mount::new("tmpfs", 0) else { return };
    let path = mount.point.join("a.frec");
    create(&path, &["--force"]);
    let (grade, seen) = check(&path, "place").unwrap();
    assert!(grade == "BAD" && seen.contains("RAM"), "{seen}");
}

#[test]
fn without_a_recording_the_machine_is_looked_at_all_the_same_and_the_exit_code_says_so() {
    let path = Path::new("/no/such/recording.frec");
    let said = doctor(path, &[]);
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.out.starts_with("BAD     recording no recording at"), "{said:?}");
    assert!(said.out.contains("\nok      panic") || said.out.contains("\nwarn    panic"));
    assert_eq!(check(path, "recorder"), None);
}

#[test]
fn a_recording_of_another_machine_is_told_from_our_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.frec");
    create(&path, &["--force"]);
    let (grade, seen) = check(&path, "identity").unwrap();
    if grade == "unknown" {
        println!("skipped: {seen}");
        return;
    }
    assert_eq!(grade, "ok");
    create::create(&path, Some(4 << 20), true, [7; 16], &SystemClock).unwrap();
    let (grade, seen) = check(&path, "identity").unwrap();
    assert!(grade == "warn" && seen.contains("another machine"), "{seen}");
}

#[test]
fn the_card_test_says_what_a_day_will_write() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("a.frec");
    create(&path, &["--force"]);
    let said = doctor(&path, &["--card-test"]);
    assert!(said.out.contains(" card      ") && said.out.contains("p99"), "{said:?}");
    assert!(said.out.contains(" expected  48 MB/day ours at a commit each 10 s"), "{said:?}");
    assert!(said.err.lines().all(|line| line.len() <= 80), "{said:?}");
}
