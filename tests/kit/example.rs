//! The recording of section 13 of the specification: small enough to be read by eye.
//!
//! One boot, one run, two samples. The first commit held one sample and the start of the run. Then
//! the service was stopped: the second commit sealed both samples into the history, copied the
//! events into the archive, and wrote a second tail frame. The power went before the third.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a kit that breaks is a test that fails"
)]

use std::ops::Range;

use flightrec_format::body::section;
use flightrec_format::crc::checksum;
use flightrec_format::entity::{self, EntityKind};
use flightrec_format::event::{self, EventKind, stop_reason};
use flightrec_format::facts::RunFacts;
use flightrec_format::frame::{Codec, HEADER_SIZE, Header, flag};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;
use flightrec_format::samples::{Group, Samples};
use flightrec_format::superblock::{Geometry, Superblock};

use crate::sections::{put, sample_section, written};

const RECORDING_ID: [u8; 16] = *b"ID of recording!";
const BOOT_ID: [u8; 16] = *b"ID of this boot!";
const RUN_ID: [u8; 8] = *b"run ID 1";
const IDENTITY: [u8; 16] = *b"This very board.";

/// 2026-11-22 07:38:53 UTC.
const REALTIME_MS: u64 = 1_795_333_133_000;
const INTERVAL_NS: u64 = 1_000_000_000;
const FIRST_TICK: u64 = 100;
const LAST_TICK: u64 = 102;

/// Series and stored values of the machine, in both samples.
const MACHINE: [(u16, [u64; 2]); 7] = [
    (1, [REALTIME_MS - 100_000; 2]),
    (2, [0, 0]),
    (3, [1, 1]),
    (4, [1, 2]),
    (6, [3, 4]),
    (36, [35, 34]),
    (52, [30_000, 29_990]),
];

/// The same of the disk.
const DISK: [(u16, [u64; 2]); 2] = [(140, [500, 512]), (141, [9000, 9003])];

/// Builds it.
#[must_use]
pub fn recording() -> Vec<u8> {
    let geometry = Geometry::for_size(1 << 20).unwrap();
    let mut bytes = vec![0; 1 << 20];
    let superblock = Superblock {
        recording_id: RECORDING_ID,
        identity: IDENTITY,
        created_realtime_ns: i64::try_from(REALTIME_MS).unwrap() * 1_000_000,
        geometry,
        compatible_flags: 0,
    };
    for (copy, slot) in (0..).zip(geometry.superblock_slots()) {
        let at = usize::try_from(slot).unwrap() * SLOT_SIZE;
        bytes[at..at + SLOT_SIZE].copy_from_slice(&superblock.slot(copy));
    }
    let mut facts = [0; 256];
    let used = run_facts().write(&mut facts).unwrap();
    let facts = &facts[..used];
    // No frame was found at the start: the tail begins at 0 + 33 (W9).
    let frames = [
        (Area::Tail, 33, 1, [true, false], Some(facts)),
        (Area::History, 1, 2, [true, true], Some(facts)),
        (Area::Archive, 1, 0, [true, true], Some(facts)),
        (Area::Tail, 34, 2, [true, true], None),
    ];
    for (area, seq, samples, events, with_facts) in frames {
        let body = body(samples, events, with_facts);
        let slot = geometry.slot_of(area, seq);
        let boottime_ns = if seq == 33 { 100_400_000_000 } else { 102_400_000_000 };
        let mut header = Header {
            compatible_flags: if with_facts.is_some() { flag::HOLDS_FACTS } else { 0 },
            area,
            codec: Codec::Plain,
            recording_id: RECORDING_ID,
            boot_id: BOOT_ID,
            run_id: RUN_ID,
            seq,
            first_tick: FIRST_TICK,
            last_tick: if seq == 33 { FIRST_TICK } else { LAST_TICK },
            interval_ns: INTERVAL_NS,
            boottime_ns,
            monotonic_ns: boottime_ns,
            realtime_ns: i64::try_from((REALTIME_MS - 100_000) * 1_000_000 + boottime_ns).unwrap(),
            boot_ordinal: 1,
            slot,
            slots: 1,
            synced: true,
            payload_len: u32::try_from(body.len()).unwrap(),
            body_len: u32::try_from(body.len()).unwrap(),
            payload_crc: 0,
            facts_crc: checksum(facts),
            budget_kib: 65_536,
        };
        let at = usize::try_from(geometry.offset_of(area, slot)).unwrap();
        let frame = &mut bytes[at..at + SLOT_SIZE];
        frame[HEADER_SIZE..HEADER_SIZE + body.len()].copy_from_slice(&body);
        header.seal(frame);
    }
    bytes
}

fn run_facts() -> RunFacts {
    RunFacts {
        version: 1,
        identity: IDENTITY,
        interval_ns: INTERVAL_NS,
        commit_ns: 10 * INTERVAL_NS,
        page_size: 4096,
        core_count: 4,
        facts: vec![("zone".into(), "UTC".into())],
    }
}

/// The first `count` samples, the start and the stop if asked for, the facts if there are any.
fn body(count: usize, [start, stop]: [bool; 2], facts: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    let entities = written(|out| {
        out.number(1);
        entity::write(out, EntityKind::DISK, b"sda", &[]);
    });
    if count > 0 {
        put(&mut body, section::ENTITIES, &entities);
    }
    if let Some(facts) = facts {
        put(&mut body, section::FACTS, facts);
    }
    let events = written(|out| {
        out.number(u64::from(start) + u64::from(stop));
        if start {
            let crc = i64::from(facts_crc());
            event::write(out, FIRST_TICK, EventKind::RUN_START, (FIRST_TICK, 1), &[crc], b"0.1.0");
        }
        if stop {
            let reason = [stop_reason::SERVICE_STOP];
            let when = (LAST_TICK, 350);
            event::write(out, FIRST_TICK, EventKind::STOP, when, &reason, b"service stop");
        }
    });
    put(&mut body, section::EVENTS, &events);
    if count > 0 {
        put(&mut body, section::SAMPLES, &sample_section(&samples(count)));
    }
    body
}

fn facts_crc() -> u32 {
    let mut bytes = [0; 256];
    let used = run_facts().write(&mut bytes).unwrap();
    checksum(&bytes[..used])
}

fn samples(count: usize) -> Samples {
    let group = |entity: usize, columns: &[(u16, [u64; 2])]| Group {
        entity,
        spans: std::iter::once(Range { start: 0, end: count }).collect(),
        series: columns.iter().map(|(series, _)| *series).collect(),
        columns: columns.iter().map(|(_, values)| values[..count].to_vec()).collect(),
    };
    // The tick 101 had no sample.
    let ticks = [FIRST_TICK, LAST_TICK][..count].to_vec();
    Samples { ticks, groups: vec![group(0, &MACHINE), group(1, &DISK)] }
}
