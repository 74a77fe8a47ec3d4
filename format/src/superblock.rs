//! Superblocks: who a recording is, and how it is divided (spec sections 2.1 and 3).
//!
//! Three copies, written once at creation. Nothing mutable is in them, so nothing can tear.

use crate::crc::checksum;
use crate::limits::{AREA_GAP_SLOTS, RECORDING_SIZE_MAX, RECORDING_SIZE_MIN, SLOT_SIZE};
use crate::varint::Malformed;

/// First bytes of every superblock. The high bit of the first byte keeps it apart from text.
pub const MAGIC: [u8; 8] = [0xf8, b'F', b'L', b'T', b'R', b'E', b'C', b'\n'];

/// Bytes of a superblock; the rest of its slot is zero.
pub const SUPERBLOCK_SIZE: usize = 128;

/// Bits of `compatible_flags`.
pub mod flag {
    /// A piece of a recording, with a note that says of what ([`crate::snapshot`]).
    pub const SNAPSHOT: u16 = 1;
}

/// How a recording is divided into areas, in slots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Geometry {
    /// Bytes of the whole recording.
    pub size: u64,
    /// First slot of lane 0; lane 1 follows it.
    pub tail_start: u32,
    /// Slots of each of the two lanes.
    pub lane_slots: u32,
    /// First slot of the archive.
    pub archive_start: u32,
    /// Slots of the archive.
    pub archive_slots: u32,
    /// First slot of the history.
    pub history_start: u32,
    /// Slots of the history.
    pub history_slots: u32,
}

impl Geometry {
    /// Divides a recording of `size` bytes (section 2.1); `None` if it is too small, too large,
    /// or would break G1.
    #[must_use]
    pub fn for_size(size: u64) -> Option<Self> {
        if !(RECORDING_SIZE_MIN..=RECORDING_SIZE_MAX).contains(&size) {
            return None;
        }
        let slots = u32::try_from(size / 4096).ok()?;
        let lane_slots = (slots / 32).clamp(48, 512);
        let archive_slots = (slots / 64).clamp(16, 256);
        let archive_start = 1 + 2 * lane_slots + AREA_GAP_SLOTS;
        let history_start = archive_start + archive_slots + AREA_GAP_SLOTS + 1;
        let history_slots = slots.checked_sub(history_start + 1)?;
        let geometry = Self {
            size: u64::from(slots) * 4096,
            tail_start: 1,
            lane_slots,
            archive_start,
            archive_slots,
            history_start,
            history_slots,
        };
        geometry.is_safe().then_some(geometry)
    }

    /// G1: a lane is three flash pages long.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.lane_slots >= 48 && self.history_slots >= 64
    }

    /// Most commits between two seals (K of section 2.1).
    #[must_use]
    pub const fn commits_per_seal_max(&self) -> u32 {
        (2 * self.lane_slots).saturating_sub(50) / 3
    }

    /// Slots of the recording that hold the three superblocks.
    #[must_use]
    pub fn superblock_slots(&self) -> [u64; 3] {
        [0, u64::from(self.history_start.saturating_sub(1)), (self.size / 4096).saturating_sub(1)]
    }

    /// Whether the areas lie inside `size`, after slot 0, and apart (B1). Their order is free.
    fn is_sound(&self) -> bool {
        let area = |start: u32, count: u64| (u64::from(start), u64::from(start) + count);
        let mut areas = [
            area(self.tail_start, u64::from(self.lane_slots) * 2),
            area(self.archive_start, self.archive_slots.into()),
            area(self.history_start, self.history_slots.into()),
        ];
        areas.sort_unstable();
        let [first, second, third] = areas;
        (RECORDING_SIZE_MIN..=RECORDING_SIZE_MAX).contains(&self.size)
            && self.size.is_multiple_of(4096)
            && areas.iter().all(|(start, end)| start < end)
            && first.0 >= 1
            && first.1 <= second.0
            && second.1 <= third.0
            && third.1 <= self.size / 4096
    }
}

/// One superblock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Superblock {
    /// Names the recording; random.
    pub recording_id: [u8; 16],
    /// Of the machine that created it (6.4); zero: unknown.
    pub identity: [u8; 16],
    /// Real time of creation, nanoseconds since 1970.
    pub created_realtime_ns: i64,
    /// How the recording is divided.
    pub geometry: Geometry,
    /// Bits of [`flag`]: a reader may ignore those that it does not know, a writer may not
    /// (section 10).
    pub compatible_flags: u16,
}

/// Why a slot holds no superblock for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotASuperblock {
    /// The magic is not there.
    Absent,
    /// Checksum or geometry do not hold.
    Damaged,
    /// A whole superblock, written by a later version than ours.
    Newer {
        /// Its version.
        version: u16,
        /// Its incompatible flags.
        flags: u16,
    },
}

impl Superblock {
    /// Reads the superblock in `slot`.
    pub fn read(slot: &[u8]) -> Result<Self, NotASuperblock> {
        let bytes = slot.first_chunk::<SUPERBLOCK_SIZE>().ok_or(NotASuperblock::Absent)?;
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(NotASuperblock::Absent)?;
        if *magic != MAGIC {
            return Err(NotASuperblock::Absent);
        }
        let (crc, covered) = rest.split_first_chunk::<4>().ok_or(NotASuperblock::Absent)?;
        if u32::from_le_bytes(*crc) != checksum(covered) {
            return Err(NotASuperblock::Damaged);
        }
        let superblock = Fields(covered).superblock().map_err(|_| NotASuperblock::Damaged)?;
        let (version, flags, superblock) = superblock;
        if version > crate::VERSION || flags != 0 {
            return Err(NotASuperblock::Newer { version, flags });
        }
        superblock.filter(|_| version == crate::VERSION).ok_or(NotASuperblock::Damaged)
    }

    /// The slot that holds copy `copy` of this superblock.
    #[must_use]
    pub fn slot(&self, copy: u16) -> [u8; SLOT_SIZE] {
        let mut slot = [0; SLOT_SIZE];
        let geometry = &self.geometry;
        let fields: [&[u8]; 16] = [
            &crate::VERSION.to_le_bytes(),
            &0_u16.to_le_bytes(),
            &self.compatible_flags.to_le_bytes(),
            &copy.to_le_bytes(),
            &4096_u32.to_le_bytes(),
            &self.recording_id,
            &self.identity,
            &geometry.size.to_le_bytes(),
            &self.created_realtime_ns.to_le_bytes(),
            &geometry.tail_start.to_le_bytes(),
            &geometry.lane_slots.to_le_bytes(),
            &geometry.archive_start.to_le_bytes(),
            &geometry.archive_slots.to_le_bytes(),
            &geometry.history_start.to_le_bytes(),
            &geometry.history_slots.to_le_bytes(),
            &[0; 32],
        ];
        let covered = fields.concat();
        let bytes = MAGIC.into_iter().chain(checksum(&covered).to_le_bytes()).chain(covered);
        for (place, byte) in slot.iter_mut().zip(bytes) {
            *place = byte;
        }
        slot
    }
}

/// Walks the fields in their order on disk.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) =
            self.0.split_first_chunk::<N>().ok_or(Malformed("the bytes end too early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    fn superblock(&mut self) -> Result<(u16, u16, Option<Superblock>), Malformed> {
        let version = self.u16()?;
        let flags = self.u16()?;
        let compatible_flags = self.u16()?;
        let _copy = self.u16()?;
        let slot_size = self.u32()?;
        let recording_id = self.take()?;
        let identity = self.take()?;
        let size = self.u64()?;
        let created_realtime_ns = self.take().map(i64::from_le_bytes)?;
        let geometry = Geometry {
            size,
            tail_start: self.u32()?,
            lane_slots: self.u32()?,
            archive_start: self.u32()?,
            archive_slots: self.u32()?,
            history_start: self.u32()?,
            history_slots: self.u32()?,
        };
        let sound = slot_size == 4096 && geometry.is_sound();
        let superblock =
            Superblock { recording_id, identity, created_realtime_ns, geometry, compatible_flags };
        Ok((version, flags, sound.then_some(superblock)))
    }
}

#[cfg(test)]
mod tests;
