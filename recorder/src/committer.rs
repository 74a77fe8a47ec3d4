//! What goes to the disk, when, and where: commits, seals, the archive, salvage (spec section 8).
//!
//! One [`Job`] is out at a time. What it carries counts as written only when it came back without
//! an error; until then its rows stay, and after an error they go out again under new seqs (W7).

use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;

use crate::events::Events;
use crate::frames::{Compressor, FrameMaker, Stamp};
use crate::resume::{Resume, Salvage};
use crate::rings::Rings;
use crate::rows::Rows;
use crate::sample::Layout;
use crate::words::Text;
use crate::writer::{COPIES_MAX, Copy, Job};

/// The records of a run, for those who write them.
pub type Records<'a> = (&'a Layout, &'a Rows, &'a Events);

/// An archive frame at least this often, if there is anything to archive.
const ARCHIVE_NS: u64 = 3_600_000_000_000;

/// What the job that is out will have done.
#[derive(Clone, Copy, Debug, Default)]
struct Flight {
    /// Rows of the tail frame.
    tail: Option<(u64, u64)>,
    /// Slot of the tail frame.
    tail_slot: u32,
    /// Whether the tail frame left something out (W6).
    cut: bool,
    /// Row behind the last one of the history frame, and its last tick.
    sealed: Option<(u64, u64)>,
    /// Tick behind the last archived event.
    archived: Option<u64>,
    /// Salvage copies.
    copies: usize,
}

/// What a finished job made durable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Landed {
    /// Whether it was a commit, and not salvage alone.
    pub commit: bool,
    /// Whether all salvage is done now.
    pub salvaged: bool,
}

/// Decides what goes into a job.
pub struct Committer<C> {
    maker: FrameMaker<C>,
    rings: Rings,
    stamp: Stamp,
    facts: Option<Box<[u8]>>,
    facts_sealed: bool,
    first_tick: u64,
    /// Rows before the first of these are durable; the last commit held those between them.
    acked: [u64; 2],
    /// Rows between those and the newest tail frame are durable nowhere: only a seal helps.
    behind: bool,
    /// Whether a tail frame since the last seal left something out: then the seal alone holds it.
    cut_since_seal: bool,
    sealed_tick: Option<u64>,
    commits_since_seal: u32,
    archive_tick: u64,
    archived_ns: Option<u64>,
    salvage: Vec<Salvage>,
    /// Taken from there for the job that is out; they go back if it fails.
    salvage_out: Vec<Salvage>,
    salvage_count: usize,
    skipped: u64,
    flight: Flight,
}

impl<C: Compressor> Committer<C> {
    /// Goes on in a recording. `facts` are the run facts, unless they stand there already.
    pub fn new(
        maker: FrameMaker<C>,
        stamp: Stamp,
        facts: &[u8],
        resume: Resume,
        first_tick: u64,
    ) -> Self {
        let Resume { rings, facts_known, mut salvage, skipped, .. } = resume;
        // Taken from the back, oldest first.
        salvage.reverse();
        Self {
            maker,
            rings,
            stamp,
            facts: (!facts_known && !facts.is_empty()).then(|| facts.into()),
            facts_sealed: false,
            first_tick,
            acked: [0, 0],
            behind: false,
            cut_since_seal: false,
            sealed_tick: None,
            commits_since_seal: 0,
            archive_tick: 0,
            archived_ns: None,
            salvage_count: salvage.len(),
            skipped,
            salvage,
            salvage_out: Vec::with_capacity(COPIES_MAX),
            flight: Flight::default(),
        }
    }

    /// The clocks and the budget, for the next headers.
    pub fn stamp(&mut self) -> &mut Stamp {
        &mut self.stamp
    }

    /// Who wrote how much between two ticks.
    pub fn writers(&mut self, rows: &Rows, ticks: (u64, u64)) -> Text {
        self.maker.writers(rows, ticks)
    }

    /// First row that must be kept.
    pub fn needed_row(&self) -> u64 {
        self.maker.needed_row().min(self.acked[0])
    }

    /// First row that is not durable.
    pub fn unacked_row(&self) -> u64 {
        self.acked[1]
    }

    /// First row that an event may still be added to: the next tail frame surely holds it, and
    /// neither a seal nor one that is out does.
    pub fn open_row(&self) -> u64 {
        let acked = if self.flight.tail.is_some() { self.acked[1] } else { self.acked[0] };
        let sealed_out = self.flight.sealed.map_or(0, |(end_row, _)| end_row);
        acked.max(self.maker.sealed_row()).max(sealed_out)
    }

    /// Tick up to which everything is sealed.
    pub fn sealed_tick(&self) -> Option<u64> {
        self.sealed_tick
    }

    /// Whether the records since the last commit would fill half a frame (W3).
    pub fn fills_half(&self, rows: &Rows) -> bool {
        self.maker.fills_half(rows, self.acked[1])
    }

    /// Whether memory for rows fills up, as it does where they compress well: they are sealed
    /// before the recorder would have to thin them.
    fn is_crowded(&self, rows: &Rows) -> bool {
        rows.bytes_from(self.maker.sealed_row()) > rows.capacity() / 8 * 3
    }

    /// Whether more waits than a tail frame can make durable: after a stall there is a seal in
    /// every job until the backlog is written.
    pub fn has_backlog(&self, rows: &Rows) -> bool {
        self.behind || self.maker.may_be_full(rows) || self.maker.overflows(rows, self.acked[0])
    }

    /// Fills a job with a commit. With `last` everything is sealed and archived too.
    pub fn prepare(&mut self, records: Records<'_>, last: bool, job: &mut Job) -> bool {
        job.clear();
        self.flight = Flight::default();
        let (_, rows, _) = records;
        self.seal(records, (last, self.is_seal_due(rows, last)), job);
        let geometry = *self.rings.geometry();
        let berth = self.rings.tail().or_else(|| {
            // Every slot is the only copy of something. What is sealed by this very job, or was,
            // is far enough behind after a skip.
            self.rings.make_room();
            self.rings.tail()
        });
        let berth = berth.or_else(|| {
            // What salvage will not free is given up only for want of any other place.
            self.salvage.is_empty().then(|| self.rings.let_go());
            self.rings.tail()
        });
        if berth.is_none() && job.history_at.is_none() {
            // What no tail frame can hold now is durable in the history, and frees tail slots.
            self.seal(records, (last, true), job);
        }
        if let Some(berth) = berth {
            // After a stall more rows wait than a frame holds: the newest go here, and some of
            // the others; the backlog follows as sealed frames.
            let stalled = self.has_backlog(rows);
            let must = if stalled { rows.next().saturating_sub(1) } else { self.acked[0] };
            let facts = self.facts.as_deref().filter(|_| !self.facts_sealed);
            let facts = facts.map(|bytes| (bytes, self.first_tick));
            let holds = (&self.stamp, berth);
            let coarse = if self.behind || self.maker.overflows(rows, self.acked[1]) {
                self.maker.coarse(records, self.acked[1], holds, &mut job.tail)
            } else {
                None
            };
            let must = (must, self.acked[1]);
            let made =
                coarse.or_else(|| self.maker.tail(records, must, facts, holds, &mut job.tail));
            if let Some(made) = made {
                job.tail_at = Some(geometry.offset_of(Area::Tail, berth.slot));
                self.rings.tail_written(berth, made.last_tick);
                self.flight.tail = Some((made.first_row, made.end_row));
                self.flight.tail_slot = berth.slot;
                self.flight.cut = made.cut;
            }
        }
        self.list_acked(rows, job);
        job.tail_at.is_some() || job.history_at.is_some()
    }

    /// Makes a tail frame of the newest rows that is not for the disk, which has no time.
    pub fn frame_elsewhere(&mut self, records: Records<'_>, frame: &mut [u8]) -> bool {
        let newest = records.1.next().saturating_sub(1);
        let must = if self.has_backlog(records.1) { newest } else { self.acked[0] };
        let berth = self.rings.tail_elsewhere();
        let rows = (must, self.acked[1]);
        self.maker.tail(records, rows, None, (&self.stamp, berth), frame).is_some()
    }

    /// Whether rows must be sealed now, be they enough to fill a frame or not.
    fn is_seal_due(&self, rows: &Rows, last: bool) -> bool {
        last || self.commits_since_seal >= self.rings.geometry().commits_per_seal_max()
            || self.is_crowded(rows)
            || self.behind
            || self.maker.overflows(rows, self.acked[0])
    }

    fn seal(&mut self, records: Records<'_>, (last, due): (bool, bool), job: &mut Job) {
        let (_, rows, events) = records;
        if !due && !self.maker.may_be_full(rows) {
            return;
        }
        // The newest row stays open for events that its tick may still get, until the last.
        let end_row = if last { rows.next() } else { rows.next().saturating_sub(1) };
        let facts = self.facts.as_deref().filter(|_| !self.facts_sealed);
        let pending = self.maker.history(records, (end_row, !due), facts, &mut job.history);
        let Some(pending) = pending else { return };
        let berth = self.rings.history(pending.slots());
        let (first_tick, last_tick) = pending.ticks();
        let holds = (&self.stamp, berth);
        let made = self.maker.finish_history(&pending, facts.is_some(), holds, &mut job.history);
        self.rings.history_written(berth, made.slots);
        let offset = self.rings.geometry().offset_of(Area::History, berth.slot);
        job.history_at = Some((offset, usize::from(made.slots) * 4096));
        self.flight.sealed = Some((made.end_row, last_tick));
        self.prepare_archive(events, (first_tick, last_tick), last, job);
    }

    /// W12: at the first seal, at the stop, and at most once an hour in between.
    fn prepare_archive(
        &mut self,
        events: &Events,
        (_, last_tick): (u64, u64),
        last: bool,
        job: &mut Job,
    ) {
        let Some((first, newest)) = events.archived_between(self.archive_tick, last_tick) else {
            return;
        };
        let now_ns = self.stamp.boottime_ns;
        let old = self.archived_ns.is_none_or(|at| now_ns.saturating_sub(at) >= ARCHIVE_NS);
        if !last && !old && events.archived_bytes(first, newest) < 2048 {
            return;
        }
        let facts = self.facts.as_deref().filter(|_| self.archived_ns.is_none());
        let berth = self.rings.archive();
        let holds = (&self.stamp, berth);
        // More events than a slot holds: half of them now, the others with the next seal.
        let mut until = newest;
        while !self.maker.archive(events, (first, until), facts, holds, &mut job.archive) {
            if until == first {
                // One tick alone is too much: it stands in the history.
                self.archive_tick = first + 1;
                return;
            }
            until = first.midpoint(until);
        }
        job.archive_at = Some(self.rings.geometry().offset_of(Area::Archive, berth.slot));
        self.rings.archive_written(berth);
        self.flight.archived = Some(until + 1);
    }

    /// Fills a job with salvage copies, if any are left and the first commit is done (W10).
    pub fn prepare_salvage(&mut self, job: &mut Job) -> bool {
        // Before the first commit only if it finds no room: the dead run fills a small tail.
        if self.salvage.is_empty() || (self.acked[1] == 0 && self.rings.tail().is_some()) {
            return false;
        }
        job.clear();
        self.flight = Flight::default();
        let geometry = *self.rings.geometry();
        while job.copies.len() + 2 <= COPIES_MAX {
            let Some(salvage) = self.salvage.pop() else { break };
            self.salvage_out.push(salvage);
            let from = geometry.offset_of(Area::Tail, salvage.slot);
            let berth = self.rings.history(1);
            self.rings.history_written(berth, 1);
            let mut copy = |area, seq, slot| {
                let mark = Mark { area, seq };
                let to = geometry.offset_of(area, slot);
                job.copies.push(Copy { from, to, header_crc: salvage.header_crc, mark });
            };
            copy(Area::History, berth.seq, berth.slot);
            if salvage.archive {
                let berth = self.rings.archive();
                copy(Area::Archive, berth.seq, berth.slot);
                self.rings.archive_written(berth);
            }
        }
        self.flight.copies = job.copies.len();
        true
    }

    /// Takes note of a job that came back. After an error nothing of it counts.
    pub fn landed(&mut self, rows: &Rows, job: &Job) -> Landed {
        let flight = std::mem::take(&mut self.flight);
        if job.outcome.is_err() {
            // The last one taken goes back first: oldest first they were, oldest first they stay.
            self.salvage.extend(self.salvage_out.drain(..).rev());
            self.commits_since_seal += 1;
            return Landed::default();
        }
        self.salvage_out.clear();
        if flight.tail.is_some() {
            self.rings.tail_durable(flight.tail_slot);
            // The first commit has told of what is left to its fate.
            self.rings.let_go();
        }
        if let Some((end_row, last_tick)) = flight.sealed {
            self.maker.pass(rows, end_row);
            self.rings.history_durable(last_tick);
            self.sealed_tick = Some(last_tick);
            self.facts_sealed = true;
            self.commits_since_seal = 0;
        }
        if let Some(tick) = flight.archived {
            self.archive_tick = tick;
            self.archived_ns = Some(self.stamp.boottime_ns);
        }
        if flight.copies > 0 {
            let salvaged = self.salvage.is_empty();
            if salvaged {
                self.rings.salvage_durable();
            }
            return Landed { commit: false, salvaged };
        }
        self.commits_since_seal += 1;
        self.pass_acked(flight);
        Landed { commit: true, salvaged: false }
    }

    /// Tail frames that are salvaged by this run.
    pub fn salvage_count(&self) -> usize {
        self.salvage_count
    }

    /// Tail frames that are not (W10), if that was not told yet.
    pub fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    fn pass_acked(&mut self, flight: Flight) {
        let sealed = flight.sealed.map_or(0, |(end_row, _)| end_row);
        let prefix = self.acked[1].max(sealed);
        self.cut_since_seal |= flight.cut;
        if sealed > 0 {
            let held_from = flight.tail.map_or(u64::MAX, |(first, _)| first);
            let bare = sealed > self.acked[1] && held_from > self.acked[1];
            if bare || self.cut_since_seal {
                self.rings.leave_page();
            }
            self.cut_since_seal = flight.cut;
        }
        match flight.tail {
            Some((first, end)) if first <= prefix => {
                self.acked = [self.acked[1], end];
                self.behind = false;
            }
            tail => {
                self.acked = [prefix, prefix];
                self.behind = tail.is_some();
            }
        }
    }

    /// Lists the ticks that this job makes durable for the first time.
    fn list_acked(&self, rows: &Rows, job: &mut Job) {
        let sealed = self.flight.sealed.map_or(0, |(end_row, _)| end_row);
        let (first, end) = self.flight.tail.unwrap_or((0, 0));
        let from = self.acked[1];
        let listed = (from..rows.next()).filter(|row| *row < sealed || (first..end).contains(row));
        for tick in listed.filter_map(|row| rows.tick(row)) {
            if job.acked.len() < job.acked.capacity() {
                job.acked.push(tick);
            }
        }
    }
}
