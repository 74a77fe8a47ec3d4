//! What a recording owes its owner: which samples must be found, which may, and what each was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flightrec_format::frame::Header;
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_format::superblock::Geometry;

use crate::image::{Image, Patch, SLOT};
use crate::kernel::Made;
use crate::observed::Observed;
use crate::trace::{Op, Trace};
use crate::world::Tale;

/// Run and tick of a sample.
pub type Key = (u64, u64);

/// A whole frame that holds samples, as it was given to the disk.
#[derive(Clone, Debug)]
struct Filed {
    patch: Patch,
    run: u64,
    ticks: std::ops::RangeInclusive<u64>,
}

/// Slots of the history that a writer may skip at once (W5, P3).
const LEAP_SLOTS: u64 = 48;

/// What is owed at a moment.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// How the recording is divided.
    pub geometry: Geometry,
    /// Every run so far, oldest first, the one under way included.
    pub tales: Vec<Arc<Tale>>,
    /// Samples that must be found, and where the history stood when each became durable.
    pub due: BTreeMap<Key, u64>,
    /// Where the history stands: behind the last slot that was ever given to it.
    pub history_end: u64,
    /// Whether an earlier cut has cost something, which the reader goes on to name.
    pub scarred: bool,
    /// Whether a run began while some slots could not be read: it could not count on from there.
    pub blind: bool,
    filed: Vec<Filed>,
}

impl Ledger {
    /// Of a recording that was just made.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            tales: Vec::new(),
            due: BTreeMap::new(),
            history_end: 0,
            scarred: false,
            blind: false,
            filed: Vec::new(),
        }
    }

    /// The ledger of what a run began on: what was readable there must stay so. `lost`: whether
    /// anything is gone that was durable.
    #[must_use]
    pub fn after(&self, image: &Image, observed: &Observed, lost: bool) -> Self {
        let mut filed = Vec::new();
        let mut history_end = 0;
        for slot in 0..image.len() {
            let Some((end, frame)) = file(&self.geometry, slot, &whole_frame(image, slot)) else {
                continue;
            };
            history_end = history_end.max(end);
            filed.extend(frame);
        }
        let due = observed.keys().map(|key| {
            let known = self.due.get(&key).copied();
            (key, known.unwrap_or(history_end).min(history_end))
        });
        Self {
            geometry: self.geometry,
            tales: self.tales.clone(),
            due: due.collect(),
            history_end,
            scarred: self.scarred || lost,
            blind: self.blind,
            filed,
        }
    }

    /// The ledger when `ops` of a run's trace had been done.
    #[must_use]
    pub fn at(&self, tale: &Arc<Tale>, trace: &Trace, ops: usize) -> Self {
        let mut ledger = self.clone();
        let mut acks = tale.acks.iter().peekable();
        for (number, op) in trace.ops.iter().enumerate().take(ops) {
            if let Op::Write(write) = op {
                let bytes: Vec<u8> = write.patch.parts().flatten().copied().collect();
                if let Some((end, frame)) = file(&self.geometry, write.patch.slots().start, &bytes)
                {
                    // A writer that leaps further than any rule lets it has no excuse by it.
                    let slots = u64::try_from(bytes.len() / SLOT).expect("a short write");
                    let most = ledger.history_end + slots + LEAP_SLOTS;
                    if end <= most || ledger.history_end == 0 {
                        ledger.history_end = ledger.history_end.max(end);
                    }
                    ledger.filed.extend(frame);
                }
            }
            while let Some(ack) = acks.next_if(|ack| ack.ops <= number + 1) {
                ledger.due.insert((tale.run.number, ack.tick), ledger.history_end);
            }
        }
        ledger.tales.push(tale.clone());
        ledger
    }

    /// Whether a sample may have been overwritten: the history has come round to within a flash
    /// page of where the sample was sealed at the earliest.
    #[must_use]
    pub fn is_lapped(&self, position: u64) -> bool {
        self.history_end + 16 > position + u64::from(self.geometry.history_slots)
    }

    /// Keys that must be found because a frame that holds them stands there whole.
    #[must_use]
    pub fn in_whole_frames(
        &self,
        image: &Image,
        unreadable: &std::ops::Range<usize>,
    ) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        for frame in &self.filed {
            let slots = frame.patch.slots();
            let readable = slots.end <= unreadable.start || unreadable.end <= slots.start;
            if readable && frame.patch.stands_in(image) {
                let range = (frame.run, *frame.ticks.start())..=(frame.run, *frame.ticks.end());
                keys.extend(self.due.range(range).map(|(key, _)| *key));
            }
        }
        keys
    }

    /// A sample as it was made, and the place of its run among all.
    #[must_use]
    pub fn made(&self, (run, tick): Key) -> Option<(usize, &Made)> {
        let at = self.tales.iter().position(|tale| tale.run.number == run)?;
        let made = &self.tales[at].made;
        let found = made.binary_search_by_key(&tick, |made| made.tick).ok()?;
        Some((at, &made[found]))
    }

    /// The run with this number.
    #[must_use]
    pub fn tale(&self, run: u64) -> Option<&Arc<Tale>> {
        self.tales.iter().find(|tale| tale.run.number == run)
    }
}

/// The bytes of the frame that begins in a slot, as many as its header asks for.
fn whole_frame(image: &Image, slot: usize) -> Vec<u8> {
    let slots = Header::read(image.slot(slot)).map_or(1, |header| usize::from(header.slots));
    (slot..image.len().min(slot + slots)).flat_map(|slot| image.slot(slot)).copied().collect()
}

/// Where a frame ends in the history, if it lies there, and the frame if it is whole.
fn file(geometry: &Geometry, slot: usize, bytes: &[u8]) -> Option<(u64, Option<Filed>)> {
    let header = Header::read(bytes).ok()?;
    let (area, index) = geometry.locate(u64::try_from(slot).ok()?)?;
    let mark = Mark::read(bytes).filter(|_| header.area == Area::Tail);
    // Half a salvage copy may be a whole frame, but without its mark it is in no place (9.1).
    let placed = match mark {
        Some(mark) => mark.area == area && geometry.slot_of(area, mark.seq) == index,
        None => header.area == area && geometry.slot_of(area, header.seq) == index,
    };
    if !placed {
        return None;
    }
    let end = match (area, mark) {
        (Area::History, Some(mark)) => mark.seq + 1,
        (Area::History, None) => header.seq + u64::from(header.slots),
        _ => 0,
    };
    let whole = placed
        && header.payload(bytes).is_some()
        && bytes.len() == usize::from(header.slots) * SLOT;
    let frame = (whole && header.area != Area::Archive).then(|| Filed {
        patch: Patch::new(slot, bytes),
        run: u64::from_le_bytes(header.run_id),
        ticks: header.first_tick..=header.last_tick,
    });
    Some((end, frame))
}
