//! Every slot to its verdict (spec 9.1), and a compact index of the frames found.
//!
//! Headers are believed once their own checksum and place hold; the payloads of long history
//! frames are checked when somebody needs them, or at once for `verify`. No frame hides another
//! by its header alone: if something that looks like a frame stands in its later slots, its
//! payload has to prove that those slots are really its own.

use std::collections::HashMap;

use flightrec_format::frame::{Header, NotAFrame, flag};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_format::superblock;

use crate::outcome::Trouble;
use crate::progress::Tell;
use crate::recording::{CHUNK_SLOTS, Recording, has_magic, offset_of};
use crate::recover::Inflater;
pub use crate::verdict::Verdict;

/// How much a scan checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// Headers, and the payloads that lie in one slot.
    Headers,
    /// Every payload and every body.
    Whole,
}

/// A frame, as its header tells; 80 bytes, because there may be a quarter of a million.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// First slot in the recording.
    pub slot: u64,
    /// Which of two copies counts (V3): history seq, tail seq.
    pub rank: (u64, u64),
    /// In its own area.
    pub seq: u64,
    /// Of the oldest record inside.
    pub first_tick: u64,
    /// Of the newest record inside.
    pub last_tick: u64,
    /// Real time minus boot time when it was made.
    pub offset_ms: i64,
    /// Index into [`Scan::runs`].
    pub run: usize,
    /// Checksum of the run facts of its run.
    pub facts_crc: u32,
    /// Counts the boots seen by the recording.
    pub ordinal: u32,
    /// For which area it was made.
    pub area: Area,
    /// Whether the kernel called real time synchronised.
    pub synced: bool,
    /// Whether it holds run facts.
    pub has_facts: bool,
    /// Whether it leaves samples out that were not durable (W13).
    pub is_sparse: bool,
    /// Slots that it takes.
    pub slots: u16,
}

/// One run of the recorder, as the headers tell.
#[derive(Clone, Debug)]
pub struct RunKey {
    /// Index into [`Scan::boots`].
    pub boot: usize,
    /// Random, one per start of the recorder.
    pub run_id: [u8; 8],
    /// Sampling interval.
    pub interval_ns: u64,
}

/// Neighbouring slots with one verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// First slot.
    pub slot: u64,
    /// How many.
    pub count: u64,
    /// What they are.
    pub verdict: Verdict,
}

/// What all slots turned out to be.
#[derive(Debug, Default)]
pub struct Scan {
    /// Frames, live as far as was checked, in the order of their slots.
    pub frames: Vec<Frame>,
    /// Frames whose payload is not the one that their header vouches for.
    pub torn: Vec<Frame>,
    /// Runs, in no order.
    pub runs: Vec<RunKey>,
    /// Boots by their boot_id, in no order.
    pub boots: Vec<[u8; 16]>,
    /// Where damage lies, neighbours joined.
    pub places: Vec<Place>,
    /// Greatest end of what was ever put into the history: how far its writer came (V6).
    pub history_end: u128,
    counts: HashMap<Verdict, u64>,
    run_index: HashMap<([u8; 16], [u8; 8]), usize>,
    boot_index: HashMap<[u8; 16], usize>,
}

impl Scan {
    /// Looks at every slot (V1).
    pub fn of(recording: &Recording, depth: Depth, tell: &mut Tell<'_>) -> Result<Self, Trouble> {
        let mut scan = Self::default();
        let recording_id = match &recording.superblock {
            Some(superblock) => superblock.recording_id,
            None => commonest_id(recording, tell)?,
        };
        let mut judge = Judge { recording, recording_id, inflater: Inflater::default(), depth };
        let mut owner: Option<Owner> = None;
        each_slot(recording, ("reading", tell), |slot, bytes| {
            if owner.as_ref().is_some_and(|owner| slot >= owner.end) {
                owner = None;
            }
            let verdict = judge.look(&mut scan, &mut owner, slot, bytes);
            scan.count(slot, 1, verdict);
        });
        let absent = recording.slots() - recording.slots_present();
        if absent > 0 {
            scan.count(recording.slots_present(), absent, Verdict::Absent);
        }
        if scan.frames.is_empty() && scan.count_of(Verdict::Newer) > 0 {
            return Err(recording.newer());
        }
        if scan.frames.is_empty() && recording.superblock.is_none() {
            return Err(recording.refuse_outside("no superblock and no whole frame is in it"));
        }
        // A piece of a file may lie in a card at its own offset by chance; most do not.
        let found = u64::try_from(scan.frames.len()).unwrap_or(u64::MAX);
        if recording.is_displaced() && (found == 0 || scan.count_of(Verdict::Misplaced) > found) {
            return Err(recording.refuse_outside("one lies somewhere inside, not at its beginning"));
        }
        Ok(scan)
    }

    /// How many slots have this verdict.
    #[must_use]
    pub fn count_of(&self, verdict: Verdict) -> u64 {
        self.counts.get(&verdict).copied().unwrap_or(0)
    }

    fn count(&mut self, slot: u64, count: u64, verdict: Verdict) {
        *self.counts.entry(verdict).or_default() += count;
        if !verdict.is_damage() {
            return;
        }
        match self.places.last_mut() {
            Some(last) if last.verdict == verdict && last.slot + last.count == slot => {
                last.count += count;
            }
            _ => self.places.push(Place { slot, count, verdict }),
        }
    }

    /// Enters a frame whose header and place hold.
    fn frame(&mut self, slot: u64, header: &Header, mark: Option<Mark>) -> Frame {
        let boot = *self.boot_index.entry(header.boot_id).or_insert_with(|| {
            self.boots.push(header.boot_id);
            self.boots.len() - 1
        });
        let run = *self.run_index.entry((header.boot_id, header.run_id)).or_insert_with(|| {
            let interval_ns = header.interval_ns;
            self.runs.push(RunKey { boot, run_id: header.run_id, interval_ns });
            self.runs.len() - 1
        });
        let (place_area, place_seq) =
            mark.map_or((header.area, header.seq), |mark| (mark.area, mark.seq));
        if place_area == Area::History {
            let end = u128::from(place_seq) + u128::from(header.slots);
            self.history_end = self.history_end.max(end);
        }
        Frame {
            slot,
            rank: (
                if place_area == Area::History { place_seq } else { 0 },
                if header.area == Area::Tail { header.seq } else { 0 },
            ),
            seq: header.seq,
            first_tick: header.first_tick,
            last_tick: header.last_tick,
            offset_ms: (header.realtime_ns / 1_000_000)
                .saturating_sub(i64::try_from(header.boottime_ns / 1_000_000).unwrap_or(i64::MAX)),
            run,
            facts_crc: header.facts_crc,
            ordinal: header.boot_ordinal,
            area: header.area,
            synced: header.synced,
            slots: header.slots,
            has_facts: header.compatible_flags & flag::HOLDS_FACTS != 0,
            is_sparse: header.compatible_flags & flag::SPARSE != 0,
        }
    }
}

/// Hands every slot that is there to `take`, front to back.
fn each_slot(
    recording: &Recording,
    (what, tell): (&'static str, &mut Tell<'_>),
    mut take: impl FnMut(u64, Option<&[u8]>),
) {
    let mut buffer = vec![0; CHUNK_SLOTS * SLOT_SIZE];
    let step = u64::try_from(CHUNK_SLOTS).unwrap_or(1);
    let present = recording.slots_present();
    let mut first = 0;
    while first < present {
        let count = usize::try_from((present - first).min(step)).unwrap_or(1);
        let part = buffer.get_mut(..count * SLOT_SIZE).unwrap_or_default();
        recording.read_slots(first, part, &mut take);
        first += step;
        tell(what, offset_of(first.min(present)), offset_of(present));
    }
}

/// A frame of several slots whose later slots are passed by.
struct Owner {
    /// Index into [`Scan::frames`].
    frame: usize,
    /// Slot behind its last one.
    end: u64,
    /// Whether its payload was seen to hold.
    proven: bool,
}

struct Judge<'a> {
    recording: &'a Recording,
    recording_id: [u8; 16],
    inflater: Inflater,
    depth: Depth,
}

impl Judge<'_> {
    fn look(
        &mut self,
        scan: &mut Scan,
        owner: &mut Option<Owner>,
        slot: u64,
        bytes: Option<&[u8]>,
    ) -> Verdict {
        let geometry = self.recording.superblock.as_ref().map(|superblock| superblock.geometry);
        let placed = !self.recording.is_beside(slot);
        if placed && geometry.is_some_and(|geometry| geometry.locate(slot).is_none()) {
            return Verdict::Outside;
        }
        let Some(bytes) = bytes else { return Verdict::Unreadable };
        if geometry.is_none() && bytes.starts_with(&superblock::MAGIC) {
            return Verdict::Outside;
        }
        if let Some(own) = owner {
            if own.proven || !has_magic(bytes) || self.proves(scan, own) {
                return Verdict::Inner;
            }
            if let Some(frame) = scan.frames.pop() {
                scan.torn.push(frame);
                scan.counts.entry(Verdict::Live).and_modify(|count| *count -= 1);
                scan.count(frame.slot, 1, Verdict::Torn);
            }
            *owner = None;
        }
        let (header, mark) = match self.judge(slot, bytes) {
            Ok(found) => found,
            Err(verdict) => return verdict,
        };
        let frame = scan.frame(slot, &header, mark);
        let checked = match (self.depth, header.slots) {
            (Depth::Whole, _) => self.inflater.read(self.recording, slot).map(|_| ()),
            (Depth::Headers, 1) => header.payload(bytes).map(|_| ()).ok_or(Verdict::Torn),
            (Depth::Headers, _) => Ok(()),
        };
        if let Err(verdict) = checked {
            if verdict == Verdict::Torn {
                scan.torn.push(frame);
            }
            return verdict;
        }
        scan.frames.push(frame);
        if header.slots > 1 {
            *owner = Some(Owner {
                frame: scan.frames.len() - 1,
                end: slot + u64::from(header.slots),
                proven: self.depth == Depth::Whole,
            });
        }
        Verdict::Live
    }

    /// Whether the frame that claims these slots is whole.
    fn proves(&mut self, scan: &Scan, owner: &mut Owner) -> bool {
        let Some(frame) = scan.frames.get(owner.frame) else { return false };
        owner.proven = self.inflater.read(self.recording, frame.slot).is_ok();
        owner.proven
    }

    /// Rows 4 to 9: what the header and the place alone tell.
    fn judge(&self, slot: u64, bytes: &[u8]) -> Result<(Header, Option<Mark>), Verdict> {
        let foreign = bytes.get(16..32).is_some_and(|id| id != self.recording_id);
        let header = match Header::read(bytes) {
            Ok(_) | Err(NotAFrame::Impossible(_)) if foreign => return Err(Verdict::Foreign),
            Ok(header) => header,
            Err(NotAFrame::Blank) => return Err(Verdict::Blank),
            Err(NotAFrame::Newer { .. }) => return Err(Verdict::Newer),
            Err(NotAFrame::Damaged | NotAFrame::Impossible(_)) => return Err(Verdict::Damaged),
        };
        let mark = if header.area == Area::Tail { Mark::read(bytes) } else { None };
        let Some(superblock) = &self.recording.superblock else { return Ok((header, mark)) };
        if self.recording.is_beside(slot) {
            return Ok((header, mark));
        }
        let geometry = &superblock.geometry;
        let Some((area, index)) = geometry.locate(slot) else { return Err(Verdict::Outside) };
        if let Some(mark) = mark.filter(|mark| mark.area == area) {
            let here = mark.seq > 0 && geometry.slot_of(area, mark.seq) == index;
            return if here { Ok((header, Some(mark))) } else { Err(Verdict::Misplaced) };
        }
        let (_, count) = geometry.area(area);
        let here = header.area == area
            && header.slot == index
            && header.seq > 0
            && geometry.slot_of(area, header.seq) == index
            && u64::from(index) + u64::from(header.slots) <= u64::from(count);
        if here { Ok((header, None)) } else { Err(Verdict::Misplaced) }
    }
}

/// Different recording ids that are counted; a medium full of strangers must not cost time.
const IDS_MAX: usize = 1000;

/// B2: the recording id that most whole frames bear, for want of a superblock.
fn commonest_id(recording: &Recording, tell: &mut Tell<'_>) -> Result<[u8; 16], Trouble> {
    let mut readable = false;
    let mut votes: Vec<([u8; 16], u64)> = Vec::new();
    let mut payload = Vec::new();
    each_slot(recording, ("looking for frames", tell), |slot, bytes| {
        let Some(bytes) = bytes else { return };
        readable = true;
        let Ok(header) = Header::read(bytes) else { return };
        if crate::recover::payload(recording, slot, &header, &mut payload).is_ok() {
            if let Some((_, votes)) = votes.iter_mut().find(|(id, _)| *id == header.recording_id) {
                *votes += 1;
            } else if votes.len() < IDS_MAX {
                votes.push((header.recording_id, 1));
            }
        }
    });
    // The last of equal ones would win, and it ought to be the first.
    let winner = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
    winner.map(|(id, _)| id).ok_or_else(|| {
        if readable || recording.slots_present() == 0 {
            recording.refuse_outside("no superblock and no frame is in it")
        } else {
            Trouble::unreadable(recording.path(), recording.len())
        }
    })
}
