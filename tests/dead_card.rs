//! Cards that die, for real: bad sectors, block devices, terminals. What needs root, a loop device or
//! FUSE says why it was skipped.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::slice;

use flightrec_tests::bad_file::BadFile;
use flightrec_tests::loop_device::{LoopDevice, ask};
use flightrec_tests::noise::Noise;
use flightrec_tests::programs::{Said, flightrec, say};
use tempfile::TempDir;

use crate::carve::{KIT_ID, SLOT, broken_file_system, carve, dump, noise, recorded, samples};

fn skipped(reason: &str) {
    println!("skipped: {reason}");
}

fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The same bytes, and in the place of what cannot be read something that is no frame.
fn without(bytes: &[u8], bad: &[Range<usize>]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for bad in bad {
        bytes[bad.clone()].fill(0xee);
    }
    bytes
}

/// Slots of a recording in which something stands, superblocks aside.
fn used(recording: &[u8]) -> Vec<usize> {
    let used = recording.chunks(SLOT).enumerate().skip(1);
    used.filter(|(_, slot)| slot.starts_with(b"\xf8FR1")).map(|(index, _)| index).collect()
}

/// Bad sectors cost what stood in them, and are counted.
#[test]
fn sectors_that_cannot_be_read_cost_their_own_slots() {
    let recording = recorded();
    let used = used(&recording);
    let hit = [used[3], used[4], *used.last().unwrap()];
    let bad: Vec<_> = hit.iter().map(|slot| slot * SLOT + 512..slot * SLOT + 1024).collect();
    let whole: Vec<_> = hit.iter().map(|slot| slot * SLOT..(slot + 1) * SLOT).collect();
    let folder = folder();
    let point = folder.path().join("mnt");
    fs::create_dir(&point).unwrap();
    let file = match BadFile::mount(&point, recording.clone(), &bad) {
        Ok(file) => file,
        Err(reason) => return skipped(&reason),
    };
    let oracle = folder.path().join("oracle.frec");
    fs::write(&oracle, without(&recording, &whole)).unwrap();
    let expected = dump(&oracle);
    assert!(samples(&expected).len() > 600, "{expected:?}");
    let assert_same = |said: &Said, words: &str| {
        assert_eq!(said.code, expected.code, "{}", said.err);
        assert!(samples(said) == samples(&expected), "{}", said.err);
        assert!(said.err.contains(words), "{}", said.err);
    };
    assert_same(&dump(&file.path()), "3 slots cannot be read from the medium");
    let words = "12288 bytes cannot be read from the medium";
    let listed = carve(&file.path(), &[]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.out.contains(KIT_ID) && listed.err.contains(words), "{listed:?}");
    assert_same(&carve(&file.path(), &["--format", "jsonl"]), words);
    let out = folder.path().join("out.frec");
    let wrote = carve(&file.path(), &["-o", out.to_str().unwrap()]);
    assert_eq!(wrote.code, Some(0), "{wrote:?}");
    assert!(samples(&dump(&out)) == samples(&expected));

    // The same through a block device, which reads pages.
    let device = match LoopDevice::attach(&file.path(), true) {
        Ok(device) => device,
        Err(reason) => return skipped(&reason),
    };
    assert_same(&dump(device.path()), "3 slots cannot be read from the medium");
    assert_same(&carve(device.path(), &["--format", "jsonl"]), words);
}

#[test]
fn a_medium_that_refuses_everything_is_a_failure_and_no_missing_recording() {
    let folder = folder();
    let point = folder.path().join("mnt");
    fs::create_dir(&point).unwrap();
    let file = match BadFile::mount(&point, recorded(), slice::from_ref(&(0..1 << 20))) {
        Ok(file) => file,
        Err(reason) => return skipped(&reason),
    };
    for said in [dump(&file.path()), carve(&file.path(), &[]), carve(&file.path(), &["--json"])] {
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains("refused each of its 1048576 bytes"), "{said:?}");
    }
}

/// A pulled card: its device, and its partition, with a file system that nobody can mount. The
/// devices are for reading only, so whoever opened them for more would fail.
#[test]
fn a_device_with_a_broken_file_system_is_read_like_its_image() {
    let recording = recorded();
    let folder = folder();
    let healthy = folder.path().join("recording.frec");
    fs::write(&healthy, &recording).unwrap();
    let expected = samples(&dump(&healthy));
    let Some((_made, image)) = broken_file_system(&recording, "4096") else { return };
    let file_system = fs::read(&image).unwrap();
    let assert_found = |device: &Path| {
        let said = dump(device);
        assert_eq!((said.code, said.out.as_str()), (Some(4), ""), "{said:?}");
        assert!(said.err.contains(&format!("`flightrec carve {}`", device.display())), "{said:?}");
        let carved = carve(device, &["--format", "jsonl"]);
        assert!(samples(&carved) == expected, "{}: {}", device.display(), carved.err);
    };
    match LoopDevice::attach(&image, true) {
        Ok(device) => assert_found(device.path()),
        Err(reason) => return skipped(&reason),
    }

    // The same in a partition, that begins 63 sectors behind the table, as old cards have it.
    let mut disk = vec![0; 63 * 512];
    disk[446 + 4] = 0x83;
    disk[446 + 8..446 + 12].copy_from_slice(&63_u32.to_le_bytes());
    let sectors = u32::try_from(file_system.len() / 512).unwrap();
    disk[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk.extend(file_system);
    let image = folder.path().join("disk.img");
    fs::write(&image, &disk).unwrap();
    let mut device = LoopDevice::attach(&image, true).unwrap();
    assert_found(device.path());
    match device.partition() {
        Ok(partition) => assert_found(&partition),
        Err(reason) => skipped(&reason),
    }
    assert!(fs::read(&image).unwrap() == disk, "something was written");
}

/// A file system with blocks of 1 KiB whose free space lay in crumbs. Nothing is lost until frames lie
/// in three pieces; then only such frames are.
#[test]
fn a_recording_that_was_put_into_crumbs_of_1_kib_blocks_is_found_whole() {
    let recording = recorded();
    let folder = folder();
    let healthy = folder.path().join("recording.frec");
    fs::write(&healthy, &recording).unwrap();
    let expected = samples(&dump(&healthy));
    let image = folder.path().join("card.img");
    for holes in [&[100, 200][..], &[33, 65, 70], &[17, 33, 35], &[5, 9, 17], &[3]] {
        let extents = match in_crumbs(&recording, holes, folder.path(), &image) {
            Ok(extents) => extents,
            Err(reason) => return skipped(&reason),
        };
        let file = File::options().write(true).open(&image).unwrap();
        file.write_all_at(&noise(64 << 10), 0).unwrap();
        let carved = samples(&carve(&image, &["--format", "jsonl"]));
        let (found, all) = (carved.len(), expected.len());
        println!("holes of {holes:?} KiB: {extents} extents, {found} of {all} samples");
        assert!(carved.iter().all(|line| expected.contains(line)), "something was made up");
        assert!(extents > 3, "it was hardly cut: {extents}");
        assert!(holes == [3] || carved == expected, "lost: {}", all - found);
    }
}

/// Makes the image; in how many pieces the recording lies.
fn in_crumbs(recording: &[u8], holes: &[u64], folder: &Path, image: &Path) -> Result<u32, String> {
    File::create(image).unwrap().set_len(24 << 20).unwrap();
    let features = ["-q", "-F", "-b", "1024", "-m", "0", "-O", "^has_journal"];
    let image_text = image.to_str().unwrap();
    ask("mkfs.ext4", features.into_iter().chain([image_text]))?;
    let point = folder.join("mnt");
    fs::create_dir_all(&point).unwrap();
    let point_text = point.to_str().unwrap();
    ask("mount", ["-o", "loop", image_text, point_text])?;
    let filled = fill_and_write(recording, holes, &point);
    ask("umount", [point_text]).unwrap();
    filled
}

fn fill_and_write(recording: &[u8], holes: &[u64], point: &Path) -> Result<u32, String> {
    // Full to the last block, in two files: the first write takes no more than its reservation.
    for (name, step) in [("much", 1 << 20), ("rest", 1024)] {
        let file = File::create(point.join(name)).unwrap();
        let mut end = 0;
        while file.write_all_at(&noise(step), end).is_ok() {
            end += u64::try_from(step).unwrap();
        }
        file.sync_all().ok();
    }
    let much = point.join("much");
    let (mut at, mut free, mut dice) = (1 << 10, 0, Noise(5));
    while free < 1150 {
        let size = *dice.pick(holes);
        let (offset, len) = (format!("{at}KiB"), format!("{size}KiB"));
        let hole = ["-p", "-o", &offset, "-l", &len, much.to_str().unwrap()];
        ask("fallocate", hole)?;
        at += size + dice.pick(&[1, 2, 3, 5]);
        free += size;
    }
    ask("sync", ["-f", point.to_str().unwrap()])?;
    let path = point.join("recording.frec");
    ask("fallocate", ["-l", "1MiB", path.to_str().unwrap()])?;
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(recording, 0).unwrap();
    file.sync_all().unwrap();
    let told = ask("filefrag", [path.to_str().unwrap()])?;
    let words: Vec<&str> = told.split_whitespace().collect();
    let count = words.iter().position(|word| word.starts_with("extent")).map(|at| words[at - 1]);
    count.and_then(|count| count.parse().ok()).ok_or(told)
}

/// On a terminal long work says how far it is, and takes the line away; a file gets nothing of it.
#[test]
fn progress_is_seen_on_a_terminal_and_taken_away() {
    let folder = folder();
    let image = folder.path().join("card.img");
    // Long enough on any machine: nothing is stored of it.
    File::create(&image).unwrap().set_len(4 << 30).unwrap();
    let command = format!("{} carve {}", flightrec().display(), image.display());
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &command, "/dev/null"]).stdin(Stdio::null());
    let said = match script.output() {
        Ok(output) => Said::from(output),
        Err(error) => return skipped(&format!("script: {error}")),
    };
    assert_eq!(said.code, Some(4), "{said:?}");
    let shown: Vec<&str> = said.out.split('\r').collect();
    let lines = shown.iter().filter(|line| line.starts_with("searching: ")).count();
    assert!(lines > 0, "{said:?}");
    let last = shown.iter().rposition(|line| line.starts_with("searching: ")).unwrap();
    assert!(shown[last].contains(" %, ") && shown[last].contains(" MB/s"), "{said:?}");
    assert!(shown[last + 1].trim().is_empty() && shown[last + 1].len() == 40, "not erased");
    assert!(shown[last + 2].starts_with("flightrec: no recording"), "{said:?}");
    let piped = say(flightrec(), ["carve", image.to_str().unwrap()]);
    assert!(piped.err.starts_with("flightrec: no recording") && !piped.err.contains('%'));
}
