//! What a recording holds when a run starts: where to go on, and what only the tail still has
//! (spec W9, W10).
//!
//! Every slot is looked at once. This runs on the writer's thread while sampling has begun; it is
//! the only time that the recorder reads what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use flightrec_format::frame::{Header, flag};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_format::superblock::{Geometry, Superblock};

use crate::disk::{Disk, PageBuffer};
use crate::rings::{PAGE_SLOTS, Rings, START_JUMP, TailSlot};

/// Slots read at once.
const CHUNK_SLOTS: usize = 64;

/// A dead run this short is salvaged only within a share of the history.
const SHORT_RUN_NS: u64 = 60_000_000_000;

/// No recorder counts so far; a forged frame that says so must not make ours overflow.
const SEQ_END: u64 = 1 << 62;

/// Who starts.
#[derive(Clone, Copy, Debug)]
pub struct Starter {
    /// Of the running kernel.
    pub boot_id: [u8; 16],
    /// Checksum of the new run's facts.
    pub facts_crc: u32,
}

/// What was found.
#[derive(Debug)]
pub struct Resume {
    /// Where the next frames go.
    pub rings: Rings,
    /// Ordinal of the present boot.
    pub boot_ordinal: u32,
    /// Whether a frame of the present boot is there already.
    pub boot_known: bool,
    /// Level of the write budget that the newest frame carries.
    pub budget_kib: Option<u32>,
    /// Whether these run facts stand in a readable frame of history or archive already (R8).
    pub facts_known: bool,
    /// Tail frames to copy into the history, oldest first.
    pub salvage: Vec<Salvage>,
    /// Tail frames that will not be copied: runs too short, and too many of them.
    pub skipped: u64,
}

/// A tail frame of a dead run to be copied.
#[derive(Clone, Copy, Debug)]
pub struct Salvage {
    /// Its slot in the tail.
    pub slot: u32,
    /// Bytes 4 .. 8 of the frame: it must still be the one that was seen.
    pub header_crc: [u8; 4],
    /// Also into the archive: the newest of its run.
    pub archive: bool,
}

/// Reads the superblock: the copy in the first slot, else in the last one, else in any.
pub fn find_superblock(disk: &mut dyn Disk, size: u64) -> io::Result<Option<Superblock>> {
    let mut buffer = PageBuffer::new(SLOT_SIZE)?;
    let slots = size / 4096;
    let first_and_last = [0, slots.saturating_sub(1)];
    for slot in first_and_last.into_iter().chain(1..slots) {
        if disk.read_at(&mut buffer, slot * 4096).is_ok()
            && let Ok(superblock) = Superblock::read(&buffer)
        {
            return Ok(Some(superblock));
        }
    }
    Ok(None)
}

#[derive(Clone, Copy, Debug)]
struct TailFrame {
    slot: u32,
    header: Header,
    header_crc: [u8; 4],
}

/// A history frame, or a salvaged copy there, that may hold what a tail frame holds.
#[derive(Clone, Copy, Debug)]
struct Sealed {
    run_id: [u8; 8],
    first_tick: u64,
    last_tick: u64,
    end_seq: u64,
}

/// What one pass over all slots gathers.
#[derive(Default)]
struct Survey {
    tail: Vec<TailFrame>,
    sealed: Vec<Sealed>,
    archived: Vec<([u8; 8], u64)>,
    newest: Option<Header>,
    tail_seq: u64,
    history_end: u64,
    archive_end: u64,
    ordinal_max: u32,
    own_ordinal: Option<u32>,
    facts_known: bool,
    /// Of runs seen in salvaged copies: first and last tick in nanoseconds.
    salvaged_runs: BTreeMap<[u8; 8], (u64, u64)>,
    /// Pages of the history that hold such copies, and of which run.
    salvaged_pages: BTreeSet<(u64, [u8; 8])>,
    /// The newest frames of the history, by their headers alone.
    newest_sealed: Vec<Sealed>,
}

/// Looks at every slot.
pub fn survey(
    disk: &mut dyn Disk,
    superblock: &Superblock,
    starter: Starter,
) -> io::Result<Resume> {
    let geometry = superblock.geometry;
    let mut found = Survey::default();
    let mut chunk = PageBuffer::new(CHUNK_SLOTS * SLOT_SIZE)?;
    let mut frame = PageBuffer::new(16 * SLOT_SIZE)?;
    for area in [Area::Tail, Area::Archive, Area::History] {
        let (_, count) = geometry.area(area);
        let mut slot = 0;
        while slot < count {
            let slots = usize::try_from(count - slot).unwrap_or(1).min(CHUNK_SLOTS);
            let bytes = chunk.get_mut(..slots * SLOT_SIZE).unwrap_or_default();
            read_chunk(disk, bytes, geometry.offset_of(area, slot));
            for bytes in chunk.chunks_exact(SLOT_SIZE).take(slots) {
                if let Ok(header) = Header::read(bytes)
                    && header.recording_id == superblock.recording_id
                {
                    let whole = |header: &Header| {
                        is_whole(disk, &geometry, (area, slot), header, bytes, &mut frame)
                    };
                    found.take(&geometry, (area, slot), header, bytes, starter, whole);
                }
                slot += 1;
            }
        }
    }
    Ok(found.conclude(geometry))
}

/// Reads many slots; where that fails, slot by slot, so that a bad sector costs only its slot.
fn read_chunk(disk: &mut dyn Disk, bytes: &mut [u8], offset: u64) {
    if matches!(disk.read_at(bytes, offset), Ok(count) if count == bytes.len()) {
        return;
    }
    let mut at = offset;
    for slot in bytes.chunks_mut(SLOT_SIZE) {
        if !matches!(disk.read_at(slot, at), Ok(count) if count == slot.len()) {
            slot.fill(0);
        }
        at += 4096;
    }
}

/// Whether the payload's checksum holds; a frame of several slots is read again as one.
fn is_whole(
    disk: &mut dyn Disk,
    geometry: &Geometry,
    (area, slot): (Area, u32),
    header: &Header,
    bytes: &[u8],
    frame: &mut PageBuffer,
) -> bool {
    if header.slots == 1 {
        return header.payload(bytes).is_some();
    }
    let len = usize::from(header.slots) * SLOT_SIZE;
    let frame = frame.get_mut(..len).unwrap_or_default();
    read_chunk(disk, frame, geometry.offset_of(area, slot));
    header.payload(frame).is_some()
}

impl Survey {
    fn take(
        &mut self,
        geometry: &Geometry,
        (area, slot): (Area, u32),
        header: Header,
        bytes: &[u8],
        starter: Starter,
        mut whole: impl FnMut(&Header) -> bool,
    ) {
        let placed = header.area == area
            && (1..SEQ_END).contains(&header.seq)
            && header.slot == slot
            && geometry.slot_of(area, header.seq) == slot;
        let mark = Mark::read(bytes).filter(|mark| {
            header.area == Area::Tail
                && mark.area == area
                && (1..SEQ_END).contains(&mark.seq)
                && geometry.slot_of(area, mark.seq) == slot
        });
        // A seq that was spent counts even if its payload is torn: it is never used again.
        let end = match (placed, mark) {
            (true, _) => header.seq.saturating_add(u64::from(header.slots)),
            (false, Some(mark)) => mark.seq.saturating_add(1),
            (false, None) => return,
        };
        match area {
            Area::Tail => self.tail_seq = self.tail_seq.max(header.seq),
            Area::Archive => self.archive_end = self.archive_end.max(end),
            Area::History => self.history_end = self.history_end.max(end),
        }
        if area == Area::History {
            self.remember_newest(&header, end);
        }
        self.ordinal_max = self.ordinal_max.max(header.boot_ordinal);
        if header.boot_id == starter.boot_id {
            self.own_ordinal = self.own_ordinal.max(Some(header.boot_ordinal));
        }
        let newer = |newest: &Header| {
            (header.boot_ordinal, header.boottime_ns) > (newest.boot_ordinal, newest.boottime_ns)
        };
        if self.newest.as_ref().is_none_or(newer) {
            self.newest = Some(header);
        }
        let needed = area == Area::Tail
            || header.facts_crc == starter.facts_crc
            || self.tail.iter().any(|frame| frame.header.run_id == header.run_id);
        if let Some(mark) = mark {
            self.count_salvaged(&header, mark);
        }
        if !needed || !whole(&header) {
            return;
        }
        if area != Area::Tail
            && header.compatible_flags & flag::HOLDS_FACTS != 0
            && header.facts_crc == starter.facts_crc
        {
            self.facts_known = true;
        }
        match area {
            Area::Tail => {
                let header_crc = bytes.get(4..8).and_then(|crc| crc.first_chunk().copied());
                let header_crc = header_crc.unwrap_or_default();
                self.tail.push(TailFrame { slot, header, header_crc });
            }
            Area::Archive => self.archived.push((header.run_id, header.seq)),
            Area::History => self.sealed.push(Sealed {
                run_id: header.run_id,
                first_tick: header.first_tick,
                last_tick: header.last_tick,
                end_seq: end,
            }),
        }
    }

    /// Keeps what ends within a page of the greatest end found so far.
    fn remember_newest(&mut self, header: &Header, end_seq: u64) {
        let (run_id, first_tick, last_tick) = (header.run_id, header.first_tick, header.last_tick);
        self.newest_sealed.push(Sealed { run_id, first_tick, last_tick, end_seq });
        let end = self.history_end;
        self.newest_sealed.retain(|sealed| sealed.end_seq + PAGE_SLOTS > end);
    }

    /// Where the history may go on: a page behind any frame whose records the tail does not hold,
    /// be it that it never did or that its copies were destroyed (W9).
    fn history_next(&self) -> u64 {
        let alone = |sealed: &&Sealed| {
            let run = self.tail.iter().filter(|frame| frame.header.run_id == sealed.run_id);
            let run = run.filter(|frame| !is_sparse(frame));
            let ticks = run.map(|frame| (frame.header.first_tick, frame.header.last_tick));
            !covers(ticks, sealed.first_tick, sealed.last_tick)
        };
        let ends = self.newest_sealed.iter().filter(alone).map(|sealed| sealed.end_seq);
        let behind = ends.max().map_or(0, |end| end + PAGE_SLOTS);
        self.history_end.max(behind).max(1)
    }

    fn count_salvaged(&mut self, header: &Header, mark: Mark) {
        let nanoseconds = |tick: u64| tick.saturating_mul(header.interval_ns);
        let (first, last) = (nanoseconds(header.first_tick), nanoseconds(header.last_tick));
        let run = self.salvaged_runs.entry(header.run_id).or_insert((first, last));
        run.0 = run.0.min(first);
        run.1 = run.1.max(last);
        if mark.area == Area::History {
            self.salvaged_pages.insert((mark.seq / PAGE_SLOTS, header.run_id));
        }
    }

    /// Slots of the history that short runs, all together, may still take. A page that holds one
    /// of their copies counts whole: in a small tail each may cost a skip.
    fn short_runs_left(&self, geometry: &Geometry) -> u64 {
        let is_short = |run_id| {
            let ticks = self.salvaged_runs.get(run_id);
            ticks.is_some_and(|(first, last)| last - first < SHORT_RUN_NS)
        };
        let pages = self.salvaged_pages.iter().filter(|(_, run_id)| is_short(run_id));
        let pages: BTreeSet<u64> = pages.map(|(page, _)| *page).collect();
        let taken = u64::try_from(pages.len()).unwrap_or(u64::MAX).saturating_mul(PAGE_SLOTS);
        (u64::from(geometry.history_slots) / 8).saturating_sub(taken)
    }

    fn conclude(mut self, geometry: Geometry) -> Resume {
        let mut tail =
            vec![TailSlot::default(); usize::try_from(geometry.lane_slots * 2).unwrap_or(0)];
        let mut salvage = Vec::new();
        let mut skipped = 0;
        let mut short_budget = self.short_runs_left(&geometry);
        self.tail.sort_unstable_by_key(|frame| (frame.header.run_id, frame.header.seq));
        self.sealed.sort_unstable_by_key(|sealed| (sealed.run_id, sealed.first_tick));
        for run in self.tail.chunk_by(|a, b| a.header.run_id == b.header.run_id) {
            let (chosen, newest) = self.run_to_salvage(run, &mut tail);
            let is_short = self.is_short(run);
            let copies = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
            if is_short && copies > short_budget {
                skipped += copies;
                // Its sealed frames keep their time; the others are owed until a commit tells of them.
                for frame in run {
                    if let Some(place) = place(&mut tail, frame.slot) {
                        place.left = place.free_from == u64::MAX;
                    }
                }
                continue;
            }
            if is_short {
                short_budget -= copies;
            }
            salvage.extend(chosen.into_iter().map(|frame| Salvage {
                slot: frame.slot,
                header_crc: frame.header_crc,
                archive: !is_short
                    && Some(frame.slot) == newest
                    && !self.archived.contains(&(frame.header.run_id, frame.header.seq)),
            }));
        }
        let seqs = (
            if self.tail_seq == 0 { 1 } else { self.tail_seq + START_JUMP },
            self.history_next(),
            self.archive_end.max(1),
        );
        Resume {
            rings: Rings::new(geometry, seqs, tail.into_boxed_slice()),
            boot_ordinal: self.own_ordinal.unwrap_or(self.ordinal_max.saturating_add(1)),
            budget_kib: self.newest.map(|header| header.budget_kib),
            boot_known: self.own_ordinal.is_some(),
            facts_known: self.facts_known,
            salvage,
            skipped,
        }
    }

    /// Marks the slots of a run, and chooses as few of its unsealed frames as cover all their
    /// ticks, oldest first.
    fn run_to_salvage(
        &self,
        run: &[TailFrame],
        tail: &mut [TailSlot],
    ) -> (Vec<TailFrame>, Option<u32>) {
        let mut open: Vec<TailFrame> = Vec::new();
        for frame in run {
            if let Some(end_seq) = self.sealed_until(&frame.header) {
                set_free_from(tail, frame.slot, end_seq + PAGE_SLOTS);
            } else {
                set_free_from(tail, frame.slot, u64::MAX);
                open.push(*frame);
            }
        }
        let newest = open.iter().max_by_key(|frame| frame.header.last_tick).map(|frame| frame.slot);
        // One that leaves samples out holds what no other does, and not what its ticks say (W13).
        let mut chosen: Vec<TailFrame> = open.extract_if(.., |frame| is_sparse(frame)).collect();
        chosen.sort_unstable_by_key(|frame| std::cmp::Reverse(frame.header.seq));
        let mut next = open.iter().max_by_key(|frame| (frame.header.last_tick, frame.header.seq));
        while let Some(frame) = next {
            chosen.push(*frame);
            let first = frame.header.first_tick;
            let older = || open.iter().filter(|other| other.header.first_tick < first);
            next = older()
                .filter(|other| other.header.last_tick.saturating_add(1) >= first)
                .min_by_key(|other| other.header.first_tick)
                .or_else(|| older().max_by_key(|other| other.header.last_tick));
        }
        chosen.reverse();
        (chosen, newest)
    }

    /// History seq behind the frames that hold every tick of this one; `None` if some is missing.
    fn sealed_until(&self, header: &Header) -> Option<u64> {
        let mut next_tick = header.first_tick;
        let mut end_seq = 0;
        for sealed in self.sealed.iter().filter(|sealed| sealed.run_id == header.run_id) {
            if sealed.first_tick <= next_tick && sealed.last_tick >= next_tick {
                next_tick = sealed.last_tick.saturating_add(1);
                end_seq = end_seq.max(sealed.end_seq);
            }
        }
        (next_tick > header.last_tick).then_some(end_seq)
    }

    fn is_short(&self, run: &[TailFrame]) -> bool {
        let run_id = run.first().map(|frame| frame.header.run_id);
        let ticks = run
            .iter()
            .map(|frame| (frame.header.first_tick, frame.header.last_tick))
            .chain(
                self.sealed
                    .iter()
                    .filter(|sealed| Some(sealed.run_id) == run_id)
                    .map(|sealed| (sealed.first_tick, sealed.last_tick)),
            )
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let interval_ns = run.first().map_or(1, |frame| frame.header.interval_ns);
        ticks.is_none_or(|(first, last)| (last - first).saturating_mul(interval_ns) < SHORT_RUN_NS)
    }
}

/// Whether it leaves samples out between its first and last tick (W13).
fn is_sparse(frame: &TailFrame) -> bool {
    frame.header.compatible_flags & flag::SPARSE != 0
}

/// Whether frames of these first and last ticks, ascending, hold every tick between two.
fn covers(frames: impl Iterator<Item = (u64, u64)>, first_tick: u64, last_tick: u64) -> bool {
    let mut next_tick = first_tick;
    for (first, last) in frames {
        if first <= next_tick && last >= next_tick {
            next_tick = last.saturating_add(1);
        }
    }
    next_tick > last_tick
}

fn set_free_from(tail: &mut [TailSlot], slot: u32, free_from: u64) {
    if let Some(place) = place(tail, slot) {
        place.free_from = free_from;
    }
}

fn place(tail: &mut [TailSlot], slot: u32) -> Option<&mut TailSlot> {
    tail.get_mut(usize::try_from(slot).ok()?)
}
