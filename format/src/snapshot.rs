//! Snapshots: what a piece of a recording says of itself, behind its superblocks (spec section 3.1).
//!
//! A snapshot has the geometry of its recording and frames of it, byte for byte in their own places.
//! What is not there was left out, and is no damage: the note says where that begins.

use crate::crc::checksum;
use crate::superblock::{Fields, SUPERBLOCK_SIZE, Superblock, flag};
use crate::varint::Malformed;

/// Bytes of a note, behind the superblock in the same slot.
pub const NOTE_SIZE: usize = 80;

/// Bit of the note's flags: a recorder was at work in the boot `taken_boot_id`.
const RECORDER_AT_WORK: u32 = 1;

/// A place in the order of a recording: ordinal of the boot, and nanoseconds, `tick * interval_ns`.
pub type Place = (u32, u64);

/// What a snapshot was made of, and when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Note {
    /// Whether a recorder was at work in that boot.
    pub recorder_at_work: bool,
    /// Real time when it was taken, nanoseconds since 1970.
    pub taken_realtime_ns: i64,
    /// The boot in which it was taken, if the recording held that; zero: another machine, or none.
    pub taken_boot_id: [u8; 16],
    /// How far the history of the recording had come: E of V6.
    pub history_end: u64,
    /// From here on everything is in it that was readable.
    pub from: Place,
    /// Up to here; `u64::MAX` is the end of the boot.
    pub to: Place,
}

impl Note {
    /// A snapshot whose note cannot be read: it vouches for nothing (B5).
    pub const UNREADABLE: Self = Self {
        recorder_at_work: false,
        taken_realtime_ns: 0,
        taken_boot_id: [0; 16],
        history_end: 0,
        from: (u32::MAX, u64::MAX),
        to: (0, 0),
    };

    /// The note in the slot of a superblock; `None` if that is not of a snapshot.
    #[must_use]
    pub fn read(superblock: &Superblock, slot: &[u8]) -> Option<Self> {
        if superblock.compatible_flags & flag::SNAPSHOT == 0 {
            return None;
        }
        let bytes = slot.get(SUPERBLOCK_SIZE..SUPERBLOCK_SIZE + NOTE_SIZE);
        let (crc, covered) = bytes?.split_first_chunk::<4>()?;
        let whole = u32::from_le_bytes(*crc) == checksum(covered);
        let note = if whole { Self::fields(covered).ok() } else { None };
        Some(note.unwrap_or(Self::UNREADABLE))
    }

    fn fields(covered: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(covered);
        let flags = fields.u32()?;
        let taken_realtime_ns = fields.take().map(i64::from_le_bytes)?;
        let taken_boot_id = fields.take()?;
        let history_end = fields.u64()?;
        let (from_ordinal, to_ordinal) = (fields.u32()?, fields.u32()?);
        Ok(Self {
            recorder_at_work: flags & RECORDER_AT_WORK != 0,
            taken_realtime_ns,
            taken_boot_id,
            history_end,
            from: (from_ordinal, fields.u64()?),
            to: (to_ordinal, fields.u64()?),
        })
    }

    /// Writes the note into the slot of a superblock.
    pub fn write(&self, slot: &mut [u8]) {
        let flags = if self.recorder_at_work { RECORDER_AT_WORK } else { 0 };
        let fields: [&[u8]; 9] = [
            &flags.to_le_bytes(),
            &self.taken_realtime_ns.to_le_bytes(),
            &self.taken_boot_id,
            &self.history_end.to_le_bytes(),
            &self.from.0.to_le_bytes(),
            &self.to.0.to_le_bytes(),
            &self.from.1.to_le_bytes(),
            &self.to.1.to_le_bytes(),
            &[0; 16],
        ];
        let covered = fields.concat();
        let bytes = checksum(&covered).to_le_bytes().into_iter().chain(covered);
        let place = slot.get_mut(SUPERBLOCK_SIZE..SUPERBLOCK_SIZE + NOTE_SIZE);
        for (byte, value) in place.into_iter().flatten().zip(bytes) {
            *byte = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superblock::Geometry;

    fn superblock(compatible_flags: u16) -> Superblock {
        Superblock {
            recording_id: [1; 16],
            identity: [2; 16],
            created_realtime_ns: 3,
            geometry: Geometry::for_size(1 << 20).unwrap(),
            compatible_flags,
        }
    }

    /// B5: a note that is damaged makes the snapshot vouch for nothing, not another recording of it.
    #[test]
    fn a_note_comes_back_and_any_flipped_bit_makes_it_vouch_for_nothing() {
        let snapshot = superblock(flag::SNAPSHOT);
        let note = Note {
            recorder_at_work: true,
            taken_realtime_ns: -5,
            taken_boot_id: [6; 16],
            history_end: 7,
            from: (8, 9),
            to: (10, u64::MAX),
        };
        let mut slot = snapshot.slot(1);
        assert_eq!(Note::read(&snapshot, &slot), Some(Note::UNREADABLE));
        note.write(&mut slot);
        assert_eq!(Superblock::read(&slot), Ok(snapshot));
        assert_eq!(Note::read(&snapshot, &slot), Some(note));
        assert_eq!(Note::read(&superblock(0), &slot), None);
        for bit in 0..NOTE_SIZE * 8 {
            let mut torn = slot;
            torn[SUPERBLOCK_SIZE + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Note::read(&snapshot, &torn), Some(Note::UNREADABLE), "bit {bit}");
        }
    }
}
