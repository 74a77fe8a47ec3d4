//! What a recorder at work could take away first, copied before all else is looked at.
//!
//! A tail slot is used again only when its samples stand in the history. So with the tail copied
//! first and the history read afterwards no sample falls between the two, however long the rest
//! takes (section 2 of the specification).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;

use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::superblock::Geometry;

use crate::medium::Medium;
use crate::recording::{SLOT_SIZE_U64, offset_of};

/// Tail and archive of every recorder's recording take 5 MiB at most. A geometry that says much more
/// is not worth the memory.
const FROZEN_SLOTS_MAX: u64 = 16 << 10;

/// The slots to copy: tail and archive, and what lies between.
#[must_use]
pub fn range(geometry: &Geometry) -> Option<Range<u64>> {
    let first = geometry.tail_start.min(geometry.archive_start);
    let tail_end = u64::from(geometry.tail_start) + 2 * u64::from(geometry.lane_slots);
    let archive_end = u64::from(geometry.archive_start) + u64::from(geometry.archive_slots);
    let range = u64::from(first)..tail_end.max(archive_end);
    (range.end - range.start <= FROZEN_SLOTS_MAX).then_some(range)
}

/// A medium of which some slots are remembered as they were.
#[derive(Debug)]
pub struct Frozen {
    medium: Box<dyn Medium>,
    slots: Range<u64>,
    bytes: Vec<u8>,
    unreadable: BTreeSet<u64>,
}

impl Frozen {
    /// Copies the `slots` that the file has, front to back.
    #[must_use]
    pub fn of(medium: Box<dyn Medium>, slots: Range<u64>) -> Self {
        let mut frozen = Self { medium, slots, bytes: Vec::new(), unreadable: BTreeSet::new() };
        for slot in frozen.slots.clone() {
            let mut bytes = [0; SLOT_SIZE];
            match frozen.medium.read_exact_at(&mut bytes, offset_of(slot)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    frozen.slots.end = slot;
                    break;
                }
                Err(_) => {
                    frozen.unreadable.insert(slot);
                }
            }
            frozen.bytes.extend_from_slice(&bytes);
        }
        frozen
    }

    fn copy(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let len = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let last = offset.saturating_add(len).saturating_sub(1) / SLOT_SIZE_U64;
        if self.unreadable.range(offset / SLOT_SIZE_U64..=last).next().is_some() {
            return Err(io::Error::other("it could not be read when the copy was made"));
        }
        let skip = usize::try_from(offset - offset_of(self.slots.start)).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(skip..).and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Medium for Frozen {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        // Before, inside and behind what is remembered.
        let (begin, end) = (offset_of(self.slots.start), offset_of(self.slots.end));
        let until = |border: u64, len: usize| {
            usize::try_from(border.saturating_sub(offset)).unwrap_or(usize::MAX).min(len)
        };
        let (before, rest) = buffer.split_at_mut(until(begin, buffer.len()));
        let taken = before.len();
        let (inside, behind) = rest.split_at_mut(until(end, taken + rest.len()) - taken);
        if !before.is_empty() {
            self.medium.read_exact_at(before, offset)?;
        }
        if !inside.is_empty() {
            self.copy(inside, offset.max(begin))?;
        }
        if behind.is_empty() { Ok(()) } else { self.medium.read_exact_at(behind, offset.max(end)) }
    }

    fn file(&self) -> Option<&File> {
        self.medium.file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_frozen_stays_and_the_rest_is_read_as_it_is() {
        let bytes = |value: u8| vec![value; 5 * SLOT_SIZE];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, bytes(1)).unwrap();
        let frozen = Frozen::of(Box::new(File::open(&path).unwrap()), 1..3);
        std::fs::write(&path, bytes(2)).unwrap();
        let expected: Vec<u8> = (0..5 * SLOT_SIZE)
            .map(|at| if (1..3).contains(&(at / SLOT_SIZE)) { 1 } else { 2 })
            .collect();
        for (from, to) in [(0, 5), (0, 1), (1, 3), (1, 2), (2, 5), (3, 5), (4, 5)] {
            let mut buffer = vec![0; (to - from) * SLOT_SIZE - 7];
            frozen.read_exact_at(&mut buffer, (from * SLOT_SIZE + 3) as u64).unwrap();
            let begin = from * SLOT_SIZE + 3;
            assert_eq!(buffer, expected[begin..begin + buffer.len()], "{from} {to}");
        }
        let mut byte = [0];
        assert!(frozen.read_exact_at(&mut byte, bytes(0).len() as u64).is_err());
        // A copy that is shorter than its tail.
        let short = Frozen::of(Box::new(File::open(&path).unwrap()), 4..9);
        assert!(short.read_exact_at(&mut [0; 2 * SLOT_SIZE], 4 * 4096).is_err());
        assert!(short.read_exact_at(&mut [0; SLOT_SIZE], 4 * 4096).is_ok());
    }
}
