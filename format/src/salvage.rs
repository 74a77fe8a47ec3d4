//! The mark of a tail frame that was copied into history or archive (spec section 4.1).
//!
//! The frame is copied byte for byte, so its own header cannot say where the copy lies. The last
//! 16 bytes of the slot, kept free in the tail, do.

use crate::crc::checksum_of;
use crate::place::Area;

/// Bytes of the mark, at the end of the slot.
pub const MARK_SIZE: usize = 16;

const MAGIC: [u8; 3] = *b"SLV";

/// Where a copied tail frame lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// History or archive.
    pub area: Area,
    /// Of the slot, in that area.
    pub seq: u64,
}

impl Mark {
    /// Reads the mark of the frame in `slot`, if there is one and its checksum holds.
    #[must_use]
    pub fn read(slot: &[u8]) -> Option<Self> {
        let header_crc = slot.get(4..8)?;
        let (magic, rest) = slot.last_chunk::<MARK_SIZE>()?.split_first_chunk::<3>()?;
        let (&[area], rest) = rest.split_first_chunk::<1>()?;
        let (crc, seq) = rest.split_first_chunk::<4>()?;
        let seq_bytes = seq.first_chunk::<8>()?;
        let whole = *magic == MAGIC
            && u32::from_le_bytes(*crc) == checksum_of(&[header_crc, &[area], seq_bytes]);
        let area = Area::from_number(area).filter(|area| *area != Area::Tail)?;
        whole.then_some(Self { area, seq: u64::from_le_bytes(*seq_bytes) })
    }

    /// Writes the mark into the end of `slot`, which holds the copied frame.
    pub fn write(&self, slot: &mut [u8]) {
        let Some(&header_crc) = slot.get(4..8).and_then(|bytes| bytes.first_chunk::<4>()) else {
            return;
        };
        let seq = self.seq.to_le_bytes();
        let area = [self.area.number()];
        let crc = checksum_of(&[&header_crc, &area, &seq]).to_le_bytes();
        if let Some(place) = slot.last_chunk_mut::<MARK_SIZE>() {
            for (byte, value) in
                place.iter_mut().zip(MAGIC.into_iter().chain(area).chain(crc).chain(seq))
            {
                *byte = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_any_flipped_bit_is_noticed() {
        let mut slot = vec![7_u8; 4096];
        let mark = Mark { area: Area::History, seq: 0x0102_0304_0506_0708 };
        mark.write(&mut slot);
        assert_eq!(Mark::read(&slot), Some(mark));
        for bit in 0..MARK_SIZE * 8 {
            let mut torn = slot.clone();
            torn[4096 - MARK_SIZE + bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Mark::read(&torn), Some(mark), "bit {bit}");
        }
    }
}
