//! Real time for people: in which zone it is shown, and in which one it is typed.

use std::time::{Duration, Instant};

use chrono::{DateTime, FixedOffset, Local, MappedLocalTime, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use flightrec_format::facts::RunFacts;

/// A time zone, from the recording or from the command line.
#[derive(Clone, Copy, Debug)]
pub enum Zone {
    /// By its IANA name: knows summer time.
    Named(Tz),
    /// Hours and minutes east of UTC, for want of a name.
    Fixed(FixedOffset),
    /// Of the machine that we run on.
    Here,
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self::Named(Tz::UTC);

    /// By what was typed after `--tz`.
    pub fn parse(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("local") {
            return Ok(Self::Here);
        }
        if let Ok(zone) = name.parse::<Tz>() {
            return Ok(Self::Named(zone));
        }
        if let Ok(offset) = name.parse::<FixedOffset>() {
            return Ok(Self::Fixed(offset));
        }
        Err("not a time zone that I know; try Europe/Berlin, +01:00, UTC or local".to_owned())
    }

    /// The zone of the board that was recorded; UTC if it did not say.
    #[must_use]
    pub fn of_board(facts: Option<&RunFacts>) -> Self {
        let Some(facts) = facts else { return Self::UTC };
        let named = facts.get("zone").and_then(|name| name.parse().ok()).map(Self::Named);
        let fixed = || {
            let seconds = facts.get("zone_offset_s")?.parse().ok()?;
            FixedOffset::east_opt(seconds).map(Self::Fixed)
        };
        named.or_else(fixed).unwrap_or(Self::UTC)
    }

    /// A real time (ms since 1970) in this zone; `None` if no calendar has it.
    #[must_use]
    pub fn show(self, time_ms: i128) -> Option<DateTime<FixedOffset>> {
        let utc = DateTime::<Utc>::from_timestamp_millis(i64::try_from(time_ms).ok()?)?;
        Some(match self {
            Self::Named(zone) => {
                let there = utc.with_timezone(&zone);
                there.with_timezone(&there.offset().fix())
            }
            Self::Fixed(offset) => utc.with_timezone(&offset),
            Self::Here => utc.with_timezone(&Local).fixed_offset(),
        })
    }

    /// What a clock in this zone that shows `wall` means, ms since 1970. Of the two hours when
    /// summer time ends the first one counts; in the hour that is left out, the next that exists.
    #[must_use]
    pub fn read(self, wall: NaiveDateTime) -> Option<i128> {
        fn first<T: TimeZone>(zone: &T, wall: NaiveDateTime) -> Option<i128> {
            let found = match zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(time) | MappedLocalTime::Ambiguous(time, _) => time,
                MappedLocalTime::None => {
                    zone.from_local_datetime(&(wall + chrono::TimeDelta::hours(1))).earliest()?
                }
            };
            Some(i128::from(found.timestamp_millis()))
        }
        match self {
            Self::Named(zone) => first(&zone, wall),
            Self::Fixed(offset) => first(&offset, wall),
            Self::Here => first(&Local, wall),
        }
    }
}

/// The clock of the machine that we run on, ms since 1970. The only place that asks it.
#[must_use]
pub fn now_ms() -> i128 {
    i128::from(Utc::now().timestamp_millis())
}

/// How long something takes, for those who wait for it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place; nothing recorded depends on it")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Time since boot, ms, from the file that tells it in hundredths of a second.
#[must_use]
pub fn boottime_ms() -> Option<u64> {
    parse_uptime(&std::fs::read_to_string("/proc/uptime").ok()?)
}

fn parse_uptime(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split(' ').next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.parse().ok().filter(|hundredths| *hundredths < 100)?;
    Some(seconds.checked_mul(1000)? + hundredths * 10)
}

/// RFC 3339 in UTC with three decimals; `None` outside of the years 1970 to 9999.
#[must_use]
pub fn rfc3339(time_ms: i128) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp_millis(i64::try_from(time_ms).ok()?)?;
    let year = chrono::Datelike::year(&time);
    (1970..=9999).contains(&year).then(|| format!("{}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_without_a_zone_name_is_shown_at_its_offset() {
        let facts = |pairs: &[(&str, &str)]| RunFacts {
            facts: pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            ..RunFacts::default()
        };
        let show = |facts: &RunFacts| Zone::of_board(Some(facts)).show(0).unwrap().to_rfc3339();
        assert_eq!(show(&facts(&[("zone_offset_s", "3600")])), "1970-01-01T01:00:00+01:00");
        assert_eq!(show(&facts(&[("zone", "Europe/Berlin")])), "1970-01-01T01:00:00+01:00");
        assert_eq!(show(&facts(&[("zone", "../../etc/passwd")])), "1970-01-01T00:00:00+00:00");
    }

    #[test]
    fn the_hour_that_summer_time_takes_away_is_the_next_one_that_exists() {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let wall = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        assert_eq!(zone.read(wall("2026-03-29 02:30")), zone.read(wall("2026-03-29 03:30")));
    }

    #[test]
    fn times_that_no_calendar_has_are_not_shown() {
        assert_eq!(rfc3339(i128::MAX), None);
        assert_eq!(rfc3339(253_402_300_800_000), None);
        assert_eq!(rfc3339(1_795_333_440_123).unwrap(), "2026-11-22T07:44:00.123Z");
    }

    #[test]
    fn uptime_is_read_to_the_hundredth() {
        assert_eq!(parse_uptime("350735.47 234388.90\n"), Some(350_735_470));
        for text in ["", "1", "1.x 2", "a.47", "1.470 2", "99999999999999999999.00 1"] {
            assert_eq!(parse_uptime(text), None, "{text}");
        }
    }
}
