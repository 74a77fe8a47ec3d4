//! All readings of one tick, in places that never move.
//!
//! A [`Layout`] decides once, at start, which column every reading has: first the machine's own
//! series, then for each [`Rank`] a fixed number of entity slots with the series of that kind.
//! Sources ask for their columns when they are built and write by index from then on, so that a
//! sample costs no look-up and no allocation.

use flightrec_format::entity::{EntityKind, EntityName};

/// A number in the series catalogue (spec section 7).
pub type SeriesNumber = u16;

/// So many slots for entities of one kind, each with the same series.
#[derive(Clone, Copy, Debug)]
pub struct Rank {
    /// What these slots hold.
    pub kind: EntityKind,
    /// How many of them at once; more entities than that are left out.
    pub slots: usize,
    /// The series of each, ascending.
    pub series: &'static [SeriesNumber],
}

/// Which column holds which reading.
#[derive(Debug)]
pub struct Layout {
    machine: &'static [SeriesNumber],
    ranks: &'static [Rank],
    slots: Vec<Slot>,
    width: usize,
}

/// One place for an entity: its kind, its series and its first column.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// What it holds; slot 0 is the machine.
    pub kind: EntityKind,
    /// Its series, ascending; one column each.
    pub series: &'static [SeriesNumber],
    /// Column of the first of them.
    pub first_column: usize,
}

impl Layout {
    /// Lays out the machine's series and the slots of `ranks`, in that order.
    #[must_use]
    pub fn new(machine: &'static [SeriesNumber], ranks: &'static [Rank]) -> Self {
        let mut slots = vec![Slot { kind: EntityKind::MACHINE, series: machine, first_column: 0 }];
        let mut width = machine.len();
        for rank in ranks {
            for _ in 0..rank.slots {
                slots.push(Slot { kind: rank.kind, series: rank.series, first_column: width });
                width += rank.series.len();
            }
        }
        Self { machine, ranks, slots, width }
    }

    /// Columns in all.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Every slot; the machine is slot 0.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Column of a series of the machine, if this layout has it.
    #[must_use]
    pub fn machine_column(&self, series: SeriesNumber) -> Option<usize> {
        self.machine.iter().position(|&own| own == series)
    }

    /// The slots of a kind, as a range of slot indices.
    #[must_use]
    pub fn slots_of(&self, kind: EntityKind) -> std::ops::Range<usize> {
        let mut start = 1;
        for rank in self.ranks {
            if rank.kind == kind {
                return start..start + rank.slots;
            }
            start += rank.slots;
        }
        0..0
    }
}

/// Who sits in a slot: its name, and what else tells who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Occupant {
    /// Name of the entity (spec 6.1).
    pub name: EntityName,
    /// Attribute `pid`, for processes.
    pub pid: u32,
    /// Attribute `start_ticks`, for processes.
    pub start_ticks: u64,
    /// Name of the unit that a process belongs to; empty: none.
    pub unit: EntityName,
    /// Attribute `memory_max_bytes`, for units that have a limit.
    pub memory_max_bytes: Option<u64>,
    /// Attribute `restart`, for services; 0: it is not known.
    pub restart: u8,
}

impl Occupant {
    /// An entity that its name alone tells apart.
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        Self {
            name: EntityName::new(name),
            pid: 0,
            start_ticks: 0,
            unit: EntityName::default(),
            memory_max_bytes: None,
            restart: 0,
        }
    }
}

/// All readings of one tick.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Whole sampling intervals of boot time.
    pub tick: u64,
    values: Box<[u64]>,
    present: Box<[bool]>,
    occupants: Box<[Option<Occupant>]>,
}

impl Sample {
    /// An empty sample with room for everything in `layout`.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self {
            tick: 0,
            values: vec![0; layout.width()].into_boxed_slice(),
            present: vec![false; layout.width()].into_boxed_slice(),
            occupants: vec![None; layout.slots().len()].into_boxed_slice(),
        }
    }

    /// Forgets every reading; occupants stay.
    pub fn clear(&mut self) {
        self.present.fill(false);
    }

    /// Writes the reading of `column`, in the stored unit of its series. Columns that the layout
    /// does not have are passed over, so that a source needs no second path for them.
    pub fn set(&mut self, column: usize, stored: u64) {
        if let (Some(value), Some(present)) =
            (self.values.get_mut(column), self.present.get_mut(column))
        {
            *value = stored;
            *present = true;
        }
    }

    /// The reading of `column`, if there is one.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<u64> {
        if *self.present.get(column)? { self.values.get(column).copied() } else { None }
    }

    /// Says who sits in a slot from now on; `None` empties it.
    pub fn seat(&mut self, slot: usize, occupant: Option<Occupant>) {
        if let Some(seat) = self.occupants.get_mut(slot) {
            *seat = occupant;
        }
    }

    /// Who sits in a slot.
    #[must_use]
    pub fn occupant(&self, slot: usize) -> Option<&Occupant> {
        self.occupants.get(slot)?.as_ref()
    }
}
