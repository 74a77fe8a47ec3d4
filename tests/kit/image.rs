//! What a medium holds, slot by slot: cheap to copy, and every copy knows its hash.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flightrec_reader::recording::Medium;

use crate::noise::Noise;

/// Bytes of a slot (spec section 1).
pub const SLOT: usize = 4096;

/// Bytes of a sector: the smallest thing that a medium writes.
pub const SECTOR: usize = 512;

#[derive(Debug)]
struct Slot {
    bytes: Box<[u8]>,
    hash: u64,
}

impl Slot {
    fn new(bytes: &[u8]) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Arc::new(Self { bytes: bytes.into(), hash: hasher.finish() })
    }
}

/// Some slots in a row and what stands in them: ready to be laid onto an image.
#[derive(Clone, Debug)]
pub struct Patch {
    first: usize,
    slots: Vec<Arc<Slot>>,
}

impl Patch {
    /// Whole slots from `first` on.
    #[must_use]
    pub fn new(first: usize, bytes: &[u8]) -> Self {
        Self { first, slots: bytes.chunks_exact(SLOT).map(Slot::new).collect() }
    }

    /// Where it lies.
    #[must_use]
    pub fn slots(&self) -> Range<usize> {
        self.first..self.first + self.slots.len()
    }

    /// The bytes of its slots.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.slots.iter().map(|slot| &*slot.bytes)
    }

    /// Whether an image holds it, whole.
    #[must_use]
    pub fn stands_in(&self, image: &Image) -> bool {
        let own = self.slots.iter().zip(&image.slots[self.slots()]);
        own.into_iter().all(|(own, there)| own.hash == there.hash && own.bytes == there.bytes)
    }
}

/// A medium's contents.
#[derive(Clone, Debug)]
pub struct Image {
    slots: Vec<Arc<Slot>>,
    hash: u64,
}

impl Image {
    /// A medium that holds `bytes`, whole slots.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let blank = Slot::new(&[0; SLOT]);
        let slot = |part: &[u8]| {
            if part.iter().all(|byte| *byte == 0) { blank.clone() } else { Slot::new(part) }
        };
        let slots: Vec<_> = bytes.chunks_exact(SLOT).map(slot).collect();
        let hash = slots.iter().enumerate().fold(0, |sum, (at, slot)| sum ^ share(at, slot));
        Self { slots, hash }
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.slots.iter().flat_map(|slot| &slot.bytes).copied().collect()
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Equal images have equal hashes.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The bytes of a slot.
    #[must_use]
    pub fn slot(&self, at: usize) -> &[u8] {
        &self.slots[at].bytes
    }

    /// Writes one slot.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.replace(at, Slot::new(bytes));
    }

    /// Writes whole slots.
    pub fn lay(&mut self, patch: &Patch) {
        for (at, slot) in patch.slots().zip(&patch.slots) {
            self.replace(at, slot.clone());
        }
    }

    /// What stands in some slots.
    #[must_use]
    pub fn lift(&self, slots: Range<usize>) -> Patch {
        Patch { first: slots.start, slots: self.slots[slots].to_vec() }
    }

    /// Nothing in a slot means anything any more.
    pub fn garble(&mut self, at: usize, noise: &mut Noise) {
        let mut bytes = [0; SLOT];
        noise.fill(&mut bytes);
        self.put(at, &bytes);
    }

    fn replace(&mut self, at: usize, slot: Arc<Slot>) {
        self.hash ^= share(at, &self.slots[at]) ^ share(at, &slot);
        self.slots[at] = slot;
    }
}

/// What a slot adds to the hash of its image.
fn share(at: usize, slot: &Slot) -> u64 {
    let at = u64::try_from(at).expect("a small medium");
    Noise(slot.hash ^ at.wrapping_mul(0xd6e8_feb8_6659_fd93)).draw()
}

/// An image as the reader meets it: some slots may be unreadable, and what is read is counted.
#[derive(Debug)]
pub struct Card {
    image: Image,
    unreadable: Range<usize>,
    read_bytes: Arc<AtomicU64>,
}

impl Card {
    /// Puts an image before the reader; returns how many bytes it will have read.
    #[must_use]
    pub fn new(image: Image, unreadable: Range<usize>) -> (Self, Arc<AtomicU64>) {
        let read_bytes = Arc::new(AtomicU64::new(0));
        (Self { image, unreadable, read_bytes: read_bytes.clone() }, read_bytes)
    }
}

impl Medium for Card {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let len = u64::try_from(buffer.len()).expect("a small buffer");
        self.read_bytes.fetch_add(len, Ordering::Relaxed);
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let mut done = 0;
        while done < buffer.len() {
            let (slot, within) = ((start + done) / SLOT, (start + done) % SLOT);
            if self.unreadable.contains(&slot) {
                return Err(io::Error::from_raw_os_error(5));
            }
            let Some(source) = self.image.slots.get(slot) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let count = (SLOT - within).min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&source.bytes[within..within + count]);
            done += count;
        }
        Ok(())
    }

    fn file(&self) -> Option<&File> {
        None
    }
}
