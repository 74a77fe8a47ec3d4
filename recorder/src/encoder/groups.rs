//! The groups of a frame in the making: who was present, in which samples, with which readings
//! (spec section 6.2), and what each form of each column would take.

use std::ops::Range;

use flightrec_format::column::{Costs, Mode, Pen};
use flightrec_format::entity::EntityKind;
use flightrec_format::limits::GROUPS_MAX;

use super::{Line, Wanted};
use crate::rows::{Cursor, Rows, Step};
use crate::sample::{Layout, Occupant, SeriesNumber, Slot};

/// Most samples in a frame that the recorder writes.
const SAMPLES_MAX: usize = 2048;

/// One group in the making: an entity and the readings that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) kind: EntityKind,
    pub(super) series: &'static [SeriesNumber],
    pub(super) slot: usize,
    pub(super) occupant: Option<Occupant>,
    pub(super) first_span: usize,
    pub(super) last_span: usize,
    pub(super) first_column: usize,
    pub(super) column_count: usize,
}

/// Samples in a row that a group is present in. One that comes back goes on in its group, maybe
/// from another slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    first: u16,
    end: u16,
    slot_column: u16,
    /// The next one of its group; `LAST`: none.
    next: u16,
}

/// Of samples, columns and spans there are fewer.
const LAST: u16 = u16::MAX;

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(LAST)
}

impl Span {
    /// Its samples.
    pub(super) fn samples(self) -> Range<usize> {
        usize::from(self.first)..usize::from(self.end)
    }

    fn next(self) -> Option<usize> {
        (self.next != LAST).then_some(usize::from(self.next))
    }
}

/// One column in the making: costs in the first walk, pen in the second.
#[derive(Clone, Copy, Debug)]
struct Work {
    last: u64,
    tool: Tool,
}

#[derive(Clone, Copy, Debug)]
enum Tool {
    Costs(Costs),
    Pen(Pen),
}

impl Work {
    fn start(value: u64) -> Self {
        Self { last: value, tool: Tool::Costs(Costs::start(value)) }
    }

    fn step(&mut self, value: u64, body: &mut [u8]) {
        let step = value.wrapping_sub(self.last).cast_signed();
        self.last = value;
        match &mut self.tool {
            Tool::Costs(costs) => costs.step(step),
            Tool::Pen(pen) => pen.step(step, body),
        }
    }
}

/// All groups of one frame. Memory is taken at start.
pub(super) struct Groups {
    pub(super) list: Vec<Group>,
    spans: Vec<Span>,
    group_of_slot: Box<[Option<usize>]>,
    pub(super) columns: Vec<u16>,
    work: Vec<Work>,
    pub(super) ticks: Vec<u64>,
    cursor: Cursor,
    step: Step,
}

impl Groups {
    /// Room for samples like `layout`, in up to `columns_max` columns of all groups.
    pub(super) fn new(layout: &Layout, columns_max: usize) -> Self {
        let groups_max = (columns_max / 4).min(usize::try_from(GROUPS_MAX).unwrap_or(4096));
        Self {
            list: Vec::with_capacity(groups_max),
            spans: Vec::with_capacity((4 * groups_max).min(usize::from(LAST))),
            group_of_slot: vec![None; layout.slots().len()].into_boxed_slice(),
            columns: Vec::with_capacity(columns_max),
            work: Vec::with_capacity(columns_max),
            ticks: Vec::with_capacity(SAMPLES_MAX),
            cursor: Cursor::new(layout),
            step: Step::new(layout),
        }
    }

    /// The cursor, which each walk sets anew.
    pub(super) fn spare_cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    /// The cheapest form of every column, and its bytes in it.
    pub(super) fn cheapest(&self) -> impl Iterator<Item = (Mode, u32)> {
        self.work.iter().map(|work| match work.tool {
            Tool::Costs(costs) => costs.cheapest(),
            Tool::Pen(_) => (Mode::Constant, 0),
        })
    }

    /// First walk: groups, ticks and costs. On failure: how many rows have room.
    pub(super) fn measure(
        &mut self,
        layout: &Layout,
        rows: &Rows,
        start: &Cursor,
        wanted: Wanted<'_>,
    ) -> Result<(), usize> {
        self.list.clear();
        self.spans.clear();
        self.columns.clear();
        self.work.clear();
        self.ticks.clear();
        self.group_of_slot.fill(None);
        self.cursor.copy_from(start);
        while self.cursor.row < wanted.end_row {
            let sample = self.ticks.len();
            if sample >= SAMPLES_MAX {
                return Err(sample);
            }
            let row = wanted.line.next(self.cursor.row);
            if rows.advance_to(&mut self.cursor, &mut self.step, row).is_none() {
                break;
            }
            for (number, slot) in layout.slots().iter().enumerate().take(wanted.slots_end) {
                let changed = self.step.changed.get(number).copied().unwrap_or(true);
                let open = self.group_of_slot.get(number).copied().flatten();
                match open {
                    Some(group) if !changed => self.extend(group, sample),
                    _ if (changed || sample == 0) && !self.open_group(number, *slot, sample) => {
                        return Err(sample);
                    }
                    _ => {}
                }
            }
            self.ticks.push(self.step.tick);
        }
        Ok(())
    }

    /// The group goes on in one more sample, from the slot that its last span names.
    fn extend(&mut self, group: usize, sample: usize) {
        let Some(group) = self.list.get(group) else { return };
        let Some(span) = self.spans.get_mut(group.last_span) else { return };
        span.end = short(sample + 1);
        let range = group.first_column..group.first_column + group.column_count;
        let columns = self.columns.get(range.clone()).unwrap_or_default();
        let work = self.work.get_mut(range).unwrap_or_default();
        for (column, work) in columns.iter().zip(work) {
            let column = usize::from(span.slot_column) + usize::from(*column);
            let value = self.cursor.state.values.get(column);
            work.step(value.copied().unwrap_or(0), &mut []);
        }
    }

    /// Begins, or takes up again, the group of a slot whose occupant or readings changed; false
    /// if there is no room.
    fn open_group(&mut self, number: usize, slot: Slot, sample: usize) -> bool {
        if let Some(open) = self.group_of_slot.get_mut(number) {
            *open = None;
        }
        let state = &self.cursor.state;
        let occupant = state.occupants.get(number).copied().flatten();
        if number != 0 && occupant.is_none() {
            return true;
        }
        // The columns that the slot has now, put behind all others until we know them to be new.
        let first_column = self.columns.len();
        for offset in 0..slot.series.len() {
            if !state.present.get(slot.first_column + offset).copied().unwrap_or(false) {
                continue;
            }
            if self.columns.len() >= self.columns.capacity() {
                return false;
            }
            self.columns.push(u16::try_from(offset).unwrap_or(u16::MAX));
        }
        let column_count = self.columns.len() - first_column;
        if column_count == 0 {
            return true;
        }
        if self.spans.len() >= self.spans.capacity() {
            return false;
        }
        let own = self.columns.get(first_column..).unwrap_or_default();
        let known = self.list.iter().position(|group| {
            let columns = group.first_column..group.first_column + group.column_count;
            group.kind == slot.kind
                && group.occupant == occupant
                && self.columns.get(columns) == Some(own)
        });
        let span = self.spans.len();
        let slot_column = short(slot.first_column);
        let (first, end) = (short(sample), short(sample));
        self.spans.push(Span { first, end, slot_column, next: LAST });
        if let Some(group) = known {
            self.columns.truncate(first_column);
            if let Some(known) = self.list.get_mut(group) {
                if let Some(last) = self.spans.get_mut(known.last_span) {
                    last.next = short(span);
                }
                known.last_span = span;
            }
            self.set_open(number, group);
            self.extend(group, sample);
            return true;
        }
        if self.list.len() >= self.list.capacity() {
            return false;
        }
        for column in self.columns.get(first_column..).unwrap_or_default() {
            let value = state.values.get(slot.first_column + usize::from(*column));
            self.work.push(Work::start(value.copied().unwrap_or(0)));
        }
        if let Some(span) = self.spans.get_mut(span) {
            span.end = short(sample + 1);
        }
        let group = self.list.len();
        self.list.push(Group {
            kind: slot.kind,
            series: slot.series,
            slot: number,
            occupant,
            first_span: span,
            last_span: span,
            first_column,
            column_count,
        });
        self.set_open(number, group);
        true
    }

    fn set_open(&mut self, slot: usize, group: usize) {
        if let Some(open) = self.group_of_slot.get_mut(slot) {
            *open = Some(group);
        }
    }

    /// The spans of a group, in order.
    pub(super) fn spans_of(&self, group: &Group) -> impl Iterator<Item = &Span> + Clone {
        let first = self.spans.get(group.first_span);
        std::iter::successors(first, |span| self.spans.get(span.next()?))
    }

    /// Second walk: every column at its place.
    pub(super) fn write_columns(
        &mut self,
        rows: &Rows,
        start: &Cursor,
        (order, modes): (&[usize], &[(Mode, u32)]),
        line: Line,
        mut at: usize,
        body: &mut [u8],
    ) {
        for &index in order {
            let Some(group) = self.list.get_mut(index) else { return };
            group.last_span = group.first_span;
            let columns = group.first_column..group.first_column + group.column_count;
            let work = self.work.get_mut(columns.clone()).unwrap_or_default();
            let modes = modes.get(columns).unwrap_or_default();
            for (work, (mode, len)) in work.iter_mut().zip(modes) {
                if let Tool::Costs(costs) = work.tool {
                    work.last = costs.first();
                    work.tool = Tool::Pen(Pen::start(*mode, at, work.last, body));
                }
                at += usize::try_from(*len).unwrap_or(0);
            }
        }
        self.cursor.copy_from(start);
        for sample in 0..self.ticks.len() {
            let row = line.next(self.cursor.row);
            if rows.advance_to(&mut self.cursor, &mut self.step, row).is_none() {
                return;
            }
            for group in &mut self.list {
                let Some(mut span) = self.spans.get(group.last_span) else { continue };
                if sample >= span.samples().end {
                    let Some(next) = span.next() else { continue };
                    group.last_span = next;
                    let Some(next) = self.spans.get(next) else { continue };
                    span = next;
                }
                let first = span.samples().start;
                if (sample == first && group.last_span == group.first_span) || sample < first {
                    continue;
                }
                let range = group.first_column..group.first_column + group.column_count;
                let columns = self.columns.get(range.clone()).unwrap_or_default();
                let work = self.work.get_mut(range).unwrap_or_default();
                for (column, work) in columns.iter().zip(work) {
                    let column = usize::from(span.slot_column) + usize::from(*column);
                    let value = self.cursor.state.values.get(column).copied().unwrap_or(0);
                    work.step(value, body);
                }
            }
        }
        for work in &self.work {
            if let Tool::Pen(pen) = work.tool {
                pen.finish(body);
            }
        }
    }
}
