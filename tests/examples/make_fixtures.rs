//! Makes `fixtures/` from real recordings, and from the small world where a real one cannot be had.
//!
//! `cargo run --release -p flightrec-tests --example make_fixtures -- REAL_FOLDER`: packs the real
//! recordings found there (`idle.frec`, `compile.frec`, `memory.frec`, `logstorm.frec`; `fixtures/README.md` says how each was made), and makes the others. What is
//! missing there stays as it is.

#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a tool for developers"
)]

use std::path::Path;
use std::sync::Arc;

use flightrec_format::body::section;
use flightrec_format::crc::checksum;
use flightrec_format::event::{self, EventKind, stop_reason};
use flightrec_format::facts::RunFacts;
use flightrec_format::frame::{Codec, HEADER_SIZE, Header};
use flightrec_format::place::Area;
use flightrec_format::superblock::Geometry;
use flightrec_format::varint::{Reader, Writer};
use flightrec_tests::recovered::flightrec;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{End, Run, blank_recording, record};

const REALTIME_NS: i64 = 1_795_333_133_000_000_000;

fn main() {
    let real = std::env::args().nth(1).expect("the folder with the real recordings");
    let real = Path::new(&real);
    for (from, to) in [
        ("idle", "good-idle"),
        ("compile", "good-compile-load"),
        ("memory", "good-memory-pressure"),
        ("logstorm", "good-log-storm"),
    ] {
        if let Ok(bytes) = std::fs::read(real.join(from).with_extension("frec")) {
            pack(to, &anonymous(bytes));
        }
    }
    let compile = anonymous(std::fs::read(real.join("compile.frec")).unwrap());
    pack("good-cut-in-frame", &cut_in_frame(compile.clone()));
    pack("good-superblocks-gone", &without_superblocks(compile.clone()));
    pack("good-half-a-file", &compile[..compile.len() / 2]);
    pack("good-wrapped-twice", &wrapped_twice());
    pack("good-snapshot", &snapshot(&wrapped_twice()));
    pack("good-clock-stepped-back", &clock_stepped_back());
    pack("good-two-boots-overlapping", &two_boots_overlapping());
    pack("bad-another-program", b"SQLite format 3\0 but not a recording");
    pack("bad-blank", &vec![0; 1 << 20]);
    pack("unsupported-newer-flag", &newer_flag(compile));
}

/// Packs a recording; zeros and repeated slots cost next to nothing.
fn pack(name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures");
    let packed = zstd::bulk::compress(bytes, 19).unwrap();
    println!("{name}: {} bytes in {}", bytes.len(), packed.len());
    std::fs::write(folder.join(name).with_extension("frec.zst"), packed).unwrap();
}

/// Twenty minutes of a recording, in which an island of an older lap is all that is left.
fn snapshot(recording: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("whole.frec"), recording).unwrap();
    let window = ["--since", "2026-11-22 14:00", "--until", "2026-11-22 14:20"];
    let files = [at("whole.frec"), at("piece.frec")];
    let words = ["snapshot", &files[0], "-o", &files[1]];
    flightrec(&[&words[..], &window].concat()).0.unwrap();
    std::fs::read(&files[1]).unwrap()
}

/// The recording with the facts about its machine replaced; everything else is as it was recorded.
fn anonymous(mut bytes: Vec<u8>) -> Vec<u8> {
    let geometry = Geometry::for_size(bytes.len() as u64).unwrap();
    for slot in geometry.superblock_slots() {
        let at = usize::try_from(slot * 4096).unwrap();
        bytes[at + 40..at + 56].fill(0);
        let crc = checksum(&bytes[at + 12..at + 128]).to_le_bytes();
        bytes[at + 8..at + 12].copy_from_slice(&crc);
    }
    for at in (0..bytes.len()).step_by(4096) {
        let Ok(mut header) = Header::read(&bytes[at..at + 4096]) else { continue };
        let frame = &mut bytes[at..at + usize::from(header.slots) * 4096];
        let Some(payload) = header.payload(frame) else { continue };
        let body = match header.codec {
            Codec::Plain => payload.to_vec(),
            Codec::Zstd => zstd::bulk::decompress(payload, 1 << 20).unwrap(),
        };
        let body = anonymous_body(&body, &mut header);
        let packed = zstd::bulk::compress(&body, 19).unwrap();
        header.codec = Codec::Zstd;
        header.body_len = body.len() as u32;
        header.payload_len = packed.len() as u32;
        header.slots = (HEADER_SIZE + packed.len()).div_ceil(4096) as u16;
        assert!(packed.len() <= header.payload_max(), "a frame grew");
        frame[HEADER_SIZE..HEADER_SIZE + packed.len()].copy_from_slice(&packed);
        header.seal(frame);
        Header::read(frame).unwrap();
    }
    bytes
}

/// The facts that every real fixture carries.
fn anonymous_facts(real: &[u8]) -> Vec<u8> {
    let mut facts = RunFacts::read(real).unwrap();
    facts.identity = [0; 16];
    facts.facts.retain(|(name, _)| !matches!(name.as_str(), "mount" | "swap" | "cmdline"));
    for (name, value) in &mut facts.facts {
        match name.as_str() {
            "hostname" => "board".clone_into(value),
            "kernel" => "6.18.44 x86_64".clone_into(value),
            "recording" => "/var/lib/flightrec/recording.frec".clone_into(value),
            "storage" => "vda".clone_into(value),
            _ => {}
        }
    }
    let mut out = vec![0; 3072];
    let len = facts.write(&mut out).unwrap();
    out.truncate(len);
    out
}

/// Rewrites facts, the checksum of them in `run_start`, and that in the header.
fn anonymous_body(body: &[u8], header: &mut Header) -> Vec<u8> {
    // The first frame of a run has the facts; their new checksum holds for the frames after it.
    static CRC: std::sync::Mutex<(u32, u32)> = std::sync::Mutex::new((0, 0));
    let mut out = vec![0; 1 << 20];
    let mut writer = Writer::new(&mut out);
    let mut input = Reader::new(body);
    let mut sections = Vec::new();
    while !input.is_empty() {
        let kind = input.number().unwrap();
        let len = usize::try_from(input.number().unwrap()).unwrap();
        sections.push((kind, input.bytes(len).unwrap().to_vec()));
    }
    for (kind, bytes) in &mut sections {
        if *kind == section::FACTS {
            let old = header.facts_crc;
            *bytes = anonymous_facts(bytes);
            *CRC.lock().unwrap() = (old, checksum(bytes));
        }
    }
    let (old, new) = *CRC.lock().unwrap();
    assert!(header.facts_crc == old, "a run whose facts were not met yet");
    header.facts_crc = new;
    for (kind, bytes) in sections {
        let bytes =
            if kind == section::EVENTS { anonymous_events(&bytes, header, new) } else { bytes };
        writer.number(kind);
        writer.text(&bytes);
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

fn anonymous_events(bytes: &[u8], header: &Header, facts_crc: u32) -> Vec<u8> {
    let events = event::read_all(bytes, header.first_tick, header.last_tick).unwrap();
    let mut out = vec![0; 64 << 10];
    let mut writer = Writer::new(&mut out);
    writer.number(events.len() as u64);
    for event in &events {
        let mut arguments = event.arguments.clone();
        if event.kind == EventKind::RUN_START {
            arguments[0] = i64::from(facts_crc);
        }
        let when = (event.tick, event.offset_ms);
        let text = event.text.as_bytes();
        event::write(&mut writer, header.first_tick, event.kind, when, &arguments, text);
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

fn slot_at(geometry: &Geometry, slot: u32) -> usize {
    usize::try_from(geometry.offset_of(Area::Tail, slot)).unwrap()
}

/// Power went in the middle of the newest write: its first three sectors are new, the rest is what
/// was there before, which in the first lap is nothing.
fn cut_in_frame(mut bytes: Vec<u8>) -> Vec<u8> {
    let geometry = Geometry::for_size(bytes.len() as u64).unwrap();
    let headers = (0..geometry.lane_slots * 2).filter_map(|slot| {
        let at = slot_at(&geometry, slot);
        Header::read(&bytes[at..at + 4096]).ok()
    });
    let newest = headers.max_by_key(|header| header.seq).unwrap();
    let here = slot_at(&geometry, newest.slot);
    bytes[here + 1536..here + 4096].fill(0);
    bytes
}

fn without_superblocks(mut bytes: Vec<u8>) -> Vec<u8> {
    let geometry = Geometry::for_size(bytes.len() as u64).unwrap();
    for slot in geometry.superblock_slots() {
        let at = usize::try_from(slot * 4096).unwrap();
        bytes[at + 20] ^= 0x40;
    }
    bytes
}

fn newer_flag(mut bytes: Vec<u8>) -> Vec<u8> {
    let geometry = Geometry::for_size(bytes.len() as u64).unwrap();
    for slot in geometry.superblock_slots() {
        let at = usize::try_from(slot * 4096).unwrap();
        bytes[at + 14] = 1;
        let crc = checksum(&bytes[at + 12..at + 128]).to_le_bytes();
        bytes[at + 8..at + 12].copy_from_slice(&crc);
    }
    bytes
}

/// Three laps of the history, and many of the tail; then power goes.
fn wrapped_twice() -> Vec<u8> {
    let clock = Arc::new(SimClock::new(20 * SECOND_NS, REALTIME_NS, true));
    let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
    record(&disk, &clock, &Run::seconds(1, 30_000));
    disk.durable().bytes()
}

/// A board without a clock of its own comes up an hour ahead, and is set right after two minutes.
fn clock_stepped_back() -> Vec<u8> {
    let hour_ns = 3600 * 1_000_000_000;
    let clock = Arc::new(SimClock::new(20 * SECOND_NS, REALTIME_NS + hour_ns, false));
    clock.step_at(140 * SECOND_NS, -hour_ns, true);
    let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
    let mut run = Run { commit_ns: 30 * SECOND_NS, ..Run::seconds(1, 300) };
    run.end = End::Stop(stop_reason::MACHINE_SHUTDOWN);
    record(&disk, &clock, &run);
    disk.durable().bytes()
}

/// Power goes after ten minutes; the saved clock puts the next boot into the middle of the first.
fn two_boots_overlapping() -> Vec<u8> {
    let clock = Arc::new(SimClock::new(20 * SECOND_NS, REALTIME_NS, true));
    let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
    let first = Run { commit_ns: 30 * SECOND_NS, ..Run::seconds(1, 600) };
    record(&disk, &clock, &first);
    let saved_ns = REALTIME_NS + 300 * 1_000_000_000;
    let clock = Arc::new(SimClock::new(15 * SECOND_NS, saved_ns, false));
    let disk = SimDisk::new(disk.durable(), clock.clone());
    let second = Run { boot: 2, commit_ns: 30 * SECOND_NS, ..Run::seconds(2, 400) };
    record(&disk, &clock, &second);
    disk.durable().bytes()
}
