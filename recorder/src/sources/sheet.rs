//! What the slow thread read last, laid out for the sampler.
//!
//! A [`Look`] may hang in a driver for as long as it likes: it fills a [`Page`] of its own, and
//! posts it whole. The sampler copies what it finds and never waits; what nobody renewed for
//! long is left out, so that a reading is never older than it seems.

use std::sync::{Arc, Mutex};

use flightrec_format::entity::{EntityKind, EntityName};

use super::{Columns, Source, column, rank_columns};
use crate::sample::{Layout, Occupant, Sample, SeriesNumber};

/// Something that is read on the slow thread.
pub trait Look: Send {
    /// Looks once. May block; allocates nothing unless something new is there.
    fn look(&mut self);
}

/// Most values of one entity.
const VALUES_MAX: usize = 4;

/// One entity and its values, in the order of the series that the page was made for.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    name: Option<EntityName>,
    seen: bool,
    values: [Option<u64>; VALUES_MAX],
}

/// The slow thread's own copy, which nobody else sees before it is posted.
#[derive(Debug)]
pub(crate) struct Page {
    rows: Box<[Row]>,
    sheet: Arc<Sheet>,
}

impl Page {
    /// Forgets the values; entities keep their rows until the page is posted without them.
    pub(crate) fn begin(&mut self) {
        for row in &mut self.rows {
            row.seen = false;
            row.values = [None; VALUES_MAX];
        }
    }

    /// Writes a value of an entity; its number is that of the series in the page. The machine's
    /// own name is empty. More entities than there are rows are left out.
    pub(crate) fn put(&mut self, name: &[u8], number: usize, value: Option<u64>) {
        let name = EntityName::new(name);
        let own = self.rows.iter().position(|row| row.name == Some(name));
        let index = own.or_else(|| self.rows.iter().position(|row| row.name.is_none()));
        if let Some(row) = index.and_then(|index| self.rows.get_mut(index)) {
            row.name = Some(name);
            row.seen = true;
            if let Some(place) = row.values.get_mut(number) {
                *place = value;
            }
        }
    }

    /// Shows the page to the sampler.
    pub(crate) fn post(&mut self) {
        for row in &mut self.rows {
            row.name = row.name.filter(|_| row.seen);
        }
        if let Ok(mut shown) = self.sheet.0.lock() {
            shown.number += 1;
            shown.rows.copy_from_slice(&self.rows);
        }
    }
}

/// Where a page hangs.
#[derive(Debug)]
struct Sheet(Mutex<Shown>);

#[derive(Debug)]
struct Shown {
    /// How often a page was posted.
    number: u64,
    rows: Box<[Row]>,
}

/// The sampler's side of a page.
#[derive(Debug)]
pub(crate) struct Posted {
    name: &'static str,
    sheet: Arc<Sheet>,
    seats: Seats,
    rows: Box<[Row]>,
    number: u64,
    reads: u32,
    stale_after: u32,
}

/// Whose columns the values go to.
#[derive(Debug)]
enum Seats {
    /// The machine's.
    Machine(Box<[usize]>),
    /// Those of the entities on the page, which sit here.
    Own(Box<[Columns]>, &'static [SeriesNumber]),
    /// Those of entities that another source seats, found by their names.
    Shared(Box<[Columns]>, &'static [SeriesNumber]),
}

/// Two sides of a page for `series` (at most [`VALUES_MAX`]) of `kind`. `stale_after`: reads
/// without a new page after which the last one is not believed any more.
pub(crate) fn page(
    name: &'static str,
    layout: &Layout,
    kind: EntityKind,
    series: &'static [SeriesNumber],
    stale_after: u32,
) -> (Page, Posted) {
    let columns: Box<[Columns]> = rank_columns(layout, kind).collect();
    let row_count = columns.len().max(1);
    let seats = match kind {
        EntityKind::MACHINE => {
            Seats::Machine(series.iter().map(|&series| column(layout, series)).collect())
        }
        EntityKind::DISK | EntityKind::NET => Seats::Shared(columns, series),
        _ => Seats::Own(columns, series),
    };
    let rows = || vec![Row::default(); row_count].into_boxed_slice();
    let sheet = Arc::new(Sheet(Mutex::new(Shown { number: 0, rows: rows() })));
    let posted = Posted {
        name,
        sheet: Arc::clone(&sheet),
        seats,
        rows: rows(),
        number: 0,
        reads: 0,
        stale_after,
    };
    (Page { rows: rows(), sheet }, posted)
}

impl Posted {
    /// Takes a new page, unless the slow thread is at it just now.
    fn renew(&mut self) {
        self.reads = self.reads.saturating_add(1);
        let Ok(shown) = self.sheet.0.try_lock() else { return };
        if shown.number != self.number {
            self.number = shown.number;
            self.rows.copy_from_slice(&shown.rows);
            self.reads = 0;
        }
    }

    fn unseat(&self, sample: &mut Sample) {
        if let Seats::Own(columns, _) = &self.seats {
            for seat in columns {
                sample.seat(seat.slot, None);
            }
        }
    }
}

impl Source for Posted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        self.renew();
        if self.reads > self.stale_after {
            self.unseat(sample);
            return Err(libc::ETIMEDOUT);
        }
        match &self.seats {
            Seats::Machine(columns) => {
                let values = self.rows.first().map_or([None; VALUES_MAX], |row| row.values);
                for (&column, value) in columns.iter().zip(values) {
                    if let Some(value) = value {
                        sample.set(column, value);
                    }
                }
            }
            Seats::Own(seats, series) => {
                for (seat, row) in seats.iter().zip(&self.rows) {
                    if row.name.is_none() && sample.occupant(seat.slot).is_none() {
                        continue;
                    }
                    let seated = sample.occupant(seat.slot).map(|seated| seated.name);
                    if seated != row.name {
                        let occupant = row.name.map(|name| Occupant::named(name.as_bytes()));
                        sample.seat(seat.slot, occupant);
                    }
                    fill(row, seat, series, sample);
                }
            }
            Seats::Shared(seats, series) => {
                for seat in seats {
                    let Some(seated) = sample.occupant(seat.slot) else { continue };
                    let name = Some(seated.name);
                    let row = self.rows.iter().find(|row| row.name == name);
                    if let Some(row) = row {
                        fill(row, seat, series, sample);
                    }
                }
            }
        }
        Ok(())
    }
}

fn fill(row: &Row, seat: &Columns, series: &[SeriesNumber], sample: &mut Sample) {
    for (&series, value) in series.iter().zip(row.values) {
        if let Some(value) = value {
            sample.set(seat.of(series), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entity_reading, layout, seated};
    use super::*;

    const FS: &[SeriesNumber] = &[262, 280];

    #[test]
    fn what_was_posted_is_read_until_it_is_too_old() {
        let layout = layout();
        let (mut page, mut posted) = page("test", &layout, EntityKind::FS, FS, 3);
        let mut sample = Sample::new(&layout);
        posted.read(&mut sample).unwrap();
        assert!(seated(&sample).is_empty());
        page.begin();
        page.put(b"/", 0, Some(7));
        page.put(b"/boot", 0, Some(8));
        page.put(b"/boot", 1, Some(9));
        posted.read(&mut sample).unwrap();
        assert!(seated(&sample).is_empty(), "not before it is posted");
        page.post();
        for _ in 0..4 {
            sample.clear();
            posted.read(&mut sample).unwrap();
            assert_eq!(entity_reading(&sample, "/", 262), Some(7));
            assert_eq!(entity_reading(&sample, "/", 280), None);
            assert_eq!(entity_reading(&sample, "/boot", 280), Some(9));
        }
        sample.clear();
        assert_eq!(posted.read(&mut sample), Err(libc::ETIMEDOUT));
        assert!(seated(&sample).is_empty());
        page.begin();
        page.put(b"/boot", 0, Some(5));
        page.post();
        posted.read(&mut sample).unwrap();
        assert_eq!(seated(&sample), ["/boot"]);
    }

    /// The sampler waits for nothing: a page that is being posted is read at the next tick.
    #[test]
    fn a_page_that_is_held_does_not_stop_the_sampler() {
        let layout = layout();
        let (page, mut posted) = page("test", &layout, EntityKind::FS, FS, 3);
        let held = page.sheet.0.lock().unwrap();
        assert_eq!(posted.read(&mut Sample::new(&layout)), Ok(()));
        drop(held);
    }
}
