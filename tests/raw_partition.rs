//! A raw partition as recording, on a real one: a loop device with a partition table. Only root can
//! make one; for everybody else these tests say why they were skipped.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flightrec_recorder::sys;
use flightrec_tests::programs::{Said, flightrec, flightrecd, say, wait_until};
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const DISK_SIZE: u64 = 24 * MIB;

/// A disk in a file with two partitions, of 12 and 8 MiB; it is gone at the end of the test.
struct Disk {
    device: PathBuf,
    has_partitions: bool,
    folder: TempDir,
}

impl Disk {
    /// `None`, with the reason printed: it cannot be had here.
    fn new(sector_size: u64) -> Option<Self> {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let image = folder.path().join("image");
        let file = File::create(&image).unwrap();
        file.set_len(DISK_SIZE).unwrap();
        file.write_all_at(&partition_table(sector_size), 0).unwrap();
        let sector = sector_size.to_string();
        let attach = ["-f", "--show", "-b", &sector, image.to_str().unwrap()];
        let device = match run("losetup", &attach) {
            Ok(device) => PathBuf::from(device.trim()),
            Err(reason) => return skip(&reason),
        };
        let mut disk = Self { device, has_partitions: false, folder };
        // Whatever tables the kernel knows: partx reads them itself.
        match run("partx", &["-a", disk.device.to_str().unwrap()]) {
            Ok(_) => disk.has_partitions = true,
            Err(reason) => return skip(&reason),
        }
        if !wait_until(|| disk.partition(1).exists() && disk.partition(2).exists()) {
            return skip("the partitions of a loop device get no nodes in /dev");
        }
        Some(disk)
    }

    fn partition(&self, number: u32) -> PathBuf {
        PathBuf::from(format!("{}p{number}", self.device.display()))
    }

    fn ack_log(&self) -> PathBuf {
        self.folder.path().join("ack.log")
    }

    fn acked(&self) -> BTreeSet<(String, u64)> {
        let text = fs::read_to_string(self.ack_log()).unwrap_or_default();
        let key = |line: &str| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        };
        text.lines().filter_map(key).collect()
    }

    fn start(&self, path: &Path) -> Recorder {
        let child = Command::new(flightrecd())
            .args(["run", "--interval", "10ms", "--commit", "50ms", "--recording"])
            .arg(path)
            .arg("--ack-log")
            .arg(self.ack_log())
            .env("RUNTIME_DIRECTORY", self.folder.path().join("run"))
            .env_remove("NOTIFY_SOCKET")
            .stderr(Stdio::null())
            .spawn();
        Recorder(child.unwrap())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that failed half-way may have left it mounted; a second panic would hide the first.
        let point = self.folder.path().join("mnt");
        run("umount", &[point.to_str().unwrap()]).ok();
        let device = self.device.to_str().unwrap();
        if self.has_partitions {
            run("partx", &["-d", device]).ok();
        }
        if let Err(reason) = run("losetup", &["-d", device]) {
            println!("{} is left attached: {reason}", self.device.display());
        }
    }
}

/// A running recorder; never left behind.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A master boot record with two partitions of type 0x83.
fn partition_table(sector_size: u64) -> Vec<u8> {
    let mut table = vec![0; 512];
    for (index, (start, size)) in [(MIB, 12 * MIB), (14 * MIB, 8 * MIB)].into_iter().enumerate() {
        let entry = &mut table[446 + 16 * index..][..16];
        entry[4] = 0x83;
        let sectors = |bytes: u64| u32::try_from(bytes / sector_size).unwrap().to_le_bytes();
        entry[8..12].copy_from_slice(&sectors(start));
        entry[12..].copy_from_slice(&sectors(size));
    }
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    table
}

fn skip<T>(reason: &str) -> Option<T> {
    println!("skipped: {reason}");
    None
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let said = Said::from(output.map_err(|error| format!("{program}: {error}"))?);
    if said.code == Some(0) { Ok(said.out) } else { Err(format!("{program}: {}", said.err.trim())) }
}

fn create(path: &Path, arguments: &[&str]) -> Said {
    say(flightrecd(), ["create", path.to_str().unwrap()].iter().chain(arguments))
}

/// Every byte, from the disk itself.
fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// Refused with exit code 1 and these words, and nothing on the disk has changed.
fn assert_refused(disk: &Disk, path: &Path, arguments: &[&str], words: &[&str]) {
    let before = bytes(&disk.device);
    let said = create(path, arguments);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!((1..=3).contains(&said.err.lines().count()), "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{word:?} is not in: {}", said.err);
    }
    assert!(bytes(&disk.device) == before, "it was refused, but something was written");
}

fn dumped(path: &Path) -> (Said, BTreeSet<(String, u64)>) {
    let said =
        say(flightrec(), ["dump", path.to_str().unwrap(), "--boot", "all", "--format", "jsonl"]);
    let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let key = |line: Value| Some((line["run"].as_str()?.to_owned(), line["tick"].as_u64()?));
    let keys = lines.filter_map(key).collect();
    (said, keys)
}

/// Made, recorded into, killed, read back: every acknowledged sample is there, twice over.
fn a_partition_records(sector_size: u64) {
    let Some(disk) = Disk::new(sector_size) else { return };
    let path = disk.partition(1);
    let said = create(&path, &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("12MiB") && said.err.is_empty(), "{said:?}");
    let neighbour = bytes(&disk.partition(2));
    for _ in 0..2 {
        let before = disk.acked().len();
        let mut recorder = disk.start(&path);
        assert!(wait_until(|| disk.acked().len() >= before + 200), "nothing was committed");
        // Also while it is recorded into.
        let acked = disk.acked();
        let (said, seen) = dumped(&path);
        assert_eq!(said.code, Some(0), "{said:?}");
        let missing: Vec<_> = acked.difference(&seen).collect();
        assert!(missing.is_empty(), "not seen while recording: {missing:?}");

        // A second recorder, and a creation, are told who is there.
        let second = say(flightrecd(), ["run", "--recording", path.to_str().unwrap()]);
        let pid = recorder.0.id();
        assert_eq!(second.code, Some(1));
        assert!(second.err.contains(&format!("another recorder (pid {pid})")), "{}", second.err);
        let over = create(&path, &["--force"]);
        assert_eq!(over.code, Some(1));
        assert!(over.err.contains(&format!("process {pid}")), "{}", over.err);

        recorder.0.kill().unwrap();
        recorder.0.wait().unwrap();
    }
    let (said, recovered) = dumped(&path);
    assert_eq!(said.code, Some(0), "{said:?}");
    let acked = disk.acked();
    let missing: Vec<_> = acked.difference(&recovered).collect();
    assert!(acked.len() >= 400 && missing.is_empty(), "{} lost: {missing:?}", missing.len());
    assert!(bytes(&disk.partition(2)) == neighbour, "the next partition was written to");
    let resized = say(flightrecd(), ["resize", path.to_str().unwrap(), "--size", "4MiB"]);
    assert_eq!(resized.code, Some(1));
    assert!(resized.err.contains("is a partition"), "{}", resized.err);
    assert_eq!(dumped(&path).1, recovered);
    println!("{} samples acknowledged, all read back", acked.len());
}

#[test]
fn a_partition_of_512_byte_sectors_keeps_every_acknowledged_sample() {
    a_partition_records(512);
}

#[test]
fn a_partition_of_4096_byte_sectors_keeps_every_acknowledged_sample() {
    a_partition_records(4096);
}

/// What is on a partition is told by name and place, and is still there afterwards.
#[test]
fn a_partition_that_somebody_may_miss_needs_force() {
    let Some(disk) = Disk::new(512) else { return };
    let path = disk.partition(1);
    assert_eq!(create(&path, &["--size", "2MiB"]).code, Some(0));
    assert_refused(&disk, &path, &[], &["a recording of 2MiB", "--force"]);
    assert_refused(&disk, &path, &["--force", "--size", "13MiB"], &["no space", "12MiB free"]);
    let makers: [(&str, &[&str], &[&str]); 6] = [
        ("mkfs.ext4", &["-q", "-F"], &["an ext file system (byte 1080)"]),
        ("mkfs.vfat", &[], &["a FAT file system"]),
        ("mkfs.xfs", &["-f", "-q"], &["an XFS file system (byte 0)"]),
        ("mkfs.f2fs", &["-f", "-q"], &["an F2FS file system (byte 1024)"]),
        ("mkswap", &["-f"], &["swap space (byte 4086)"]),
        ("mkfs.exfat", &[], &["an exFAT file system (byte 3)"]),
    ];
    for (maker, arguments, words) in makers {
        // What another maker left would speak for itself.
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .write_all_at(&vec![0; 4 << 20], 0)
            .unwrap();
        let arguments: Vec<&str> =
            arguments.iter().copied().chain([path.to_str().unwrap()]).collect();
        if let Err(reason) = run(maker, &arguments) {
            println!("skipped in part: {reason}");
            continue;
        }
        let words: Vec<&str> =
            words.iter().copied().chain(["Nothing was changed", "--force"]).collect();
        assert_refused(&disk, &path, &[], &words);
        // An old recording that lost its partition to somebody is not recorded into.
        let before = bytes(&path);
        let ran = say(flightrecd(), ["run", "--recording", path.to_str().unwrap(), "--for", "1s"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(words[0]), "{}", ran.err);
        assert!(bytes(&path) == before, "something was written");
    }
    let forced = create(&path, &["--force", "--size", "4MiB"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    let again = say(flightrecd(), ["run", "--recording", path.to_str().unwrap(), "--for", "1s"]);
    assert_eq!(again.code, Some(0), "{again:?}");
}

/// Marks beyond a smaller recording go too: a RAID would be put together from them.
#[test]
fn what_would_have_it_taken_for_something_else_goes() {
    let Some(disk) = Disk::new(512) else { return };
    let path = disk.partition(1);
    let file = File::options().write(true).open(&path).unwrap();
    let end = 12 * MIB;
    file.write_all_at(b"\xfc\x4e\x2b\xa9", (end - 0x2000) & !0xfff).unwrap();
    file.write_all_at(b"EFI PART", end - 512).unwrap();
    drop(file);
    assert_refused(&disk, &path, &[], &["a RAID member", "--force"]);
    assert_eq!(create(&path, &["--force", "--size", "2MiB"]).code, Some(0));
    let after = bytes(&path);
    assert!(after[usize::try_from(2 * MIB).unwrap()..].iter().all(|&byte| byte == 0));
}

/// A file system that is mounted, and swap that is on, are refused whatever is asked.
#[test]
fn a_partition_in_use_is_refused_with_force_too() {
    let Some(disk) = Disk::new(512) else { return };
    let (path, other) = (disk.partition(1), disk.partition(2));
    let point = disk.folder.path().join("mnt");
    fs::create_dir(&point).unwrap();
    let (path_text, point_text) = (path.to_str().unwrap(), point.to_str().unwrap());
    let mounted = run("mkfs.ext4", &["-q", "-F", path_text])
        .and_then(|_| run("mount", &[path_text, point_text]));
    match mounted {
        Ok(_) => {
            run("sync", &["-f", point_text]).unwrap();
            let words = ["is in use: it is mounted on", "mnt", "Nothing was changed"];
            for force in [&[][..], &["--force"]] {
                assert_refused(&disk, &path, force, &words);
            }
            // The disk as a whole is no way around it.
            assert_refused(&disk, &disk.device, &["--force"], &["in use", "partition"]);
            let ran = say(flightrecd(), ["run", "--recording", path_text]);
            assert_eq!(ran.code, Some(1));
            assert!(ran.err.contains("mounted on"), "{}", ran.err);
            run("umount", &[point_text]).unwrap();
        }
        Err(reason) => println!("skipped in part: {reason}"),
    }
    let other_text = other.to_str().unwrap();
    match run("mkswap", &[other_text]).and_then(|_| run("swapon", &[other_text])) {
        Ok(_) => {
            let before = bytes(&other);
            let said = create(&other, &["--force"]);
            let unchanged = bytes(&other) == before;
            run("swapoff", &[other_text]).unwrap();
            assert_eq!(said.code, Some(1), "{said:?}");
            assert!(said.err.contains("used as swap"), "{}", said.err);
            assert!(unchanged, "something was written");
        }
        Err(reason) => println!("skipped in part: {reason}"),
    }
}

/// A whole disk needs a second thought; then it serves, as does a link to a partition.
#[test]
fn a_whole_disk_needs_force_and_a_link_is_followed() {
    let Some(mut disk) = Disk::new(512) else { return };
    assert_refused(&disk, &disk.device, &[], &["whole disk with 2 partitions", "lsblk"]);
    let link = disk.folder.path().join("by-name");
    std::os::unix::fs::symlink(disk.partition(2), &link).unwrap();
    let said = create(&link, &["--size", "1MiB"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(dumped(&link).0.code, Some(5), "a recording, and nothing in it yet");

    run("partx", &["-d", disk.device.to_str().unwrap()]).unwrap();
    disk.has_partitions = false;
    assert_refused(&disk, &disk.device, &[], &["no partition", "--force"]);
    let said = create(&disk.device, &["--force"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("24MiB"), "{said:?}");
}

/// While it is recorded into, the kernel lets nobody mount it or make it swap.
#[test]
fn a_recording_partition_is_kept_from_others() {
    let Some(disk) = Disk::new(512) else { return };
    let path = disk.partition(1);
    assert_eq!(create(&path, &[]).code, Some(0));
    let _recorder = disk.start(&path);
    assert!(wait_until(|| !disk.acked().is_empty()));
    let exclusive =
        std::os::unix::fs::OpenOptionsExt::custom_flags(File::options().read(true), sys::O_EXCL)
            .open(&path);
    assert_eq!(exclusive.unwrap_err().kind(), std::io::ErrorKind::ResourceBusy);
}
