//! One open journal file, read by `pread`: every offset is doubted, and reading is rationed.
//!
//! Never through a mapping: a bad block of the card would be a SIGBUS.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::layout::{
    ARRAY, ARRAY_LEN, Bad, DATA, DATA_LEN, Data, ENTRY, ENTRY_LEN, Entry, FIELD, FIELD_HEAD_AT,
    FIELD_LEN, HEADER_LEN, Header, id_at, u32_at, u64_at,
};
use crate::sys;

/// Reads of one file in one look. Busy honest files take some hundred; a loop ends here.
const READS_PER_LOOK: u32 = 10_000;

/// Largest offset that the kernel takes.
const OFFSET_MAX: u64 = u64::MAX >> 1;

/// Items of an entry that are looked at. Usual are 20 to 30.
pub(super) const ITEMS_MAX: usize = 96;

/// Longest payload that is read at once.
pub(super) const PAYLOAD_LEN_MAX: usize = 544;

/// Bytes that are read at once where what is wanted lies together.
pub(super) const WINDOW_LEN: usize = 4096;

/// A journal file.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    is_compact: bool,
    header_size: u64,
    reads_left: u32,
    /// A part of the file as it was in this look, and where it begins.
    window: [u8; WINDOW_LEN],
    window_at: u64,
    window_len: usize,
}

/// Which file on which disk.
pub(super) type Inode = (u64, u64);

impl JournalFile {
    /// Opens a file, and reads its header.
    pub(super) fn open(path: &Path) -> Result<(Self, Inode, Header), Bad> {
        let mut options = File::options();
        let file = options.read(true).custom_flags(sys::O_NONBLOCK).open(path);
        let file = file.map_err(|error| bad(&error))?;
        let metadata = file.metadata().map_err(|error| bad(&error))?;
        if !metadata.is_file() {
            return Err(Bad::NoJournal);
        }
        let mut opened = Self {
            file,
            is_compact: false,
            header_size: 0,
            reads_left: READS_PER_LOOK,
            window: [0; WINDOW_LEN],
            window_at: 0,
            window_len: 0,
        };
        let header = opened.header()?;
        opened.is_compact = header.is_compact;
        opened.header_size = header.size;
        Ok((opened, (metadata.dev(), metadata.ino()), header))
    }

    /// A new look, a new ration.
    pub(super) fn begin(&mut self) {
        self.reads_left = READS_PER_LOOK;
        self.window_len = 0;
    }

    /// Reads a part of the file at once: objects and numbers that lie wholly in it are taken from there
    /// until the next look, or the next window. (Never what must be newer than something else.)
    pub(super) fn look_at(&mut self, at: u64) -> Result<(), Bad> {
        (self.window_at, self.window_len) = (at, 0);
        self.window_len = read(&self.file, &mut self.reads_left, at, &mut self.window)?;
        Ok(())
    }

    /// From here on everything is read anew.
    pub(super) fn leave_window(&mut self) {
        self.window_len = 0;
    }

    /// What the window holds from an offset on.
    fn windowed(&self, at: u64) -> Option<&[u8]> {
        let begin = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        self.window.get(..self.window_len)?.get(begin..)
    }

    pub(super) fn header(&mut self) -> Result<Header, Bad> {
        let mut bytes = [0; HEADER_LEN];
        let len = self.read(0, &mut bytes)?;
        Header::parse(bytes.get(..len).unwrap_or_default())
    }

    /// A number by itself.
    pub(super) fn number(&mut self, at: u64) -> Result<u64, Bad> {
        let mut bytes = [0; 8];
        self.read_exact(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The newest value of a field.
    pub(super) fn newest_of(&mut self, field: u64) -> Result<u64, Bad> {
        let at = field.checked_add(FIELD_HEAD_AT).ok_or(Bad::Damaged("an offset"))?;
        match self.windowed(at).and_then(<[u8]>::first_chunk) {
            Some(known) => Ok(u64::from_le_bytes(*known)),
            None => self.number(at),
        }
    }

    /// A value; as much of its payload as there is room for. Answers with the length of that.
    pub(super) fn data(&mut self, at: u64, payload: &mut [u8]) -> Result<(Data, usize), Bad> {
        let begin = if self.is_compact { DATA_LEN + 8 } else { DATA_LEN };
        let mut bytes = [0; DATA_LEN + 8 + PAYLOAD_LEN_MAX];
        let wanted = begin.saturating_add(payload.len()).min(bytes.len());
        let len = self.object(at, DATA, bytes.get_mut(..wanted).unwrap_or_default())?;
        let size = u64_at(&bytes, 8).unwrap_or(0);
        let payload_len = size.checked_sub(u64_of(begin)).ok_or(Bad::Damaged("a value"))?;
        let stored = bytes.get(begin..len).ok_or(Bad::Truncated)?;
        let told = usize::try_from(payload_len).unwrap_or(usize::MAX);
        let told = told.min(payload.len()).min(PAYLOAD_LEN_MAX);
        let stored = stored.get(..told).ok_or(Bad::Truncated)?;
        for (place, byte) in payload.iter_mut().zip(stored) {
            *place = *byte;
        }
        let number = |at| u64_at(&bytes, at).unwrap_or(0);
        let data = Data {
            is_compressed: bytes.get(1).map_or(0, |flags| flags & 7),
            payload_len,
            older: number(32),
            first_entry: number(40),
            entry_array: number(48),
            n_entries: number(56),
        };
        Ok((data, told))
    }

    /// As much of the payload of a value as there is room for; answers with how much that is.
    pub(super) fn payload(&mut self, at: u64, data: &Data, room: &mut [u8]) -> Result<usize, Bad> {
        let begin = u64_of(if self.is_compact { DATA_LEN + 8 } else { DATA_LEN });
        let len = usize::try_from(data.payload_len).unwrap_or(usize::MAX).min(room.len());
        let room = room.get_mut(..len).unwrap_or_default();
        self.read_exact(at.checked_add(begin).ok_or(Bad::Damaged("an offset"))?, room)?;
        Ok(len)
    }

    /// The name of a field; answers with the next field of its bucket, and the length of the name.
    pub(super) fn field(&mut self, at: u64, name: &mut [u8; 24]) -> Result<(u64, usize), Bad> {
        let mut bytes = [0; FIELD_LEN + 24];
        let len = self.object(at, FIELD, &mut bytes)?;
        let size = u64_at(&bytes, 8).unwrap_or(0);
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(len);
        let stored = bytes.get(FIELD_LEN..size).ok_or(Bad::Damaged("a field"))?;
        for (place, byte) in name.iter_mut().zip(stored) {
            *place = *byte;
        }
        Ok((u64_at(&bytes, 24).unwrap_or(0), stored.len()))
    }

    /// An entry; the offsets of its values go to `items`. Answers with how many they are.
    pub(super) fn entry(
        &mut self,
        at: u64,
        items: &mut [u64; ITEMS_MAX],
    ) -> Result<(Entry, usize), Bad> {
        let mut bytes = [0; ENTRY_LEN + 16 * ITEMS_MAX];
        let len = self.object(at, ENTRY, &mut bytes)?;
        let size = usize::try_from(u64_at(&bytes, 8).unwrap_or(0)).unwrap_or(usize::MAX);
        let stored = bytes.get(ENTRY_LEN..size.min(len)).ok_or(Bad::Damaged("an entry"))?;
        let mut count = 0;
        let item_len = if self.is_compact { 4 } else { 16 };
        for (place, item) in items.iter_mut().zip(stored.chunks_exact(item_len)) {
            let short = || u32_at(item, 0).map(u64::from);
            *place = if self.is_compact { short() } else { u64_at(item, 0) }.unwrap_or(0);
            count += 1;
        }
        let entry = Entry {
            monotonic_us: u64_at(&bytes, 32).unwrap_or(0),
            boot_id: id_at(&bytes, 40).unwrap_or_default(),
        };
        Ok((entry, count))
    }

    /// An array of entries: the next one, and how many items it has room for.
    pub(super) fn array(&mut self, at: u64) -> Result<(u64, u64), Bad> {
        let mut bytes = [0; ARRAY_LEN];
        self.object(at, ARRAY, &mut bytes)?;
        let size = u64_at(&bytes, 8).unwrap_or(0);
        let room = size.checked_sub(u64_of(ARRAY_LEN)).ok_or(Bad::Damaged("an array"))?;
        let item_len = if self.is_compact { 4 } else { 8 };
        Ok((u64_at(&bytes, 16).unwrap_or(0), room / item_len))
    }

    /// Items of an array of entries, from one on. The caller keeps within its room.
    pub(super) fn array_items(&mut self, at: u64, from: u64, items: &mut [u64]) -> Result<(), Bad> {
        let item_len = if self.is_compact { 4 } else { 8 };
        let mut begin = from
            .checked_mul(item_len)
            .and_then(|skipped| at.checked_add(u64_of(ARRAY_LEN))?.checked_add(skipped))
            .ok_or(Bad::Damaged("an array"))?;
        let mut bytes = [0; 8 * 64];
        let item_len = usize::try_from(item_len).unwrap_or(8);
        for part in items.chunks_mut(64) {
            let place = bytes.get_mut(..part.len() * item_len).unwrap_or_default();
            self.read_exact(begin, place)?;
            begin = begin.saturating_add(u64_of(place.len()));
            for (item, stored) in part.iter_mut().zip(place.chunks_exact(item_len)) {
                let short = || u32_at(stored, 0).map(u64::from);
                *item = if self.is_compact { short() } else { u64_at(stored, 0) }.unwrap_or(0);
            }
        }
        Ok(())
    }

    /// The head of an object of a kind, and what comes behind it.
    fn object(&mut self, at: u64, kind: u8, bytes: &mut [u8]) -> Result<usize, Bad> {
        if at < self.header_size || !at.is_multiple_of(8) {
            return Err(Bad::Damaged("an offset"));
        }
        let len = match self.object_in_window(at, bytes) {
            Some(len) => len,
            None => self.read(at, bytes)?,
        };
        if len < ARRAY_LEN {
            return Err(Bad::Truncated);
        }
        if bytes.first() != Some(&kind) {
            return Err(Bad::Damaged("an object of another kind"));
        }
        Ok(len)
    }

    /// An object that lies wholly in the window, or as much of it as is wanted.
    fn object_in_window(&self, at: u64, bytes: &mut [u8]) -> Option<usize> {
        let known = self.windowed(at)?;
        let size = usize::try_from(u64_at(known, 8)?).ok()?;
        let known = known.get(..size.min(bytes.len()))?;
        bytes.get_mut(..known.len())?.copy_from_slice(known);
        Some(known.len())
    }

    pub(super) fn read_exact(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Bad> {
        if self.read(at, bytes)? == bytes.len() { Ok(()) } else { Err(Bad::Truncated) }
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<usize, Bad> {
        read(&self.file, &mut self.reads_left, at, bytes)
    }
}

/// Reads until the place is full or the file ends.
fn read(file: &File, reads_left: &mut u32, at: u64, bytes: &mut [u8]) -> Result<usize, Bad> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        *reads_left = reads_left.checked_sub(1).ok_or(Bad::Endless)?;
        // Offsets beyond what a file can have.
        let begin = at.checked_add(u64_of(filled)).filter(|&begin| begin <= OFFSET_MAX);
        let begin = begin.ok_or(Bad::Damaged("an offset"))?;
        match file.read_at(rest, begin) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(bad(&error)),
        }
    }
    Ok(filled)
}

pub(super) fn bad(error: &io::Error) -> Bad {
    Bad::Io(error.raw_os_error().unwrap_or(libc::EIO))
}

pub(super) fn u64_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
