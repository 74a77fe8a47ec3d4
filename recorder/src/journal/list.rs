//! Lists of entries: that of a whole file, and one for each value.
//!
//! A list is a chain of arrays, each at least as large as the one before, so that few steps lead to its
//! end. Where the last look ended is kept.

use super::file::JournalFile;
use super::layout::{Bad, Data};

/// Arrays of one chain. They double, so that honest ones are far fewer.
const ARRAYS_MAX: u32 = 64;

/// Items read at once.
pub(super) const AT_ONCE: usize = 64;

/// A place in a chain of arrays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    array: u64,
    /// How many items stand before it.
    before: u64,
}

impl Place {
    /// Reads offsets of entries, from one on; answers with how many there were.
    pub(super) fn read(
        &mut self,
        file: &mut JournalFile,
        head: u64,
        from: u64,
        entries: &mut [u64],
    ) -> Result<usize, Bad> {
        if self.array == 0 || from < self.before {
            *self = Self { array: head, before: 0 };
        }
        for _ in 0..ARRAYS_MAX {
            if self.array == 0 || entries.is_empty() {
                return Ok(0);
            }
            let (next, room) = file.array(self.array)?;
            let skipped = from.saturating_sub(self.before);
            if skipped < room {
                let count = usize::try_from(room - skipped).unwrap_or(usize::MAX);
                let count = count.min(entries.len());
                let entries = entries.get_mut(..count).unwrap_or_default();
                file.array_items(self.array, skipped, entries)?;
                // What is not linked yet is zero.
                return Ok(entries.iter().position(|&entry| entry == 0).unwrap_or(count));
            }
            *self = Self { array: next, before: self.before.saturating_add(room) };
        }
        Err(Bad::Endless)
    }

    /// The same for the list of a value, whose first entry stands in the value itself.
    pub(super) fn read_of(
        &mut self,
        file: &mut JournalFile,
        data: &Data,
        from: u64,
        entries: &mut [u64],
    ) -> Result<usize, Bad> {
        let Some(rest) = from.checked_sub(1) else {
            let Some(first) = entries.first_mut() else { return Ok(0) };
            *first = data.first_entry;
            return Ok(usize::from(data.first_entry != 0));
        };
        self.read(file, data.entry_array, rest, entries)
    }
}
