//! The real recorder on the real kernel and a real file: killed, told to stop, told to commit,
//! raced, and given what it must refuse.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flightrec_tests::programs::{Said, flightrecd, say, wait_until};
use flightrec_tests::recovered::flightrec;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a small recording in it. On a machine that keeps its build in RAM it lies there,
/// which is as good for all but the power cut that does not come.
struct Flight {
    folder: TempDir,
}

impl Flight {
    fn new() -> Self {
        Self::of("1MiB")
    }

    fn of(size: &str) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let flight = Self { folder };
        let path = flight.path();
        let said = say(flightrecd(), ["create", path.to_str().unwrap(), "--size", size, "--force"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        flight
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("recording.frec")
    }

    fn ack_log(&self) -> PathBuf {
        self.folder.path().join("ack.log")
    }

    fn acked(&self) -> Vec<(String, u64)> {
        let text = fs::read_to_string(self.ack_log()).unwrap_or_default();
        let key = |line: &str| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        };
        text.lines().filter_map(key).collect()
    }

    fn start(&self, arguments: &[&str], service: bool) -> Recorder {
        let mut command = Command::new(flightrecd());
        command.arg("run").arg("--recording").arg(self.path()).arg("--ack-log").arg(self.ack_log());
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        command
            .env_remove("NOTIFY_SOCKET")
            .env("RUNTIME_DIRECTORY", self.folder.path().join("run"));
        if service {
            command.env("NOTIFY_SOCKET", self.folder.path().join("nobody-listens"));
        }
        Recorder(command.spawn().unwrap())
    }

    /// Starts, and waits until so many samples are durable.
    fn started(&self, arguments: &[&str], samples: usize) -> Recorder {
        let before = self.acked().len();
        let recorder = self.start(arguments, false);
        assert!(wait_until(|| self.acked().len() >= before + samples), "nothing was committed");
        recorder
    }

    fn timeline(&self) -> Vec<Value> {
        let path = self.path();
        let (outcome, text) =
            flightrec(&["dump", path.to_str().unwrap(), "--boot", "all", "--format", "jsonl"]);
        outcome.unwrap_or_else(|trouble| panic!("the reader gave up: {trouble:?}"));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn recovered(&self) -> BTreeSet<(String, u64)> {
        let key = |line: &Value| Some((line["run"].as_str()?.to_owned(), line["tick"].as_u64()?));
        self.timeline().iter().filter_map(key).collect()
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.timeline().into_iter().filter_map(|line| line.get("event").cloned());
        events.filter(|event| event["kind"] == kind).collect()
    }
}

/// A running recorder; never left behind.
struct Recorder(Child);

impl Recorder {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> Said {
        let mut err = String::new();
        let pipe = self.0.stderr.take();
        let status = self.0.wait().unwrap();
        if let Some(mut pipe) = pipe {
            std::io::Read::read_to_string(&mut pipe, &mut err).unwrap();
        }
        Said { code: status.code(), out: String::new(), err }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const FAST: [&str; 4] = ["--interval", "10ms", "--commit", "50ms"];

/// W2, W9, W10 on the real thing.
#[test]
fn what_was_acknowledged_before_a_kill_without_warning_is_rebuilt_from_the_file_alone() {
    // Of runs as short as these a smaller recording keeps but one (W10).
    let flight = Flight::of("8MiB");
    for _ in 0..4 {
        let recorder = flight.started(&FAST, 60);
        recorder.signal("KILL");
        assert_eq!(recorder.end().code, None);
    }
    let (acked, recovered) = (flight.acked(), flight.recovered());
    let missing: Vec<_> = acked.iter().filter(|key| !recovered.contains(key)).collect();
    assert!(acked.len() >= 240 && missing.is_empty(), "{} lost: {missing:?}", missing.len());
    assert_eq!(flight.events("run_start").len(), 4);
    assert_eq!(flight.events("stop").len(), 0);
}

/// A link in the usual place may lead to another disk.
#[test]
fn a_link_to_a_recording_is_followed() {
    let flight = Flight::new();
    let real = flight.folder.path().join("elsewhere.frec");
    fs::rename(flight.path(), &real).unwrap();
    std::os::unix::fs::symlink(&real, flight.path()).unwrap();
    flight.started(&FAST, 1);
    assert!(!flight.recovered().is_empty());
}

#[test]
fn a_second_recorder_is_refused_with_the_pid_of_the_first() {
    let flight = Flight::new();
    let first = flight.started(&FAST, 1);
    let second = flight.start(&FAST, false).end();
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains(&format!("(pid {})", first.0.id())), "{}", second.err);
    assert!(second.err.lines().count() <= 3, "{}", second.err);
}

/// SIGUSR1 commits now, though the interval is ten minutes away.
#[test]
fn a_commit_can_be_asked_for() {
    let flight = Flight::new();
    let recorder = flight.started(&["--interval", "10ms", "--commit", "10m"], 1);
    let before = flight.acked().len();
    // At most one commit a second, whoever asks.
    assert!(wait_until(|| {
        recorder.signal("USR1");
        flight.acked().len() > before
    }));
}

/// W11.
#[test]
fn a_termination_is_told_as_what_it_was_and_nothing_is_lost() {
    let flight = Flight::new();
    let recorder = flight.started(&["--interval", "10ms", "--commit", "2s"], 1);
    recorder.signal("TERM");
    let said = recorder.end();
    assert_eq!(said.code, Some(0), "{}", said.err);
    let stops = flight.events("stop");
    assert_eq!(stops.len(), 1);
    assert_eq!(stops[0]["args"]["reason"], 3, "a signal, and no service manager that knows more");
    assert_eq!(flight.acked().into_iter().collect::<BTreeSet<_>>(), flight.recovered());
}

#[test]
fn a_run_for_a_time_ends_by_itself() {
    let flight = Flight::new();
    let said = flight.start(&["--interval", "10ms", "--for", "300ms"], false).end();
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(flight.events("stop")[0]["args"]["reason"], 4);
}

/// A service that does not start over a typo would be worse than one with a default.
#[test]
fn a_service_records_with_the_default_of_a_bad_key_and_a_terminal_refuses() {
    let flight = Flight::new();
    let config = flight.folder.path().join("flightrec.toml");
    fs::write(&config, "interval = \"10ms\"\ncommit = \"yesterday\"\ncolour = \"red\"\n").unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "--for", "200ms"];

    let refused = flight.start(&arguments, false).end();
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("commit") && refused.err.lines().count() <= 3, "{}", refused.err);

    let recorded = flight.start(&arguments, true).end();
    assert_eq!(recorded.code, Some(0), "{}", recorded.err);
    let told: Vec<String> =
        flight.events("config_default").iter().map(|event| event["text"].to_string()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("commit") && told[1].contains("colour"), "{told:?}");
}

/// What a recorder must not write to: each is told in one to three lines, and not touched.
#[test]
fn what_is_no_whole_recording_is_refused_and_left_as_it_is() {
    let flight = Flight::new();
    let whole = fs::read(flight.path()).unwrap();
    let mut newer = whole.clone();
    let slots = flightrec_format::superblock::Geometry::for_size(1 << 20).unwrap();
    for slot in slots.superblock_slots() {
        let at = usize::try_from(slot).unwrap() * 4096;
        newer[at + 14] = 1;
        let crc = flightrec_format::crc::checksum(&newer[at + 12..at + 128]).to_le_bytes();
        newer[at + 8..at + 12].copy_from_slice(&crc);
    }
    let noise = vec![0xa5; 70_000];
    let others: [(&str, &[u8], &str); 5] = [
        ("empty", b"", "not a recording"),
        ("another program's", b"SQLite format 3\0 and so on", "not a recording"),
        ("cut", &whole[..600_000], "is cut"),
        ("newer", &newer, "not a recording that this version can write to"),
        ("noise", &noise, "not a recording"),
    ];
    for (name, bytes, words) in others {
        fs::write(flight.path(), bytes).unwrap();
        let said = flight.start(&FAST, false).end();
        assert_eq!(said.code, Some(1), "{name}: {}", said.err);
        assert!(said.err.contains(words), "{name}: {}", said.err);
        assert!((1..=3).contains(&said.err.lines().count()), "{name}: {}", said.err);
        assert_eq!(fs::read(flight.path()).unwrap(), bytes, "{name} was touched");
    }
    fs::remove_file(flight.path()).unwrap();
    let said = flight.start(&FAST, false).end();
    assert!(said.err.contains("flightrecd create"), "{}", said.err);
    assert_eq!(run_on(flight.folder.path()).code, Some(1), "a folder");
}

fn run_on(path: &Path) -> Said {
    say(flightrecd(), ["run", "--recording", path.to_str().unwrap()])
}
