//! A recording put together again: each frame at the place that it was written for.
//!
//! Of several frames for one place the one with the greatest seq has it. Whole frames that lost
//! theirs (a file system may keep copies of what was overwritten) stand beside the recording.
//! Frames that were cut in two are joined. Nothing is copied: the recording is a map into the image,
//! read when somebody asks.

use std::cmp::Reverse;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;

use flightrec_format::frame::{HEADER_SIZE, Header};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::superblock::{Geometry, Superblock};

use crate::carve::find::{Finding, Found};
use crate::carve::rejoin::{Joint, Logical, Pieces};
use crate::medium::Medium;
use crate::outcome::Trouble;
use crate::progress::nobody;
use crate::recording::{Recording, SLOT_SIZE_U64, offset_of};

/// A superblock that tells more than so many times the image is not believed: hostile sizes would
/// cost time for nothing.
const SIZE_FACTOR_MAX: u64 = 4;
/// Payloads are checked up to so many times the image: frames that claim each other's bytes would
/// cost time without end.
const LOOKS_FACTOR_MAX: u64 = 4;
/// Copies of one frame that are tried until one is whole.
const TRIES_MAX: usize = 8;

/// Slots in a row, and where their bytes are.
#[derive(Clone, Copy, Debug)]
struct Extent {
    slot: u64,
    count: u64,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// An offset in the image.
    Image(u64),
    /// One slot: so many bytes from one offset in the image, the others from another.
    Halves { cut: u16, first: u64, second: u64 },
    /// A copy of the superblock, made anew.
    Superblock(u16),
}

/// The recording as a medium.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    image: Rc<dyn Medium>,
    image_len: u64,
    /// The one that its frames agree with best.
    pub superblock: Option<Superblock>,
    extents: Vec<Extent>,
    /// Slots of the recording; without a superblock, of all frames.
    pub own_slots: u64,
    /// With those beside it.
    pub slots: u64,
    /// Frames that have a place.
    pub placed: u64,
    /// Whole frames beside it.
    pub beside: u64,
    /// Frames whose place cannot be, and broken ones that lost theirs.
    pub dropped: u64,
    /// Frames that were cut in two, and are whole again.
    pub joined: u64,
}

/// A frame, and what its payload turned out to be.
#[derive(Clone, Copy, Debug)]
struct Known {
    found: Found,
    whole: bool,
    joint: Option<Joint>,
}

impl Rebuilt {
    /// Puts the frames of a finding in their places; `tell` hears how many slots were looked at.
    pub fn of(
        image: Rc<dyn Medium>,
        image_len: u64,
        finding: &Finding,
        tell: impl FnMut(u64),
    ) -> Self {
        let mut rebuilt = Self {
            image,
            image_len,
            superblock: choose(finding, image_len),
            extents: Vec::new(),
            own_slots: 0,
            slots: 0,
            placed: 0,
            beside: 0,
            dropped: 0,
            joined: 0,
        };
        let frames = rebuilt.distinct(&finding.frames, tell);
        rebuilt.joined =
            u64::try_from(frames.iter().filter(|known| known.joint.is_some()).count()).unwrap_or(0);
        if let Some(superblock) = rebuilt.superblock {
            rebuilt.place(&superblock.geometry, &frames);
        } else {
            // B2: no place is checked, so one behind the other will do.
            for known in &frames {
                rebuilt.put(rebuilt.slots, u64::from(known.found.slots), known);
                rebuilt.slots += u64::from(known.found.slots);
            }
            rebuilt.own_slots = rebuilt.slots;
            rebuilt.placed = u64::try_from(frames.len()).unwrap_or(0);
        }
        rebuilt.extents.sort_unstable_by_key(|extent| extent.slot);
        rebuilt
    }

    /// As a recording, for the reader's ordinary way.
    pub fn recording(&self, path: &Path) -> Result<Recording, Trouble> {
        let mut recording =
            Recording::on(Box::new(self.clone()), offset_of(self.slots), path, &mut nobody)?;
        recording.read_beside();
        Ok(recording)
    }

    /// Slots of the recording that something stands in, front to back, each run as first and count.
    pub fn used(&self) -> impl Iterator<Item = (u64, u64)> {
        let own = self.extents.iter().filter(|extent| extent.slot < self.own_slots);
        own.map(|extent| (extent.slot, extent.count))
    }

    /// Each frame once: of copies the first whole one, or the first that can be made whole.
    fn distinct(&self, frames: &[Found], mut tell: impl FnMut(u64)) -> Vec<Known> {
        let logical = |found: &Found| self.logical(found);
        let known = frames.iter().filter_map(|found| Some((found.offset, logical(found)?)));
        let mut pieces = Pieces::of(known);
        let mut frames = frames.to_vec();
        frames.sort_unstable_by_key(|found| (found.place, found.crc, found.marked, found.offset));
        let same = |a: &Found, b: &Found| (a.place, a.crc, a.marked) == (b.place, b.crc, b.marked);
        let mut slots = 0;
        let mut looked = 0_u64;
        let mut is_whole = |found: &Found| {
            looked = looked.saturating_add(offset_of(u64::from(found.slots)));
            looked <= self.image_len.saturating_mul(LOOKS_FACTOR_MAX) && self.is_whole(found)
        };
        let copies = frames.chunk_by(same);
        copies
            .filter_map(|copies| {
                slots += copies.iter().map(|found| u64::from(found.slots)).sum::<u64>();
                tell(slots);
                let tried = || copies.iter().take(TRIES_MAX);
                if let Some(&found) = tried().find(|found| is_whole(found)) {
                    return Some(Known { found, whole: true, joint: None });
                }
                let read = |buffer: &mut [u8], at| self.read_image(buffer, at).is_ok();
                let joined = tried().find_map(|&found| {
                    let joint = pieces.rejoin(&found, logical(&found), read)?;
                    Some(Known { found, whole: true, joint: Some(joint) })
                });
                let first = copies.first();
                joined.or(first.map(|&found| Known { found, whole: false, joint: None }))
            })
            .collect()
    }

    /// Where a frame lies in its recording; without a superblock, in its area.
    fn logical(&self, found: &Found) -> Option<Logical> {
        match self.superblock {
            Some(superblock) => Some((0, place_of(&superblock.geometry, found)?)),
            None if found.marked => None,
            None => Some((found.place.0.number(), u64::from(found.slot))),
        }
    }

    fn place(&mut self, geometry: &Geometry, frames: &[Known]) {
        self.own_slots = geometry.size / SLOT_SIZE_U64;
        self.slots = self.own_slots;
        let mut taken = Taken::new(self.own_slots);
        let mut frames = frames.to_vec();
        frames.sort_by_key(|known| Reverse(known.found.place.1));
        for known in &frames {
            let Some(first) = place_of(geometry, &known.found) else {
                self.dropped += 1;
                continue;
            };
            let count = u64::from(known.found.slots);
            let free = (first..first + count).take_while(|slot| !taken.has(*slot)).count();
            let free = u64::try_from(free).unwrap_or(0);
            if free < count && known.whole {
                self.put(self.slots, count, known);
                self.slots += count;
                self.beside += 1;
            } else if free > 0 {
                // The end of a frame of an earlier lap is lawfully gone; its header tells of it.
                self.put(first, free, known);
                (first..first + free).for_each(|slot| taken.take(slot));
                self.placed += 1;
            } else {
                self.dropped += 1;
            }
        }
        for (copy, slot) in (0..).zip(geometry.superblock_slots()) {
            if !taken.has(slot) {
                taken.take(slot);
                self.extents.push(Extent { slot, count: 1, source: Source::Superblock(copy) });
            }
        }
    }

    /// The first `count` slots of a frame; of a joined one all.
    fn put(&mut self, slot: u64, count: u64, known: &Known) {
        let offset = known.found.offset;
        let Some(joint) = known.joint else {
            self.extents.push(Extent { slot, count, source: Source::Image(offset) });
            return;
        };
        let before = u64::try_from(joint.cut / SLOT_SIZE).unwrap_or(0);
        let cut = u16::try_from(joint.cut % SLOT_SIZE).unwrap_or(0);
        let halved = u64::from(cut > 0);
        let behind = joint.rest.wrapping_sub(u64::from(cut)).wrapping_add(offset_of(halved));
        let halves = Source::Halves { cut, first: offset + offset_of(before), second: joint.rest };
        let parts = [
            (slot, before, Source::Image(offset)),
            (slot + before, halved, halves),
            (slot + before + halved, count.saturating_sub(before + halved), Source::Image(behind)),
        ];
        let parts = parts.into_iter().filter(|(_, count, _)| *count > 0);
        self.extents.extend(parts.map(|(slot, count, source)| Extent { slot, count, source }));
    }

    /// Whether header and payload stand in the image, one behind the other.
    fn is_whole(&self, found: &Found) -> bool {
        let mut bytes = vec![0; usize::from(found.slots) * SLOT_SIZE];
        if self.read_image(&mut bytes, found.offset).is_err() {
            return false;
        }
        let header = Header::read(&bytes);
        header.is_ok_and(|header| {
            usize::try_from(header.payload_len).is_ok_and(|len| HEADER_SIZE + len <= bytes.len())
                && header.payload(&bytes).is_some()
        })
    }

    /// What lies behind the end of the image is zero: a frame that it cuts is torn, not unreadable.
    fn read_image(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let there = self.image_len.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(buffer.len());
        let (head, rest) = buffer.split_at_mut(there);
        rest.fill(0);
        self.image.read_exact_at(head, offset)
    }
}

impl Medium for Rebuilt {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut at = offset;
        let mut rest = buffer;
        let mut next = self.extents.partition_point(|extent| {
            offset_of(extent.slot.saturating_add(extent.count)) <= offset
        });
        if at.saturating_add(u64::try_from(rest.len()).unwrap_or(u64::MAX)) > offset_of(self.slots)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !rest.is_empty() {
            let extent = self.extents.get(next);
            let begin = extent.map_or(u64::MAX, |extent| offset_of(extent.slot));
            // Up to the next border: nothing there, or an extent.
            let inside = at >= begin;
            let border = match extent {
                Some(extent) if inside => offset_of(extent.slot.saturating_add(extent.count)),
                _ => begin,
            };
            let count = usize::try_from(border - at).unwrap_or(usize::MAX).min(rest.len());
            let (part, behind) = rest.split_at_mut(count);
            match extent.filter(|_| inside).map(|extent| extent.source) {
                None => part.fill(0),
                Some(Source::Image(from)) => {
                    self.read_image(part, from.saturating_add(at - begin))?;
                }
                Some(Source::Halves { cut, first, second }) => {
                    let skip = at - begin;
                    let before = usize::from(cut);
                    let before = before.saturating_sub(usize::try_from(skip).unwrap_or(before));
                    let (one, other) = part.split_at_mut(before.min(count));
                    self.read_image(one, first.saturating_add(skip))?;
                    let skip = skip.saturating_sub(u64::from(cut));
                    self.read_image(other, second.saturating_add(skip))?;
                }
                Some(Source::Superblock(copy)) => {
                    let slot = self.superblock.map(|superblock| superblock.slot(copy));
                    let skip = usize::try_from(at - begin).unwrap_or(usize::MAX);
                    let bytes = slot.iter().flatten().skip(skip);
                    part.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
                }
            }
            at = at.saturating_add(u64::try_from(count).unwrap_or(0));
            rest = behind;
            next += usize::from(inside && at >= border);
        }
        Ok(())
    }

    fn file(&self) -> Option<&File> {
        None
    }
}

/// Which slots are taken, one bit each.
struct Taken(Vec<u64>);

impl Taken {
    fn new(slots: u64) -> Self {
        Self(vec![0; usize::try_from(slots / 64 + 1).unwrap_or(0)])
    }

    fn has(&self, slot: u64) -> bool {
        let word = usize::try_from(slot / 64).ok().and_then(|word| self.0.get(word));
        word.is_none_or(|word| word & (1 << (slot % 64)) != 0)
    }

    fn take(&mut self, slot: u64) {
        if let Some(word) = usize::try_from(slot / 64).ok().and_then(|word| self.0.get_mut(word)) {
            *word |= 1 << (slot % 64);
        }
    }
}

/// The slot of the recording where a frame belongs, if there is one (P1 - P4).
fn place_of(geometry: &Geometry, found: &Found) -> Option<u64> {
    let (area, seq) = found.place;
    let (start, count) = geometry.area(area);
    let slot = geometry.slot_of(area, seq);
    let fits = seq > 0
        && (found.marked || found.slot == slot)
        && u64::from(slot) + u64::from(found.slots) <= u64::from(count);
    fits.then_some(u64::from(start) + u64::from(slot))
}

/// The superblock whose geometry most frames agree with; of equal ones that of no snapshot, for the
/// recording holds more, then the smallest copy.
fn choose(finding: &Finding, image_len: u64) -> Option<Superblock> {
    let size_max = image_len.saturating_mul(SIZE_FACTOR_MAX);
    let believed = finding.superblocks.iter().filter(|(_, own)| own.geometry.size <= size_max);
    let agrees = |own: &Superblock| {
        finding.frames.iter().filter(|found| place_of(&own.geometry, found).is_some()).count()
    };
    believed
        .max_by_key(|(copy, own)| (agrees(own), Reverse((own.compatible_flags, *copy))))
        .map(|(_, own)| *own)
}
