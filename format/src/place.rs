//! Where a frame lies: a pure function of its area and seq (spec section 4).
//!
//! Consecutive tail frames lie in two lanes, farther apart than a flash page: what one page
//! takes with it has its copy in the other lane (measured: overlap alone, or lanes alone, lost
//! acknowledged samples in most cuts under page noise; both together in none).

use crate::limits::SLOT_SIZE;
use crate::superblock::Geometry;

/// One of the three parts of a recording.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Area {
    /// One frame per commit: the newest samples.
    Tail = 1,
    /// Copies of events.
    Archive = 2,
    /// Sealed frames that do not overlap.
    History = 3,
}

impl Area {
    /// The area with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Tail),
            2 => Some(Self::Archive),
            3 => Some(Self::History),
            _ => None,
        }
    }

    /// Its number in headers and marks.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tail => 1,
            Self::Archive => 2,
            Self::History => 3,
        }
    }
}

impl Geometry {
    /// First slot and count of slots of an area.
    #[must_use]
    pub const fn area(&self, area: Area) -> (u32, u32) {
        match area {
            Area::Tail => (self.tail_start, self.lane_slots * 2),
            Area::Archive => (self.archive_start, self.archive_slots),
            Area::History => (self.history_start, self.history_slots),
        }
    }

    /// Slot, within its area, of the frame `seq` (P1, P2, P3).
    #[must_use]
    pub fn slot_of(&self, area: Area, seq: u64) -> u32 {
        let (_, count) = self.area(area);
        let within = match area {
            Area::Tail => {
                let lane_slots = u64::from(self.lane_slots.max(1));
                (seq & 1) * lane_slots + (seq >> 1) % lane_slots
            }
            Area::Archive | Area::History => seq % u64::from(count.max(1)),
        };
        u32::try_from(within).unwrap_or(0)
    }

    /// Offset in the recording of a slot of an area, bytes.
    #[must_use]
    pub fn offset_of(&self, area: Area, slot: u32) -> u64 {
        let (start, _) = self.area(area);
        (u64::from(start) + u64::from(slot)) * u64::try_from(SLOT_SIZE).unwrap_or(4096)
    }

    /// Area and slot within it of the slot `index` of the recording; `None` for superblocks.
    #[must_use]
    pub fn locate(&self, index: u64) -> Option<(Area, u32)> {
        [Area::Tail, Area::Archive, Area::History].into_iter().find_map(|area| {
            let (start, count) = self.area(area);
            let slot = u32::try_from(index.checked_sub(u64::from(start))?).ok()?;
            (slot < count).then_some((area, slot))
        })
    }

    /// First seq, from `seq` on, at which a history frame of `slots` does not wrap (P3).
    #[must_use]
    pub fn history_seq(&self, seq: u64, slots: u16) -> u64 {
        let count = u64::from(self.history_slots.max(1));
        if seq % count + u64::from(slots) > count { (seq / count + 1) * count } else { seq }
    }
}
