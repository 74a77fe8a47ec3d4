//! A recording, open for reading only: a file, or a partition.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use flightrec_format::frame;
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::snapshot::Note;
use flightrec_format::superblock::{self, NotASuperblock, Superblock};

use crate::medium;
pub use crate::medium::Medium;
use crate::outcome::{Outcome, Trouble};
use crate::progress::Tell;

/// Slots read at once while scanning.
pub const CHUNK_SLOTS: usize = 64;

/// Slots between two words on how far a search is.
const TELL_SLOTS: u64 = 256;

/// An open recording and its superblock.
#[derive(Debug)]
pub struct Recording {
    medium: Box<dyn Medium>,
    path: PathBuf,
    len: u64,
    /// `None`: no good copy was found, and places are not checked (B2).
    pub superblock: Option<Superblock>,
    /// What it was made of, if it is a snapshot (B5).
    pub snapshot: Option<Note>,
    /// Two good superblocks differ (B1).
    pub superblocks_differ: bool,
    /// The superblock that counts lies where no superblock of its recording does.
    displaced: bool,
    /// Slots that ought to be there.
    slots: u64,
    /// Slots from here on are beside the recording, and have no place: carved copies.
    beside: u64,
}

/// Where a slot begins, bytes.
#[must_use]
pub fn offset_of(slot: u64) -> u64 {
    slot.saturating_mul(SLOT_SIZE_U64)
}

/// Bytes of a slot.
pub const SLOT_SIZE_U64: u64 = 4096;

impl Recording {
    /// Opens the recording at `path` and finds its superblock (B1 - B4).
    pub fn open(path: &Path, tell: &mut Tell<'_>) -> Result<Self, Trouble> {
        let (file, len) = medium::open(path)?;
        Self::on(Box::new(file), len, path, tell)
    }

    /// Finds the superblock on a medium of `len` bytes; `path` is its name in messages.
    pub fn on(
        medium: Box<dyn Medium>,
        len: u64,
        path: &Path,
        tell: &mut Tell<'_>,
    ) -> Result<Self, Trouble> {
        let mut recording = Self {
            medium,
            path: path.to_owned(),
            len,
            superblock: None,
            snapshot: None,
            superblocks_differ: false,
            displaced: false,
            slots: len / SLOT_SIZE_U64,
            beside: u64::MAX,
        };
        if len == 0 {
            return Err(recording.refuse("it is empty (0 bytes)"));
        }
        recording.find_superblock(tell)?;
        if let Some(superblock) = &recording.superblock {
            recording.slots = superblock.geometry.size / SLOT_SIZE_U64;
        }
        Ok(recording)
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for asking the system about it; none, if it lies elsewhere.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        self.medium.file()
    }

    /// Bytes that are there.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots that ought to be there; the missing ones are absent (B3).
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// Takes what lies behind the recording's end for frames of it that lost their places to newer
    /// ones: a file system keeps old copies, and `carve` puts them there.
    pub fn read_beside(&mut self) {
        if self.superblock.is_some() {
            self.beside = self.slots;
            self.slots = self.slots.max(self.len / SLOT_SIZE_U64);
        }
    }

    /// Whether a slot is beside the recording: its frame is believed without a place.
    #[must_use]
    pub fn is_beside(&self, slot: u64) -> bool {
        slot >= self.beside
    }

    /// Whether its only superblock lies where none of its own would: a recording may lie somewhere
    /// inside, but this is not it.
    #[must_use]
    pub fn is_displaced(&self) -> bool {
        self.displaced
    }

    /// Slots that are there and belong to the recording.
    #[must_use]
    pub fn slots_present(&self) -> u64 {
        self.slots.min(self.len / SLOT_SIZE_U64)
    }

    /// "This is not a recording", for a reason.
    #[must_use]
    pub fn refuse(&self, why: &str) -> Trouble {
        Trouble::new(
            Outcome::NoRecording,
            format!(
                "{} is not a recording: {why}.\n\
                 A recording is made by `flightrecd create`; the usual place is \
                 /var/lib/flightrec/recording.frec.",
                crate::views::text::escape(&self.path.to_string_lossy())
            ),
        )
    }

    /// "This is not a recording", but one may lie inside: a disk, a card, an image of one.
    #[must_use]
    pub fn refuse_outside(&self, why: &str) -> Trouble {
        let mut trouble = self.refuse(why);
        put!(
            &mut trouble.message,
            "\nIf it is a card, or an image of one, look inside: `flightrec carve {}`.",
            crate::views::text::escape(&self.path.to_string_lossy())
        );
        trouble
    }

    /// "Newer than me" (B4).
    #[must_use]
    pub fn newer(&self) -> Trouble {
        Trouble::new(
            Outcome::NoRecording,
            format!(
                "{} was written by a newer flightrec (this program knows format version {}).\n\
                 Reading it with this one could mislead: update flightrec and try again.",
                crate::views::text::escape(&self.path.to_string_lossy()),
                flightrec_format::VERSION
            ),
        )
    }

    /// Reads exactly `buffer`, or says that the medium or the end of the file refused.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.medium.read_exact_at(buffer, offset)
    }

    /// Reads the slots from `first` on into `buffer`, as many as fit in it; hands each to
    /// `take`, `None` if it cannot be read.
    pub fn read_slots(
        &self,
        first: u64,
        buffer: &mut [u8],
        mut take: impl FnMut(u64, Option<&[u8]>),
    ) {
        let whole = self.read(offset_of(first), buffer).is_ok();
        for (slot, bytes) in (first..).zip(buffer.chunks_exact_mut(SLOT_SIZE)) {
            // One bad sector fails the whole chunk: ask again, slot by slot.
            let read = whole || self.read(offset_of(slot), bytes).is_ok();
            take(slot, read.then_some(&*bytes));
        }
    }

    fn find_superblock(&mut self, tell: &mut Tell<'_>) -> Result<(), Trouble> {
        let last = (self.len / SLOT_SIZE_U64).saturating_sub(1);
        let mut copies = Copies::default();
        let mut slot = [0; SLOT_SIZE];
        for index in [0, last] {
            if (index > 0 || copies.seen == 0) && self.read(offset_of(index), &mut slot).is_ok() {
                copies.look(index, &slot);
            }
        }
        if copies.good.is_empty() {
            let mut head = [0; 8];
            for index in 0..self.len / SLOT_SIZE_U64 {
                if index % TELL_SLOTS == 0 {
                    tell("looking for a superblock", offset_of(index), self.len);
                }
                if self.read(offset_of(index), &mut head).is_ok()
                    && head == superblock::MAGIC
                    && self.read(offset_of(index), &mut slot).is_ok()
                {
                    copies.look(index, &slot);
                }
            }
        }
        if copies.good.is_empty() && copies.newer {
            return Err(self.newer());
        }
        copies.good.sort_by_key(|copy| copy.number);
        let counts = copies.good.first();
        self.superblock = counts.map(|copy| copy.superblock);
        let mut notes = copies.good.iter().filter_map(|copy| copy.note);
        self.snapshot = counts
            .and_then(|copy| copy.note)
            .map(|note| notes.find(|other| *other != Note::UNREADABLE).unwrap_or(note));
        self.superblocks_differ = copies.good.iter().any(|other| {
            counts.is_some_and(|own| (own.superblock, own.note) != (other.superblock, other.note))
        });
        self.displaced = counts
            .is_some_and(|own| !own.superblock.geometry.superblock_slots().contains(&own.slot));
        Ok(())
    }
}

/// The copies of the superblock that were found.
#[derive(Default)]
struct Copies {
    good: Vec<Copy>,
    newer: bool,
    seen: u32,
}

struct Copy {
    number: u16,
    superblock: Superblock,
    note: Option<Note>,
    /// Where it lies.
    slot: u64,
}

impl Copies {
    fn look(&mut self, index: u64, slot: &[u8]) {
        self.seen += 1;
        match Superblock::read(slot) {
            Ok(superblock) => {
                let number = slot.get(18..20).and_then(|bytes| bytes.first_chunk::<2>());
                let number = number.map_or(0, |number| u16::from_le_bytes(*number));
                let note = Note::read(&superblock, slot);
                // More than the three can only be strays; four are enough to see a difference.
                if self.good.len() < 4 {
                    self.good.push(Copy { number, superblock, note, slot: index });
                }
            }
            Err(NotASuperblock::Newer { .. }) => self.newer = true,
            Err(NotASuperblock::Absent | NotASuperblock::Damaged) => {}
        }
    }
}

/// Whether a slot begins like a frame; nothing is believed yet.
#[must_use]
pub fn has_magic(slot: &[u8]) -> bool {
    slot.starts_with(&frame::MAGIC)
}
