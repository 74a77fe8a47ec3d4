//! Recordings that were damaged, or made to hurt: never a panic, never another story.

use flightrec_format::event::EventKind;

use super::MIB;
use crate::testing::{Builder, TestRun, file, flightrec};

/// Any bytes: no panic, a known exit code. `FLIGHTREC_SEED` repeats a run.
#[test]
fn no_bytes_make_any_command_panic() {
    let seed = std::env::var("FLIGHTREC_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::try_from(crate::zone::now_ms()).unwrap());
    println!("FLIGHTREC_SEED={seed}");
    let mut hostile = Hostile::new(seed);
    let commands: [&[&str]; 6] = [
        &["dump"],
        &["dump", "--boot", "all", "--format", "jsonl", "--rates"],
        &["dump", "--json", "--last", "1m"],
        &["dump", "--format", "csv", "--since", "2026-11-22"],
        &["boots"],
        &["verify"],
    ];
    for round in 0..120 {
        let bytes = hostile.next();
        let file = file(&bytes);
        let path = file.path().to_str().unwrap().to_owned();
        let command = commands[round % commands.len()];
        let arguments = [&[command[0], path.as_str()], &command[1..]].concat();
        let (code, ..) = flightrec(&arguments);
        assert!(code <= 5 && code != 1 && code != 2, "{arguments:?}: {code}");
    }
}

/// A recording, damaged in ever new ways.
struct Hostile {
    state: u64,
    whole: Vec<u8>,
    used: Vec<usize>,
}

impl Hostile {
    fn new(seed: u64) -> Self {
        let mut small = Builder::new(MIB);
        for ordinal in [3, 4] {
            let mut run = TestRun::of_boot(ordinal);
            run.synced_from = 50;
            run.events = vec![
                (EventKind::RUN_START, 10, vec![0], "0.1"),
                (EventKind::ALERT, 60, vec![0, 1], "x"),
                (EventKind::STOP, 150, vec![2], ""),
            ];
            small.record(&run, 150, 10, 60);
            small.salvage_last();
        }
        let whole = small.bytes;
        let used = (0..whole.len() / 4096)
            .filter(|slot| whole[slot * 4096..][..4096].iter().any(|byte| *byte != 0))
            .collect();
        Self { state: seed | 1, whole, used }
    }

    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % below
    }

    fn slot(&mut self) -> usize {
        let place = self.random(self.used.len());
        self.used[place] * 4096
    }

    fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.whole.clone();
        for _ in 0..=self.random(6) {
            let slot = self.slot();
            let reach = if self.random(2) == 0 { 160 } else { 4096 };
            let at = slot + self.random(reach);
            match self.random(4) {
                0 => bytes[at] ^= 1 << self.random(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.random(5)],
                2 => bytes[slot..slot + 4096].fill(self.random(256) as u8),
                _ => {
                    let other = self.slot();
                    let copy = bytes[other..other + 4096].to_vec();
                    bytes[slot..slot + 4096].copy_from_slice(&copy);
                }
            }
            // Honest checksums over lies, half of the time: those go deeper.
            if self.random(2) == 0 {
                reseal(&mut bytes[slot..slot + 4096]);
            }
        }
        if self.random(8) == 0 {
            let len = self.random(bytes.len());
            bytes.truncate(len);
        }
        bytes
    }
}

/// V5: what is decoded for a window must date it as the whole recording does.
#[test]
fn any_window_shows_the_lines_that_the_whole_recording_shows() {
    let mut hostile = Hostile::new(u64::try_from(crate::zone::now_ms()).unwrap());
    println!("state {}", hostile.state);
    let windows: [&[&str]; 5] = [
        &["--last", "30s"],
        &["--last", "2m"],
        &["--at", "10:01"],
        &["--since", "2026-11-22 11:00:30"],
        &["--boot", "3"],
    ];
    for round in 0..60 {
        let file = file(&hostile.next());
        let path = file.path().to_str().unwrap();
        let base = ["dump", path, "--format", "jsonl"];
        let (_, whole, _) = flightrec(&[&base[..], &["--boot", "all"]].concat());
        let (_, window, _) = flightrec(&[&base[..], windows[round % windows.len()]].concat());
        let whole: std::collections::HashSet<&str> = whole.lines().collect();
        // The gap before the first sample of a window has no counterpart if its edge is the start.
        let strange =
            window.lines().find(|line| !whole.contains(line) && !line.contains("\"gap\""));
        assert!(strange.is_none(), "{:?}: {strange:?}", windows[round % windows.len()]);
    }
}

/// Not a test: damaged recordings as files, to read them with another decoder and compare.
/// `FLIGHTREC_HOSTILE=FOLDER FLIGHTREC_SEED=1 cargo test -- --ignored damaged_recordings`
#[test]
#[ignore = "writes files to compare with another decoder"]
fn damaged_recordings_to_compare_with() {
    let folder = std::env::var("FLIGHTREC_HOSTILE").unwrap();
    let mut hostile = Hostile::new(std::env::var("FLIGHTREC_SEED").unwrap().parse().unwrap());
    for number in 0..100 {
        std::fs::write(format!("{folder}/{number:03}.frec"), hostile.next()).unwrap();
    }
}

/// Makes both checksums of a frame of one slot, or that of a superblock, hold again.
fn reseal(slot: &mut [u8]) {
    use flightrec_format::crc::checksum;
    let len = u32::from_le_bytes(slot[124..128].try_into().unwrap()) as usize;
    if let Some(payload) = slot.get(144..144 + len.min(4000)) {
        let crc = checksum(payload).to_le_bytes();
        slot[132..136].copy_from_slice(&crc);
    }
    let crc = checksum(&slot[8..144]).to_le_bytes();
    if slot.starts_with(&flightrec_format::frame::MAGIC) {
        slot[4..8].copy_from_slice(&crc);
    } else if slot.starts_with(&flightrec_format::superblock::MAGIC) {
        let crc = checksum(&slot[12..128]).to_le_bytes();
        slot[8..12].copy_from_slice(&crc);
    }
}
