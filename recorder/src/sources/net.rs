//! `/proc/net/dev`: what the interfaces carried. `lo` is left out: it never leaves the machine.

use std::path::Path;

use flightrec_format::entity::{EntityKind, EntityName};

use super::told::Told;
use super::{Columns, Source, rank_columns};
use crate::procfile::{ProcFile, lines, numbers};
use crate::sample::{Layout, Occupant, Sample, SeriesNumber};

/// Received bytes, packets, errs, drop; the same transmitted.
pub(super) const SERIES: &[SeriesNumber] = &[160, 161, 162, 163, 164, 165, 166, 167];
/// Where they stand behind the name.
const FIELDS: [usize; 8] = [0, 1, 2, 3, 8, 9, 10, 11];
const BYTES: [usize; 2] = [0, 8];
const BYTES_UNIT: u64 = 1024;

/// Series 160 to 167.
#[derive(Debug)]
pub struct Net {
    file: ProcFile,
    seats: Box<[Seat]>,
}

/// A place for an interface. It stays there as long as it exists.
#[derive(Debug)]
struct Seat {
    columns: Columns,
    name: Option<EntityName>,
    seen: bool,
    counters: Told<[Option<u64>; FIELDS.len()]>,
}

impl Net {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        let seats = rank_columns(layout, EntityKind::NET).map(|columns| Seat {
            columns,
            name: None,
            seen: false,
            counters: Told::new(),
        });
        Self { file: ProcFile::open(&proc_root.join("net/dev")), seats: seats.collect() }
    }
}

impl Source for Net {
    fn name(&self) -> &'static str {
        "/proc/net/dev"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        for line in lines(self.file.read()?) {
            // A name may hold a colon, as that of an alias does (`eth0:1`); the counters hold none.
            let Some(colon) = memchr::memrchr(b':', line) else { continue };
            let Some((name, counters)) = line.split_at_checked(colon) else { continue };
            let (name, counters) = (name.trim_ascii(), counters.get(1..).unwrap_or_default());
            if !matches!(name, b"" | b"lo")
                && let Some(seat) = seat_of(&mut self.seats, name, sample)
            {
                seat.fill(counters, sample);
            }
        }
        for seat in &mut self.seats {
            if seat.name.is_some() && !seat.seen {
                seat.name = None;
                sample.seat(seat.columns.slot, None);
            }
            seat.seen = false;
        }
        Ok(())
    }
}

impl Seat {
    fn fill(&mut self, counters: &[u8], sample: &mut Sample) {
        self.seen = true;
        let values = self.counters.by(counters, |counters| Some(wanted(counters)));
        for (series, value) in SERIES.iter().zip(values.unwrap_or_default()) {
            if let Some(value) = value {
                sample.set(self.columns.of(*series), value);
            }
        }
    }
}

/// What stands in [`FIELDS`], bytes in their unit.
fn wanted(counters: &[u8]) -> [Option<u64>; FIELDS.len()] {
    let mut values = [None; FIELDS.len()];
    let mut places = FIELDS.iter().zip(&mut values).peekable();
    for (field, value) in numbers(counters).enumerate() {
        if let Some((_, place)) = places.next_if(|(wanted, _)| **wanted == field) {
            let unit = if BYTES.contains(&field) { BYTES_UNIT } else { 1 };
            *place = value.map(|value| value / unit);
        }
    }
    values
}

/// The seat of an interface: its own, else a free one.
fn seat_of<'a>(seats: &'a mut [Seat], name: &[u8], sample: &mut Sample) -> Option<&'a mut Seat> {
    let name = EntityName::new(name);
    let own = seats.iter().position(|seat| seat.name == Some(name));
    let index = own.or_else(|| seats.iter().position(|seat| seat.name.is_none()))?;
    let seat = seats.get_mut(index)?;
    if own.is_none() {
        seat.name = Some(name);
        sample.seat(seat.columns.slot, Some(Occupant::named(name.as_bytes())));
    }
    Some(seat)
}

#[cfg(test)]
mod tests;
