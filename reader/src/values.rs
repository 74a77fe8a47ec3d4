//! Readings as people and machines see them: named, scaled, and as rates (spec 7).

use std::collections::HashMap;
use std::fmt::Write as _;

use flightrec_format::entity::EntityKind;
use flightrec_format::series::{self, Scale, SeriesKind};
use glob::Pattern;

use crate::play::Sample;
use crate::recover::{Entities, EntityKey, Reading};

/// The name of a series of an entity, also if this version does not know it (R4).
#[must_use]
pub fn name_of(series: u16, entity: &EntityKey) -> String {
    use EntityKind as Kind;
    match (series::find(series), entity.kind) {
        (Some(known), _) => known.name.replacen("{}", &entity.name, 1),
        (None, Kind::MACHINE | Kind::PROCESS | Kind::UNIT | Kind::LOG) => {
            format!("series.{series}")
        }
        (None, _) => format!("series.{series}.{}", entity.name),
    }
}

/// Whether a series grows, so that its rate is what matters.
#[must_use]
pub fn is_counter(series: u16) -> bool {
    series::find(series).is_some_and(|known| known.kind == SeriesKind::Counter)
}

/// Writes a decimal number. A sample has a hundred of them, and with the general formatter they
/// took a fifth of all instructions of a dump.
fn write_number(out: &mut String, mut number: u64) {
    const ZERO: u8 = b'0';
    let mut digits = [ZERO; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    let digits = digits.get(digits.len() - used..).unwrap_or_default();
    out.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// Writes the value meant by a stored one (S1).
pub fn write_value(out: &mut String, series: u16, stored: u64) {
    let known = series::find(series);
    if let Some(known) = known.filter(|known| known.kind != SeriesKind::Signed)
        && let Scale::Times(times) = known.scale
        && let Some(value) = stored.checked_mul(times)
    {
        write_number(out, value);
        return;
    }
    let written = match known {
        None => write!(out, "{stored}"),
        Some(known) => {
            let value = match known.kind {
                SeriesKind::Signed => i128::from(stored.cast_signed()),
                SeriesKind::Counter | SeriesKind::Gauge => i128::from(stored),
            };
            match known.scale {
                Scale::Times(times) => write!(out, "{}", value * i128::from(times)),
                Scale::Over(divisor) => {
                    let divisor = u128::from(divisor.max(1));
                    let digits = usize::try_from(divisor.ilog10()).unwrap_or(0);
                    let sign = if value < 0 { "-" } else { "" };
                    let size = value.unsigned_abs();
                    write!(out, "{sign}{}.{:0digits$}", size / divisor, size % divisor)
                }
            }
        }
    };
    // Writing into a string does not fail.
    debug_assert!(written.is_ok());
}

/// The value meant, for figures and thresholds.
#[must_use]
pub fn value_of(series: u16, stored: u64) -> f64 {
    let Some(known) = series::find(series) else { return wide(stored) };
    let value = match known.kind {
        SeriesKind::Signed => {
            let signed = stored.cast_signed();
            wide(signed.unsigned_abs()) * if signed < 0 { -1.0 } else { 1.0 }
        }
        SeriesKind::Counter | SeriesKind::Gauge => wide(stored),
    };
    match known.scale {
        Scale::Times(times) => value * wide(times),
        Scale::Over(divisor) => value / wide(divisor),
    }
}

/// As a floating point number; what is lost beyond 2^53 nobody can see.
#[must_use]
#[allow(clippy::as_conversions, reason = "no lossless way exists, and figures need none")]
pub const fn wide(value: u64) -> f64 {
    value as f64
}

/// Growth per second from one stored value to the next; `None` if the counter went backwards.
#[must_use]
pub fn rate_of(series: u16, before: u64, after: u64, elapsed_ns: u128) -> Option<f64> {
    let grown = after.checked_sub(before)?;
    let seconds = wide(u64::try_from(elapsed_ns).ok().filter(|ns| *ns > 0)?) / 1e9;
    Some(value_of(series, grown) / seconds)
}

/// Names of readings, worked out once each.
#[derive(Default)]
pub struct Names {
    /// In the order in which they were met; samples mostly ask in that order too.
    known: Vec<Known>,
    places: HashMap<(usize, u16), usize>,
    next: usize,
    wanted: Vec<Pattern>,
    suffix: bool,
}

/// What is known of the readings of one entity and series.
struct Known {
    of: (usize, u16),
    /// Its name, and the name as a key of a JSON object with the colon; `None` if not wanted.
    name: Option<(String, String)>,
}

impl Names {
    /// Names those that match one of `globs`, or all. With `rates`, counters are called what they
    /// become.
    pub fn new(globs: &[String], rates: bool) -> Result<Self, String> {
        let wanted = globs
            .iter()
            .map(|glob| Pattern::new(glob).map_err(|why| format!("--series {glob}: {why}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { wanted, suffix: rates, ..Self::default() })
    }

    /// The name of a reading, if it is wanted.
    pub fn get(&mut self, entities: &Entities, reading: &Reading) -> Option<&str> {
        self.known(entities, reading).map(|(name, _)| name.as_str())
    }

    /// The name of a reading as a key of a JSON object, colon and all, if it is wanted.
    pub fn key(&mut self, entities: &Entities, reading: &Reading) -> Option<&str> {
        self.known(entities, reading).map(|(_, key)| key.as_str())
    }

    fn known(&mut self, entities: &Entities, reading: &Reading) -> Option<&(String, String)> {
        let of = (reading.entity, reading.series);
        let place = if self.known.get(self.next).is_some_and(|known| known.of == of) {
            self.next
        } else if let Some(place) = self.places.get(&of) {
            *place
        } else {
            let name = self.work_out(entities, reading);
            self.known.push(Known { of, name });
            self.places.insert(of, self.known.len() - 1);
            self.known.len() - 1
        };
        self.next = place + 1;
        self.known.get(place)?.name.as_ref()
    }

    fn work_out(&self, entities: &Entities, reading: &Reading) -> Option<(String, String)> {
        let mut name = name_of(reading.series, entities.get(reading.entity)?);
        let fits = |pattern: &Pattern| pattern.matches(&name);
        if !self.wanted.is_empty() && !self.wanted.iter().any(fits) {
            return None;
        }
        if self.suffix && is_counter(reading.series) {
            name.push_str("_per_s");
        }
        let mut key = String::new();
        crate::export::json::quote(&mut key, &name);
        key.push(':');
        Some((name, key))
    }
}

/// Whether the names of such readings could meet those of others: not as the catalogue has them.
#[must_use]
pub fn is_odd(entities: &Entities, reading: &Reading) -> bool {
    let kind = entities.get(reading.entity).map_or(EntityKind::MACHINE, |key| key.kind);
    match series::find(reading.series) {
        Some(known) => known.entity != kind,
        None => kind != EntityKind::MACHINE,
    }
}

/// The counters of the sample before, for rates.
#[derive(Default)]
pub struct Rates {
    boot: Option<usize>,
    time_ns: u128,
    before: HashMap<(usize, u16), u64>,
    now: HashMap<(usize, u16), u64>,
}

impl Rates {
    /// Takes the next sample; counters of another boot are not compared.
    pub fn next(&mut self, entities: &Entities, sample: &Sample) -> u128 {
        let (boot, time_ns) = (sample.stand.at.0, sample.stand.sample.time_ns);
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
        if self.boot != Some(boot) {
            self.before.clear();
        }
        self.boot = Some(boot);
        for reading in &sample.readings {
            self.now.insert((entities.same(reading.entity), reading.series), reading.stored);
        }
        let elapsed = time_ns.saturating_sub(self.time_ns);
        self.time_ns = time_ns;
        elapsed
    }

    /// Growth per second of a reading of the sample taken last.
    #[must_use]
    pub fn rate(&self, entities: &Entities, reading: &Reading, elapsed_ns: u128) -> Option<f64> {
        let before = *self.before.get(&(entities.same(reading.entity), reading.series))?;
        rate_of(reading.series, before, reading.stored, elapsed_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(series: u16, stored: u64) -> String {
        let mut out = String::new();
        write_value(&mut out, series, stored);
        out
    }

    /// S1.
    #[test]
    fn values_are_scaled_and_signed_as_the_catalogue_says() {
        assert_eq!(shown(52, 3), "49152");
        assert_eq!(shown(36, 5), "0.05");
        assert_eq!(shown(260, (-5_i64).cast_unsigned()), "-0.5");
        assert_eq!(shown(1, u64::MAX), "-1");
        assert_eq!(shown(900, u64::MAX), "18446744073709551615");
        assert_eq!(shown(50, u64::MAX), "302231454903657293660160");
        assert_eq!(shown(4, u64::MAX), "18446744073709551615");
        assert_eq!(shown(4, 0), "0");
        assert_eq!(shown(4, 1020), "1020");
    }

    #[test]
    fn a_counter_that_goes_backwards_has_no_rate() {
        assert_eq!(rate_of(102, 10, 30, 2_000_000_000), Some(10.0));
        assert_eq!(rate_of(102, 30, 10, 2_000_000_000), None);
        assert_eq!(rate_of(102, 10, 30, 0), None);
    }
}
