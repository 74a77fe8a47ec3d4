//! A small world for tests: recordings built frame by frame through the format crate.

use std::io::Write as _;

use flightrec_format::body::section;
use flightrec_format::column::{Mode, Pen};
use flightrec_format::entity::{self, EntityKind};
use flightrec_format::event::{self, EventKind};
use flightrec_format::facts::{RunFacts, facts_crc};
use flightrec_format::frame::{Codec, HEADER_SIZE, Header, flag};
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_format::samples::{write_group, write_ticks};
use flightrec_format::superblock::{Geometry, Superblock};
use flightrec_format::varint::Writer;

pub(crate) const SECOND: u64 = 1_000_000_000;
/// 2026-11-22 06:00:00 UTC, when boots of these tests begin.
pub(crate) const MORNING_MS: i64 = 1_795_327_200_000;

/// One event: kind, tick, arguments, text.
pub(crate) type TestEvent = (EventKind, u64, Vec<i64>, &'static str);

/// A run of the recorder in the making.
#[derive(Clone)]
pub(crate) struct TestRun {
    pub(crate) ordinal: u32,
    pub(crate) boot_id: [u8; 16],
    pub(crate) run_id: [u8; 8],
    /// Real time minus boot time.
    pub(crate) offset_ms: i64,
    /// First tick at which the clock is synchronised.
    pub(crate) synced_from: u64,
    /// First tick of the run.
    pub(crate) begins: u64,
    pub(crate) events: Vec<TestEvent>,
    pub(crate) facts: Option<RunFacts>,
    /// Series that nobody knows and that no coder can squeeze.
    pub(crate) noise: u16,
    /// Lists the process once more, under another name.
    pub(crate) twins: bool,
    /// Lists a unit with these attributes, instead of the twin.
    pub(crate) unit: Option<Vec<(u64, u64)>>,
}

impl TestRun {
    pub(crate) fn of_boot(ordinal: u32) -> Self {
        let byte = ordinal.to_le_bytes();
        let mut boot_id = [7; 16];
        boot_id[..4].copy_from_slice(&byte);
        let mut run_id = [9; 8];
        run_id[..4].copy_from_slice(&byte);
        Self {
            ordinal,
            boot_id,
            run_id,
            offset_ms: MORNING_MS + i64::from(ordinal) * 3_600_000,
            synced_from: 0,
            begins: 10,
            events: Vec::new(),
            noise: 0,
            twins: false,
            unit: None,
            facts: Some(RunFacts {
                version: 1,
                identity: [3; 16],
                interval_ns: SECOND,
                commit_ns: 10 * SECOND,
                page_size: 4096,
                core_count: 4,
                facts: [("hostname", "pi"), ("kernel", "6.1"), ("zone", "Europe/Berlin")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .to_vec(),
            }),
        }
    }

    fn facts_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 3072];
        let used = self.facts.as_ref().map_or(0, |facts| facts.write(&mut bytes).unwrap());
        bytes.truncate(used);
        bytes
    }

    /// Machine's readings at a tick.
    fn machine(&self, tick: u64) -> Vec<(u16, u64)> {
        let synced = tick >= self.synced_from;
        let busy = tick * 30 + tick % 7 * 5;
        let mut readings = vec![
            (1, self.offset_ms.cast_unsigned()),
            (2, 0),
            (3, u64::from(synced)),
            (4, tick - self.begins + 1),
            (6, tick % 3),
            (8, 20 + tick % 5),
            (10, 0),
            (17, 0),
            (20, busy),
            (23, tick * 60),
            (24, tick * 10),
            (34, tick % 4),
            (36, 50 + tick % 100),
            (52, 40_000 - tick % 20_000),
            (58, 8192),
            (59, 8192 - tick % 800),
            (102, tick * 2),
            (103, tick * 3),
        ];
        readings.extend((0..self.noise).map(|column| {
            let seed = (tick << 16 | u64::from(column)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ seed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (1000 + column, (mixed ^ mixed >> 32) % 2000)
        }));
        readings
    }
}

/// A recording in memory.
pub(crate) struct Builder {
    pub(crate) bytes: Vec<u8>,
    pub(crate) superblock: Superblock,
    pub(crate) tail_seq: u64,
    pub(crate) history_seq: u64,
    pub(crate) archive_seq: u64,
    /// Codec 0: what is changed in a payload then changes a body.
    pub(crate) plain: bool,
    /// Where the last frame was put, bytes.
    pub(crate) last_offset: usize,
}

impl Builder {
    pub(crate) fn new(size: u64) -> Self {
        let superblock = Superblock {
            recording_id: [5; 16],
            identity: [3; 16],
            created_realtime_ns: 1,
            geometry: Geometry::for_size(size).unwrap(),
            compatible_flags: 0,
        };
        let mut bytes = vec![0; size as usize];
        for (copy, slot) in (0..).zip(superblock.geometry.superblock_slots()) {
            let at = slot as usize * 4096;
            bytes[at..at + 4096].copy_from_slice(&superblock.slot(copy));
        }
        let (tail_seq, history_seq, archive_seq) = (1, 1, 1);
        let (plain, last_offset) = (false, 0);
        Self { bytes, superblock, tail_seq, history_seq, archive_seq, plain, last_offset }
    }

    /// A whole run as a recorder writes it: a commit each `commit` ticks with the last 20 ones, a
    /// sealed frame each `seal` ticks, the rest unsealed. Returns the first tick of that rest.
    pub(crate) fn record(&mut self, run: &TestRun, last: u64, commit: u64, seal: u64) -> u64 {
        let mut sealed = run.begins;
        let mut tick = run.begins + commit - 1;
        loop {
            let newest = tick.min(last);
            if newest + 1 - sealed >= seal {
                self.frame(run, Area::History, sealed, newest);
                sealed = newest + 1;
            }
            let window = if run.noise > 0 { 2 * commit } else { 20 };
            let oldest = (newest + 1).saturating_sub(window).max(run.begins);
            self.frame(run, Area::Tail, oldest, newest);
            if newest == last {
                return sealed;
            }
            tick += commit;
        }
    }

    /// One frame with the samples `first ..= last`.
    pub(crate) fn frame(&mut self, run: &TestRun, area: Area, first: u64, last: u64) {
        let facts = if first == run.begins { run.facts_bytes() } else { Vec::new() };
        let ticks: Vec<u64> = (first..=last).collect();
        let events: Vec<TestEvent> = run
            .events
            .iter()
            .filter(|(_, tick, ..)| (first..=last).contains(tick))
            .cloned()
            .collect();
        let body = body(run, &ticks, &events, &facts);
        let mut header = self.header(run, area, first, last);
        if !facts.is_empty() {
            header.compatible_flags = flag::HOLDS_FACTS;
        }
        self.put(header, &body);
    }

    pub(crate) fn header(&self, run: &TestRun, area: Area, first: u64, last: u64) -> Header {
        let facts = run.facts_bytes();
        let boottime_ns = last * SECOND + 5_000_000;
        Header {
            compatible_flags: 0,
            area,
            codec: Codec::Zstd,
            recording_id: self.superblock.recording_id,
            boot_id: run.boot_id,
            run_id: run.run_id,
            seq: 0,
            first_tick: first,
            last_tick: last,
            interval_ns: SECOND,
            boottime_ns,
            monotonic_ns: boottime_ns,
            realtime_ns: (run.offset_ms + (boottime_ns / 1_000_000).cast_signed()) * 1_000_000,
            boot_ordinal: run.ordinal,
            slot: 0,
            slots: 1,
            synced: last >= run.synced_from,
            payload_len: 0,
            body_len: 0,
            payload_crc: 0,
            facts_crc: if facts.is_empty() { 0 } else { facts_crc(&facts) },
            budget_kib: 0,
        }
    }

    /// Packs, seals and puts a body in its place.
    pub(crate) fn put(&mut self, mut header: Header, body: &[u8]) {
        let payload =
            if self.plain { body.to_vec() } else { zstd::bulk::compress(body, 1).unwrap() };
        header.codec = if self.plain { Codec::Plain } else { Codec::Zstd };
        header.payload_len = payload.len() as u32;
        header.body_len = body.len() as u32;
        header.slots = (HEADER_SIZE + payload.len()).div_ceil(4096) as u16;
        assert!(payload.len() <= header.payload_max(), "{:?} {}", header.area, payload.len());
        let geometry = self.superblock.geometry;
        header.seq = match header.area {
            Area::Tail => self.tail_seq,
            Area::Archive => self.archive_seq,
            Area::History => geometry.history_seq(self.history_seq, header.slots),
        };
        match header.area {
            Area::Tail => self.tail_seq += 1,
            Area::Archive => self.archive_seq += 1,
            Area::History => self.history_seq = header.seq + u64::from(header.slots),
        }
        header.slot = geometry.slot_of(header.area, header.seq);
        let at = geometry.offset_of(header.area, header.slot) as usize;
        let frame = &mut self.bytes[at..at + usize::from(header.slots) * 4096];
        frame[HEADER_SIZE..HEADER_SIZE + payload.len()].copy_from_slice(&payload);
        header.seal(frame);
        self.last_offset = at;
    }

    /// Copies the tail frame put last into the history, with a salvage mark.
    pub(crate) fn salvage_last(&mut self) {
        let mut slot = self.bytes[self.last_offset..self.last_offset + 4096].to_vec();
        let mark = Mark { area: Area::History, seq: self.history_seq };
        self.history_seq += 1;
        mark.write(&mut slot);
        let geometry = self.superblock.geometry;
        let index = geometry.slot_of(mark.area, mark.seq);
        let at = geometry.offset_of(mark.area, index) as usize;
        self.bytes[at..at + 4096].copy_from_slice(&slot);
    }

    /// The recording as a file.
    pub(crate) fn file(&self) -> tempfile::NamedTempFile {
        file(&self.bytes)
    }
}

/// Bytes as a file.
pub(crate) fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    file
}

fn body(run: &TestRun, ticks: &[u64], events: &[TestEvent], facts: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 1 << 20];
    let mut out = Writer::new(&mut body);
    section(&mut out, section::ENTITIES, |out| {
        out.number(if run.twins || run.unit.is_some() { 3 } else { 2 });
        entity::write(out, EntityKind::DISK, b"mmcblk0", &[]);
        entity::write(out, EntityKind::PROCESS, b"ag\x1b[2Jent", &[(1, 77), (2, 1234)]);
        if let Some(attributes) = &run.unit {
            entity::write(out, EntityKind::UNIT, b"vector.service", attributes);
        } else if run.twins {
            entity::write(out, EntityKind::PROCESS, b"sh", &[(1, 77), (2, 1234)]);
        }
    });
    if !ticks.is_empty() {
        section(&mut out, section::SAMPLES, |out| samples(out, run, ticks));
    }
    if !events.is_empty() {
        section(&mut out, section::EVENTS, |out| {
            out.number(events.len() as u64);
            let first = ticks.first().copied().unwrap_or(events[0].1);
            for (kind, tick, arguments, text) in events {
                event::write(out, first, *kind, (*tick, 250), arguments, text.as_bytes());
            }
        });
    }
    if !facts.is_empty() {
        section(&mut out, section::FACTS, |out| out.bytes(facts));
    }
    let used = out.finish().unwrap();
    body.truncate(used);
    body
}

fn section(out: &mut Writer<'_>, kind: u64, write: impl FnOnce(&mut Writer<'_>)) {
    let mut buffer = vec![0; 1 << 20];
    let mut inner = Writer::new(&mut buffer);
    write(&mut inner);
    let used = inner.finish().unwrap();
    out.number(kind);
    out.number(used as u64);
    out.bytes(&buffer[..used]);
}

fn samples(out: &mut Writer<'_>, run: &TestRun, ticks: &[u64]) {
    type Readings = Vec<(u16, u64)>;
    let readings = |entity: u64, tick: u64| -> Readings {
        match entity {
            0 => run.machine(tick),
            1 => vec![(141, tick / 2), (144, tick * 5)],
            2 => vec![(201, tick), (205, 300 + tick % 9)],
            _ if run.unit.is_some() => vec![(220, tick * 250), (222, 3000), (230, 4)],
            _ => vec![(140, tick), (205, 7)],
        }
    };
    let all = std::iter::once(0..ticks.len());
    out.number(ticks.len() as u64);
    write_ticks(out, &ticks.iter().copied());
    let groups = if run.twins || run.unit.is_some() { 4 } else { 3 };
    out.number(groups);
    let mut columns: Vec<Vec<u64>> = Vec::new();
    for entity in 0..groups {
        let rows: Vec<Readings> = ticks.iter().map(|tick| readings(entity, *tick)).collect();
        let numbers: Vec<u16> = rows[0].iter().map(|(series, _)| *series).collect();
        write_group(out, entity as usize, &all, ticks.len(), &numbers.iter().copied());
        let column = |place: usize| rows.iter().map(|row| row[place].1).collect();
        columns.extend((0..numbers.len()).map(column));
    }
    for _ in &columns {
        out.byte(Mode::DeltaRuns.number());
    }
    for column in columns {
        let mut bytes = vec![0; column.len() * 11 + 20];
        let mut pen = Pen::start(Mode::DeltaRuns, 0, column[0], &mut bytes);
        for pair in column.windows(2) {
            pen.step(pair[1].wrapping_sub(pair[0]).cast_signed(), &mut bytes);
        }
        let end = pen.finish(&mut bytes);
        out.bytes(&bytes[..end]);
    }
}

/// What a command printed, and how it ended.
pub(crate) fn flightrec(arguments: &[&str]) -> (u8, String, String) {
    use clap::Parser as _;
    let all = std::iter::once("flightrec").chain(arguments.iter().copied());
    let arguments = match crate::args::Arguments::try_parse_from(all) {
        Ok(arguments) => arguments,
        Err(error) => return (2, String::new(), error.to_string()),
    };
    let (mut data, mut remarks) = (Vec::new(), Vec::new());
    let mut output =
        crate::Output { data: &mut data, remarks: &mut remarks, color: false, watched: false };
    let (code, message) = match crate::run(&arguments, &mut output) {
        Ok(outcome) => (outcome.code(), String::new()),
        Err(trouble) => (trouble.outcome.code(), trouble.message),
    };
    let remarks = String::from_utf8(remarks).unwrap() + &message;
    (code, String::from_utf8(data).unwrap(), remarks)
}
