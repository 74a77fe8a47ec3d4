//! `flightrec mark`, from the owner's words to the event in the recording, with the real programs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_tests::programs::{Said, flightrec, flightrecd, say, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// A recorder of our own, in folders of its own.
struct Recorder {
    child: Child,
    folder: TempDir,
}

impl Recorder {
    fn start(interval: &str, commit: &str) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("recording.frec");
        let path = path.to_str().unwrap();
        let made = say(flightrecd(), ["create", path, "--size", "1MiB", "--force"]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let child = Command::new(flightrecd())
            .args(["run", "--recording", path, "--interval", interval, "--commit", commit])
            .env("RUNTIME_DIRECTORY", folder.path().join("run"))
            .env_remove("NOTIFY_SOCKET")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let recorder = Self { child, folder };
        assert!(wait_until(|| recorder.folder.path().join("run/marks").exists()));
        recorder
    }

    fn mark(&self, words: &[&str]) -> Said {
        mark(&self.folder.path().join("run"), words)
    }

    /// The marks that are durable, as (milliseconds of boot time, words).
    fn marks(&self) -> Vec<(u64, String)> {
        let path = self.folder.path().join("recording.frec");
        let arguments = ["dump", path.to_str().unwrap(), "--boot", "all", "--format", "jsonl"];
        let said = say(flightrec(), arguments);
        let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let events = lines.filter_map(|line| line.get("event").cloned());
        let marks = events.filter(|event| event["kind"] == "mark");
        marks
            .map(|event| {
                let seconds = event["boottime_s"].as_f64().unwrap();
                let text = event["text"].as_str().unwrap().to_owned();
                (format!("{:.0}", seconds * 1000.0).parse().unwrap(), text)
            })
            .collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn mark(runtime: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(flightrec());
    command.arg("mark").args(words).env("RUNTIME_DIRECTORY", runtime);
    command.output().unwrap().into()
}

fn now_ms() -> u64 {
    SystemClock.boottime_ns() / 1_000_000
}

/// A mark commits though the interval is ten minutes away, and stands at the time it was said.
#[test]
fn a_mark_is_an_event_at_the_time_it_was_said() {
    let recorder = Recorder::start("100ms", "10m");
    assert!(wait_until(|| recorder.mark(&["warm", "up"]).code == Some(0)));
    assert!(wait_until(|| recorder.marks().len() == 1));
    let before_ms = now_ms();
    let said = recorder.mark(&["upgraded vector"]);
    let after_ms = now_ms();
    assert_eq!((said.code, said.out.as_str()), (Some(0), "marked: upgraded vector\n"));
    assert!(wait_until(|| recorder.marks().len() == 2), "it did not become durable");
    let marks = recorder.marks();
    assert_eq!(marks[0].1, "warm up");
    assert_eq!(marks[1].1, "upgraded vector");
    // /proc/uptime tells hundredths.
    let at_ms = marks[1].0;
    assert!((before_ms - 20..=after_ms + 10).contains(&at_ms), "{before_ms} {at_ms} {after_ms}");
    let left = fs::read_dir(recorder.folder.path().join("run/marks")).unwrap().count();
    assert_eq!(left, 0, "what was taken is removed");
}

/// Among seals and commits that pass by faster than marks are looked for: none is lost, and none
/// stands before it was said, nor long after.
#[test]
fn marks_are_kept_whatever_is_sealed_meanwhile() {
    let recorder = Recorder::start("10ms", "50ms");
    assert!(wait_until(|| recorder.mark(&["mark 0"]).code == Some(0)));
    let mut said_ms = vec![now_ms()];
    let clock = SystemClock;
    for index in 1..12 {
        let _ = clock.wait(clock.boottime_ns() + 400_000_000);
        said_ms.push(now_ms());
        assert_eq!(recorder.mark(&[&format!("mark {index}")]).code, Some(0));
    }
    assert!(wait_until(|| recorder.marks().len() >= 12), "{:?}", recorder.marks());
    let mut marks = recorder.marks();
    marks.sort_by_key(|(_, text)| text[5..].parse::<usize>().unwrap());
    assert_eq!(marks.len(), 12, "{marks:?}");
    for (index, ((at_ms, text), said_ms)) in marks.iter().zip(&said_ms).enumerate() {
        assert_eq!(*text, format!("mark {index}"));
        let late_ms = at_ms.saturating_sub(*said_ms);
        assert!(*at_ms + 60 >= *said_ms && late_ms < 5000, "{text}: {said_ms} {at_ms}");
    }
}

/// The same among rows of a second, in the table that people read.
#[test]
fn a_mark_shows_in_the_table() {
    let recorder = Recorder::start("1s", "10m");
    assert!(wait_until(|| recorder.mark(&["line\none\x1b[2J"]).code == Some(0)));
    assert!(wait_until(|| recorder.marks().len() == 1));
    let path = recorder.folder.path().join("recording.frec");
    let said = say(flightrec(), ["dump", path.to_str().unwrap(), "--utc"]);
    assert!(said.out.contains("- mark: line one [2J"), "{}", said.out);
}

#[test]
fn without_a_recorder_nothing_is_marked_and_it_says_so() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let said = mark(folder.path(), &["a"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("no recorder is running"), "{}", said.err);
    assert!(said.err.lines().count() <= 3, "{}", said.err);
    // The folder of one that is dead.
    fs::create_dir(folder.path().join("marks")).unwrap();
    let said = mark(folder.path(), &["a"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("no recorder is running"), "{}", said.err);
    assert_eq!(fs::read_dir(folder.path().join("marks")).unwrap().count(), 0);
    let long = "a".repeat(513);
    for words in [&[""][..], &[&long]] {
        assert_eq!(mark(folder.path(), words).code, Some(2), "{words:?}");
    }
}

/// Whoever may not mark is told who may.
#[test]
fn without_permission_it_says_what_to_do() {
    use std::os::unix::process::CommandExt;
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) != 0) {
        println!("skipped: only root can become somebody without permission");
        return;
    }
    let recorder = Recorder::start("100ms", "10m");
    let runtime = recorder.folder.path().join("run");
    let mut command = Command::new(flightrec());
    command.args(["mark", "a"]).env("RUNTIME_DIRECTORY", runtime).uid(65_534).gid(65_534);
    let Ok(output) = command.output() else {
        println!("skipped: nobody may not run what was built here");
        return;
    };
    let said = Said::from(output);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("sudo"), "{}", said.err);
}
