//! Frames that a file system cut in two: the second half is looked for where it must lie.
//!
//! A block smaller than a slot lets a file go on elsewhere in the middle of a frame. Within one
//! piece of the file, what a frame's place in the recording and its place in the image differ by
//! is the same for every frame; so the frames behind a cut one tell where its second half is.
//! Where the cut is, only the checksum of the payload tells: every sector is tried.

use flightrec_format::crc::checksum_of;
use flightrec_format::frame::{HEADER_SIZE, Header};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;

use crate::carve::find::{Found, SECTOR_SIZE};
use crate::recording::offset_of;

/// Bytes that are put through the checksum at most, over all cut frames: some seconds, whatever an
/// image claims. A true card with a thousand cut frames takes less than a tenth of it.
const TRIED_BYTES_MAX: u64 = 16 << 30;
/// Pieces of the file that are tried for one frame: several copies may be in the image.
const PIECES_MAX: usize = 6;
/// Sectors that a file system may put between two blocks of a file for its own use: one block that
/// says where others are, or up to three, of 512 bytes to 4 KiB.
const OWN_SECTORS: [u64; 9] = [2, 8, 4, 1, 16, 24, 6, 12, 3];
/// Frames behind a cut one that are asked for their piece.
const ASKED_MAX: usize = 64;

/// Where a frame goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Joint {
    /// Bytes of the frame before the cut.
    pub cut: usize,
    /// Offset in the image of those behind it.
    pub rest: u64,
}

/// Where a frame lies in its recording: the part that is counted from, and the slot in it.
pub type Logical = (u8, u64);

/// What the frames of one recording tell about the pieces of its file.
#[derive(Debug)]
pub struct Pieces {
    /// Logical place of each frame, and what its place in the image differs by, modulo 2^64.
    by_place: Vec<(Logical, u64)>,
    /// Offset of each frame in the image, and the same two.
    by_offset: Vec<(u64, Logical)>,
    tried_bytes: u64,
}

impl Pieces {
    /// Of all frames whose place is known.
    pub fn of(frames: impl Iterator<Item = (u64, Logical)>) -> Self {
        let mut by_offset: Vec<_> = frames.collect();
        by_offset.sort_unstable();
        let by_place = by_offset.iter().map(|&(offset, at)| (at, shift(offset, at)));
        let mut by_place: Vec<_> = by_place.collect();
        by_place.sort_unstable();
        Self { by_place, by_offset, tried_bytes: 0 }
    }

    /// Finds the second half of a frame whose payload is not the one that its header vouches for.
    pub fn rejoin(
        &mut self,
        found: &Found,
        at: Option<Logical>,
        mut read: impl FnMut(&mut [u8], u64) -> bool,
    ) -> Option<Joint> {
        let mut head = vec![0; usize::from(found.slots) * SLOT_SIZE];
        if self.tried_bytes > TRIED_BYTES_MAX || !read(&mut head, found.offset) {
            return None;
        }
        let header = Header::read(&head).ok()?;
        let end = HEADER_SIZE + usize::try_from(header.payload_len).ok()?;
        self.tried_bytes += u64::try_from(end).unwrap_or(0);
        if end <= SECTOR_SIZE {
            return None;
        }
        let head = head.get(..end)?;
        let mut tail = vec![0; end];
        for shift in self.candidates(found, at) {
            // As if the whole frame lay there: the bytes before the cut are not looked at.
            let begin = found.offset.wrapping_add(shift);
            let tail_from = tail.get_mut(SECTOR_SIZE..)?;
            if !read(tail_from, begin.wrapping_add(512)) {
                continue;
            }
            for cut in (SECTOR_SIZE..end).step_by(SECTOR_SIZE) {
                self.tried_bytes += u64::try_from(end).unwrap_or(0);
                if self.tried_bytes > TRIED_BYTES_MAX {
                    return None;
                }
                let halves = [head.get(HEADER_SIZE..cut)?, tail.get(cut..)?];
                if checksum_of(&halves) == header.payload_crc {
                    let before = u64::try_from(cut).unwrap_or(0);
                    return Some(Joint { cut, rest: begin.wrapping_add(before) });
                }
            }
        }
        None
    }

    /// By how much the next piece of the file may be moved, seen from that of this frame.
    fn candidates(&self, found: &Found, at: Option<Logical>) -> Vec<u64> {
        let mut moves = Vec::new();
        let copied = (found.place.0 == Area::Tail && !found.marked)
            .then(|| self.beside_neighbour(found.offset))
            .flatten();
        for at in at.into_iter().chain(copied) {
            let own = shift(found.offset, at);
            let behind = (at.0, at.1.saturating_add(u64::from(found.slots)));
            let next = self.by_place.partition_point(|(place, _)| *place < behind);
            let asked = self.by_place.iter().skip(next).take(ASKED_MAX);
            for (_, other) in asked.take_while(|(place, _)| place.0 == at.0) {
                let moved = other.wrapping_sub(own);
                let sectors = moved % 512 == 0;
                if moved != 0 && sectors && moves.len() < PIECES_MAX && !moves.contains(&moved) {
                    moves.push(moved);
                }
            }
        }
        moves.extend(OWN_SECTORS.map(|sectors| sectors * 512));
        moves
    }

    /// A copy of a tail frame that was cut has lost its mark, and with it its place; the frame
    /// before it in the image knows.
    fn beside_neighbour(&self, offset: u64) -> Option<Logical> {
        let next = self.by_offset.partition_point(|(other, _)| *other < offset);
        let &(other, at) = self.by_offset.get(next.checked_sub(1)?)?;
        let slots = (offset - other) / offset_of(1);
        (offset_of(slots) == offset - other).then(|| (at.0, at.1.saturating_add(slots)))
    }
}

fn shift(offset: u64, at: Logical) -> u64 {
    offset.wrapping_sub(offset_of(at.1))
}
