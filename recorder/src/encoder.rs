//! Rows to the body of a frame, and the body to its payload (spec section 6).
//!
//! The rows are walked twice. The first walk finds the groups (who was present, from when to when)
//! and what each form of each column would take; the second writes every column at its place in
//! the form that is cheapest. So a frame costs two walks and no copy of its samples.

use flightrec_format::body::section;
use flightrec_format::column::Mode;
use flightrec_format::entity::{EntityKind, attribute, write as write_entity};
use flightrec_format::samples::{write_group, write_ticks};
use flightrec_format::varint::Writer;

use crate::events::Events;
use crate::rows::{Cursor, Rows};
use crate::sample::{Layout, Occupant};
use crate::words::kept::Choice;

mod groups;
mod units;

use groups::Groups;
use units::Units;

/// What a frame is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Rows of the samples: from the cursor's row to before this one.
    pub end_row: u64,
    /// Which of them.
    pub line: Line,
    /// First tick whose events go in, usually that of the first row.
    pub first_tick: u64,
    /// Bytes of the run facts, if they go in.
    pub facts: Option<&'a [u8]>,
    /// Slots from this one on are left out (W6); `usize::MAX`: none.
    pub slots_end: usize,
    /// Whether events go in; without them a frame says that it was cut.
    pub with_events: bool,
    /// Most bytes of messages of these ticks; the worst and newest go in (6.5).
    pub words_len: usize,
}

/// Which rows of a long stretch go in: some that are far apart, then every one.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Those that are far apart, ascending; what is left over is `u64::MAX`.
    pub points: [u64; Self::POINTS_MAX],
    /// From here on every row.
    pub dense_row: u64,
}

impl Line {
    /// Most of those that are far apart.
    pub const POINTS_MAX: usize = 12;

    /// Every row.
    pub const WHOLE: Self = Self { points: [u64::MAX; Self::POINTS_MAX], dense_row: 0 };

    /// The first row from `row` on that goes in.
    fn next(&self, row: u64) -> u64 {
        if row >= self.dense_row {
            return row;
        }
        let point = self.points.iter().find(|point| **point >= row);
        point.map_or(self.dense_row, |point| self.dense_row.min(*point))
    }
}

/// A body that was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoded {
    /// Bytes of the body.
    pub body_len: usize,
    /// Tick of the last row in it.
    pub last_tick: u64,
    /// About how many bytes of it are messages.
    pub words_len: usize,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TooMuch {
    /// So many rows, and no more, have room. Never 0.
    Rows(u64),
    /// Not even one row has room.
    Everything,
}

/// Writes bodies. All memory is taken at start.
pub struct Encoder {
    body: Box<[u8]>,
    head: Box<[u8]>,
    side: Box<[u8]>,
    groups: Groups,
    order: Vec<usize>,
    modes: Vec<(Mode, u32)>,
    units: Units,
    words: Choice,
}

/// Bytes of body that the recorder writes at most, well below the format's limit.
const BODY_LEN_MAX: usize = 224 << 10;

impl Encoder {
    /// Room for frames of samples like `layout`, in up to `columns_max` columns of all groups.
    #[must_use]
    pub fn new(layout: &Layout, columns_max: usize) -> Self {
        Self {
            body: vec![0; BODY_LEN_MAX].into_boxed_slice(),
            head: vec![0; 32 << 10].into_boxed_slice(),
            side: vec![0; 40 << 10].into_boxed_slice(),
            groups: Groups::new(layout, columns_max),
            order: Vec::with_capacity(columns_max / 4),
            modes: Vec::with_capacity(columns_max),
            units: Units::new(columns_max / 4),
            words: Choice::new(),
        }
    }

    /// A cursor to walk rows with, of nobody's between two bodies.
    pub fn spare_cursor(&mut self) -> &mut Cursor {
        self.groups.spare_cursor()
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
        self.groups.measure(layout, rows, start, wanted).map_err(too_much)?;
        let count = self.groups.ticks.len();
        let last_tick = *self.groups.ticks.last().ok_or(TooMuch::Everything)?;
        let half = too_much(count / 2);
        let head_len = self.write_head().ok_or(half)?;
        let columns_len: usize =
            self.modes.iter().map(|(_, len)| usize::try_from(*len).unwrap_or(usize::MAX)).sum();

        let ticks = (wanted.first_tick, last_tick);
        let words_len = self.words.choose(&events.words, ticks, wanted.words_len);
        let mut body = std::mem::take(&mut self.body);
        let written =
            self.write_sections(events, wanted, (head_len, columns_len, last_tick), &mut body);
        let result = match written {
            Some((columns_at, body_len)) => {
                self.groups.write_columns(
                    rows,
                    start,
                    (&self.order, &self.modes),
                    wanted.line,
                    columns_at,
                    &mut body,
                );
                Ok(Encoded { body_len, last_tick, words_len })
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

    /// Writes ticks, group headers and modes; groups in the order of their slots, so that
    /// columns of a kind stand together.
    fn write_head(&mut self) -> Option<usize> {
        self.order.clear();
        let groups = &self.groups.list;
        self.order.extend(0..groups.len());
        self.order.sort_unstable_by_key(|&index| {
            groups.get(index).map_or((usize::MAX, 0), |group| (group.slot, group.first_span))
        });
        self.modes.clear();
        self.modes.extend(self.groups.cheapest());
        let count = self.groups.ticks.len();
        let mut head = std::mem::take(&mut self.head);
        let mut out = Writer::new(&mut head);
        out.number(u64::try_from(count).ok()?);
        write_ticks(&mut out, &self.groups.ticks.iter().copied());
        out.number(u64::try_from(groups.len()).ok()?);
        let mut entity = 0;
        for &index in &self.order {
            let group = self.groups.list.get(index)?;
            let columns = group.first_column..group.first_column + group.column_count;
            let numbers = self
                .groups
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
            let spans = self.groups.spans_of(group).map(|span| span.samples());
            write_group(&mut out, number, &spans, count, &numbers);
        }
        for &index in &self.order {
            let group = self.groups.list.get(index)?;
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
        let groups = self.order.iter().filter_map(|&index| self.groups.list.get(index));
        let named = groups.filter_map(|group| group.occupant.as_ref().map(|own| (group.kind, own)));
        let names = named.clone().map(|(kind, own)| (kind, own.name.as_bytes()));
        let strangers = self.words.find_strangers(&events.words, &names);
        let entity_count = named.clone().count() + strangers.len();
        if entity_count > 0 {
            self.units.list(&self.groups, &self.order, strangers.len());
            side.number(u64::try_from(entity_count + self.units.extra.len()).ok()?);
            for (kind, occupant) in named.clone() {
                let unit = self.units.number_of(occupant.unit);
                write_occupant(&mut side, kind, occupant, unit);
            }
            for name in strangers {
                write_entity(&mut side, EntityKind::LOG, name.as_bytes(), &[]);
            }
            for unit in &self.units.extra {
                write_entity(&mut side, EntityKind::UNIT, unit.as_bytes(), &[]);
            }
            let len = side.finish()?;
            write_section(&mut out, section::ENTITIES, self.side.get(..len)?);
        }
        if !self.words.is_empty() {
            let mut side = Writer::new(&mut self.side);
            self.words.write(&events.words, &mut side, wanted.first_tick, &names);
            let len = side.finish()?;
            write_section(&mut out, section::MESSAGES, self.side.get(..len)?);
        }
        if let Some(facts) = wanted.facts {
            write_section(&mut out, section::FACTS, facts);
        }
        let mut side = Writer::new(&mut self.side);
        if wanted.with_events && events.write(&mut side, (wanted.first_tick, last_tick), false) > 0
        {
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
}

fn write_section(out: &mut Writer<'_>, kind: u64, bytes: &[u8]) {
    out.number(kind);
    out.text(bytes);
}

fn write_occupant(out: &mut Writer<'_>, kind: EntityKind, occupant: &Occupant, unit: Option<u64>) {
    let name = occupant.name.as_bytes();
    let (pid, start_ticks) = (u64::from(occupant.pid), occupant.start_ticks);
    let (pid, start_ticks) = ((attribute::PID, pid), (attribute::START_TICKS, start_ticks));
    let restart = (attribute::RESTART, u64::from(occupant.restart));
    let max = occupant.memory_max_bytes.map(|max| (attribute::MEMORY_MAX_BYTES, max));
    match (kind, unit, max, occupant.restart > 0) {
        (EntityKind::PROCESS, Some(unit), ..) => {
            write_entity(out, kind, name, &[pid, start_ticks, (attribute::UNIT, unit)]);
        }
        (EntityKind::PROCESS, None, ..) => write_entity(out, kind, name, &[pid, start_ticks]),
        (EntityKind::UNIT, _, Some(max), true) => write_entity(out, kind, name, &[max, restart]),
        (EntityKind::UNIT, _, Some(max), false) => write_entity(out, kind, name, &[max]),
        (EntityKind::UNIT, _, None, true) => write_entity(out, kind, name, &[restart]),
        _ => write_entity(out, kind, name, &[]),
    }
}
