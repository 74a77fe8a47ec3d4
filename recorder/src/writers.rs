//! Who wrote in the seconds before: a disk that gets stuck was mostly given too much to do.
//!
//! The rows in memory know it; nothing is kept for this beside them.

use std::fmt::Write;

use flightrec_format::entity::EntityKind;

use crate::rows::{Cursor, Rows, Step};
use crate::sample::{Layout, Occupant, SeriesNumber};
use crate::words::Text;

/// Bytes written, in units of 4 KiB, of each kind of entity; and how many of a kind are named.
const WRITTEN: [(EntityKind, SeriesNumber, usize); 3] =
    [(EntityKind::PROCESS, 208, 3), (EntityKind::UNIT, 227, 2), (EntityKind::DISK, 144, 2)];

/// One place of a sample that tells of bytes written.
#[derive(Clone, Copy, Debug)]
struct Seat {
    kind: EntityKind,
    slot: usize,
    column: usize,
    who: Option<Occupant>,
    last: Option<u64>,
    grown: u64,
}

/// The places of samples that tell of bytes written.
#[derive(Debug)]
pub struct Writers(Box<[Seat]>);

impl Writers {
    /// Those of a layout.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let seats = layout.slots().iter().enumerate().filter_map(|(number, slot)| {
            let (kind, series, _) = WRITTEN.iter().find(|(kind, ..)| *kind == slot.kind)?;
            let offset = slot.series.iter().position(|own| own == series)?;
            let column = slot.first_column + offset;
            Some(Seat { kind: *kind, slot: number, column, who: None, last: None, grown: 0 })
        });
        Self(seats.collect())
    }

    /// Says who wrote how much between two ticks. `cursor` stands before the first of them, and is
    /// moved.
    pub fn tell(
        &mut self,
        rows: &Rows,
        cursor: &mut Cursor,
        step: &mut Step,
        (from_tick, until_tick): (u64, u64),
    ) -> Text {
        for seat in &mut self.0 {
            (seat.who, seat.last, seat.grown) = (None, None, 0);
        }
        while rows.tick(cursor.row).is_some_and(|tick| tick <= until_tick) {
            if rows.advance(cursor, step).is_none() {
                break;
            }
            for seat in &mut self.0 {
                let state = &cursor.state;
                let who = state.occupants.get(seat.slot).and_then(Option::as_ref);
                if who != seat.who.as_ref() {
                    (seat.who, seat.last, seat.grown) = (who.copied(), None, 0);
                }
                let is_there = state.present.get(seat.column) == Some(&true);
                let now = state.values.get(seat.column).copied().filter(|_| is_there);
                if let (Some(last), Some(now)) = (seat.last, now)
                    && step.tick > from_tick
                {
                    seat.grown = seat.grown.saturating_add(now.saturating_sub(last));
                }
                seat.last = now;
            }
        }
        self.list()
    }

    /// Those who wrote most, of each kind.
    fn list(&mut self) -> Text {
        let mut text = Text::default();
        for (kind, _, most) in WRITTEN {
            for _ in 0..most {
                let of_kind = self.0.iter_mut().filter(|seat| seat.kind == kind);
                let Some(seat) = of_kind.max_by_key(|seat| seat.grown) else { break };
                let kib = std::mem::take(&mut seat.grown).saturating_mul(4);
                let Some(who) = seat.who.as_ref().filter(|_| kib > 0) else { break };
                let name = String::from_utf8_lossy(who.name.as_bytes());
                let comma = if text.as_bytes().is_empty() { "" } else { ", " };
                let told = if kind == EntityKind::PROCESS {
                    write!(text, "{comma}{name}[{}] {kib} KiB", who.pid)
                } else {
                    write!(text, "{comma}{name} {kib} KiB")
                };
                // What has no room is less.
                if told.is_err() {
                    return text;
                }
            }
        }
        if text.as_bytes().is_empty() {
            text.push("nobody wrote");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use crate::sources::{MACHINE, RANKS};

    #[test]
    fn who_wrote_most_before_a_moment_is_named_and_who_wrote_after_it_is_not() {
        let layout = Layout::new(MACHINE, RANKS);
        let mut rows = Rows::new(&layout, 1 << 20, 1000);
        let mut sample = Sample::new(&layout);
        let seat = |kind, number: usize, series| {
            let slot = layout.slots_of(kind).start + number;
            let place = layout.slots()[slot];
            let offset = place.series.iter().position(|own| *own == series).unwrap();
            (slot, place.first_column + offset)
        };
        let influxd = seat(EntityKind::PROCESS, 0, 208);
        let vector = seat(EntityKind::PROCESS, 1, 208);
        let unit = seat(EntityKind::UNIT, 0, 227);
        let disk = seat(EntityKind::DISK, 0, 144);
        let named = |name: &[u8], pid| Occupant { pid, ..Occupant::named(name) };
        sample.seat(influxd.0, Some(named(b"influxd", 812)));
        sample.seat(vector.0, Some(named(b"vector", 400)));
        sample.seat(unit.0, Some(named(b"influxdb.service", 0)));
        sample.seat(disk.0, Some(named(b"mmcblk0", 0)));
        for tick in 1..=60 {
            sample.tick = tick;
            sample.set(influxd.1, 7000 + tick.saturating_sub(30) * 100);
            sample.set(vector.1, if tick > 40 { 1 << 30 } else { 5 });
            sample.set(unit.1, tick);
            sample.set(disk.1, tick * 200);
            assert!(rows.push(&sample, 0));
        }
        let mut writers = Writers::new(&layout);
        let mut step = Step::new(&layout);
        let mut tell = |from, until| {
            let mut cursor = Cursor::new(&layout);
            writers.tell(&rows, &mut cursor, &mut step, (from, until)).as_str().to_owned()
        };
        let expected = "influxd[812] 4000 KiB, influxdb.service 40 KiB, mmcblk0 8000 KiB";
        assert_eq!(tell(30, 40), expected);
        assert_eq!(tell(20, 30), "influxdb.service 40 KiB, mmcblk0 8000 KiB");
        assert_eq!(tell(70, 80), "nobody wrote");
    }
}
