//! One text log, followed through whatever happens to it.
//!
//! | what happens | how it shows | what is counted |
//! |--------------|--------------|-----------------|
//! | lines are appended | it grows, and what stood before our place still stands there | bytes; the lines of what was read |
//! | it is cut (copytruncate, armbian-truncate-logs) | it is shorter, and begins otherwise | all of it, from its start |
//! | it is cut, and an older state copied in (armbian-ramlog) | it is shorter, and begins as before | nothing: on from its end |
//! | it is rewritten in place | other bytes before our place | nothing: on from its end |
//! | it is rotated | another file stands at its path | the rest of the old one, then the new one |
//! | another file system is mounted over it | the same, on another device | the rest; nothing of the copy |

use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::identity;
use crate::sys;
use crate::words::{Counts, Listener};

/// Bytes by which a place in a file is known again.
const MARK_LEN: usize = 64;

/// Severity that is said of lines that have none: info.
const SEVERITY: u8 = 6;

/// Only so many of the newest bytes of a look are heard as messages; all are counted.
const HEARD_LEN: usize = 16 << 10;

/// A line that goes on for longer is heard by its beginning.
const LINE_LEN_MAX: u64 = 4 << 10;

/// A file that stands in the place of another is not larger than this if it is new.
const NEW_LEN_MAX: u64 = 16 << 20;

/// Where to begin in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Begin {
    /// Everything in it is new.
    Start,
    /// Only what comes is.
    End,
}

/// A few bytes, by which a place in a file is known again.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    len: usize,
    bytes: [u8; MARK_LEN],
}

impl Mark {
    const NONE: Self = Self { at: 0, len: 0, bytes: [0; MARK_LEN] };

    /// Of the bytes at `at`, as many as there are.
    fn take(file: &File, at: u64, len: usize) -> Self {
        let mut mark = Self { at, ..Self::NONE };
        if let Some(place) = mark.bytes.get_mut(..len) {
            mark.len = file.read_at(place, at).unwrap_or(0);
        }
        mark
    }

    fn holds(&self, file: &File) -> bool {
        let now = Self::take(file, self.at, self.len);
        now.len == self.len && now.bytes.get(..now.len) == self.bytes.get(..self.len)
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    /// Size and time of the last change, as seen last.
    seen: (u64, i64, i64),
    /// What is before here was counted.
    offset: u64,
    /// Where the line begins that is not yet ended.
    line_start: u64,
    /// Whether the beginning of that line was heard, or is not known.
    skipping: bool,
    head: Mark,
    tail: Mark,
    counts: Counts,
    /// Set when another file was seen in its place: one more look at this one, for those who have
    /// it open.
    leaving: bool,
    missing: u32,
}

impl Follow {
    /// Opens a plain file.
    pub(super) fn open(path: PathBuf, begin: Begin) -> Option<Self> {
        let (file, there) = open(&path)?;
        let mut own = Self {
            path,
            file,
            identity: identity(&there),
            seen: (0, 0, 0),
            offset: 0,
            line_start: 0,
            skipping: false,
            head: Mark::NONE,
            tail: Mark::NONE,
            counts: Counts::default(),
            leaving: false,
            missing: 0,
        };
        own.begin(&there, begin);
        Some(own)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// For how many looks nothing has stood at its path.
    pub(super) fn missing(&self) -> u32 {
        self.missing
    }

    fn begin(&mut self, there: &Metadata, begin: Begin) {
        self.offset = if begin == Begin::End { there.len() } else { 0 };
        self.line_start = self.offset;
        // Somebody may be in the midst of a line.
        self.skipping = self.offset > 0 && !self.ends_a_line();
        self.seen = (self.offset, 0, 0);
        self.take_marks();
    }

    fn ends_a_line(&self) -> bool {
        let last = Mark::take(&self.file, self.offset.saturating_sub(1), 1);
        last.bytes.first() == Some(&b'\n')
    }

    fn take_marks(&mut self) {
        if self.head.len < MARK_LEN || !self.head.holds(&self.file) {
            self.head = Mark::take(&self.file, 0, MARK_LEN);
        }
        let at = self.offset.saturating_sub(u64::try_from(MARK_LEN).unwrap_or(0));
        let len = usize::try_from(self.offset - at).unwrap_or(0);
        self.tail = Mark::take(&self.file, at, len);
    }

    /// Looks once: what it grew by, and, `at_path` or if there was doubt, whether it is still the file
    /// at its path.
    pub(super) fn look(
        &mut self,
        (buffer, at_path): (&mut [u8], bool),
        own: &mut Counts,
        listener: &mut dyn Listener,
    ) {
        if let Ok(now) = self.file.metadata() {
            let seen = (now.len(), now.mtime(), now.mtime_nsec());
            if seen != self.seen {
                self.seen = seen;
                self.read(now.len(), buffer, own, listener);
            }
        }
        if at_path || self.leaving || self.missing > 0 {
            match fs::symlink_metadata(&self.path) {
                Ok(there) if identity(&there) == self.identity => {
                    self.leaving = false;
                    self.missing = 0;
                }
                Ok(_) if !self.leaving => self.leaving = true,
                Ok(_) => self.replace(buffer, own, listener),
                Err(_) => self.missing += 1,
            }
        }
        listener.source(self.path.as_os_str().as_bytes(), self.counts);
    }

    fn replace(&mut self, buffer: &mut [u8], own: &mut Counts, listener: &mut dyn Listener) {
        let Some((file, there)) = open(&self.path) else { return };
        let is_copy = identity(&there).0 != self.identity.0 || there.len() > NEW_LEN_MAX;
        self.file = file;
        self.identity = identity(&there);
        self.leaving = false;
        self.head = Mark::NONE;
        self.begin(&there, if is_copy { Begin::End } else { Begin::Start });
        self.read(there.len(), buffer, own, listener);
    }

    /// Counts what is new.
    fn read(
        &mut self,
        size: u64,
        buffer: &mut [u8],
        own: &mut Counts,
        listener: &mut dyn Listener,
    ) {
        if size < self.offset {
            let is_older_state = self.head.len > 0 && self.head.holds(&self.file);
            self.offset = if is_older_state { size } else { 0 };
            self.line_start = self.offset;
            self.skipping = self.offset > 0 && !self.ends_a_line();
        } else if !self.tail.holds(&self.file) {
            self.offset = size;
            self.line_start = size;
            self.skipping = size > 0 && !self.ends_a_line();
        }
        if size > self.offset {
            self.count(size, buffer, own, listener);
        }
        self.take_marks();
    }

    fn count(
        &mut self,
        size: u64,
        buffer: &mut [u8],
        own: &mut Counts,
        listener: &mut dyn Listener,
    ) {
        let room = u64::try_from(buffer.len()).unwrap_or(0);
        let from = self.line_start.max(size.saturating_sub(room));
        if from > self.line_start {
            // More came than is read: it begins somewhere in a line.
            self.skipping = true;
        }
        let wanted = usize::try_from(size - from).unwrap_or(0);
        let Some(place) = buffer.get_mut(..wanted) else { return };
        let Ok(len) = self.file.read_at(place, from) else { return };
        let end = from + u64::try_from(len).unwrap_or(0);
        let grown = end.saturating_sub(self.offset);
        let mut own_bytes = 0;
        let text = place.get(..len).unwrap_or_default();
        let heard_from = len.saturating_sub(HEARD_LEN);
        let mut at = 0;
        while let Some(line_len) = text.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let line = text.get(at..at + line_len).unwrap_or_default();
            let is_whole = !std::mem::take(&mut self.skipping);
            if is_own(line) {
                own.lines += 1;
                own_bytes += u64::try_from(line_len + 1).unwrap_or(0);
            } else {
                self.counts.lines += 1;
                if is_whole && at >= heard_from {
                    self.hear(line, listener);
                }
            }
            at += line_len + 1;
        }
        own.bytes += own_bytes;
        // The first half of a line of ours was counted before it was known for one.
        self.counts.bytes += grown.saturating_sub(own_bytes);
        self.line_start = from + u64::try_from(at).unwrap_or(0);
        self.offset = end;
        if end - self.line_start > LINE_LEN_MAX {
            if !std::mem::replace(&mut self.skipping, true) {
                self.hear(text.get(at..).unwrap_or_default(), listener);
            }
            self.line_start = end;
        }
    }

    fn hear(&self, line: &[u8], listener: &mut dyn Listener) {
        let said = undated(line);
        if !said.is_empty() {
            listener.message(self.path.as_os_str().as_bytes(), SEVERITY, 1, said);
        }
    }
}

fn open(path: &Path) -> Option<(File, Metadata)> {
    let mut options = File::options();
    options.read(true).custom_flags(sys::O_NOFOLLOW | sys::O_NONBLOCK);
    let file = options.open(path).ok()?;
    let there = file.metadata().ok().filter(Metadata::is_file)?;
    Some((file, there))
}

/// A line of ours, as a syslog daemon writes it.
fn is_own(line: &[u8]) -> bool {
    memmem::find(line.get(..128).unwrap_or(line), b" flightrecd[").is_some()
}

/// The line without date and host, as syslog daemons put them before it: `Nov 22 07:38:53 host`,
/// `2026-11-22T07:38:53.003+00:00 host`.
fn undated(line: &[u8]) -> &[u8] {
    let is_digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, byte: u8| line.get(at) == Some(&byte);
    let is_rfc3164 = is(3, b' ') && is(6, b' ') && is(9, b':') && is(12, b':') && is(15, b' ');
    let is_rfc3339 = is_digit(0) && is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':');
    let words = if is_rfc3164 && is_digit(5) {
        line.get(16..)
    } else if is_rfc3339 {
        memchr::memchr(b' ', line).and_then(|at| line.get(at + 1..))
    } else {
        return line;
    };
    let words = words.unwrap_or_default();
    memchr::memchr(b' ', words).and_then(|at| words.get(at + 1..)).unwrap_or(words)
}
