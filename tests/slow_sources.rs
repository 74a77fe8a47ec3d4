//! A file system that takes 30 seconds to say how full it is, in real time and before the whole
//! recorder: the one proof that nothing simulated can give. It takes 40 seconds, so it must be named.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flightrec_tests::dead_fs::DeadFs;
use flightrec_tests::programs::{flightrec, flightrecd, say};
use serde_json::Value;

/// Asked only if it calls itself local: the recorder's view of the mounts is made to say so.
const SHOWN_AS_LOCAL: &str =
    "mount --bind \"$1\" /proc/$$/mountinfo && exec \"$2\" run --recording \"$3\" --for 40s";

/// Runs the recorder for 40 seconds while one file system of this machine needs 30 for an answer.
fn record(folder: &Path, point: &Path) -> Result<(Vec<Value>, u64), String> {
    let slow = DeadFs::mount(point, Some(Duration::from_secs(30)))?;
    let mounts = folder.join("mountinfo");
    let own = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // The first of all, so that the others wait behind it.
    let line = format!("9999 1 0:999 / {} rw - ext4 /dev/sdx1 rw\n", point.display());
    fs::write(&mounts, line + &own).unwrap();
    let recording = folder.join("recording.frec");
    let made = say(flightrecd(), ["create", recording.to_str().unwrap(), "--size", "1MiB"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let ran = Command::new("unshare")
        .args(["-m", "sh", "-c", SHOWN_AS_LOCAL, "sh"])
        .args([&mounts, flightrecd(), &recording])
        .env("RUNTIME_DIRECTORY", folder.join("run"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
    }
    let said = say(flightrec(), ["dump", recording.to_str().unwrap(), "--format", "jsonl"]);
    let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Ok((lines.filter(|line| line["tick"].is_u64()).collect(), slow.asked()))
}

#[test]
#[ignore = "takes 40 seconds of real time, and root"]
fn thirty_seconds_of_statvfs_delay_no_tick() {
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Beside the recording, under a short name: long ones are cut.
    let point = tempfile::tempdir().unwrap();
    let (samples, asked) = match record(folder.path(), point.path()) {
        Ok(seen) => seen,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let of = |sample: &Value, series: &str| sample["values"][series].as_u64();
    let fs_bytes = format!("fs.{}.available_bytes", point.path().display());
    println!("second  late, ms  age of the slow readings, s  free space there, bytes");
    let begin = samples[0]["tick"].as_u64().unwrap();
    for sample in &samples {
        let tick = sample["tick"].as_u64().unwrap();
        let show = |value: Option<u64>| value.map_or("-".into(), |value: u64| value.to_string());
        println!(
            "{:>6}  {:>8}  {:>27}  {:>23}",
            tick - begin,
            show(of(sample, "recorder.late_ms")),
            show(of(sample, "recorder.slow_age_s")),
            show(of(sample, &fs_bytes)),
        );
    }
    assert_eq!(asked, 2, "asked at once, and again when it had answered");
    assert!(samples.len() >= 40, "{}", samples.len());
    for (sample, number) in samples.iter().zip(0..) {
        assert_eq!(sample["tick"].as_u64(), Some(begin + number), "a tick is missing");
        assert!(of(sample, "recorder.late_ms").unwrap() < 1000, "late: {sample}");
    }
    let age_s = |number: usize| of(&samples[number], "recorder.slow_age_s").unwrap();
    assert!(age_s(28) >= 27, "the age did not grow: {}", age_s(28));
    assert!(age_s(33) < 10, "it was not read when it answered: {}", age_s(33));
    assert_eq!(of(&samples[20], &fs_bytes), None, "it had not answered yet");
    assert_eq!(of(&samples[33], &fs_bytes), Some(400 * 16_384));
}
