//! After a stall: a tail frame with the newest samples, and a coarse line over all that waits (W13).

use std::ops::Range;

use flightrec_format::frame::flag;
use flightrec_format::place::Area;

use super::{Berth, Compressor, FrameMaker, Made, Stamp, seal};
use crate::encoder::{Line, Wanted};
use crate::events::Events;
use crate::rows::Rows;
use crate::sample::Layout;

/// Samples of the line, as many of the newest, and whether events go in: what is tried, in turn.
/// Hours apart two samples have little in common, so few have room.
const TRIES: [(u64, bool); 6] =
    [(12, true), (8, true), (5, true), (5, false), (3, true), (3, false)];

/// So many rows, evenly spread in time, and then every one.
fn evenly(rows: &Rows, range: Range<u64>, points: u64) -> Line {
    let mut line = Line { dense_row: range.end, ..Line::WHOLE };
    let tick = |row| rows.tick(row).unwrap_or(0);
    let (first, last) = (tick(range.start), tick(range.end));
    let mut rest = range;
    for (number, point) in (0..points).zip(&mut line.points) {
        let due = first + (last - first.min(last)) / points * number;
        *point = rest.find(|row| tick(*row) >= due).unwrap_or(u64::MAX);
    }
    line
}

impl<C: Compressor> FrameMaker<C> {
    /// Makes a tail frame of the newest rows and some of those from `waiting_row` on, the first
    /// that is not durable, spread over all of them. `None` where so few wait that a tail frame
    /// holds as many without gaps, or where even three of each do not fit.
    pub fn coarse(
        &mut self,
        (layout, rows, events): (&Layout, &Rows, &Events),
        waiting_row: u64,
        holds: (&Stamp, Berth),
        frame: &mut [u8],
    ) -> Option<Made> {
        let end_row = rows.next();
        let first_tick = rows.tick(waiting_row)?;
        for (points, with_events) in TRIES {
            let dense_row = end_row.saturating_sub(points);
            if dense_row < waiting_row.saturating_add(2 * points) {
                continue;
            }
            let line = evenly(rows, waiting_row..dense_row, points);
            let (facts, slots_end, words_len) = (None, usize::MAX, 0);
            let wanted =
                Wanted { end_row, line, first_tick, facts, slots_end, with_events, words_len };
            let encoded = self.encoder.encode(layout, rows, &self.sealed, events, wanted).ok();
            let made = encoded.and_then(|encoded| self.pack_tail(encoded, frame));
            let Some((encoded, packed)) = made else { continue };
            let flags = flag::SPARSE + u16::from(!with_events) * flag::CUT;
            let last_tick = encoded.last_tick;
            let lengths = (packed.0, packed.1, encoded.body_len);
            seal(Area::Tail, holds, (first_tick, last_tick), 1, flags, lengths, frame);
            // The next one begins no earlier, or nothing that is sealed could be forgotten.
            while self.window.row < dense_row {
                rows.advance(&mut self.window, &mut self.step)?;
            }
            return Some(Made {
                slots: 1,
                first_row: dense_row,
                end_row,
                last_tick,
                cut: !with_events,
            });
        }
        None
    }
}
