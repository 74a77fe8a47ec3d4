//! Rows to the body of a frame, and the body to its payload (spec section 6).
//!
//! The rows are walked twice. The first walk finds the groups (who was present, from when to when)
//! and what each form of each column would take; the second writes every column at its place in
//! the form that is cheapest. So a frame costs two walks and no copy of its samples.

use flightrec_format::body::section;
use flightrec_format::column::{Costs, Mode, Pen};
use flightrec_format::entity::{EntityKind, attribute, write as write_entity};
use flightrec_format::limits::GROUPS_MAX;
use flightrec_format::samples::{write_group, write_ticks};
use flightrec_format::varint::Writer;

use crate::events::Events;
use crate::rows::{Cursor, Rows, Step};
use crate::sample::{Layout, Occupant, SeriesNumber, Slot};

/// What a frame is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Rows of the samples: from the cursor's row to before this one.
    pub end_row: u64,
    /// First tick whose events go in, usually that of the first row.
    pub first_tick: u64,
    /// Bytes of the run facts, if they go in.
    pub facts: Option<&'a [u8]>,
    /// Slots from this one on are left out (W6); `usize::MAX`: none.
    pub slots_end: usize,
}

/// A body that was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoded {
    /// Bytes of the body.
    pub body_len: usize,
    /// Tick of the last row in it.
    pub last_tick: u64,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TooMuch {
    /// So many rows, and no more, have room. Never 0.
    Rows(u64),
    /// Not even one row has room.
    Everything,
}

/// One group in the making: an entity and the readings that it has.
#[derive(Clone, Copy, Debug)]
struct Group {
    kind: EntityKind,
    series: &'static [SeriesNumber],
    slot: usize,
    occupant: Option<Occupant>,
    first_span: usize,
    last_span: usize,
    first_column: usize,
    column_count: usize,
}

/// Samples in a row that a group is present in. One that comes back goes on in its group, maybe
/// from another slot.
#[derive(Clone, Copy, Debug)]
struct Span {
    samples: (usize, usize),
    slot_column: usize,
    next: Option<usize>,
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

/// Writes bodies. All memory is taken at start.
pub struct Encoder {
    body: Box<[u8]>,
    head: Box<[u8]>,
    side: Box<[u8]>,
    groups: Vec<Group>,
    spans: Vec<Span>,
    group_of_slot: Box<[Option<usize>]>,
    order: Vec<usize>,
    columns: Vec<u16>,
    work: Vec<Work>,
    modes: Vec<(Mode, u32)>,
    ticks: Vec<u64>,
    cursor: Cursor,
    step: Step,
}

/// Bytes of body that the recorder writes at most, well below the format's limit.
const BODY_LEN_MAX: usize = 224 << 10;

/// Most samples in a frame that the recorder writes.
const SAMPLES_MAX: usize = 2048;

impl Encoder {
    /// Room for frames of samples like `layout`, in up to `columns_max` columns of all groups.
    #[must_use]
    pub fn new(layout: &Layout, columns_max: usize) -> Self {
        let groups_max = (columns_max / 4).min(usize::try_from(GROUPS_MAX).unwrap_or(4096));
        Self {
            body: vec![0; BODY_LEN_MAX].into_boxed_slice(),
            head: vec![0; 32 << 10].into_boxed_slice(),
            side: vec![0; 40 << 10].into_boxed_slice(),
            groups: Vec::with_capacity(groups_max),
            spans: Vec::with_capacity(4 * groups_max),
            group_of_slot: vec![None; layout.slots().len()].into_boxed_slice(),
            order: Vec::with_capacity(groups_max),
            columns: Vec::with_capacity(columns_max),
            work: Vec::with_capacity(columns_max),
            modes: Vec::with_capacity(columns_max),
            ticks: Vec::with_capacity(SAMPLES_MAX),
            cursor: Cursor::new(layout),
            step: Step::new(layout),
        }
    }

    /// The body that was written last.
    #[must_use]
    pub fn body(&self, len: usize) -> &[u8] {
        self.body.get(..len).unwrap_or_default()
    }

    /// Writes a body of the rows from `start` on.
    pub fn encode(
        &mut self,
        layout: &Layout,
        rows: &Rows,
        start: &Cursor,
        events: &Events,
        wanted: Wanted<'_>,
    ) -> Result<Encoded, TooMuch> {
        let too_much = |rows: usize| match u64::try_from(rows) {
            Ok(rows) if rows > 0 => TooMuch::Rows(rows),
            _ => TooMuch::Everything,
        };
        self.measure(layout, rows, start, wanted).map_err(too_much)?;
        let count = self.ticks.len();
        let last_tick = *self.ticks.last().ok_or(TooMuch::Everything)?;
        let half = too_much(count / 2);
        let head_len = self.write_head().ok_or(half)?;
        let columns_len: usize =
            self.modes.iter().map(|(_, len)| usize::try_from(*len).unwrap_or(usize::MAX)).sum();

        let mut body = std::mem::take(&mut self.body);
        let written =
            self.write_sections(events, wanted, (head_len, columns_len, last_tick), &mut body);
        let result = match written {
            Some((columns_at, body_len)) => {
                self.write_columns(rows, start, columns_at, &mut body);
                Ok(Encoded { body_len, last_tick })
            }
            None => Err(half),
        };
        self.body = body;
        result
    }

    /// Writes a body of archived events and run facts alone.
    pub fn encode_events(
        &mut self,
        events: &Events,
        ticks: (u64, u64),
        facts: Option<&[u8]>,
    ) -> Option<usize> {
        let mut side = Writer::new(&mut self.side);
        events.write(&mut side, ticks, true);
        let side_len = side.finish()?;
        let mut out = Writer::new(&mut self.body);
        write_section(&mut out, section::EVENTS, self.side.get(..side_len)?);
        if let Some(facts) = facts {
            write_section(&mut out, section::FACTS, facts);
        }
        out.finish()
    }

    /// First walk: groups, ticks and costs. On failure: how many rows have room.
    fn measure(
        &mut self,
        layout: &Layout,
        rows: &Rows,
        start: &Cursor,
        wanted: Wanted<'_>,
    ) -> Result<(), usize> {
        self.groups.clear();
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
            if rows.advance(&mut self.cursor, &mut self.step).is_none() {
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
        let Some(group) = self.groups.get(group) else { return };
        let Some(span) = self.spans.get_mut(group.last_span) else { return };
        span.samples.1 = sample + 1;
        let range = group.first_column..group.first_column + group.column_count;
        let columns = self.columns.get(range.clone()).unwrap_or_default();
        let work = self.work.get_mut(range).unwrap_or_default();
        for (column, work) in columns.iter().zip(work) {
            let value = self.cursor.state.values.get(span.slot_column + usize::from(*column));
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
        let known = self.groups.iter().position(|group| {
            let columns = group.first_column..group.first_column + group.column_count;
            group.kind == slot.kind
                && group.occupant == occupant
                && self.columns.get(columns) == Some(own)
        });
        let span = self.spans.len();
        self.spans.push(Span {
            samples: (sample, sample),
            slot_column: slot.first_column,
            next: None,
        });
        if let Some(group) = known {
            self.columns.truncate(first_column);
            if let Some(known) = self.groups.get_mut(group) {
                if let Some(last) = self.spans.get_mut(known.last_span) {
                    last.next = Some(span);
                }
                known.last_span = span;
            }
            self.set_open(number, group);
            self.extend(group, sample);
            return true;
        }
        if self.groups.len() >= self.groups.capacity() {
            return false;
        }
        for column in self.columns.get(first_column..).unwrap_or_default() {
            let value = state.values.get(slot.first_column + usize::from(*column));
            self.work.push(Work::start(value.copied().unwrap_or(0)));
        }
        if let Some(span) = self.spans.get_mut(span) {
            span.samples.1 = sample + 1;
        }
        let group = self.groups.len();
        self.groups.push(Group {
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
    fn spans_of(&self, group: &Group) -> impl Iterator<Item = &Span> + Clone {
        let first = self.spans.get(group.first_span);
        std::iter::successors(first, |span| self.spans.get(span.next?))
    }

    /// Writes ticks, group headers and modes; groups in the order of their slots, so that
    /// columns of a kind stand together.
    fn write_head(&mut self) -> Option<usize> {
        self.order.clear();
        self.order.extend(0..self.groups.len());
        let groups = &self.groups;
        self.order.sort_unstable_by_key(|&index| {
            groups.get(index).map_or((usize::MAX, 0), |group| (group.slot, group.first_span))
        });
        self.modes.clear();
        self.modes.extend(self.work.iter().map(|work| match work.tool {
            Tool::Costs(costs) => costs.cheapest(),
            Tool::Pen(_) => (Mode::Constant, 0),
        }));
        let count = self.ticks.len();
        let mut head = std::mem::take(&mut self.head);
        let mut out = Writer::new(&mut head);
        out.number(u64::try_from(count).ok()?);
        write_ticks(&mut out, &self.ticks.iter().copied());
        out.number(u64::try_from(self.groups.len()).ok()?);
        let mut entity = 0;
        for &index in &self.order {
            let group = self.groups.get(index)?;
            let columns = group.first_column..group.first_column + group.column_count;
            let numbers = self
                .columns
                .get(columns)?
                .iter()
                .filter_map(|&offset| group.series.get(usize::from(offset)).copied());
            let number = if group.slot == 0 {
                0
            } else {
                entity += 1;
                entity
            };
            let spans = self.spans_of(group).map(|span| span.samples.0..span.samples.1);
            write_group(&mut out, number, &spans, count, &numbers);
        }
        for &index in &self.order {
            let group = self.groups.get(index)?;
            let columns = group.first_column..group.first_column + group.column_count;
            for (mode, _) in self.modes.get(columns)? {
                out.byte(mode.number());
            }
        }
        let len = out.finish();
        self.head = head;
        len
    }

    /// Writes everything but the columns; returns where they go, and the length of the body.
    fn write_sections(
        &mut self,
        events: &Events,
        wanted: Wanted<'_>,
        (head_len, columns_len, last_tick): (usize, usize, u64),
        body: &mut [u8],
    ) -> Option<(usize, usize)> {
        let mut out = Writer::new(body);
        let mut side = Writer::new(&mut self.side);
        let entity_count = self.groups.iter().filter(|group| group.slot != 0).count();
        if entity_count > 0 {
            side.number(u64::try_from(entity_count).ok()?);
            for &index in &self.order {
                let group = self.groups.get(index)?;
                if let Some(occupant) = &group.occupant {
                    write_occupant(&mut side, group.kind, occupant);
                }
            }
            let len = side.finish()?;
            write_section(&mut out, section::ENTITIES, self.side.get(..len)?);
        }
        if let Some(facts) = wanted.facts {
            write_section(&mut out, section::FACTS, facts);
        }
        let mut side = Writer::new(&mut self.side);
        if events.write(&mut side, (wanted.first_tick, last_tick), false) > 0 {
            let len = side.finish()?;
            write_section(&mut out, section::EVENTS, self.side.get(..len)?);
        }
        out.number(section::SAMPLES);
        out.number(u64::try_from(head_len + columns_len).ok()?);
        out.bytes(self.head.get(..head_len)?);
        let columns_at = out.finish()?;
        let body_len = columns_at + columns_len;
        (body_len <= body.len()).then_some((columns_at, body_len))
    }

    /// Second walk: every column at its place.
    fn write_columns(&mut self, rows: &Rows, start: &Cursor, mut at: usize, body: &mut [u8]) {
        for &index in &self.order {
            let Some(group) = self.groups.get_mut(index) else { return };
            group.last_span = group.first_span;
            let columns = group.first_column..group.first_column + group.column_count;
            let work = self.work.get_mut(columns.clone()).unwrap_or_default();
            let modes = self.modes.get(columns).unwrap_or_default();
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
            if rows.advance(&mut self.cursor, &mut self.step).is_none() {
                return;
            }
            for group in &mut self.groups {
                let Some(mut span) = self.spans.get(group.last_span) else { continue };
                if sample >= span.samples.1 {
                    let Some(next) = span.next else { continue };
                    group.last_span = next;
                    let Some(next) = self.spans.get(next) else { continue };
                    span = next;
                }
                let is_first = sample == span.samples.0 && group.last_span == group.first_span;
                if is_first || sample < span.samples.0 {
                    continue;
                }
                let range = group.first_column..group.first_column + group.column_count;
                let columns = self.columns.get(range.clone()).unwrap_or_default();
                let work = self.work.get_mut(range).unwrap_or_default();
                for (column, work) in columns.iter().zip(work) {
                    let column = span.slot_column + usize::from(*column);
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

fn write_section(out: &mut Writer<'_>, kind: u64, bytes: &[u8]) {
    out.number(kind);
    out.text(bytes);
}

fn write_occupant(out: &mut Writer<'_>, kind: EntityKind, occupant: &Occupant) {
    let attributes =
        [(attribute::PID, u64::from(occupant.pid)), (attribute::START_TICKS, occupant.start_ticks)];
    let count = if kind == EntityKind::PROCESS { 2 } else { 0 };
    write_entity(out, kind, occupant.name.as_bytes(), attributes.get(..count).unwrap_or_default());
}
