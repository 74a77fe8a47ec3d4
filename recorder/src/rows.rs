//! The samples that are not yet written, or may be written again, in locked memory.
//!
//! A sample as plain numbers takes 2 – 3 KB, and a sealed frame holds hundreds of them. So each is
//! kept as a *row*: what changed since the row before. Rows can be walked forwards from a
//! [`Cursor`], which carries the readings as they stood before its row; [`Step`] then says what
//! the next row changed. All memory is taken at start.

use std::ops::Range;

use flightrec_format::entity::EntityName;
use flightrec_format::varint::{Reader, Writer, unzigzag, zigzag};

use crate::sample::{Layout, Occupant, Sample};

/// Readings as they stand after some row.
#[derive(Clone, Debug)]
pub struct State {
    /// Stored value of each column; meaningless where not present.
    pub values: Box<[u64]>,
    /// Which columns have a reading.
    pub present: Box<[bool]>,
    /// Who sits in each slot.
    pub occupants: Box<[Option<Occupant>]>,
}

impl State {
    fn new(layout: &Layout) -> Self {
        Self {
            values: vec![0; layout.width()].into_boxed_slice(),
            present: vec![false; layout.width()].into_boxed_slice(),
            occupants: vec![None; layout.slots().len()].into_boxed_slice(),
        }
    }

    /// Takes the contents of `other`, without allocating.
    pub fn copy_from(&mut self, other: &Self) {
        self.values.copy_from_slice(&other.values);
        self.present.copy_from_slice(&other.present);
        self.occupants.copy_from_slice(&other.occupants);
    }
}

/// A place before a row, with the readings as they stood there.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// Number of the row that comes next; rows are counted from 0 for ever.
    pub row: u64,
    /// Readings after the row before it.
    pub state: State,
}

impl Cursor {
    /// Before the first row ever.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { row: 0, state: State::new(layout) }
    }

    /// Moves to the place of `other`, without allocating.
    pub fn copy_from(&mut self, other: &Self) {
        self.row = other.row;
        self.state.copy_from(&other.state);
    }
}

/// What a row changed.
#[derive(Clone, Debug)]
pub struct Step {
    /// Tick of the row.
    pub tick: u64,
    /// Slots whose occupant, or whose set of readings, changed.
    pub changed: Box<[bool]>,
}

impl Step {
    /// Room for the changes of one row.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { tick: 0, changed: vec![false; layout.slots().len()].into_boxed_slice() }
    }
}

/// Where a row lies: thousands of these are locked in memory.
#[derive(Clone, Copy, Debug, Default)]
struct RowRef {
    tick: u64,
    start: u32,
    len: u32,
}

impl RowRef {
    fn range(&self) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        start..start.saturating_add(self.len())
    }

    fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }
}

/// The rows, in a ring of bytes.
#[derive(Debug)]
pub struct Rows {
    bytes: Box<[u8]>,
    index: Box<[RowRef]>,
    first: u64,
    next: u64,
    write_at: usize,
    newest: State,
    slot_of_column: Box<[usize]>,
    scratch: Box<[u8]>,
}

/// Longest name in a row, bytes.
const NAME_LEN_MAX: u64 = 63;

/// Most bytes that one row may take.
const ROW_LEN_MAX: usize = 16 << 10;

impl Rows {
    /// Room for `byte_count` bytes and `row_count` rows.
    #[must_use]
    pub fn new(layout: &Layout, byte_count: usize, row_count: usize) -> Self {
        let mut slot_of_column = vec![0; layout.width()].into_boxed_slice();
        for (number, slot) in layout.slots().iter().enumerate() {
            for place in slot_of_column.iter_mut().skip(slot.first_column).take(slot.series.len()) {
                *place = number;
            }
        }
        Self {
            bytes: vec![0; byte_count].into_boxed_slice(),
            index: vec![RowRef::default(); row_count].into_boxed_slice(),
            first: 0,
            next: 0,
            write_at: 0,
            newest: State::new(layout),
            slot_of_column,
            scratch: vec![0; ROW_LEN_MAX].into_boxed_slice(),
        }
    }

    /// Bytes of rows that have room.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Number of the oldest row that is kept.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number that the next row will have.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Tick of a row that is kept.
    #[must_use]
    pub fn tick(&self, row: u64) -> Option<u64> {
        self.row_ref(row).map(|row| row.tick)
    }

    /// Bytes of one row; 0 if it is not kept.
    #[must_use]
    pub fn row_len(&self, row: u64) -> usize {
        self.row_ref(row).map_or(0, RowRef::len)
    }

    /// Bytes of the rows from `row` on: a measure of how large a frame of them will be.
    #[must_use]
    pub fn bytes_from(&self, row: u64) -> usize {
        (row.max(self.first)..self.next).filter_map(|row| self.row_ref(row)).map(RowRef::len).sum()
    }

    /// Keeps a sample as the newest row. Rows before `keep_from` may be forgotten to make room;
    /// returns false, and keeps nothing, if that is not enough.
    pub fn push(&mut self, sample: &Sample, keep_from: u64) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        let len = self.encode(sample, &mut scratch);
        let kept = len.is_some_and(|len| self.place(sample.tick, scratch.get(..len), keep_from));
        self.scratch = scratch;
        if kept {
            self.take_newest(sample);
        }
        kept
    }

    /// Moves `cursor` over its row and says what changed; `None` at the end, or if the row was
    /// forgotten.
    pub fn advance(&self, cursor: &mut Cursor, step: &mut Step) -> Option<()> {
        self.advance_to(cursor, step, cursor.row)
    }

    /// Moves `cursor` over rows, the last of them `last_row`, and says what they changed together.
    pub fn advance_to(&self, cursor: &mut Cursor, step: &mut Step, last_row: u64) -> Option<()> {
        step.changed.fill(false);
        while cursor.row <= last_row {
            let row = self.row_ref(cursor.row)?;
            let mut input = Reader::new(self.bytes.get(row.range())?);
            step.tick = row.tick;
            self.read_changes(&mut input, cursor, step)?;
            read_steps(&mut input, cursor)?;
            cursor.row += 1;
        }
        Some(())
    }

    fn row_ref(&self, row: u64) -> Option<&RowRef> {
        if row < self.first || row >= self.next {
            return None;
        }
        let count = u64::try_from(self.index.len()).ok()?;
        self.index.get(usize::try_from(row % count).ok()?)
    }

    /// Puts a row behind the newest one, forgetting the oldest as needed.
    fn place(&mut self, tick: u64, row: Option<&[u8]>, keep_from: u64) -> bool {
        let Some(row) = row else { return false };
        let count = u64::try_from(self.index.len()).unwrap_or(u64::MAX);
        let start = if self.write_at + row.len() > self.bytes.len() { 0 } else { self.write_at };
        let end = start + row.len();
        let overlaps = |old: &Range<usize>| old.start < end && start < old.end;
        loop {
            let full = self.next - self.first >= count;
            let wrapped = start == 0 && self.write_at != 0;
            let in_the_way = self.row_ref(self.first).map(RowRef::range).is_some_and(|old| {
                // A wrapped write also passes over what stands behind the old end.
                overlaps(&old) || (wrapped && old.start >= self.write_at)
            });
            if !full && !in_the_way {
                break;
            }
            if self.first >= keep_from.min(self.next) {
                return false;
            }
            self.first += 1;
        }
        let Some(place) = self.bytes.get_mut(start..end) else { return false };
        place.copy_from_slice(row);
        let slot = usize::try_from(self.next % count).unwrap_or(0);
        if let Some(entry) = self.index.get_mut(slot) {
            let short = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
            *entry = RowRef { tick, start: short(start), len: short(row.len()) };
        }
        self.next += 1;
        self.write_at = end;
        true
    }

    fn encode(&self, sample: &Sample, scratch: &mut [u8]) -> Option<usize> {
        let mut out = Writer::new(scratch);
        let occupants = || {
            let pairs = self.newest.occupants.iter().enumerate();
            pairs.filter(|(slot, old)| old.as_ref() != sample.occupant(*slot))
        };
        out.number(u64::try_from(occupants().count()).ok()?);
        for (slot, _) in occupants() {
            out.number(u64::try_from(slot).ok()?);
            match sample.occupant(slot) {
                None => out.byte(0),
                Some(occupant) => {
                    out.byte(1);
                    out.text(occupant.name.as_bytes());
                    out.number(u64::from(occupant.pid));
                    out.number(occupant.start_ticks);
                    out.text(occupant.unit.as_bytes());
                    // One more, so that 0 is left for none.
                    out.number(occupant.memory_max_bytes.map_or(0, |max| max.saturating_add(1)));
                    out.byte(occupant.restart);
                }
            }
        }
        let toggles = || {
            let present = self.newest.present.iter().enumerate();
            present.filter(|(column, old)| **old != sample.get(*column).is_some())
        };
        out.number(u64::try_from(toggles().count()).ok()?);
        for (column, _) in toggles() {
            out.number(u64::try_from(column).ok()?);
        }
        let mut zeros = 0_u64;
        for (column, old) in self.newest.values.iter().enumerate() {
            let Some(value) = sample.get(column) else { continue };
            let step = zigzag(value.wrapping_sub(*old).cast_signed());
            if step == 0 {
                zeros += 1;
                continue;
            }
            write_zeros(&mut out, &mut zeros);
            out.number(step);
        }
        write_zeros(&mut out, &mut zeros);
        out.finish()
    }

    fn take_newest(&mut self, sample: &Sample) {
        for (column, value) in self.newest.values.iter_mut().enumerate() {
            let reading = sample.get(column);
            if let Some(present) = self.newest.present.get_mut(column) {
                *present = reading.is_some();
            }
            if let Some(reading) = reading {
                *value = reading;
            }
        }
        for (slot, occupant) in self.newest.occupants.iter_mut().enumerate() {
            *occupant = sample.occupant(slot).copied();
        }
    }

    fn read_changes(
        &self,
        input: &mut Reader<'_>,
        cursor: &mut Cursor,
        step: &mut Step,
    ) -> Option<()> {
        for _ in 0..input.number().ok()? {
            let slot = usize::try_from(input.number().ok()?).ok()?;
            let occupant = if input.byte().ok()? == 0 { None } else { Some(read_occupant(input)?) };
            *cursor.state.occupants.get_mut(slot)? = occupant;
            *step.changed.get_mut(slot)? = true;
        }
        for _ in 0..input.number().ok()? {
            let column = usize::try_from(input.number().ok()?).ok()?;
            let present = cursor.state.present.get_mut(column)?;
            *present = !*present;
            *step.changed.get_mut(*self.slot_of_column.get(column)?)? = true;
        }
        Some(())
    }
}

fn read_occupant(input: &mut Reader<'_>) -> Option<Occupant> {
    Some(Occupant {
        name: EntityName::new(input.text(NAME_LEN_MAX).ok()?),
        pid: u32::try_from(input.number().ok()?).ok()?,
        start_ticks: input.number().ok()?,
        unit: EntityName::new(input.text(NAME_LEN_MAX).ok()?),
        memory_max_bytes: input.number().ok()?.checked_sub(1),
        restart: input.byte().ok()?,
    })
}

fn write_zeros(out: &mut Writer<'_>, zeros: &mut u64) {
    if *zeros > 0 {
        out.byte(0);
        out.number(*zeros - 1);
        *zeros = 0;
    }
}

fn read_steps(input: &mut Reader<'_>, cursor: &mut Cursor) -> Option<()> {
    let mut zeros = 0_u64;
    let state = &mut cursor.state;
    for (present, value) in state.present.iter().zip(state.values.iter_mut()) {
        if !*present {
            continue;
        }
        if zeros > 0 {
            zeros -= 1;
            continue;
        }
        match input.number().ok()? {
            0 => zeros = input.number().ok()?,
            token => *value = value.wrapping_add_signed(unzigzag(token)),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
