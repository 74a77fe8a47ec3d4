//! Where things stand in a journal file: its header, and what an object says of itself.
//!
//! All numbers are little-endian, all offsets count from the beginning of the file and are multiples
//! of 8. Described in systemd's `JOURNAL_FILE_FORMAT`; the writer takes no notice of readers, so each
//! number may be half-way between two states, or anything at all.

use std::fmt;

/// Bytes of the header that are of use to us.
pub(super) const HEADER_LEN: usize = 224;

/// What every version has; `n_fields` came with 187.
const HEADER_LEN_MIN: u64 = 208;

/// Offset of `n_entries` in the header.
pub(super) const N_ENTRIES_AT: u64 = 152;

const SIGNATURE: &[u8] = b"LPKSHHRH";

/// Flags that we know to do without (compression, which hash) or have learnt (compact).
const KNOWN_FLAGS: u32 = 0x1f;
const COMPACT: u32 = 0x10;

/// An entry with no items, the smallest that takes room.
const ENTRY_LEN_MIN: u64 = 64;

/// Bytes before the payload of a data object; compact ones have eight more.
pub(super) const DATA_LEN: usize = 64;
/// Bytes before the items of an entry.
pub(super) const ENTRY_LEN: usize = 64;
/// Bytes before the name in a field object.
pub(super) const FIELD_LEN: usize = 40;
/// Bytes before the items of an array of entries.
pub(super) const ARRAY_LEN: usize = 24;
/// Offset of the newest value in a field object.
pub(super) const FIELD_HEAD_AT: u64 = 32;

/// Kinds of objects.
pub(super) const DATA: u8 = 1;
pub(super) const FIELD: u8 = 2;
pub(super) const ENTRY: u8 = 3;
pub(super) const ARRAY: u8 = 6;

/// Why a file is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bad {
    /// It could not be opened or read.
    Io(i32),
    /// It does not begin like a journal.
    NoJournal,
    /// Something new that changes the meaning of the rest.
    UnknownFlag(u32),
    /// It ends before what it speaks of.
    Truncated,
    /// What it says cannot be.
    Damaged(&'static str),
    /// Chains that bite their own tails.
    Endless,
    /// Another file than before.
    Replaced,
    /// More files than we have seats.
    TooMany,
}

impl Bad {
    /// The kernel's number for it; for what a file says, that of a message that makes no sense.
    pub(super) fn errno(self) -> i32 {
        if let Self::Io(errno) = self { errno } else { libc::EBADMSG }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(libc::EACCES | libc::EPERM) => {
                f.write_str("no permission (root or group systemd-journal may)")
            }
            Self::Io(libc::EIO) => f.write_str("the disk does not give it (EIO)"),
            Self::Io(errno) => write!(f, "error {errno}"),
            Self::NoJournal => f.write_str("not a journal file"),
            Self::UnknownFlag(flag) => write!(f, "unknown flag {flag:#x}"),
            Self::Truncated => f.write_str("ends too early"),
            Self::Damaged(what) => write!(f, "damaged: {what}"),
            Self::Endless => f.write_str("damaged: chains without an end"),
            Self::Replaced => f.write_str("became another file"),
            Self::TooMany => f.write_str("too many journal files, left out"),
        }
    }
}

/// What a journal file says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) is_compact: bool,
    pub(super) file_id: [u8; 16],
    pub(super) tail_boot_id: [u8; 16],
    pub(super) seqnum_id: [u8; 16],
    /// Bytes before the first object.
    pub(super) size: u64,
    pub(super) field_table_offset: u64,
    pub(super) field_table_size: u64,
    pub(super) n_entries: u64,
    pub(super) tail_seqnum: u64,
    pub(super) head_seqnum: u64,
    pub(super) entry_array: u64,
    pub(super) tail_monotonic_us: u64,
    /// Grows with each new name of a field; 0 where it is not told.
    pub(super) n_fields: u64,
}

impl Header {
    /// Reads and doubts a header.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Bad> {
        if !bytes.starts_with(SIGNATURE) {
            return Err(Bad::NoJournal);
        }
        let flags = u32_at(bytes, 12).ok_or(Bad::Truncated)?;
        let unknown = flags & !KNOWN_FLAGS;
        if unknown != 0 {
            return Err(Bad::UnknownFlag(unknown));
        }
        let number = |at| u64_at(bytes, at).ok_or(Bad::Truncated);
        let id = |at| id_at(bytes, at).ok_or(Bad::Truncated);
        let size = number(88)?;
        if size < HEADER_LEN_MIN || !size.is_multiple_of(8) {
            return Err(Bad::Damaged("size of the header"));
        }
        let n_entries = number(152)?;
        if n_entries > number(96)? / ENTRY_LEN_MIN {
            return Err(Bad::Damaged("more entries than bytes"));
        }
        Ok(Self {
            is_compact: flags & COMPACT != 0,
            file_id: id(24)?,
            tail_boot_id: id(56)?,
            seqnum_id: id(72)?,
            size,
            field_table_offset: number(120)?,
            field_table_size: number(128)?,
            n_entries,
            tail_seqnum: number(160)?,
            head_seqnum: number(168)?,
            entry_array: number(176)?,
            tail_monotonic_us: number(200)?,
            n_fields: if size >= 224 { number(216)? } else { 0 },
        })
    }
}

/// A value of a field: its counter is why we are here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Data {
    pub(super) is_compressed: u8,
    /// Bytes of the payload as it is stored.
    pub(super) payload_len: u64,
    /// The value of the same field that came before it.
    pub(super) older: u64,
    pub(super) first_entry: u64,
    pub(super) entry_array: u64,
    pub(super) n_entries: u64,
}

/// One line of the log, without its items.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    pub(super) monotonic_us: u64,
    pub(super) boot_id: [u8; 16],
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

pub(super) fn id_at(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..)?.first_chunk().copied()
}
