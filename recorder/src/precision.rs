//! The option *precision*: so many significant bits of each change (spec section 7.1).
//!
//! Done once, before a sample is stored anywhere, so that all copies of it are equal. What a
//! change loses is carried to the next one: the error never adds up, and no change stays no
//! change.

use crate::sample::{Layout, Occupant, Sample, SeriesNumber};

/// Series that are never rounded: clocks, the recorder's own, and what counts rare or grave things.
#[rustfmt::skip]
const EXACT: &[SeriesNumber] = &[
    28, 30, 33, 34, 101, 108, 109, 112, 146, 162, 163, 166, 167, 200, 203, 204, 225, 229, 243,
    273, 275, 276, 277, 278, 279, 282, 283, 284, 285, 286, 287, 288, 289, 290, 291, 292, 293,
];

/// Rounds the changes of readings.
#[derive(Debug)]
pub struct Precision {
    bits: u32,
    last: Box<[Option<u64>]>,
    occupants: Box<[Option<Occupant>]>,
    rounded: Box<[bool]>,
}

impl Precision {
    /// Keeps `bits` significant bits of each change; 0 keeps all.
    #[must_use]
    pub fn new(layout: &Layout, bits: u32) -> Self {
        let series = layout.slots().iter().flat_map(|slot| slot.series);
        let rounded = series.map(|series| *series > 18 && !EXACT.contains(series));
        Self {
            bits,
            last: vec![None; layout.width()].into_boxed_slice(),
            occupants: vec![None; layout.slots().len()].into_boxed_slice(),
            rounded: rounded.collect(),
        }
    }

    /// Rounds a sample in place.
    pub fn apply(&mut self, layout: &Layout, sample: &mut Sample) {
        if self.bits == 0 {
            return;
        }
        for (number, slot) in layout.slots().iter().enumerate() {
            let columns = slot.first_column..slot.first_column + slot.series.len();
            let occupant = sample.occupant(number).copied();
            if let Some(before) = self.occupants.get_mut(number)
                && *before != occupant
            {
                *before = occupant;
                self.last.get_mut(columns.clone()).unwrap_or_default().fill(None);
            }
            for column in columns {
                let Some(last) = self.last.get_mut(column) else { continue };
                let reading = sample.get(column);
                *last = match (reading, *last, self.rounded.get(column)) {
                    (Some(value), Some(last), Some(true)) => Some(round(last, value, self.bits)),
                    (reading, _, _) => reading,
                };
                if let Some(value) = *last {
                    sample.set(column, value);
                }
            }
        }
    }
}

/// `last` plus the change to `value`, cut to its `bits` leading bits.
fn round(last: u64, value: u64, bits: u32) -> u64 {
    let step = value.wrapping_sub(last).cast_signed();
    let size = step.unsigned_abs();
    let spare = (64 - size.leading_zeros()).saturating_sub(bits);
    let cut = ((size >> spare) << spare).cast_signed();
    last.wrapping_add_signed(if step < 0 { cut.wrapping_neg() } else { cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_stays_below_a_sixteenth_of_the_last_change_and_never_adds_up() {
        let mut kept = 1_000_000_u64;
        let mut truth = 1_000_000_u64;
        for step in [1, 31, 32, 1000, -7, 123_456, -99_999, 5, 0, 17] {
            truth = truth.wrapping_add_signed(step);
            let change = truth.wrapping_sub(kept).cast_signed().unsigned_abs();
            kept = round(kept, truth, 5);
            let error = truth.wrapping_sub(kept).cast_signed().unsigned_abs();
            assert!(error * 16 <= change, "{error} of {change}");
        }
        assert_eq!(round(kept, kept, 5), kept);
    }

    #[test]
    fn small_changes_are_exact() {
        for step in 0..32_u64 {
            assert_eq!(round(500, 500 + step, 5), 500 + step);
            assert_eq!(round(500, 500 - step, 5), 500 - step);
        }
    }
}
