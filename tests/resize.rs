//! `flightrecd resize`: a new recording in the place of one, and the old one kept, readable.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flightrec_format::superblock::Superblock;
use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::sys;
use flightrec_tests::programs::{Said, flightrec, flightrecd, say};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A folder with a recording of 1 MiB in it that holds some samples.
fn recorded() -> (TempDir, PathBuf) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("recording.frec");
    let text = path.to_str().unwrap();
    let made = say(flightrecd(), ["create", text, "--size", "1MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let run = ["run", "--recording", text, "--interval", "10ms", "--for", "300ms"];
    let recorded = say(flightrecd(), run);
    assert_eq!(recorded.code, Some(0), "{recorded:?}");
    (folder, path)
}

fn resize(path: &Path, size: &str) -> Said {
    say(flightrecd(), ["resize", path.to_str().unwrap(), "--size", size])
}

fn dump(path: &Path) -> Said {
    say(flightrec(), ["dump", path.to_str().unwrap(), "--format", "jsonl"])
}

fn superblock(path: &Path) -> Superblock {
    Superblock::read(&fs::read(path).unwrap()[..4096]).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_refused(said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!((1..=3).contains(&said.err.lines().count()), "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{word:?} is not in: {}", said.err);
    }
}

#[test]
fn the_new_one_takes_its_place_and_the_old_one_stays_readable() {
    let (folder, path) = recorded();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(&path).unwrap();
    let samples = dump(&path).out;
    assert!(samples.lines().count() > 10, "{samples}");

    let said = resize(&path, "2MiB");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("2MiB") && said.out.contains("recording.old.frec"), "{}", said.out);
    let old = folder.path().join("recording.old.frec");
    assert_eq!(names(folder.path()), ["recording.frec", "recording.old.frec"]);
    assert_eq!(fs::read(&old).unwrap(), before, "the old one is as it was");
    assert_eq!(dump(&old).out, samples);
    assert_eq!(superblock(&path).geometry.size, 2 * MIB);
    assert_ne!(superblock(&path).recording_id, superblock(&old).recording_id);
    assert_eq!(fs::metadata(&path).unwrap().len(), 2 * MIB);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);

    // It is recorded into as any other, smaller ones too; but nothing is set aside twice.
    let run =
        ["run", "--recording", path.to_str().unwrap(), "--interval", "10ms", "--for", "200ms"];
    assert_eq!(say(flightrecd(), run).code, Some(0));
    let (second, third) = (fs::read(&path).unwrap(), fs::read(&old).unwrap());
    assert_refused(&resize(&path, "1MiB"), &["recording.old.frec", "already", "nothing is lost"]);
    assert_eq!((fs::read(&path).unwrap(), fs::read(&old).unwrap()), (second, third));
    fs::remove_file(&old).unwrap();
    assert_eq!(resize(&path, "1MiB").code, Some(0));
    assert_eq!(names(folder.path()), ["recording.frec", "recording.old.frec"]);
}

/// What is in the way is told, and nothing at all changes.
#[test]
fn what_cannot_be_resized_is_left_as_it_is() {
    let (folder, path) = recorded();
    let before = fs::read(&path).unwrap();
    let recorder = File::options().write(true).open(&path).unwrap();
    assert!(sys::lock_exclusive(&recorder).unwrap());
    let process = format!("process {}", std::process::id());
    assert_refused(&resize(&path, "2MiB"), &["in use by", &process, "systemctl stop flightrec"]);
    drop(recorder);
    assert_refused(&resize(&path, "1MiB"), &["1MiB already"]);
    assert_refused(&resize(&path, "512KiB"), &["no size"]);
    assert_refused(&resize(&path, "1024GiB"), &["no space", "free"]);
    assert_eq!(resize(&path, "2MB").code, Some(2));
    assert_refused(&resize(folder.path(), "2MiB"), &["is a directory"]);
    assert_refused(&resize(&folder.path().join("b"), "2MiB"), &["no recording", "create"]);
    let other = folder.path().join("other");
    fs::write(&other, b"PATH=/usr/bin\n").unwrap();
    assert_refused(&resize(&other, "2MiB"), &["is not a recording"]);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(folder.path()), ["other", "recording.frec"]);
}

/// Cut after the old one got its second name: it goes on from there. Cut before: what was being
/// made is cleared away.
#[test]
fn a_resize_that_was_cut_is_done_again() {
    let (folder, path) = recorded();
    let old = folder.path().join("recording.old.frec");
    fs::hard_link(&path, &old).unwrap();
    let left_over = folder.path().join(".recording.frec.new");
    fs::write(&left_over, vec![0; 1 << 20]).unwrap();
    let before = fs::read(&path).unwrap();
    let said = resize(&path, "2MiB");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(&old).unwrap(), before);
    assert_eq!(superblock(&path).geometry.size, 2 * MIB);
    assert_eq!(names(folder.path()), ["recording.frec", "recording.old.frec"]);
}

/// A resize under strace, which makes one of its calls fail or end it. `None`: no strace here.
fn struck(path: &Path, fault: &str) -> Option<Said> {
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={fault}")])
        .arg(flightrecd())
        .args(["resize", path.to_str().unwrap(), "--size", "2MiB"])
        .output();
    let said = Said::from(output.ok()?);
    (!said.err.contains("strace:")).then_some(said)
}

/// Each step, made to fail and cut: the old one is at its place, as it was, and another try ends
/// well. Where no file may have a second name it is done in another way.
#[test]
fn a_resize_that_fails_or_is_cut_at_any_step_leaves_the_old_one_in_its_place() {
    let (folder, path) = recorded();
    let old = folder.path().join("recording.old.frec");
    let before = fs::read(&path).unwrap();
    for fault in [
        "fallocate:error=ENOSPC",
        "pwrite64:error=EIO:when=2",
        "fsync:error=EIO:when=1",
        "fsync:error=EIO:when=2",
        "linkat:error=EIO",
        "rename,renameat,renameat2:error=EIO",
    ] {
        let Some(failed) = struck(&path, fault) else {
            println!("skipped: no strace that can inject");
            return;
        };
        assert_eq!(failed.code, Some(1), "{fault}: {failed:?}");
        assert_eq!(names(folder.path()), ["recording.frec"], "{fault}");
        assert!(fs::read(&path).unwrap() == before, "{fault}");

        let cut = struck(&path, &format!("{fault}:signal=KILL")).unwrap();
        assert_ne!(cut.code, Some(0), "{fault}: it was not struck");
        assert!(fs::read(&path).unwrap() == before, "{fault}");
        let again = resize(&path, "2MiB");
        assert_eq!(again.code, Some(0), "{fault}: {again:?}");
        assert!(fs::read(&old).unwrap() == before, "{fault}");
        assert_eq!(names(folder.path()), ["recording.frec", "recording.old.frec"], "{fault}");
        fs::rename(&old, &path).unwrap();
    }
    let without_links = struck(&path, "linkat:error=EPERM").unwrap();
    assert_eq!(without_links.code, Some(0), "{without_links:?}");
    assert!(fs::read(&old).unwrap() == before);
    assert_eq!(superblock(&path).geometry.size, 2 * MIB);
    assert_eq!(names(folder.path()), ["recording.frec", "recording.old.frec"]);
}

/// Killed at any moment, the old or the new one is at its place, whole, and so is what the old one
/// held; another try ends well.
#[test]
fn a_resize_that_is_killed_leaves_a_whole_recording_in_its_place() {
    let (folder, path) = recorded();
    let old = folder.path().join("recording.old.frec");
    let (mut before, mut done) = (fs::read(&path).unwrap(), 0);
    for turn in 0..30_u64 {
        let (size, wanted) = if turn % 2 == 0 { ("4MiB", 4 * MIB) } else { ("2MiB", 2 * MIB) };
        let mut child = Command::new(flightrecd())
            .args(["resize", path.to_str().unwrap(), "--size", size])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let clock = SystemClock;
        let _ = clock.wait(clock.boottime_ns() + turn * 300_000);
        // One that has ended cannot be killed.
        child.kill().ok();
        child.wait().unwrap();
        let there = fs::read(&path).unwrap();
        if there == before {
            let again = resize(&path, size);
            assert_eq!(again.code, Some(0), "turn {turn}: {again:?}");
        } else {
            done += 1;
        }
        assert_eq!(superblock(&path).geometry.size, wanted, "turn {turn}");
        assert_eq!(fs::read(&old).unwrap(), before, "turn {turn}: the old one is whole");
        fs::remove_file(&old).unwrap();
        let left_over = folder.path().join(".recording.frec.new");
        assert!(!left_over.exists() || done > 0);
        before = fs::read(&path).unwrap();
    }
    println!("{done} of 30 were done when they were to be killed");
}
