//! What a snapshot holds besides its window, so that what it tells is what the recording told:
//! the samples next to the window, those that date it, how each boot and run in it began and ended,
//! and the run facts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flightrec_format::place::Area;
use flightrec_format::snapshot::Place;

use crate::date::{synced_after, synced_before};
use crate::merge::Joined;
use crate::recording::offset_of;
use crate::scan::{Frame, Scan};
use crate::timeline::{Timeline, lost_slots};
use crate::window::of_places;

/// Indices of boot and run.
type At = (usize, usize);

/// One thing to copy.
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    /// A whole frame.
    Frame(Frame),
    /// A torn frame of the tail: its header tells what is missing (V7).
    Torn(Frame),
    /// A slot of the tail that cannot be read as anything (V7).
    Lost(u64),
}

impl Piece {
    /// First slot, and how many.
    #[must_use]
    pub fn slots(&self) -> (u64, u64) {
        match self {
            Self::Frame(frame) => (frame.slot, u64::from(frame.slots)),
            Self::Torn(frame) => (frame.slot, 1),
            Self::Lost(slot) => (*slot, 1),
        }
    }
}

/// Everything to copy, front to back.
#[derive(Debug, Default)]
pub struct Kept {
    /// The pieces.
    pub pieces: Vec<Piece>,
}

impl Kept {
    /// What is to be kept of what lies between two places.
    #[must_use]
    pub fn of(scan: &Scan, timeline: &mut Timeline, from: Place, to: Place) -> Self {
        let mut keeping = Keeping {
            timeline,
            ticks: BTreeMap::new(),
            waiting: Vec::new(),
            done: BTreeSet::new(),
            boots: BTreeSet::new(),
            facts: HashMap::new(),
        };
        keeping.window(from, to);
        while let Some(at) = keeping.waiting.pop() {
            if keeping.done.insert(at) {
                keeping.edges_of(at);
            }
        }
        keeping.pieces(scan)
    }

    /// Bytes that it takes on a disk, superblocks included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        offset_of(self.pieces.iter().map(|piece| piece.slots().1).sum::<u64>() + 3)
    }
}

struct Keeping<'a> {
    timeline: &'a mut Timeline,
    /// Per run the ticks whose frames are kept.
    ticks: BTreeMap<At, Vec<(u64, u64)>>,
    /// Runs whose edges are not yet kept.
    waiting: Vec<At>,
    done: BTreeSet<At>,
    /// Boots whose edges are kept.
    boots: BTreeSet<usize>,
    /// Which frame of which run holds facts, by their checksum.
    facts: HashMap<u32, Option<(At, u64)>>,
}

impl Keeping<'_> {
    fn keep(&mut self, at: At, from: u64, to: u64) {
        self.ticks.entry(at).or_default().push((from, to));
        self.waiting.push(at);
    }

    /// The window, what lies next to it on both sides, and what dates all that.
    fn window(&mut self, from: Place, to: Place) {
        let parts = of_places(self.timeline, from, to);
        for part in &parts {
            self.keep((part.boot, part.run), part.from, part.to);
        }
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return };
        let at = (first.boot, first.run);
        if let Some(sample) = self.timeline.last_in_run(at, Some(first.from), |_| true) {
            self.keep_dated(at, &sample);
        } else if let Some(before) = self.timeline.last_before(at)
            && before.at.0 == at.0
        {
            self.keep_dated(before.at, &before.sample);
        }
        if let Some(sample) = self.timeline.first_in_run(at, first.from, |_| true) {
            self.keep_dated(at, &sample);
        }
        let at = (last.boot, last.run);
        if let Some(sample) = self.timeline.last_in_run(at, last.to.checked_add(1), |_| true) {
            self.keep_dated(at, &sample);
        }
        let next = last.to.checked_add(1);
        let mut after =
            next.and_then(|next| self.timeline.first_in_run(at, next, |_| true).map(|s| (at, s)));
        if after.is_none() {
            let runs = self.timeline.boots.get(at.0).map_or(0, |boot| boot.runs.len());
            after = (at.1 + 1..runs).find_map(|run| {
                let at = (at.0, run);
                self.timeline.first_in_run(at, 0, |_| true).map(|sample| (at, sample))
            });
        }
        if let Some((at, sample)) = after {
            self.keep_dated(at, &sample);
        }
    }

    /// A sample, and those that V5 dates it by.
    fn keep_dated(&mut self, at: At, sample: &Joined) {
        self.keep(at, sample.tick, sample.tick);
        if sample.vitals.synced && sample.vitals.offset_ms.is_some() {
            return;
        }
        let before = synced_before(self.timeline, at, sample.tick);
        let after = synced_after(self.timeline, at, sample.tick);
        for (run, sample) in before.into_iter().chain(after) {
            self.keep((at.0, run), sample.tick, sample.tick);
        }
    }

    /// How a run began and ended, its newest tail frame, its facts; and the first and last run of
    /// its boot, so that nobody takes the end of a window for the end of a machine.
    fn edges_of(&mut self, at: At) {
        let Some(run) = self.timeline.run(at.0, at.1) else { return };
        let begins = run.frames.first().map(|frame| frame.first_tick);
        let facts_crc = run.frames.last().map_or(0, |frame| frame.facts_crc);
        let runs = self.timeline.boots.get(at.0).map_or(0, |boot| boot.runs.len());
        let first = self.timeline.first_in_run(at, 0, |_| true).map(|sample| sample.tick);
        for tick in begins.into_iter().chain(first) {
            self.keep(at, tick, tick);
        }
        let last = self.timeline.last_in_run(at, None, |_| true).map(|sample| sample.tick);
        let newest = self.timeline.run(at.0, at.1).into_iter().flat_map(|run| &run.frames);
        let newest = newest.map(|frame| frame.last_tick).max();
        if let Some(tick) = last.or(newest) {
            self.keep(at, tick, u64::MAX);
        }
        if let Some((first, last)) = self.timeline.newest_tail_seqs(at) {
            let frames = self.timeline.run(at.0, at.1).into_iter().flat_map(|run| &run.frames);
            let is_it =
                |frame: &&Frame| frame.area == Area::Tail && (first..=last).contains(&frame.seq);
            let ticks: Vec<u64> = frames.filter(is_it).map(|frame| frame.last_tick).collect();
            for tick in ticks {
                self.keep(at, tick, tick);
            }
        }
        if let Some((holder, tick)) = self.holder(at, facts_crc) {
            self.keep(holder, tick, tick);
        }
        if self.boots.insert(at.0) {
            let ends = [self.timeline.first_sample(at.0), self.timeline.last_sample(at.0)];
            for (run, sample) in ends.into_iter().flatten() {
                self.keep_dated((at.0, run), &sample);
            }
            self.waiting.extend([(at.0, 0), (at.0, runs.saturating_sub(1))]);
        }
    }

    /// A frame that holds the facts of a run, its own before any other's (R8).
    fn holder(&mut self, at: At, crc: u32) -> Option<(At, u64)> {
        if crc == 0 {
            return None;
        }
        if let Some(own) = self.holder_among(&[at], crc) {
            return Some(own);
        }
        if let Some(known) = self.facts.get(&crc) {
            return *known;
        }
        let boots = self.timeline.boots.iter().enumerate();
        let all = boots.flat_map(|(boot, own)| (0..own.runs.len()).map(move |run| (boot, run)));
        let all: Vec<At> = all.collect();
        let found = self.holder_among(&all, crc);
        self.facts.insert(crc, found);
        found
    }

    fn holder_among(&mut self, runs: &[At], crc: u32) -> Option<(At, u64)> {
        let mut holders: Vec<(At, Frame)> = Vec::new();
        for at in runs {
            let frames = self.timeline.run(at.0, at.1).into_iter().flat_map(|run| &run.frames);
            let holds = |frame: &&Frame| frame.has_facts && frame.facts_crc == crc;
            holders.extend(frames.filter(holds).map(|frame| (*at, *frame)));
        }
        holders.sort_by_key(|(_, frame)| frame.slots);
        let live = holders.into_iter().find(|(_, frame)| {
            let decoded = self.timeline.recover.load(frame);
            decoded.is_some_and(|decoded| decoded.facts.is_some())
        });
        live.map(|(at, frame)| (at, frame.last_tick))
    }

    /// The frames that hold what is to be kept.
    fn pieces(&self, scan: &Scan) -> Kept {
        let superblock = self.timeline.recover.recording().superblock;
        let mut pieces = BTreeMap::new();
        for (at, ticks) in &self.ticks {
            let Some(run) = self.timeline.run(at.0, at.1) else { continue };
            let wanted = |frame: &&Frame| {
                ticks.iter().any(|(from, to)| frame.last_tick >= *from && frame.first_tick <= *to)
            };
            let frames = run.frames.iter().filter(wanted).copied().map(Piece::Frame);
            let in_tail = |frame: &&Frame| frame.area == Area::Tail && frame.rank.0 == 0;
            let torn = run.torn.iter().filter(in_tail).filter(wanted).copied().map(Piece::Torn);
            let lost = superblock.map(|superblock| lost_slots(run, scan, &superblock.geometry));
            let lost = lost.into_iter().flatten().map(Piece::Lost);
            for piece in lost.chain(torn).chain(frames) {
                pieces.insert(piece.slots().0, piece);
            }
        }
        Kept { pieces: pieces.into_values().collect() }
    }
}
