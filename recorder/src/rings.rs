//! Where the next frame may go (spec section 4, W5 and W9).
//!
//! A tail slot is reused only when its records stand in a durable history frame, far enough
//! behind the place where the history is written next: then whatever one flash page takes with
//! it has its copy elsewhere. Each tail slot therefore carries the history seq from which on it
//! is free.

use flightrec_format::place::Area;
use flightrec_format::superblock::Geometry;

use crate::frames::Berth;

/// 64 KiB in slots: the largest flash page that we reckon with.
pub const PAGE_SLOTS: u64 = 16;

/// How far a start jumps ahead of the newest frame of the dead run, in seqs of the tail: half of
/// them lie in each lane, a flash page apart.
pub const START_JUMP: u64 = 33;

/// A card may lose its last few writes together, wherever they lie: where there is a choice, a copy
/// is not overwritten until so many more were made.
const SETTLED_WRITES: u64 = 8;

/// What is known of one tail slot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TailSlot {
    /// History seq from which on the slot is free; 0: at once, `u64::MAX`: not sealed yet.
    pub free_from: u64,
    /// Tick of the last record in it.
    pub last_tick: u64,
    /// Written by this run.
    pub own: bool,
    /// Of a dead run that is left to its fate (W10).
    pub left: bool,
    /// How many frames had been given to the disk when it became free.
    pub freed_at: u64,
}

/// The places of the frames to come.
#[derive(Debug)]
pub struct Rings {
    geometry: Geometry,
    tail_next: u64,
    history_next: u64,
    archive_next: u64,
    tail: Box<[TailSlot]>,
    /// Slot of our newest durable tail frame: the samples of its commit stand nowhere else.
    newest: Option<u32>,
    /// Frames given to the disk by this run.
    writes: u64,
}

impl Rings {
    /// Goes on from the given seqs, with what is known of each tail slot.
    #[must_use]
    pub fn new(
        geometry: Geometry,
        (tail_next, history_next, archive_next): (u64, u64, u64),
        tail: Box<[TailSlot]>,
    ) -> Self {
        Self { geometry, tail_next, history_next, archive_next, tail, newest: None, writes: 0 }
    }

    /// The geometry.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The next tail frame's place; `None` if every slot is still needed: seal first, then
    /// [`Self::make_room`].
    #[must_use]
    pub fn tail(&self) -> Option<Berth> {
        self.tail_after(SETTLED_WRITES).or_else(|| self.tail_after(0))
    }

    /// The same, where what the slot held was sealed so many writes ago at least.
    fn tail_after(&self, writes: u64) -> Option<Berth> {
        let lap = u64::from(self.geometry.lane_slots) * 2;
        (self.tail_next..self.tail_next + lap).find_map(|seq| {
            let slot = self.geometry.slot_of(Area::Tail, seq);
            let place = self.tail.get(usize::try_from(slot).ok()?)?;
            if place.freed_at > 0 && place.freed_at + writes > self.writes {
                return None;
            }
            (self.free_from(slot)? <= self.history_next).then_some(Berth { seq, slot })
        })
    }

    /// The place of a tail frame that goes elsewhere and is not written here: its seq is spent.
    pub fn tail_elsewhere(&mut self) -> Berth {
        let seq = self.tail_next;
        self.tail_next += 1;
        Berth { seq, slot: self.geometry.slot_of(Area::Tail, seq) }
    }

    /// A tail frame with this last tick was given to the disk: whether it arrives or not, its
    /// seq is spent, and its slot may hold the only copy.
    pub fn tail_written(&mut self, berth: Berth, last_tick: u64) {
        self.tail_next = berth.seq + 1;
        self.writes += 1;
        let slot = TailSlot { free_from: u64::MAX, last_tick, own: true, ..TailSlot::default() };
        if let Some(place) = self.tail_slot(berth.slot) {
            *place = slot;
        }
    }

    /// The tail frame in this slot is durable.
    pub fn tail_durable(&mut self, slot: u32) {
        self.newest = Some(slot);
    }

    /// The place of a history frame of `slots`.
    #[must_use]
    pub fn history(&self, slots: u16) -> Berth {
        let seq = self.geometry.history_seq(self.history_next, slots);
        Berth { seq, slot: self.geometry.slot_of(Area::History, seq) }
    }

    /// A history frame of `slots` was given to the disk.
    pub fn history_written(&mut self, berth: Berth, slots: u16) {
        self.writes += 1;
        self.history_next = berth.seq + u64::from(slots);
    }

    /// A history frame with records up to `last_tick` of this run is durable.
    pub fn history_durable(&mut self, last_tick: u64) {
        let free_from = self.history_next + PAGE_SLOTS;
        for slot in &mut self.tail {
            if slot.own && slot.free_from == u64::MAX && slot.last_tick <= last_tick {
                slot.free_from = free_from;
                slot.freed_at = self.writes;
            }
        }
        let newest = self.newest.and_then(|slot| self.tail_slot(slot));
        if newest.is_some_and(|newest| newest.free_from != u64::MAX) {
            self.newest = None;
        }
    }

    /// The tail slots of dead runs stand in the history now, up to the next free seq.
    pub fn salvage_durable(&mut self) {
        let free_from = self.history_next + PAGE_SLOTS;
        for slot in &mut self.tail {
            if !slot.own && !slot.left && slot.free_from == u64::MAX {
                slot.free_from = free_from;
                slot.freed_at = self.writes;
            }
        }
    }

    /// Gives up the tail slots of runs that are left to their fate. Not before a durable frame says
    /// so, where there is a choice: until then what they hold is owed.
    pub fn let_go(&mut self) {
        for slot in self.tail.iter_mut().filter(|slot| slot.left) {
            (slot.left, slot.free_from, slot.freed_at) = (false, 0, self.writes);
        }
    }

    /// Leaves a page free behind the last history frame: it holds what no tail frame holds, and
    /// nothing may be written next to it.
    pub fn leave_page(&mut self) {
        self.history_next += PAGE_SLOTS;
    }

    /// Skips history slots until some tail slot is free: the frames that hold its records are
    /// then far enough behind. Of no use where everything is unsealed.
    pub fn make_room(&mut self) {
        let slots = 0..self.geometry.lane_slots * 2;
        if let Some(free_from) = slots.filter_map(|slot| self.free_from(slot)).min() {
            self.history_next = self.history_next.max(free_from);
        }
    }

    /// The place of an archive frame.
    #[must_use]
    pub fn archive(&self) -> Berth {
        let seq = self.archive_next;
        Berth { seq, slot: self.geometry.slot_of(Area::Archive, seq) }
    }

    /// An archive frame was given to the disk.
    pub fn archive_written(&mut self, berth: Berth) {
        self.archive_next = berth.seq + 1;
    }

    /// History seq from which on a tail slot may be written; `None` if only a seal or salvage
    /// can free it.
    fn free_from(&self, slot: u32) -> Option<u64> {
        let place = self.tail.get(usize::try_from(slot).ok()?)?;
        // The samples of our newest commit stand in its frame alone. Lanes alternate by themselves,
        // unless seqs are skipped, or spent on writes that failed.
        let apart = |newest: u32| u64::from(slot.abs_diff(newest)) >= PAGE_SLOTS;
        if place.free_from == u64::MAX || !self.newest.is_none_or(apart) {
            return None;
        }
        // A page around this slot must not hold the only copy of another run's records. Ours have
        // theirs in the other lane.
        // The end of one lane lies beside the begin of the other.
        let reach = u32::try_from(PAGE_SLOTS).unwrap_or(16);
        let near = slot.saturating_sub(reach)..=slot.saturating_add(reach);
        let safe = near
            .filter_map(|slot| self.tail.get(usize::try_from(slot).ok()?))
            .all(|slot| slot.own || slot.free_from != u64::MAX);
        safe.then_some(place.free_from)
    }

    fn tail_slot(&mut self, slot: u32) -> Option<&mut TailSlot> {
        self.tail.get_mut(usize::try_from(slot).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings() -> Rings {
        let geometry = Geometry::for_size(1 << 20).unwrap();
        Rings::new(geometry, (1, 1, 1), vec![TailSlot::default(); 96].into_boxed_slice())
    }

    /// W5: a lap of the tail without a seal ends; with one it goes on where that is safe.
    #[test]
    fn a_tail_slot_is_not_reused_before_its_records_are_sealed_and_a_page_behind() {
        let mut rings = rings();
        for tick in 0..96 {
            let berth = rings.tail().unwrap();
            rings.tail_written(berth, tick);
        }
        assert!(rings.tail().is_none());
        rings.history_written(rings.history(4), 4);
        rings.history_durable(50);
        assert!(rings.tail().is_none(), "sealed, but too near the next history write");
        rings.make_room();
        assert_eq!(rings.history(1).seq, 1 + 4 + 16);
        assert_eq!(rings.tail().map(|berth| berth.seq), Some(97));
    }

    /// W5: what one page takes with it must not be the only copy of a dead run.
    #[test]
    fn no_slot_is_used_within_a_page_of_an_unsealed_frame_of_another_run() {
        let mut rings = rings();
        let dead = TailSlot { free_from: u64::MAX, last_tick: 7, ..TailSlot::default() };
        rings.tail[20] = dead;
        for tick in 0..300 {
            let Some(berth) = rings.tail() else { break };
            assert!(berth.slot.abs_diff(20) > 16, "slot {}", berth.slot);
            rings.tail_written(berth, tick);
            rings.history_written(rings.history(16), 16);
            rings.history_durable(tick);
        }
        rings.salvage_durable();
        rings.make_room();
        assert!(rings.tail().is_some());
    }

    /// W10: salvage of others does not free what is left to its fate; letting it go does.
    #[test]
    fn what_is_left_to_its_fate_is_kept_until_it_is_let_go() {
        let mut rings = rings();
        let left = TailSlot { free_from: u64::MAX, left: true, ..TailSlot::default() };
        rings.tail.fill(left);
        rings.salvage_durable();
        rings.make_room();
        assert!(rings.tail().is_none());
        rings.let_go();
        assert_eq!(rings.tail().map(|berth| berth.seq), Some(1));
        assert_eq!(rings.history(1).seq, 1, "no history is skipped for it");
    }
}
