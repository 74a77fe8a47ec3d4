//! The values whose counters are read: which file, which offset, what they stand for.
//!
//! One pool for all files, of a fixed size, found by offset when an entry names its values.

use super::manager::Tale;
use super::sources::SourceId;

/// Values of all files together. A busy board has 200 in a file.
const ROWS_MAX: usize = 1024;

/// Places of the index, a power of two.
const INDEX_LEN: usize = 4 * ROWS_MAX;

/// What a value stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// A unit, or the kernel: its counter is the source's lines.
    Lines(SourceId),
    /// An identifier, which names a line without a unit.
    Identifier(SourceId),
    /// `PRIORITY`.
    Severity(u8),
    /// "Suppressed N messages from UNIT".
    Suppression,
    /// What the service manager says of a unit.
    Manager(Tale),
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) file: u8,
    pub(super) what: What,
    pub(super) offset: u64,
    /// Entries that are counted.
    pub(super) settled: u64,
    /// Entries as last read.
    pub(super) now: u64,
    /// Whether it has grown when it was read last.
    pub(super) is_active: bool,
    /// Lines of this unit may be about other units: see [`super::manager::tells_of_others`].
    pub(super) tells_of_others: bool,
}

/// The pool.
#[derive(Debug)]
pub(super) struct Rows {
    rows: Vec<Row>,
    index: Box<[u16]>,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::with_capacity(ROWS_MAX),
            index: vec![u16::MAX; INDEX_LEN].into_boxed_slice(),
        }
    }

    /// The row of a value.
    pub(super) fn find(&self, file: u8, offset: u64) -> Option<&Row> {
        self.position(file, offset).and_then(|number| self.rows.get(number))
    }

    /// The same, to write into.
    pub(super) fn find_mut(&mut self, file: u8, offset: u64) -> Option<&mut Row> {
        self.position(file, offset).and_then(|number| self.rows.get_mut(number))
    }

    /// Adds a row; `false`: there is no more room.
    pub(super) fn add(&mut self, file: u8, what: What, offset: u64) -> bool {
        if self.rows.len() >= ROWS_MAX {
            return false;
        }
        self.rows.push(Row {
            file,
            what,
            offset,
            settled: 0,
            now: 0,
            is_active: true,
            tells_of_others: false,
        });
        self.enter(self.rows.len() - 1);
        true
    }

    /// The rows of a file.
    pub(super) fn of(&mut self, file: u8) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut().filter(move |row| row.file == file)
    }

    /// The n-th row of all, to go through them while other things happen.
    pub(super) fn nth(&self, number: usize) -> Option<Row> {
        self.rows.get(number).copied()
    }

    /// Writes how many entries of the n-th row are counted.
    pub(super) fn settle(&mut self, number: usize, settled: u64) {
        if let Some(row) = self.rows.get_mut(number) {
            row.settled = settled;
        }
    }

    /// Forgets a file.
    pub(super) fn forget(&mut self, file: u8) {
        self.rows.retain(|row| row.file != file);
        self.index.fill(u16::MAX);
        for number in 0..self.rows.len() {
            self.enter(number);
        }
    }

    fn position(&self, file: u8, offset: u64) -> Option<usize> {
        for place in places(file, offset) {
            let number = usize::from(*self.index.get(place)?);
            let row = self.rows.get(number)?;
            if row.file == file && row.offset == offset {
                return Some(number);
            }
        }
        None
    }

    fn enter(&mut self, number: usize) {
        let Some(row) = self.rows.get(number) else { return };
        for place in places(row.file, row.offset) {
            if let Some(free) = self.index.get_mut(place).filter(|place| **place == u16::MAX) {
                *free = u16::try_from(number).unwrap_or(u16::MAX);
                return;
            }
        }
    }
}

/// Where a row may stand in the index, best place first. A quarter of the index is used at most, so
/// that honest offsets take one or two.
fn places(file: u8, offset: u64) -> impl Iterator<Item = usize> {
    let hash = (offset ^ u64::from(file) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let begin = usize::try_from(hash >> 40).unwrap_or(0);
    (0..INDEX_LEN).map(move |step| (begin + step) % INDEX_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_until_its_file_is_forgotten() {
        let mut rows = Rows::new();
        for offset in 0..400 {
            assert!(rows.add(1, What::Severity(3), 8 * offset));
            assert!(rows.add(2, What::Suppression, 8 * offset));
        }
        rows.find_mut(1, 800).unwrap().now = 7;
        rows.forget(2);
        assert_eq!(rows.find(1, 800).unwrap().now, 7);
        assert!(rows.find(2, 800).is_none());
        assert!(rows.find(1, 801).is_none());
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let mut rows = Rows::new();
        let taken = (0..2000).filter(|number| rows.add(0, What::Suppression, 8 * number)).count();
        assert_eq!(taken, ROWS_MAX);
        assert!(rows.find(0, 8 * 1999).is_none());
    }
}
