//! `flightrecd create` as its users meet it: what it makes, what it refuses, what a cut leaves.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flightrec_format::superblock::Superblock;
use flightrec_recorder::{place, sys};
use flightrec_tests::programs::{Said, flightrecd, say, wait_until};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A folder on a disk, to make recordings in. `None`, with the reason printed: a machine that
/// keeps its build in RAM.
fn folder() -> Option<TempDir> {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Another user shall be able to look into it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    match place::refusal(&place::inspect(folder.path()).unwrap()) {
        None => Some(folder),
        Some(reason) => skip(&reason),
    }
}

fn skip<T>(reason: &str) -> Option<T> {
    println!("skipped: {reason}");
    None
}

fn create(path: &Path, arguments: &[&str]) -> Said {
    say(flightrecd(), ["create", path.to_str().unwrap()].iter().chain(arguments))
}

/// Refused with exit code 1, in one to three lines that hold every one of `words`.
fn assert_refused(said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.out, "");
    assert!((1..=3).contains(&said.err.lines().count()), "{}", said.err);
    assert!(said.err.starts_with("flightrecd: "), "{}", said.err);
    assert!(!said.err.contains("os error"), "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{word:?} is not in: {}", said.err);
    }
}

fn assert_created(said: &Said) {
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
}

/// The superblock in a slot.
fn superblock(file: &File, slot: u64) -> Option<Superblock> {
    let mut bytes = [0; 4096];
    file.read_exact_at(&mut bytes, slot * 4096).unwrap();
    Superblock::read(&bytes).ok()
}

/// Three good copies in their places, zeros everywhere else, and nothing left beside it.
fn assert_whole(path: &Path, size: u64) -> Superblock {
    let file = File::open(path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size);
    let first = superblock(&file, 0).unwrap();
    let slots = first.geometry.superblock_slots();
    assert_eq!(slots.map(|slot| superblock(&file, slot)), [Some(first); 3]);
    assert_eq!((first.geometry.size, slots[2]), (size, size / 4096 - 1));
    let mut bytes = vec![0; 4096];
    for slot in (0..size / 4096).filter(|slot| !slots.contains(slot)) {
        file.read_exact_at(&mut bytes, slot * 4096).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0), "slot {slot}");
    }
    assert_ne!(sys::fiemap_unwritten(&file).unwrap(), Some(true), "room that is not written");
    assert!(!new_name(path).exists());
    first
}

/// Where a recording is made until it is whole.
fn new_name(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.new", path.file_name().unwrap().to_str().unwrap()))
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

#[test]
fn a_recording_is_made_whole() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    let said = create(&path, &["--size", "4100KiB"]);
    assert_created(&said);
    assert!(said.out.contains(": 4100KiB on "), "{}", said.out);
    let superblock = assert_whole(&path, 4100 << 10);
    assert_ne!(superblock.recording_id, [0; 16]);
    assert!(superblock.created_realtime_ns > 1_704_067_200_000_000_000);
    // Others may not read it; a stricter umask is respected.
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    assert_eq!(names(folder.path()), ["a.frec"]);
}

#[test]
fn the_default_size_is_64_mib() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("recording.frec");
    let said = create(&path, &[]);
    assert_created(&said);
    assert!(said.out.contains("64MiB") && said.out.contains("about 5 days"), "{}", said.out);
    assert_whole(&path, 64 * MIB);
}

/// An existing file is named for what it is, and stays as it is, byte for byte.
#[test]
fn an_existing_file_is_left_alone() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    assert_created(&create(&path, &["--size", "1MiB"]));
    let recording = fs::read(&path).unwrap();
    let mut headless = recording.clone();
    headless[20] ^= 1;
    headless[(1 << 20) - 4096 + 20] ^= 1;
    let zeros = vec![0; 1 << 20];
    let cases: [(&[u8], &str); 5] = [
        (&recording, "a recording of 1MiB, made 20"),
        (&headless, "superblocks are damaged"),
        (&zeros, "cut short"),
        (b"", "an empty file"),
        (b"PATH=/usr/bin\n", "another program"),
    ];
    for (bytes, words) in cases {
        fs::write(&path, bytes).unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert_refused(&create(&path, &[]), &[words, "Nothing was changed", "--force"]);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }
    assert_eq!(names(folder.path()), ["a.frec"]);
}

/// With `--force` any of them becomes a recording, larger or smaller, and a new one.
#[test]
fn force_replaces_what_is_there() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    let mut ids = Vec::new();
    fs::write(&path, b"PATH=/usr/bin\n").unwrap();
    for (size, bytes) in [("1MiB", MIB), ("3MiB", 3 * MIB), ("1028KiB", 1028 << 10)] {
        assert_created(&create(&path, &["--size", size, "--force"]));
        ids.push(assert_whole(&path, bytes).recording_id);
        // What a run would leave behind must not shine through.
        File::options().write(true).open(&path).unwrap().write_all_at(&[7; 9000], 8192).unwrap();
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(names(folder.path()), ["a.frec"]);
}

/// A link is followed, to the file and not over the link.
#[test]
fn a_link_is_followed_and_stays() {
    let Some(folder) = folder() else { return };
    let (path, link) = (folder.path().join("a.frec"), folder.path().join("link"));
    symlink(&path, &link).unwrap();
    assert_refused(&create(&link, &[]), &["leads nowhere"]);
    fs::write(&path, b"").unwrap();
    assert_created(&create(&link, &["--size", "1MiB", "--force"]));
    assert!(link.is_symlink());
    assert_whole(&path, MIB);
}

#[test]
fn a_place_that_cannot_hold_a_recording_is_refused() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    assert_refused(&create(folder.path(), &[]), &["is a directory", "recording.frec"]);
    assert_refused(&create(&path.join("b"), &[]), &["does not exist", "mkdir"]);
    assert_refused(&create(Path::new("/dev/null"), &["--force"]), &["not a regular file"]);
    fs::write(&path, b"").unwrap();
    assert_refused(&create(&path.join("b"), &[]), &["not a directory"]);
}

#[test]
fn sizes_outside_the_limits_are_refused() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    for size in ["0KiB", "1023KiB", "1025GiB", "17179869183GiB"] {
        assert_refused(&create(&path, &["--size", size]), &["no size", "1MiB", "1024GiB"]);
    }
    for size in ["64MB", "64", "-1MiB", "17179869184GiB", ""] {
        assert_eq!(create(&path, &["--size", size]).code, Some(2), "{size}");
    }
    assert_refused(&create(&path, &["--size", "1024GiB"]), &["no space", "free"]);
    assert!(names(folder.path()).is_empty());
}

/// RAM is refused with a better place; who insists gets it, with a warning.
#[test]
fn a_place_in_ram_needs_force() {
    let Some(shm) = shm() else { return };
    let path = shm.path().join("a.frec");
    assert_refused(
        &create(&path, &["--size", "1MiB"]),
        &["in RAM", "gone with the power", "--force"],
    );
    assert!(names(shm.path()).is_empty());
    let said = create(&path, &["--size", "1MiB", "--force"]);
    assert_created(&said);
    assert!(said.err.contains("in RAM"), "{}", said.err);
    assert_whole(&path, MIB);
}

fn shm() -> Option<TempDir> {
    let folder = TempDir::new_in("/dev/shm").ok();
    let Some(folder) = folder else { return skip("no /dev/shm to write to") };
    match place::inspect(folder.path()).unwrap().kind {
        place::Kind::Ram => Some(folder),
        kind => skip(&format!("/dev/shm is {kind:?}")),
    }
}

/// Only root can become somebody without permission; everybody else is already.
#[test]
fn without_permission_nothing_happens() {
    const NOBODY: u32 = 65_534;
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    let mut command = Command::new(flightrecd());
    command.args(["create", path.to_str().unwrap(), "--size", "1MiB"]);
    if fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0) {
        command.uid(NOBODY).gid(NOBODY);
    } else {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let Ok(output) = command.output() else {
        return skip("nobody may not run what was built here").unwrap_or_default();
    };
    assert_refused(&output.into(), &["permission denied", "sudo"]);
    assert!(names(folder.path()).is_empty());
}

/// A limit that is met half-way: the kernel refuses the room, and nothing is left behind. Over an
/// existing recording it is met before that one is touched.
#[test]
fn a_file_size_limit_leaves_nothing_behind() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    let limited = |force: &str| -> Said {
        let script = "ulimit -f 4000; exec \"$0\" create \"$1\" --size 16MiB $2";
        let command = ["-c", script, flightrecd().to_str().unwrap(), path.to_str().unwrap(), force];
        say(Path::new("/bin/sh"), command)
    };
    assert_refused(&limited(""), &["file too large", "ulimit"]);
    assert!(names(folder.path()).is_empty());
    assert_created(&create(&path, &["--size", "1MiB"]));
    let before = fs::read(&path).unwrap();
    assert_refused(&limited("--force"), &["file too large", "ulimit"]);
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Of a recording in use nothing is taken, whatever is asked.
#[test]
fn a_recording_in_use_is_not_replaced() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    assert_created(&create(&path, &["--size", "1MiB"]));
    let before = fs::read(&path).unwrap();
    let recorder = File::options().write(true).open(&path).unwrap();
    assert!(sys::lock_exclusive(&recorder).unwrap());
    let process = format!("process {}", std::process::id());
    assert_refused(&create(&path, &["--force"]), &["in use by", &process]);
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Starts a creation that takes a while.
fn start(path: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(flightrecd());
    command.arg("create").arg(path).args(["--size", "1GiB"]).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Killed among the zeros: no recording, and the next creation clears up. One that still runs is
/// not in its way: it is respected.
#[test]
fn a_cut_creation_leaves_no_recording() {
    let Some(folder) = folder() else { return };
    if place::inspect(folder.path()).unwrap().free_bytes < 3 << 30 {
        return skip("less than 3 GiB free").unwrap_or_default();
    }
    let path = folder.path().join("a.frec");
    let mut child = start(&path, &[]);
    let len = || fs::metadata(new_name(&path)).map_or(0, |metadata| metadata.len());
    assert!(wait_until(|| len() >= MIB));
    let second = create(&path, &["--size", "1MiB"]);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was done before it was killed");
    assert_refused(&second, &["in use by", "flightrecd"]);
    assert_eq!(names(folder.path()), [".a.frec.new"]);
    assert_created(&create(&path, &["--size", "1MiB"]));
    assert_whole(&path, MIB);
    assert_eq!(names(folder.path()), ["a.frec"]);
}

/// Killed over an old recording: neither the old one nor a mixture, and it says so.
#[test]
fn a_cut_replacement_is_no_recording() {
    let Some(folder) = folder() else { return };
    if place::inspect(folder.path()).unwrap().free_bytes < 3 << 30 {
        return skip("less than 3 GiB free").unwrap_or_default();
    }
    let path = folder.path().join("a.frec");
    assert_created(&create(&path, &["--size", "1MiB"]));
    let old = assert_whole(&path, MIB);
    let mut child = start(&path, &["--force"]);
    let file = File::open(&path).unwrap();
    // Cut before the last copy went it would still be the old recording.
    let is_gone = |slot: &u64| superblock(&file, *slot).is_none();
    assert!(wait_until(|| old.geometry.superblock_slots().iter().all(is_gone)));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was done before it was killed");
    assert_eq!(superblock(&file, file.metadata().unwrap().len() / 4096 - 1), None);
    assert_refused(&create(&path, &[]), &["cut short", "--force"]);
    assert_created(&create(&path, &["--size", "1MiB", "--force"]));
    assert_whole(&path, MIB);
}

/// A file that happens to have our working name is not ours to remove.
#[test]
fn a_strangers_file_in_the_way_is_kept() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.frec");
    fs::write(new_name(&path), b"not yours").unwrap();
    assert_refused(&create(&path, &["--size", "1MiB"]), &["in the way"]);
    assert_eq!(fs::read(new_name(&path)).unwrap(), b"not yours");
    assert_eq!(names(folder.path()), [".a.frec.new"]);
}
