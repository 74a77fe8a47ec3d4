//! What a power cut, and a bad card, can leave on a medium.
//!
//! Everything that was acknowledged lies in the moment's settled image. Writes that no sync has
//! covered are *open*, and the faults say what becomes of them, and of what lies around them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::image::{Image, Patch, SECTOR, SLOT};
use crate::noise::Noise;
use crate::sim_clock::SECOND_NS;
use crate::trace::Moment;

/// One way in which a medium goes wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// Open writes do not arrive.
    Dropped,
    /// Each 512-byte sector of the open writes is old, new or noise.
    Sectors,
    /// Open writes arrive in order, or in reverse, up to a unit of so many bytes, which is old or noise.
    Torn(usize),
    /// Open writes arrive whole or not at all, in any order.
    Reordered,
    /// Acknowledged writes of the last 700 ms are open again: any of them may be missing.
    Late,
    /// The so many most recently acknowledged writes become noise, wherever they lie.
    LastWrites(usize),
    /// Of the last three writes the middle one is old: new + old + new.
    RolledBack,
    /// The flash page of so many slots around a slot of an open write becomes noise.
    Page(usize),
    /// The erase unit of so many slots around a slot of an open write becomes noise.
    EraseUnit(usize),
    /// The so many most recently acknowledged writes never arrived: the medium kept the old.
    Stuck(usize),
    /// So many slots in a row cannot be read.
    Unreadable(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

/// Where logical slots lie in flash, and where its pages begin.
#[derive(Clone, Debug)]
pub struct Flash {
    /// Physical slot of each logical one.
    pub places: Vec<usize>,
}

impl Flash {
    /// In one piece, as a file that was allocated at once.
    #[must_use]
    pub fn straight(slots: usize) -> Self {
        Self { places: (0..slots).collect() }
    }

    /// The logical slots of the page of `size` slots around one, if pages begin `grid` slots
    /// before the medium does.
    fn page(&self, around: usize, size: usize, grid: usize) -> Vec<usize> {
        let page = |slot: usize| (self.places[slot] + grid) / size;
        let here = page(around);
        (0..self.places.len()).filter(|slot| page(*slot) == here).collect()
    }
}

/// What is left of a medium.
#[derive(Clone, Debug)]
pub struct Wreck {
    /// Its contents.
    pub image: Image,
    /// Slots that cannot be read.
    pub unreadable: Range<usize>,
}

/// Time for which a card lies about what it has.
const LATE_NS: u64 = SECOND_NS * 7 / 10;

/// Combinations of old, new and noise in the eight sectors of a slot.
const SLOT_STATES: u64 = 3_u64.pow(8);

/// Subsets of open writes are all tried up to so many; beyond, so many at random.
const SUBSETS_MAX: u64 = 1 << 10;

/// Positions of a large unit's border that are tried.
const GRIDS: usize = 16;

impl Fault {
    /// How many wrecks it can make of a moment.
    #[must_use]
    pub fn variants(self, moment: &Moment) -> u64 {
        let slots = count(open_slots(moment).count());
        let (open, recent) = (moment.open.len(), moment.recent.len());
        match self {
            Self::LastWrites(k) | Self::Stuck(k) if recent < k => 0,
            Self::Dropped | Self::Stuck(_) => 1,
            Self::Sectors if slots <= 1 => slots * SLOT_STATES,
            Self::Sectors => slots * 3 * SLOT_STATES,
            Self::Torn(_) if open == 0 => 0,
            Self::Torn(unit) => {
                let units = moment.open.iter().map(|write| units(&write.patch, unit));
                4 * (count(units.sum()) + 1)
            }
            Self::Reordered => subsets(open),
            Self::Late => match late(moment) {
                0 => 0,
                late => subsets(late + open),
            },
            Self::LastWrites(_) => 2,
            Self::RolledBack => u64::from(recent + open >= 3) + u64::from(open > 0 && recent >= 3),
            Self::Page(size) | Self::EraseUnit(size) => {
                count(slots_in_flight(moment).count()) * count(size.min(GRIDS)) * 2
            }
            Self::Unreadable(size) => count(moment.settled.len().div_ceil(size)),
        }
    }

    /// One of them.
    #[must_use]
    pub fn wreck(self, moment: &Moment, flash: &Flash, variant: u64) -> Wreck {
        let mut image = moment.settled.clone();
        let mut noise = Noise(variant.wrapping_mul(31) ^ moment.settled.hash());
        let mut unreadable = 0..0;
        let recent = &moment.recent;
        match self {
            Self::Dropped => {}
            Self::Sectors => sectors(moment, &mut image, &mut noise, variant),
            Self::Torn(unit) => torn(moment, &mut image, &mut noise, variant, unit),
            Self::Reordered => {
                let open: Vec<&Patch> = moment.open.iter().map(|write| &write.patch).collect();
                arrive(&open, &mut image, &mut noise, variant);
            }
            Self::Late => {
                let late = &recent[..late(moment)];
                for arrived in late {
                    image.lay(&arrived.under);
                }
                let open = moment.open.iter().map(|write| &write.patch);
                let all: Vec<&Patch> =
                    late.iter().rev().map(|arrived| &arrived.patch).chain(open).collect();
                arrive(&all, &mut image, &mut noise, variant);
            }
            Self::LastWrites(k) => {
                lay_open(moment, &mut image, variant == 1);
                for arrived in &recent[..k] {
                    arrived.patch.slots().for_each(|slot| image.garble(slot, &mut noise));
                }
            }
            Self::RolledBack => rolled_back(moment, &mut image, variant),
            Self::Page(size) | Self::EraseUnit(size) => {
                let grids = count(size.min(GRIDS));
                lay_open(moment, &mut image, variant % 2 == 1);
                let grid = index(variant / 2 % grids) * (size / size.min(GRIDS));
                let at = index(variant / 2 / grids);
                let slot = slots_in_flight(moment).nth(at).expect("a slot");
                let page = flash.page(slot, size, grid);
                for slot in page {
                    image.garble(slot, &mut noise);
                }
            }
            Self::Stuck(k) => recent[..k].iter().for_each(|arrived| image.lay(&arrived.under)),
            Self::Unreadable(size) => {
                let start = index(variant) * size;
                unreadable = start..(start + size).min(image.len());
            }
        }
        Wreck { image, unreadable }
    }
}

/// Each slot of the open writes: which write, and the slot of the medium.
fn open_slots(moment: &Moment) -> impl Iterator<Item = (usize, usize)> {
    let writes = moment.open.iter().enumerate();
    writes.flat_map(|(at, write)| write.patch.slots().map(move |slot| (at, slot)))
}

/// Slots that are being programmed at this moment.
fn slots_in_flight(moment: &Moment) -> impl Iterator<Item = usize> {
    moment.open.iter().skip(moment.failed).flat_map(|write| write.patch.slots())
}

fn lay_open(moment: &Moment, image: &mut Image, all: bool) {
    moment.open.iter().filter(|_| all).for_each(|write| image.lay(&write.patch));
}

/// Acknowledged so recently that the card may have lied.
fn late(moment: &Moment) -> usize {
    let late = |acked_ns: u64| acked_ns.saturating_add(LATE_NS) > moment.from_ns;
    moment.recent.iter().take_while(|arrived| late(arrived.acked_ns)).count()
}

fn subsets(count: usize) -> u64 {
    if count < 10 { 1 << count } else { SUBSETS_MAX }
}

/// Lays the writes of a subset, in order.
fn arrive(writes: &[&Patch], image: &mut Image, noise: &mut Noise, variant: u64) {
    for (at, patch) in writes.iter().enumerate() {
        let chosen = if writes.len() < 10 { variant >> at & 1 } else { noise.below(2) };
        if chosen == 1 {
            image.lay(patch);
        }
    }
}

/// Old, new or noise in each sector of one slot; all other open slots are one of them.
fn sectors(moment: &Moment, image: &mut Image, noise: &mut Noise, variant: u64) {
    let (mut states, others) = (variant % SLOT_STATES, variant / SLOT_STATES % 3);
    let chosen = open_slots(moment).nth(index(variant / SLOT_STATES / 3)).expect("a slot");
    let old = image.slot(chosen.1).to_vec();
    lay_open(moment, image, others == 1);
    if others == 2 {
        let slots: Vec<usize> = open_slots(moment).map(|(_, slot)| slot).collect();
        for slot in slots {
            image.garble(slot, noise);
        }
    }
    let patch = &moment.open[chosen.0].patch;
    let new = patch.parts().nth(chosen.1 - patch.slots().start).expect("a part of it");
    let mut mixed = old;
    for (there, here) in mixed.chunks_mut(SECTOR).zip(new.chunks(SECTOR)) {
        match states % 3 {
            0 => {}
            1 => there.copy_from_slice(here),
            _ => noise.fill(there),
        }
        states /= 3;
    }
    image.put(chosen.1, &mixed);
}

fn units(patch: &Patch, unit: usize) -> usize {
    (patch.slots().len() * SLOT).div_ceil(unit)
}

/// Units of the open writes arrive one after the other until power goes.
fn torn(moment: &Moment, image: &mut Image, noise: &mut Noise, variant: u64, unit: usize) {
    let (reverse, garbled, arrived) = (variant % 2 == 1, variant / 2 % 2 == 1, index(variant / 4));
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (at, write) in moment.open.iter().enumerate() {
        order.extend((0..units(&write.patch, unit)).map(|part| (at, part)));
    }
    if reverse {
        order.reverse();
    }
    let touched = order.iter().take(arrived + 1).enumerate();
    // A slot is put back together when all its units are known.
    let mut mixed: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for (number, (at, part)) in touched {
        if number == arrived && !garbled {
            break;
        }
        let patch = &moment.open[*at].patch;
        let bytes = part * unit..(patch.slots().len() * SLOT).min((part + 1) * unit);
        for slot in bytes.start / SLOT..bytes.end.div_ceil(SLOT) {
            let here = patch.slots().start + slot;
            let there = mixed.entry(here).or_insert_with(|| image.slot(here).to_vec());
            let start = bytes.start.max(slot * SLOT) - slot * SLOT;
            let end = bytes.end.min((slot + 1) * SLOT) - slot * SLOT;
            if number == arrived {
                noise.fill(&mut there[start..end]);
            } else {
                let new = patch.parts().nth(slot).expect("a part of it");
                there[start..end].copy_from_slice(&new[start..end]);
            }
        }
    }
    for (slot, bytes) in mixed {
        image.put(slot, &bytes);
    }
}

/// New + old + new: the last three with what is open arrived, or the last three acknowledged.
fn rolled_back(moment: &Moment, image: &mut Image, variant: u64) {
    let with_open = moment.recent.len() + moment.open.len() >= 3 && variant == 0;
    let open = if with_open { &moment.open[..] } else { &[] };
    let (last, middle) = match open {
        [.., middle, _] => (open, Some(&middle.patch)),
        _ => (open, None),
    };
    for write in last {
        let is_middle = middle.is_some_and(|middle| std::ptr::eq(middle, &raw const write.patch));
        if !is_middle {
            image.lay(&write.patch);
        }
    }
    match (open.len(), &moment.recent[..]) {
        (0, [_, middle, ..]) | (1, [middle, ..]) => image.lay(&middle.under),
        _ => {}
    }
}

fn count(value: usize) -> u64 {
    u64::try_from(value).expect("a small number")
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a small number")
}
