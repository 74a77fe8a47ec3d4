//! Recordings that were damaged, or made to hurt: never a panic, never another story.

use flightrec_format::event::EventKind;
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;

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
            small.plain = ordinal == 3;
            small.record(&run, 150, 10, 60);
            small.salvage_last();
            // A second run of the boot, not sealed but for its archived events.
            run.run_id[7] = 1;
            run.begins = 160;
            run.twins = true;
            run.events = vec![
                (EventKind::RUN_START, 160, vec![0], "0.1"),
                (EventKind::STOP, 200, vec![1], "shutdown"),
            ];
            small.record(&run, 200, 5, 400);
            small.salvage_last();
            small.frame(&run, Area::Archive, 200, 200);
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

    /// A field of the header says something else, or what another frame says, and the checksums
    /// vouch for it.
    fn lie(&mut self, slot: &mut [u8]) {
        const FIELDS: [(usize, usize); 10] = [
            (32, 16),
            (48, 8),
            (56, 8),
            (64, 8),
            (72, 8),
            (80, 8),
            (104, 8),
            (112, 4),
            (120, 2),
            (124, 4),
        ];
        let (at, len) = FIELDS[self.random(FIELDS.len())];
        let other = self.slot();
        if self.random(2) == 0 {
            slot[at..at + len].copy_from_slice(&self.whole[other + at..other + at + len]);
        } else {
            slot[at] = slot[at].wrapping_add(self.random(5) as u8).wrapping_sub(2);
        }
        reseal(slot);
    }

    /// A salvage mark with another seq, or one where none belongs.
    fn lie_about_its_place(&mut self, slot: &mut [u8]) {
        let area = if self.random(4) == 0 { Area::Archive } else { Area::History };
        let seq = self.random(300) as u64 * u64::from(self.random(4) > 0);
        Mark { area, seq }.write(slot);
    }

    fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.whole.clone();
        // A little damage heals: most samples stand in many frames. So there is a lot of it at times.
        let most = [6, 40, 150][self.random(3)];
        for _ in 0..=self.random(most) {
            let slot = self.slot();
            let reach = if self.random(2) == 0 { 160 } else { 4096 };
            let at = slot + self.random(reach);
            match self.random(6) {
                0 => bytes[at] ^= 1 << self.random(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.random(5)],
                2 => bytes[slot..slot + 4096].fill(self.random(256) as u8),
                3 => self.lie(&mut bytes[slot..]),
                4 => self.lie_about_its_place(&mut bytes[slot..slot + 4096]),
                _ => {
                    let other = self.slot();
                    let copy = bytes[other..other + 4096].to_vec();
                    bytes[slot..slot + 4096].copy_from_slice(&copy);
                }
            }
            // Honest checksums over lies, half of the time: those go deeper.
            if self.random(2) == 0 {
                reseal(&mut bytes[slot..]);
            }
        }
        if self.random(6) == 0 {
            for slot in 0..bytes.len() / 4096 {
                if bytes[slot * 4096..].starts_with(&flightrec_format::superblock::MAGIC) {
                    bytes[slot * 4096 + 20] ^= 1;
                }
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

/// Makes both checksums of the frame, or that of the superblock, that `bytes` begin with hold again.
fn reseal(bytes: &mut [u8]) {
    use flightrec_format::crc::checksum;
    let len = u32::from_le_bytes(bytes[124..128].try_into().unwrap()) as usize;
    if bytes.starts_with(&flightrec_format::frame::MAGIC) {
        if let Some(payload) = bytes.get(144..144 + len) {
            let crc = checksum(payload).to_le_bytes();
            bytes[132..136].copy_from_slice(&crc);
        }
        let crc = checksum(&bytes[8..144]).to_le_bytes();
        bytes[4..8].copy_from_slice(&crc);
    } else if bytes.starts_with(&flightrec_format::superblock::MAGIC) {
        let crc = checksum(&bytes[12..128]).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
    }
}
