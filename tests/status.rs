//! `flightrec status`, with the real recorder at work, and when it is gone.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use flightrec_tests::programs::{Said, flightrec, flightrecd, say, wait_until};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{Run, blank_recording, record};
use serde_json::Value;
use tempfile::TempDir;

fn status(path: &Path, arguments: &[&str]) -> Said {
    say(flightrec(), [&["status", path.to_str().unwrap()], arguments].concat())
}

fn json(path: &Path) -> Value {
    let said = status(path, &["--json"]);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// Ended by its pid when the test is over.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_recorder_at_work_is_seen_with_the_age_of_its_newest_sample() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("recording.frec");
    let shown = path.to_str().unwrap();
    let made = say(flightrecd(), ["create", shown, "--size", "1MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let nothing = status(&path, &[]);
    assert_eq!(nothing.code, Some(5), "{nothing:?}");
    let recorder = Command::new(flightrecd())
        .args(["run", "--recording", shown, "--interval", "100ms", "--commit", "1s"])
        .env("RUNTIME_DIRECTORY", folder.path())
        .env_remove("NOTIFY_SOCKET")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let recorder = Recorder(recorder);
    assert!(wait_until(|| status(&path, &[]).code == Some(0) && json(&path)["measured_s"] != 0));
    let seen = json(&path);
    assert_eq!(seen["running"], true);
    assert!(seen["newest_age_s"].as_u64().unwrap() <= 10, "{seen}");
    assert!((2..20).contains(&seen["at_most_lost_s"].as_u64().unwrap()), "{seen}");
    assert!(seen["ours_bytes_per_day"].as_u64().unwrap() > 0);
    assert!(seen["budget_percent"].as_u64().unwrap() >= 99, "{seen}");
    assert!(seen["recorder"]["rss_bytes"].as_u64().unwrap() > 0);
    let text = status(&path, &[]).out;
    assert!(text.contains("at work, flightrecd "), "{text}");
    assert!(text.contains("If power went now: newest durable sample "), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");

    let process = &seen["process"];
    assert_eq!(process["pid"], recorder.0.id(), "{seen}");
    assert!(process["resident_bytes"].as_u64().unwrap() > 0, "{seen}");
    // Sampler, writer, slow, census; and what reads logs, as far as there are any.
    assert!((4..=6).contains(&process["threads"].as_u64().unwrap()), "{seen}");
    assert!(text.contains("a sample each 100 ms, a commit each 1 s while calm"), "{text}");

    // One that hangs is seen as such: its own bound would be a lie.
    let signal = |name: &str| {
        Command::new("kill").args([name, &recorder.0.id().to_string()]).status().unwrap()
    };
    assert!(signal("-STOP").success());
    assert!(wait_until(|| json(&path)["overdue_s"].as_u64().is_some()));
    let hung = json(&path);
    assert!(hung["at_most_lost_s"].as_u64() >= hung["newest_age_s"].as_u64(), "{hung}");
    let sentence = hung["sentence"].as_str().unwrap();
    assert!(sentence.contains("s overdue, at most"), "{sentence}");
    assert!(signal("-CONT").success());

    drop(recorder);
    assert_eq!(json(&path)["running"], false);
    let text = status(&path, &[]).out;
    assert!(text.contains("systemctl start flightrec"), "{text}");
    assert!(
        text.trim_end().lines().rev().take(3).any(|line| line.starts_with("Nobody records")),
        "{text}"
    );
}

/// Five hours of simulated time in a ring that has come round: what is kept is what `boots` shows.
#[test]
fn what_is_kept_and_written_follows_from_the_recording() {
    let clock = Arc::new(SimClock::new(60 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
    record(&disk, &clock, &Run::seconds(1, 18_000));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.frec");
    std::fs::write(&path, disk.durable().bytes()).unwrap();
    let seen = json(&path);
    assert_eq!((&seen["running"], &seen["newest_age_s"]), (&Value::Bool(false), &Value::Null));
    let boots = say(flightrec(), ["boots", path.to_str().unwrap(), "--json"]);
    let boots: Value = serde_json::from_str(&boots.out).unwrap();
    let recorded = boots["boots"][0]["recorded_s"].as_f64().unwrap();
    assert!((seen["kept_s"].as_f64().unwrap() - recorded).abs() <= 1.0, "{seen} {recorded}");
    // A tail frame each ten seconds, and what the history takes.
    let ours = seen["ours_bytes_per_day"].as_f64().unwrap();
    assert!((35e6..200e6).contains(&ours), "{ours}");
}

#[test]
fn no_recording_is_no_status() {
    let said = status(Path::new("/no/such/recording.frec"), &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(4), ""), "{said:?}");
}
