//! Memory that is taken at the start and will be wanted when there is no more to be had, by name.
//!
//! The kernel gives a page when it is first used. These are used at once, all of them: the rows of
//! an hour's stall must not need a new page in its fortieth minute. Tables that grow with the
//! number of processes, units and logs are locked as they are used.

use std::io;

use crate::sys;

/// A stretch of it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What it holds.
    pub name: &'static str,
    /// Its bytes.
    pub len: usize,
    start: *const u8,
}

impl Part {
    /// What these are in.
    #[must_use]
    pub fn of<T>(name: &'static str, items: &[T]) -> Self {
        Self { name, len: size_of_val(items), start: items.as_ptr().cast() }
    }

    /// What has room for these, though there may be none yet.
    #[must_use]
    pub fn of_room<T>(name: &'static str, items: &Vec<T>) -> Self {
        let len = items.capacity() * size_of::<T>();
        Self { name, len, start: items.as_ptr().cast() }
    }

    /// Brings it into memory, where it stays.
    pub fn lock_in(&self) -> io::Result<()> {
        sys::lock_in(self.start, self.len)
    }
}
