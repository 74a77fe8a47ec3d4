//! What is no recording, or no longer a whole one: each command says so in at most three lines,
//! with the right exit code, and leaves everything as it found it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flightrec_format::superblock::{Geometry, Superblock};
use flightrec_tests::programs::{Said, flightrec, say};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{Run, blank_recording, record};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const COMMANDS: [&str; 3] = ["dump", "boots", "verify"];

/// Ten minutes of the real recorder, cut; sealed, and the rest in the tail.
fn recorded() -> Vec<u8> {
    let clock = Arc::new(SimClock::new(60 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(MIB), clock.clone());
    record(&disk, &clock, &Run::seconds(1, 600));
    disk.durable().bytes()
}

/// A folder with one file in it.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn of(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording.frec");
        fs::write(&path, bytes).unwrap();
        Self { _folder: folder, path }
    }

    /// Runs a command on it and sees to it that nothing was written.
    fn asked(&self, arguments: &[&str]) -> Said {
        let before = fs::read(&self.path).ok();
        let (command, options) = arguments.split_first().unwrap();
        let path = self.path.to_str().unwrap();
        let said = say(flightrec(), [&[*command, path], options].concat());
        assert_eq!(fs::read(&self.path).ok(), before, "{arguments:?} wrote into the recording");
        let names = fs::read_dir(self.path.parent().unwrap()).unwrap();
        assert!(names.count() <= 1, "{arguments:?} left something beside the recording");
        said
    }

    /// Every command refuses it with this code, says `why`, and what to do.
    fn is_refused(&self, code: i32, why: &str) {
        for command in COMMANDS {
            let said = self.asked(&[command]);
            let told = format!("{command}: {said:?}");
            assert_eq!(said.code, Some(code), "{told}");
            assert_eq!(said.out, "", "{told}");
            assert!((1..=3).contains(&said.err.lines().count()), "{told}");
            assert!(said.err.contains(why), "{why:?} in {told}");
            assert!(said.err.contains(self.path.to_str().unwrap()), "where, in {told}");
        }
    }
}

fn at(slot: u32) -> usize {
    usize::try_from(slot).unwrap() * 4096
}

#[test]
fn what_is_no_recording_is_refused_with_what_where_and_what_to_do() {
    Place::of(b"").is_refused(4, "it is empty (0 bytes)");
    Place::of(b"#!/bin/sh\nexit 0\n").is_refused(4, "is not a recording");
    Place::of("07:30 swap is full\n".repeat(9000).as_bytes()).is_refused(4, "`flightrecd create`");
    let mut other = b"SQLite format 3\0\x10\0\x01\x01".to_vec();
    other.resize(3 * 4096, 7);
    Place::of(&other).is_refused(4, "no superblock");
    Place::of(&fs::read(flightrec()).unwrap()).is_refused(4, "is not a recording");
    Place::of(&vec![0; 1 << 20]).is_refused(4, "is not a recording");
    Place::of(&vec![0xff; 70_001]).is_refused(4, "is not a recording");
}

#[test]
fn a_missing_file_and_a_folder_are_told_apart() {
    let place = Place::of(b"");
    fs::remove_file(&place.path).unwrap();
    place.is_refused(4, "no recording at");
    fs::create_dir(&place.path).unwrap();
    place.is_refused(4, "is a directory");
}

/// Root may read everything, and then there is nothing to refuse.
#[test]
fn a_file_that_may_not_be_read_is_exit_1_and_names_the_group() {
    let place = Place::of(&recorded());
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&place.path).is_ok() {
        println!("skipped: this user reads everything");
        return;
    }
    place.is_refused(1, "systemd-journal");
}

/// B3: every length is read as far as it goes, and never called sound where slots are missing.
#[test]
fn a_recording_cut_short_anywhere_is_read_as_far_as_it_goes() {
    let whole = recorded();
    let geometry = Geometry::for_size(MIB).unwrap();
    let (tail, history) = (at(geometry.tail_start), at(geometry.history_start));
    for len in [1, 127, 4095] {
        Place::of(&whole[..len]).is_refused(4, "is not a recording");
    }
    for len in [4096, 4097, tail + 4096] {
        let place = Place::of(&whole[..len]);
        for command in ["dump", "boots"] {
            let said = place.asked(&[command]);
            assert_eq!((said.code, said.out.as_str()), (Some(5), ""), "{len}: {said:?}");
            assert!(said.err.contains("cut short"), "{len}: {said:?}");
            assert!(!said.err.contains("sound"), "{len}: {said:?}");
        }
        let said = place.asked(&["verify"]);
        assert!(said.out.starts_with("incomplete:"), "{said:?}");
    }
    for len in [history - 4096, history + 100, history + 3 * 4096, whole.len() - 1] {
        let place = Place::of(&whole[..len]);
        let said = place.asked(&["dump", "--last", "10s"]);
        assert_eq!(said.code, Some(0), "{len}: {said:?}");
        assert!(said.out.contains("the file is short"), "{len}: {said:?}");
        assert_eq!(place.asked(&["boots"]).code, Some(0));
        let said = place.asked(&["verify"]);
        assert!(matches!(said.code, Some(0 | 3)), "{len}: {said:?}");
        assert!(said.out.contains("the file is cut short"), "{len}: {said:?}");
        assert!(!said.out.starts_with("sound"), "{len}: {said:?}");
    }
}

#[test]
fn a_file_longer_than_its_recording_is_read_to_its_size() {
    let mut bytes = recorded();
    let said = Place::of(&bytes).asked(&["dump", "--format", "jsonl"]);
    assert_eq!(said.code, Some(0));
    bytes.extend([0xa5; 9000]);
    let place = Place::of(&bytes);
    assert_eq!(place.asked(&["dump", "--format", "jsonl"]).out, said.out);
    let said = place.asked(&["verify"]);
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("the file is longer than the recording"), "{said:?}");
}

/// B1: the first good one counts, and the difference is told.
#[test]
fn superblocks_that_disagree_are_told_and_the_first_counts() {
    let mut bytes = recorded();
    let whole = Place::of(&bytes).asked(&["dump", "--format", "jsonl"]);
    let other = Superblock {
        recording_id: [1; 16],
        identity: [0; 16],
        created_realtime_ns: 7,
        geometry: Geometry::for_size(MIB).unwrap(),
        compatible_flags: 0,
    };
    let last = bytes.len() - 4096;
    bytes[last..].copy_from_slice(&other.slot(2));
    let place = Place::of(&bytes);
    assert_eq!(place.asked(&["dump", "--format", "jsonl"]).out, whole.out);
    let said = place.asked(&["verify"]);
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("copies of the superblock differ"), "{said:?}");
}

/// B4.
#[test]
fn a_recording_of_a_later_version_asks_for_an_update() {
    let mut bytes = recorded();
    let geometry = Geometry::for_size(MIB).unwrap();
    for slot in geometry.superblock_slots() {
        let at = at(u32::try_from(slot).unwrap());
        bytes[at + 12] = 2;
        let crc = flightrec_format::crc::checksum(&bytes[at + 12..at + 128]);
        bytes[at + 8..at + 12].copy_from_slice(&crc.to_le_bytes());
    }
    Place::of(&bytes).is_refused(4, "update flightrec");
}

/// Row 8: the lengths of every frame lie, and the checksum of its header vouches for them.
#[test]
fn lengths_that_lie_cost_their_frames_and_nothing_else() {
    let whole = recorded();
    let lies = [(124, u32::MAX), (124, 0), (128, u32::MAX), (128, 1 << 20), (120, 0xffff_ffff)];
    for (field, lie) in lies {
        let mut bytes = whole.clone();
        for slot in bytes.chunks_exact_mut(4096) {
            if slot.starts_with(&flightrec_format::frame::MAGIC) {
                slot[field..field + 4].copy_from_slice(&lie.to_le_bytes());
                let crc = flightrec_format::crc::checksum(&slot[8..144]);
                slot[4..8].copy_from_slice(&crc.to_le_bytes());
            }
        }
        let place = Place::of(&bytes);
        for command in ["dump", "boots"] {
            let said = place.asked(&[command]);
            assert_eq!((said.code, said.out.as_str()), (Some(5), ""), "{field}: {said:?}");
            assert!((1..=3).contains(&said.err.lines().count()), "{said:?}");
            assert!(!said.err.contains("sound"), "{said:?}");
        }
        let said = place.asked(&["verify"]);
        assert!(said.out.contains("damaged"), "{field}: {said:?}");
        assert!(!said.out.starts_with("sound"), "{field}: {said:?}");
    }
}

/// The recorder of these tests reads noise, so counters of disks do go back.
#[test]
fn a_counter_that_goes_backwards_has_no_rate() {
    let place = Place::of(&recorded());
    let series = "cpu.user";
    let options = ["dump", "--rates", "--series", series, "--last", "20s"];
    let said = place.asked(&[&options[..], &["--format", "jsonl"]].concat());
    assert!(said.out.contains("\"cpu.user_per_s\":null"), "{said:?}");
    let rates = said.out.lines().filter(|line| line.contains("cpu.user_per_s"));
    assert!(rates.clone().count() == 20 && !rates.clone().any(|line| line.contains("_per_s\":-")));
    let said = place.asked(&options);
    assert!(said.out.lines().any(|line| line.ends_with("  -")), "{said:?}");
}

#[test]
fn an_empty_recording_is_sound_and_holds_nothing_yet() {
    let place = Place::of(&blank_recording(MIB).bytes());
    for command in ["dump", "boots"] {
        let said = place.asked(&[command]);
        assert_eq!((said.code, said.out.as_str()), (Some(5), ""), "{said:?}");
        assert!(said.err.contains("nothing is recorded in it yet"), "{said:?}");
    }
    assert_eq!(place.asked(&["verify"]).code, Some(0));
    assert!(Path::new(&place.path).exists());
}

/// Row 1 of the verdicts: a bad sector fails the whole read that it lies in, and costs the slots that
/// it hits. strace makes the reads fail, as a dying card would.
#[test]
fn bad_sectors_cost_the_slots_that_they_hit_and_nothing_else() {
    let place = Place::of(&recorded());
    let path = place.path.to_str().unwrap();
    // The first two reads look for superblocks, the third takes many slots at once; then each is
    // asked for by itself, and the first three fail again.
    let faulty = |arguments: &[&str]| -> Option<Said> {
        let output = std::process::Command::new("strace")
            .args(["-o", "/dev/null", "-P", path, "-e", "trace=pread64", "-e"])
            .arg("inject=pread64:error=EIO:when=3..6")
            .arg(flightrec())
            .args(arguments)
            .output();
        let said = Said::from(output.ok()?);
        (!said.err.contains("strace:")).then_some(said)
    };
    let Some(verified) = faulty(&["verify", path]) else {
        println!("skipped: no strace that can inject");
        return;
    };
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.out.contains("2  unreadable"), "{}", verified.out);
    assert!(verified.out.contains("at 0x00001000 (4096): 2 slots"), "{}", verified.out);
    let dump = ["dump", path, "--boot", "all", "--format", "jsonl"];
    let (clean, hit) = (say(flightrec(), dump), faulty(&dump).unwrap());
    assert_eq!((hit.code, hit.out), (clean.code, clean.out), "their samples stand elsewhere too");
}
