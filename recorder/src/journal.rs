//! Who logs how much, read from journald's own files, without a child and without a copy of the log.
//!
//! A journal file holds each distinct value once, with the number of entries that have it: lines by
//! unit are differences of such counters, as cheap in a storm of thousands of lines a second as in a
//! calm. The new values of `MESSAGE` are the new distinct messages.
//!
//! What is counted: every entry once that came after the first [`Journal::look`]. Files are followed
//! from `system.journal` to its successor at each rotation. While one in `/run` is written, what
//! arrives in `/var` is the copy that a flush makes, and does not count; when that one is gone, what
//! is later in `/var` than anything that was counted does. Not counted is what was archived before its
//! folder was seen; and moves that follow one another within two looks may cost a few lines.

mod counting;
mod fields;
mod file;
mod folders;
mod following;
mod layout;
mod list;
mod manager;
mod messages;
mod name;
mod rows;
mod seat;
mod sources;

use std::fmt::Write;
use std::path::Path;

use file::Inode;
use folders::Folders;
use layout::Bad;
pub use manager::Fate;
use manager::Manager;
use messages::Messages;
pub use messages::TEXT_LEN_MAX;
use name::{FileName, Name};
use rows::Rows;
use seat::Seat;
use sources::Sources;

use crate::clock::{Clock, SystemClock};

/// Severity of a message whose entry has no `PRIORITY`.
pub const SEVERITY_UNKNOWN: u8 = u8::MAX;

/// Files that are open at a time.
const FILES_MAX: usize = 16;

/// Looks after which a file that could not be read is tried again.
const RETRY_LOOKS: u8 = 60;

/// What one source has logged since the first look. None of it ever goes back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Lines. Exact for units and for the kernel; lines without a unit go to their identifier while
    /// there are no more than 32 a look, else to `others`.
    pub lines: u64,
    /// Lines of `PRIORITY` 0 to 3, at least. Exact while all sources together have no more than 32 a
    /// look; then no more than is certain.
    pub errors: u64,
    /// Bytes; 0: unknown.
    pub bytes: u64,
    /// Lines that journald says it left out.
    pub suppressed: u64,
}

/// Who is told.
pub trait Listener {
    /// A source and its counts, in each look in which it has any.
    fn source(&mut self, name: &[u8], counts: Counts);

    /// A message that was not in its file before, or has been repeated twice as often as when it was
    /// told last. `repeats` counts from the beginning of the file. The text is cut at
    /// [`TEXT_LEN_MAX`]; of one that is compressed with lz4 or xz only the length is known.
    fn message(&mut self, source: &[u8], severity: u8, repeats: u64, text: &[u8]);

    /// What the service manager says of a unit: the machine's own, or one of a user.
    fn unit(&mut self, _name: &str, _is_users: bool, _fate: Fate<'_>) {}
}

/// A file that is not read, and why.
#[derive(Clone, Copy, Debug)]
struct Failed {
    folder: u8,
    /// Empty: the folder itself.
    name: FileName,
    inode: Option<Inode>,
    bad: Bad,
    /// Until it is tried again. It stays in the list until that went well, so that its reason does
    /// not come and go.
    looks_left: u8,
}

/// Follows the journal. Lives on the slow thread: each look may block.
#[derive(Debug)]
pub struct Journal {
    folders: Folders,
    seats: Vec<Seat>,
    failed: Vec<Failed>,
    rows: Rows,
    sources: Sources,
    messages: Messages,
    manager: Manager,
    /// For each folder, the monotonic time up to which its lines are counted.
    counted_us: Vec<(FileName, u64)>,
    boot_id: [u8; 16],
    began_us: Option<u64>,
    now_us: u64,
    errors: u64,
    trouble: Name<240>,
    errno: Option<i32>,
}

impl Journal {
    /// Takes all the memory that it will ever use; `var` and `run` are the folders in which journald
    /// keeps one for each machine id.
    #[must_use]
    pub fn new(var: &Path, run: &Path) -> Self {
        let boot_id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = folders::id128(boot_id.trim_ascii()).unwrap_or_default();
        Self {
            folders: Folders::new(var, run),
            seats: Vec::with_capacity(FILES_MAX),
            failed: Vec::with_capacity(FILES_MAX),
            rows: Rows::new(),
            sources: Sources::new(),
            messages: Messages::new(),
            manager: Manager::new(),
            counted_us: Vec::with_capacity(FILES_MAX),
            boot_id,
            began_us: None,
            now_us: 0,
            errors: 0,
            trouble: Name::new(b""),
            errno: None,
        }
    }

    /// Looks once, and tells what there is. The first look only says where counting begins.
    pub fn look(&mut self, listener: &mut dyn Listener) {
        self.now_us = SystemClock.monotonic_ns() / 1000;
        self.began_us.get_or_insert(self.now_us);
        self.find_files();
        self.measure();
        self.begin();
        self.settle(listener);
        self.let_go();
        self.explain();
        self.sources.tell(listener);
    }

    /// Lines of `PRIORITY` 0 to 3 since the first look, of all sources together: exact.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Why lines are missing, in one line; the same text as long as the reason is the same.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        Some(self.trouble.as_str()).filter(|text| !text.is_empty())
    }

    /// The error behind it; `None`: nothing is wrong, or there is no journald to begin with.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// Finds words for what is wrong now.
    fn explain(&mut self) {
        let mut text = Name::new(b"");
        self.errno = None;
        // A text that is too long is cut.
        if let Some(failed) = self.failed.first() {
            let path = self.folders.path_of(failed.folder, failed.name.as_bytes());
            write!(text, "journal: {} in {}", failed.bad, path.display()).ok();
            self.errno = Some(failed.bad.errno());
        } else if let Some((path, bad)) = self.folders.trouble() {
            write!(text, "journal: {bad} in {}", path.display()).ok();
            self.errno = Some(bad.errno());
        } else if self.seats.is_empty() {
            let [var, run] = self.folders.roots();
            write!(text, "journal: no journald, nothing in {} ", var.display()).ok();
            write!(text, "nor in {}", run.display()).ok();
        }
        self.trouble = text;
    }
}

#[cfg(test)]
mod tests;
