//! `flightrecd create` on file systems of its own, small ones: full, read-only, and of other kinds.
//! Only root can mount; for everybody else these tests say why they were skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use flightrec_recorder::{create, place, sys};
use flightrec_tests::mount::{Mount, run};
use flightrec_tests::programs::{Said, flightrecd, say};
use tempfile::TempDir;

fn file(mount: &Mount) -> PathBuf {
    mount.point.join("a.frec")
}

fn is_clear(mount: &Mount) -> bool {
    let names = fs::read_dir(&mount.point).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains("frec")).count() == 0
}

fn create(path: &Path, size_kib: u64, force: &[&str]) -> Said {
    let size = format!("{size_kib}KiB");
    say(flightrecd(), ["create", path.to_str().unwrap(), "--size", &size].iter().chain(force))
}

/// Too much is refused before anything is written, and nothing is left behind.
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let Some(mount) = Mount::new("ext4", 24 << 20) else { return };
    let free_kib = sys::file_system(File::open(&mount.point).unwrap()).unwrap().free_bytes >> 10;
    let mut refused = 0;
    for size_kib in [free_kib + 4, free_kib, free_kib - 4, free_kib - 8] {
        let said = create(&file(&mount), size_kib, &[]);
        if said.code == Some(0) {
            fs::remove_file(file(&mount)).unwrap();
            continue;
        }
        refused += 1;
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains("no space") && said.err.contains("MiB free"), "{}", said.err);
        assert!(said.err.lines().count() <= 3 && is_clear(&mount), "{}", said.err);
    }
    assert!(refused > 0);

    // Over an old recording: the room is taken first, so the old one stays whole.
    assert_eq!(create(&file(&mount), 1024, &[]).code, Some(0));
    let before = fs::read(file(&mount)).unwrap();
    assert_eq!(create(&file(&mount), free_kib + 4096, &["--force"]).code, Some(1));
    assert_eq!(fs::read(file(&mount)).unwrap(), before);
}

/// The service takes what a small disk can spare, and says what is missing on a smaller one.
#[test]
fn the_service_makes_a_recording_that_fits() {
    let Some(mount) = Mount::new("ext4", 220 << 20) else { return };
    let made = create::open_or_create(&file(&mount), 64 << 20).unwrap().unwrap();
    let free = sys::file_system(File::open(&mount.point).unwrap()).unwrap().free_bytes;
    assert!(made.size >= 8 << 20 && made.size <= (free + made.size) / 20, "{made:?}");
    assert_eq!(made.verified, Some(true));
    assert_eq!(create::open_or_create(&file(&mount), 64 << 20), Ok(None));
    drop(mount);

    let Some(mount) = Mount::new("ext4", 60 << 20) else { return };
    let error = create::open_or_create(&file(&mount), 64 << 20).unwrap_err().to_string();
    assert!(error.contains("no room") && error.contains("5 %"), "{error}");
    assert!(error.lines().count() <= 3 && is_clear(&mount));
    // Who configured less gets less.
    assert!(create::open_or_create(&file(&mount), 2 << 20).unwrap().is_some());
}

/// Every call that can fail, made to fail by strace: nothing is left behind, and an old recording
/// stays whole as long as it can.
#[test]
fn a_call_that_fails_leaves_nothing_behind() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("a.frec");
    let faulty = |fault: &str, force: &[&str]| -> Option<Said> {
        let call = fault.split(':').next().unwrap();
        let output = Command::new("strace")
            .args(["-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
            .arg(format!("inject={fault}"))
            .arg(flightrecd())
            .args(["create", path.to_str().unwrap(), "--size", "4MiB"])
            .args(force)
            .output();
        let said = Said::from(output.ok()?);
        (!said.err.contains("strace:")).then_some(said)
    };
    if faulty("fallocate:error=ENOSPC", &[]).is_none() || !is_durable(folder.path()) {
        println!("skipped: no strace that can inject, or a build in RAM");
        return;
    }
    for (fault, words) in [
        ("fallocate:error=ENOSPC", "no space"),
        ("fallocate:error=EDQUOT", "quota"),
        ("pwrite64:error=ENOSPC:when=3", "no space"),
        ("fsync:error=EIO", "input/output error"),
        ("fsync:error=EIO:when=2", "input/output error"),
        ("renameat2:error=EEXIST", "file exists"),
        ("fcntl:error=ENOLCK", "cannot lock"),
    ] {
        let said = faulty(fault, &[]).unwrap();
        assert_eq!(said.code, Some(1), "{fault}: {said:?}");
        assert!(said.err.contains(words) && said.err.lines().count() <= 3, "{}", said.err);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{fault}");
    }
    // What some file systems cannot do is done otherwise, or said.
    for fault in ["fallocate:error=EOPNOTSUPP", "renameat2:error=EINVAL", "ioctl:error=EOPNOTSUPP"]
    {
        let said = faulty(fault, &[]).unwrap();
        assert_eq!(said.code, Some(0), "{fault}: {said:?}");
        assert_eq!(said.err.contains("not verifiable"), fault.starts_with("ioctl"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{fault}");
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(create(&path, 1024, &[]).code, Some(0));
    let before = fs::read(&path).unwrap();
    assert_eq!(faulty("fallocate:error=ENOSPC", &["--force"]).unwrap().code, Some(1));
    assert_eq!(fs::read(&path).unwrap(), before);
    let said = faulty("pwrite64:error=EIO:when=8", &["--force"]).unwrap();
    assert!(said.err.contains("is gone") && said.err.contains("--force"), "{}", said.err);
}

fn is_durable(folder: &Path) -> bool {
    place::refusal(&place::inspect(folder).unwrap()).is_none()
}

#[test]
fn a_read_only_file_system_is_named() {
    let Some(mount) = Mount::new("ext4", 24 << 20) else { return };
    run("mount", &["-o", "remount,ro", mount.point.to_str().unwrap()]).unwrap();
    let said = create(&file(&mount), 1024, &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("read-only") && said.err.contains("remount,rw"), "{}", said.err);
}

/// Other file systems than ext4: where it can be seen, everything is written there too. New and
/// over an old file, which on btrfs has to be emptied to lose its copy-on-write.
#[test]
fn other_file_systems_hold_whole_recordings() {
    for (kind, size) in
        [("btrfs", 256 << 20), ("xfs", 320 << 20), ("f2fs", 128 << 20), ("vfat", 64 << 20)]
    {
        let Some(mount) = Mount::new(kind, size) else { continue };
        for (size_kib, force) in
            [(8 << 10, &[][..]), (4 << 10, &["--force"]), (12 << 10, &["--force"])]
        {
            let said = create(&file(&mount), size_kib, force);
            assert_eq!(said.code, Some(0), "{kind}: {said:?}");
            println!("{kind}: {}{}", said.out, said.err);
            let file = File::open(file(&mount)).unwrap();
            assert_ne!(sys::fiemap_unwritten(&file).unwrap(), Some(true), "{kind}");
        }
        if kind == "btrfs" {
            let path = file(&mount);
            let flags = Command::new("lsattr").arg(&path).output().unwrap().stdout;
            assert!(String::from_utf8_lossy(&flags).split(' ').next().unwrap().contains('C'));
        }
    }
}
