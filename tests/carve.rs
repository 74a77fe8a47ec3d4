//! `flightrec carve`: cards whose file system is broken, as their owners bring them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use flightrec_format::crc::checksum;
use flightrec_format::frame::{HEADER_SIZE, Header};
use flightrec_format::place::Area;
use flightrec_format::superblock::{Geometry, Superblock};
use flightrec_tests::example;
use flightrec_tests::noise::Noise;
use flightrec_tests::programs::{Said, flightrec, say};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{Run, blank_recording, record};
use tempfile::TempDir;

const MIB: usize = 1 << 20;
pub(crate) const SLOT: usize = 4096;
/// The id that the kit's recordings have.
pub(crate) const KIT_ID: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Half an hour of the real recorder, more than one lap of the history, cut.
pub(crate) fn recorded() -> Vec<u8> {
    let clock = Arc::new(SimClock::new(60 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
    record(&disk, &clock, &Run::seconds(1, 1800));
    disk.durable().bytes()
}

/// Noise, the same every time.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Noise(7).fill(&mut bytes);
    bytes
}

fn place(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

pub(crate) fn dump(path: &Path) -> Said {
    say(flightrec(), ["dump", path.to_str().unwrap(), "-b", "all", "--format", "jsonl"])
}

pub(crate) fn carve(path: &Path, arguments: &[&str]) -> Said {
    say(flightrec(), [&["carve", path.to_str().unwrap()], arguments].concat())
}

/// `dump` names `carve`, and does so in at most three lines.
fn assert_sends_to_carve(image: &Path) {
    let said = dump(image);
    assert!(said.code == Some(4) && said.out.is_empty() || said.code == Some(3), "{said:?}");
    assert!(said.err.contains(&format!("`flightrec carve {}`", image.display())), "{said:?}");
    assert!(said.err.lines().count() <= 3, "{said:?}");
}

/// A file system on a file, made without root, with a recording among other files.
fn file_system(recording: &[u8], block_size: &str) -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("var/lib/flightrec")).unwrap();
    for number in 0..40 {
        fs::write(root.join(format!("{number}.log")), noise(1000 * (number + 1))).unwrap();
    }
    fs::write(root.join("var/lib/flightrec/recording.frec"), recording).unwrap();
    let image = folder.path().join("card.img");
    let arguments = ["-q", "-F", "-b", block_size, "-d", root.to_str().unwrap()];
    let made = Command::new("mkfs.ext4").args(arguments).arg(&image).arg("16m").output();
    match made {
        Ok(made) if made.status.success() => Some((folder, image)),
        Ok(made) => panic!("mkfs.ext4: {}", String::from_utf8_lossy(&made.stderr)),
        Err(_) => {
            println!("skipped: there is no mkfs.ext4");
            None
        }
    }
}

/// The image of a file system with a recording in it, without whatever tells files apart:
/// superblock, group descriptors, bitmaps and inode tables.
pub(crate) fn broken_file_system(recording: &[u8], block_size: &str) -> Option<(TempDir, PathBuf)> {
    let (folder, image) = file_system(recording, block_size)?;
    let bytes = fs::read(&image).unwrap();
    let first = bytes.windows(8).step_by(512).position(|magic| magic == b"\xf8FLTREC\n");
    let wiped = first.unwrap() * 512;
    assert!(wiped > 16 << 10, "nothing would be broken");
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&noise(wiped.min(64 << 10)), 0).unwrap();
    Some((folder, image))
}

#[test]
fn a_broken_file_system_gives_every_sample_that_the_healthy_recording_gave() {
    let recording = recorded();
    let (_healthy, path) = place("recording.frec", &recording);
    let healthy = dump(&path);
    assert!(healthy.out.lines().count() > 600, "{}", healthy.err);
    let Some((folder, image)) = broken_file_system(&recording, "4096") else { return };
    assert_sends_to_carve(&image);
    let listed = carve(&image, &[]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.out.contains(KIT_ID) && listed.out.contains("1048576 bytes"), "{listed:?}");
    assert!(listed.out.lines().all(|line| line.len() <= 80), "{listed:?}");
    let carved = carve(&image, &["--format", "jsonl"]);
    assert_eq!(carved.err, "", "progress is for terminals");
    assert_eq!(carved.code, healthy.code);
    assert!(carved.out == healthy.out, "other samples");
    let out = folder.path().join("recovered.frec");
    let wrote = carve(&image, &["-o", out.to_str().unwrap()]);
    assert_eq!(wrote.code, Some(0), "{wrote:?}");
    assert!(dump(&out).out == healthy.out);
}

/// Blocks smaller than a slot: frames begin anywhere, and are cut in two.
#[test]
fn blocks_smaller_than_a_slot_cost_nothing() {
    let recording = recorded();
    let (_healthy, path) = place("recording.frec", &recording);
    let healthy = dump(&path);
    let Some((_folder, image)) = broken_file_system(&recording, "1024") else { return };
    assert_sends_to_carve(&image);
    let cut = cut_frames(&recording, &fs::read(&image).unwrap());
    assert!(cut > 0, "no frame was cut: nothing was shown");
    let carved = carve(&image, &["--format", "jsonl"]);
    assert!(samples(&carved) == samples(&healthy), "{}", carved.err);
}

/// Frames of a recording that stand nowhere in one piece.
fn cut_frames(recording: &[u8], image: &[u8]) -> usize {
    let frames = recording.chunks_exact(SLOT).enumerate().filter_map(|(slot, bytes)| {
        let header = Header::read(bytes).ok()?;
        let len = HEADER_SIZE + usize::try_from(header.payload_len).unwrap();
        let frame = &recording[slot * SLOT..][..len];
        header.payload(frame).map(|_| frame)
    });
    let sectors = || (0..image.len()).step_by(512).map(|at| &image[at..]);
    frames.filter(|frame| !sectors().any(|sector| sector.starts_with(frame))).count()
}

/// Pieces of a file in no order, among other things, as on a card that is nearly full.
fn scattered(file: &[u8], block: usize, dice: &mut Noise) -> Vec<u8> {
    let mut pieces = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let blocks = *dice.pick(&[9 * 1024 / block, 17 * 1024 / block + 1, 33 * 1024 / block]);
        let (piece, behind) = rest.split_at((blocks * block).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    let mut image = noise(7 * block);
    while !pieces.is_empty() {
        let next = pieces
            .remove(usize::try_from(dice.below(u64::try_from(pieces.len()).unwrap())).unwrap());
        image.extend_from_slice(next);
        image.extend(noise(block * *dice.pick(&[1, 2, 5, 9])));
    }
    image
}

#[test]
fn frames_that_were_cut_in_two_are_joined_wherever_the_second_half_lies() {
    let whole = recorded();
    let mut headless = whole.clone();
    let slots = Geometry::for_size(1 << 20).unwrap().superblock_slots();
    for slot in slots.map(|slot| usize::try_from(slot).unwrap() * SLOT) {
        headless[slot..slot + SLOT].fill(0xee);
    }
    let mut dice = Noise(11);
    let mut cut = 0;
    for (recording, block) in [(&whole, 512), (&whole, 1024), (&whole, 2048), (&headless, 1024)] {
        let (_healthy, path) = place("recording.frec", recording);
        let bytes = scattered(recording, block, &mut dice);
        cut += cut_frames(recording, &bytes);
        let (folder, image) = place("card.img", &bytes);
        let healthy = samples(&dump(&path));
        let carved = carve(&image, &["--format", "jsonl"]);
        assert!(samples(&carved) == healthy, "blocks of {block}: {}", carved.err);
        let out = folder.path().join("recovered.frec");
        let wrote = carve(&image, &["-o", out.to_str().unwrap()]);
        assert!(wrote.err.contains("cut in two"), "{wrote:?}");
        assert!(samples(&dump(&out)) == healthy, "written out, blocks of {block}");
    }
    assert!(cut > 20, "{cut}");
}

/// The lines of samples, in order.
pub(crate) fn samples(said: &Said) -> Vec<String> {
    said.out.lines().filter(|line| line.contains("\"tick\"")).map(str::to_owned).collect()
}

#[test]
fn without_any_superblock_every_sample_is_found() {
    let mut recording = recorded();
    let slots = Geometry::for_size(1 << 20).unwrap().superblock_slots();
    for slot in slots.map(|slot| usize::try_from(slot).unwrap() * SLOT) {
        recording[slot..slot + SLOT].fill(0xee);
    }
    let (_one, path) = place("recording.frec", &recording);
    let healthy = dump(&path);
    let mut image = noise(512 * 77);
    image.extend_from_slice(&recording);
    let (folder, image) = place("card.img", &image);
    assert!(carve(&image, &[]).out.contains("size unknown"));
    let carved = carve(&image, &["--format", "jsonl"]);
    assert!(samples(&carved).len() > 600);
    assert!(samples(&carved) == samples(&healthy), "{}", carved.err);
    let out = folder.path().join("recovered.frec");
    assert_eq!(carve(&image, &["-o", out.to_str().unwrap()]).code, Some(0));
    assert!(samples(&dump(&out)) == samples(&healthy));
}

#[test]
fn of_two_recordings_one_must_be_named() {
    let mut image = noise(3 * 512);
    image.extend(recorded());
    image.extend(noise(5 * 512));
    image.extend(example::recording());
    let (_folder, image) = place("card.img", &image);
    let listed = carve(&image, &[]);
    assert_eq!((listed.code, listed.out.lines().count()), (Some(0), 4), "{listed:?}");
    let said = carve(&image, &["--format", "jsonl"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    assert!(said.err.contains("--recording") && said.err.contains(KIT_ID), "{said:?}");
    let named = carve(&image, &["--recording", "4944206F", "--format", "jsonl"]);
    let (_alone, alone) = place("recording.frec", &example::recording());
    assert_eq!(named.code, Some(0), "{named:?}");
    assert_eq!(named.out, dump(&alone).out);
    let (code, err) = (Some(2), "was found");
    for wrong in ["ffff", "no id", ""] {
        let said = carve(&image, &["--recording", wrong, "--format", "jsonl"]);
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.err.contains(err) || said.err.contains("hexadecimal"), "{said:?}");
    }
}

#[test]
fn old_copies_that_a_file_system_kept_are_not_lost() {
    let clock = Arc::new(SimClock::new(60 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
    record(&disk, &clock, &Run::seconds(1, 600));
    let early = disk.durable().bytes();
    for number in 2..5 {
        record(&disk, &clock, &Run::seconds(number, 1800));
    }
    let late = disk.durable().bytes();
    let (_one, late_path) = place("late.frec", &late);
    let (_two, early_path) = place("early.frec", &early);
    let (_both, image) = place("card.img", &[noise(1024), early, late].concat());
    let carved = carve(&image, &["--format", "jsonl"]).out;
    let sample = |line: &&str| line.starts_with("{\"schema\"");
    for path in [&late_path, &early_path] {
        for line in dump(path).out.lines().filter(sample) {
            assert!(carved.contains(line), "lost: {line}");
        }
    }
}

#[test]
fn what_is_written_never_replaces_anything_unasked() {
    let image = [noise(512), recorded()].concat();
    let (folder, image_path) = place("card.img", &image);
    let out = folder.path().join("out.frec");
    fs::write(&out, b"precious").unwrap();
    let link = folder.path().join("link.frec");
    fs::hard_link(&image_path, &link).unwrap();
    let write = |out: &Path, more: &[&str]| {
        carve(&image_path, &[&["-o", out.to_str().unwrap()], more].concat())
    };
    let said = write(&out, &[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("exists"), "{said:?}");
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    for onto in [&image_path, &link] {
        let said = write(onto, &["--force"]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains("is the image itself"), "{said:?}");
    }
    assert!(fs::read(&image_path).unwrap() == image, "the image was written to");
    assert_eq!(write(&out, &["--force"]).code, Some(0));
    assert_eq!(fs::metadata(&out).unwrap().len(), 1 << 20);
    assert_eq!(write(folder.path(), &["--force"]).code, Some(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "something was left behind");
}

/// Bytes that somebody made up end in words and not in a panic, and soon.
fn assert_ends(bytes: &[u8], what: &str) {
    let (folder, image) = place("card.img", bytes);
    let out = folder.path().join("out.frec");
    let all: [&[&str]; 3] = [&[], &["--format", "jsonl"], &["-o", out.to_str().unwrap()]];
    for arguments in all {
        let said = carve(&image, arguments);
        assert!(matches!(said.code, Some(0..=5)), "{what}: {said:?}");
        assert!(!said.err.contains("panicked"), "{what}: {said:?}");
    }
}

#[test]
fn hostile_and_broken_images_end_in_words() {
    assert_ends(b"", "nothing");
    assert_ends(&b"\xf8FR1".repeat(MIB / 4), "magic everywhere");
    assert_ends(&b"\xf8FLTREC\n".repeat(MIB / 8), "superblock magic everywhere");
    let recording = recorded();
    for end in [100, 144, 5000, 300 * 512 + 7, recording.len() - 100] {
        assert_ends(&recording[..end], "cut short");
    }
    // One whole header at every sector, each claiming what the next one holds.
    let slot = recording.chunks(SLOT).find(|slot| slot.starts_with(b"\xf8FR1")).unwrap();
    assert_ends(&slot[..512].repeat(2048), "one frame in every sector");
    // Frames without number, each in its place, each said to be longer than what is there.
    let mut endless = recording[..SLOT].to_vec();
    let (_, slots) = Superblock::read(&endless).unwrap().geometry.area(Area::History);
    let mut header = Header::read(slot).unwrap();
    (header.area, header.slots, header.payload_len) = (Area::History, 16, 16 * 4096 - 144);
    for number in 0..2048 {
        header.slot = number * 16 % (slots - 15);
        header.seq = u64::from(number + 1) * u64::from(slots) + u64::from(header.slot);
        let mut sector = vec![0; 512];
        header.seal(&mut sector);
        endless.append(&mut sector);
    }
    assert_ends(&endless, "second halves of nothing");
    let mut forged = recording.clone();
    let mut dice = Noise(3);
    for slot in forged.chunks_mut(SLOT).filter(|slot| slot.starts_with(b"\xf8FR1")) {
        let field = *dice.pick(&[14_usize, 56, 64, 72, 80, 88, 104, 112, 116, 120, 124, 128]);
        dice.fill(&mut slot[field..field + 4]);
        let crc = checksum(&slot[8..144]).to_le_bytes();
        slot[4..8].copy_from_slice(&crc);
    }
    assert_ends(&forged, "forged fields");
    // A superblock that claims a terabyte.
    let mut huge = Superblock::read(&recording).unwrap();
    huge.geometry = Geometry::for_size(1 << 40).unwrap();
    let mut lying = recording;
    lying[..SLOT].copy_from_slice(&huge.slot(0));
    assert_ends(&[noise(512), lying].concat(), "a terabyte");
}
