//! `flightrecd run` becomes a smaller program: the same process, lock and protections; and it
//! records all the same where that program is missing or of another build.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_tests::programs::{flightrecd, say, wait_until};
use flightrec_tests::recovered::flightrec;
use serde_json::Value;
use tempfile::TempDir;

/// A recorder that runs, of this program.
struct Flight {
    folder: TempDir,
    recorder: Child,
}

impl Flight {
    fn of(program: &Path, folder: TempDir) -> Self {
        let path = folder.path().join("recording.frec");
        let made =
            say(flightrecd(), ["create", path.to_str().unwrap(), "--size", "1MiB", "--force"]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let recorder = Command::new(program)
            .args(["run", "--interval", "100ms", "--commit", "200ms", "--recording"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .env_remove("NOTIFY_SOCKET")
            .env("RUNTIME_DIRECTORY", folder.path().join("run"))
            .spawn()
            .unwrap();
        Self { folder, recorder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("recording.frec")
    }

    /// What the process runs by now.
    fn program(&self) -> PathBuf {
        fs::read_link(format!("/proc/{}/exe", self.recorder.id())).unwrap_or_default()
    }

    fn boots(&self) -> Value {
        let (_, said) = flightrec(&["boots", "--json", self.path().to_str().unwrap()]);
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// Waits for samples, tells it to stop, and gives how the boot ended and its run facts.
    fn end(mut self) -> Value {
        assert!(wait_until(|| self.boots()["boots"][0]["recorded_s"].as_f64() > Some(0.5)));
        let pid = self.recorder.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        assert!(self.recorder.wait().unwrap().success());
        self.boots()["boots"][0].take()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.recorder.kill().ok();
        self.recorder.wait().ok();
    }
}

fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn facts(boot: &Value) -> String {
    boot["facts"].to_string()
}

#[test]
fn the_process_stays_the_same_and_holds_the_recording() {
    let flight = Flight::of(flightrecd(), folder());
    assert!(wait_until(|| flight.program().ends_with("flightrecd-core")));
    let process = format!("/proc/{}", flight.recorder.id());
    assert!(wait_until(|| {
        fs::read_to_string(format!("{process}/comm")).unwrap().trim() == "flightrecd"
    }));
    let second = say(flightrecd(), ["run", "--recording", flight.path().to_str().unwrap()]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains(&flight.recorder.id().to_string()), "{second:?}");
    let boot = flight.end();
    assert_eq!(boot["end"], "stopped");
    assert!(!facts(&boot).contains("small program"), "{boot}");
}

/// A signal that comes while one program becomes the other is not lost, and kills nobody.
#[test]
fn told_to_stop_at_any_moment_it_leaves_a_record_or_never_began() {
    for ms in [1, 3, 6, 10, 15, 25, 40] {
        let mut flight = Flight::of(flightrecd(), folder());
        let process = flight.recorder.id();
        // From here on signals wait to be asked for.
        assert!(wait_until(|| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
            u64::from_str_radix(blocked, 16).unwrap() & 1 << 14 != 0
        }));
        SystemClock.wait(SystemClock.boottime_ns() + ms * 1_000_000);
        let told = Command::new("kill").arg(process.to_string()).status().unwrap();
        assert!(told.success());
        assert!(flight.recorder.wait().unwrap().success(), "after {ms} ms");
    }
}

#[test]
fn without_the_small_program_or_with_another_build_of_it_it_records_and_says_so() {
    for (script, why) in [
        (None, "not beside flightrecd"),
        (Some("#!/bin/sh\necho 0123456789abcdef\n"), "of another build"),
    ] {
        let folder = folder();
        let alone = folder.path().join("flightrecd");
        fs::copy(flightrecd(), &alone).unwrap();
        if let Some(script) = script {
            let core = folder.path().join("flightrecd-core");
            fs::write(&core, script).unwrap();
            fs::set_permissions(&core, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let flight = Flight::of(&alone, folder);
        let boot = flight.end();
        assert!(facts(&boot).contains(why), "{boot}");
    }
}

#[test]
fn the_small_program_alone_says_who_starts_it() {
    let core = flightrecd().with_file_name("flightrecd-core");
    for arguments in [&[][..], &["0", "1"], &["junk"], &["77", "78"]] {
        let said = say(&core, arguments);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains("flightrecd run"), "{said:?}");
    }
}
