//! The sweep: every frame and superblock in an image, wherever a file system put them.
//!
//! Each sector is asked for four bytes of magic, and believed once the header's checksum holds.
//! Headers are kept and bytes are not, so memory is bounded by the count of frames.

use std::collections::{HashMap, HashSet};

use flightrec_format::frame::{self, Header, NotAFrame};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_format::superblock::{self, NotASuperblock, Superblock};

use crate::medium::Medium;

/// Frames that are kept, 56 bytes each: those of 8 GiB of recordings.
pub const FRAMES_MAX: usize = 1 << 21;
/// Recordings that are told apart; an image full of strangers must not cost time.
pub const RECORDINGS_MAX: usize = 1000;
/// Different superblocks of one recording among which its frames choose.
const SUPERBLOCKS_MAX: usize = 8;
/// No file system cuts files finer.
pub const SECTOR_SIZE: usize = 512;
/// Large enough for a card, small enough for the processor's cache.
const BUFFER_SIZE: usize = 1 << 20;

/// A frame whose header holds.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Where it lies in the image.
    pub offset: u64,
    /// Area and seq of its place: those of its salvage mark, if it has one.
    pub place: (Area, u64),
    /// Whether a mark says so.
    pub marked: bool,
    /// Index of its first slot within its area, as its header says.
    pub slot: u32,
    /// Of its header: two frames with one are the same.
    pub crc: u32,
    /// Slots that it takes.
    pub slots: u16,
}

/// What was found of one recording.
#[derive(Debug, Default)]
pub struct Finding {
    /// Its name.
    pub id: [u8; 16],
    /// Numbers and contents of its superblocks.
    pub superblocks: Vec<(u16, Superblock)>,
    /// Its frames, copies included.
    pub frames: Vec<Found>,
    /// Its boots.
    pub boots: HashSet<[u8; 16]>,
    /// Real time of its first and last sample, ms; those of synchronised clocks if there are any.
    pub times_ms: Option<(i128, i128)>,
    /// Whether those times are of synchronised clocks.
    pub synced: bool,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Finds {
    /// By recording, in the order in which they were met.
    pub recordings: Vec<Finding>,
    /// Bytes that the medium refused.
    pub unreadable: u64,
    /// Something of a later version was met.
    pub newer: bool,
    /// Frames beyond the limits.
    pub left_out: u64,
    frames: usize,
    index: HashMap<[u8; 16], usize>,
}

impl Finds {
    /// Looks at every sector of `len` bytes, of a few at every byte; `tell` hears how far it is.
    pub fn sweep(medium: &dyn Medium, len: u64, mut tell: impl FnMut(u64)) -> Self {
        let mut finds = Self::default();
        let mut buffer = vec![0; BUFFER_SIZE];
        let mut offset = 0;
        let whole = usize::try_from(len).ok().and_then(|len| buffer.get_mut(..len));
        if let Some(whole) = whole
            && medium.read_exact_at(whole, 0).is_ok()
        {
            finds.look_everywhere(medium, whole);
            return finds;
        }
        while offset < len {
            let count = usize::try_from(len - offset).unwrap_or(usize::MAX).min(BUFFER_SIZE);
            let part = buffer.get_mut(..count).unwrap_or_default();
            if medium.read_exact_at(part, offset).is_ok() {
                finds.look(medium, part, offset);
            } else {
                // One bad sector fails the whole part: ask again, piece by piece.
                let mut at = offset;
                for piece in part.chunks_mut(SLOT_SIZE) {
                    let size = u64::try_from(piece.len()).unwrap_or(0);
                    if medium.read_exact_at(piece, at).is_ok() {
                        finds.look(medium, piece, at);
                    } else {
                        finds.unreadable += size;
                    }
                    at += size;
                }
            }
            offset += u64::try_from(count).unwrap_or(1);
            tell(offset);
        }
        finds
    }

    /// Looks at every byte of what is no image of a disk, but was kept elsewhere: frames may begin
    /// anywhere in a ring of the kernel's memory.
    fn look_everywhere(&mut self, medium: &dyn Medium, part: &[u8]) {
        for at in 0..part.len() {
            let rest = part.get(at..).unwrap_or_default();
            if rest.starts_with(&frame::MAGIC) {
                self.frame(medium, rest, 0, at);
            } else if rest.starts_with(&superblock::MAGIC) {
                self.superblock(rest);
            }
        }
    }

    fn look(&mut self, medium: &dyn Medium, part: &[u8], offset: u64) {
        let mut at: usize = 0;
        for sector in part.chunks_exact(SECTOR_SIZE) {
            if sector.starts_with(&frame::MAGIC) {
                self.frame(medium, part.get(at..).unwrap_or_default(), offset, at);
            } else if sector.starts_with(&superblock::MAGIC) {
                self.superblock(sector);
            }
            at += SECTOR_SIZE;
        }
    }

    fn frame(&mut self, medium: &dyn Medium, bytes: &[u8], offset: u64, at: usize) {
        let header = match Header::read(bytes) {
            Ok(header) => header,
            Err(NotAFrame::Newer { .. }) => {
                self.newer = true;
                return;
            }
            Err(_) => return,
        };
        let offset = offset.saturating_add(u64::try_from(at).unwrap_or(0));
        if self.frames >= FRAMES_MAX {
            self.left_out += 1;
            return;
        }
        let mark = if header.area == Area::Tail { mark(medium, bytes, offset) } else { None };
        let crc = bytes.get(4..8).and_then(|crc| crc.first_chunk()).copied();
        let found = Found {
            offset,
            place: mark.map_or((header.area, header.seq), |mark| (mark.area, mark.seq)),
            marked: mark.is_some(),
            slot: header.slot,
            crc: crc.map_or(0, u32::from_le_bytes),
            slots: header.slots,
        };
        let Some(finding) = self.finding(header.recording_id) else {
            self.left_out += 1;
            return;
        };
        finding.frames.push(found);
        finding.boots.insert(header.boot_id);
        finding.date(&header);
        self.frames += 1;
    }

    fn superblock(&mut self, sector: &[u8]) {
        match Superblock::read(sector) {
            Ok(superblock) => {
                let copy = sector.get(18..20).and_then(|bytes| bytes.first_chunk::<2>());
                let copy = copy.map_or(0, |copy| u16::from_le_bytes(*copy));
                let Some(finding) = self.finding(superblock.recording_id) else { return };
                let known = finding.superblocks.contains(&(copy, superblock));
                if !known && finding.superblocks.len() < SUPERBLOCKS_MAX {
                    finding.superblocks.push((copy, superblock));
                }
            }
            Err(NotASuperblock::Newer { .. }) => self.newer = true,
            Err(NotASuperblock::Absent | NotASuperblock::Damaged) => {}
        }
    }

    fn finding(&mut self, id: [u8; 16]) -> Option<&mut Finding> {
        let next = self.recordings.len();
        if next >= RECORDINGS_MAX && !self.index.contains_key(&id) {
            return None;
        }
        let index = *self.index.entry(id).or_insert(next);
        if index == next {
            self.recordings.push(Finding { id, ..Finding::default() });
        }
        self.recordings.get_mut(index)
    }
}

/// The salvage mark at the end of a slot, which the part that was read may not reach.
fn mark(medium: &dyn Medium, bytes: &[u8], offset: u64) -> Option<Mark> {
    if let Some(slot) = bytes.get(..SLOT_SIZE) {
        return Mark::read(slot);
    }
    let mut slot = [0; SLOT_SIZE];
    medium.read_exact_at(&mut slot, offset).ok()?;
    Mark::read(&slot)
}

impl Finding {
    /// Its id in hexadecimal digits.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = String::new();
        for byte in self.id {
            put!(&mut name, "{byte:02x}");
        }
        name
    }

    /// Its size, if a superblock that can be true tells it.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.superblocks.first().map(|(_, superblock)| superblock.geometry.size)
    }

    fn date(&mut self, header: &Header) {
        let at = |tick: u64| {
            let age_ns =
                i128::from(header.boottime_ns) - i128::from(tick) * i128::from(header.interval_ns);
            (i128::from(header.realtime_ns) - age_ns) / 1_000_000
        };
        let (first, last) = (at(header.first_tick), at(header.last_tick));
        if header.synced && !self.synced {
            self.synced = true;
            self.times_ms = None;
        }
        if header.synced == self.synced {
            let (from, to) = self.times_ms.unwrap_or((first, last));
            self.times_ms = Some((from.min(first), to.max(last)));
        }
    }
}
