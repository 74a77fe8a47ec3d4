//! Points in time as people type them, in the manner of `journalctl`.

use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use crate::zone::Zone;

/// What was typed after `--since`, `--until` or `--at`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Moment {
    /// A date and a time.
    Wall(NaiveDateTime),
    /// A time alone: of the newest day on which the recording reaches it.
    TimeOfDay(NaiveTime),
    /// Back from now.
    Ago(Duration),
    /// Seconds since 1970, as milliseconds.
    Epoch(i64),
    /// Midnight, so many days before today.
    DaysAgo(u32),
    /// With its own offset.
    Exact(i64),
}

/// Most of what a duration may be: a century.
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Reads a duration such as `30m`; a bare number is refused, because nobody knows its unit.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text.trim())
        .map_err(|_| "not a duration; write 90s, 30m, 2h, 1d or 1h30m".to_owned())?;
    if duration.is_zero() || duration > DURATION_MAX {
        return Err("a duration that makes no sense here".to_owned());
    }
    Ok(duration)
}

impl Moment {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let days_ago = match text {
            "now" => return Ok(Self::Ago(Duration::ZERO)),
            "today" => Some(0),
            "yesterday" => Some(1),
            _ => None,
        };
        if let Some(days) = days_ago {
            return Ok(Self::DaysAgo(days));
        }
        if let Some(seconds) = text.strip_prefix('@') {
            return parse_epoch(seconds).map(Self::Epoch).ok_or_else(hint);
        }
        if let Some(ago) = text.strip_suffix(" ago").or_else(|| text.strip_prefix('-')) {
            return parse_duration(&ago.replace(' ', "")).map(Self::Ago);
        }
        for format in ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f"] {
            if let Ok(time) = NaiveTime::parse_from_str(text, format) {
                return Ok(Self::TimeOfDay(time));
            }
        }
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Ok(Self::Wall(date.and_time(NaiveTime::MIN)));
        }
        if let Ok(exact) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Exact(exact.timestamp_millis()));
        }
        let wall = text.replace('T', " ");
        for format in ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%.f"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(&wall, format) {
                return Ok(Self::Wall(time));
            }
        }
        Err(hint())
    }

    /// Real time, ms since 1970, in `zone`. `now_ms` is the clock of the machine that we run on,
    /// `newest_ms` that of the newest sample: on a card from a dead board "07:30" means the last
    /// 07:30 that was recorded, whatever today is.
    #[must_use]
    pub fn resolve(&self, zone: Zone, now_ms: i128, newest_ms: Option<i128>) -> Option<i128> {
        match self {
            Self::Wall(wall) => zone.read(*wall),
            Self::Epoch(ms) | Self::Exact(ms) => Some(i128::from(*ms)),
            Self::Ago(duration) => Some(now_ms - i128::try_from(duration.as_millis()).ok()?),
            Self::DaysAgo(days) => {
                let today = zone.show(now_ms)?.date_naive();
                let day = today - TimeDelta::days(i64::from(*days));
                zone.read(day.and_time(NaiveTime::MIN))
            }
            Self::TimeOfDay(time) => {
                let newest = newest_ms.unwrap_or(now_ms);
                let day = zone.show(newest)?.date_naive();
                let that_day = zone.read(day.and_time(*time))?;
                if that_day <= newest {
                    return Some(that_day);
                }
                zone.read(day.pred_opt()?.and_time(*time))
            }
        }
    }
}

fn parse_epoch(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let part: String = format!("{part}000").chars().take(3).collect();
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

fn hint() -> String {
    "not a time; write \"2026-11-22 07:30\", 07:30, -30m, \"30 min ago\", yesterday or @1795333440"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i128 = 1_795_419_840_000; // 2026-11-23 07:44:00 UTC
    const NEWEST: i128 = 1_795_333_440_000; // 2026-11-22 07:44:00 UTC

    fn at(text: &str) -> String {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let ms = Moment::parse(text).unwrap().resolve(zone, NOW, Some(NEWEST)).unwrap();
        crate::zone::rfc3339(ms).unwrap()
    }

    #[test]
    fn the_grammar_of_journalctl_is_understood() {
        assert_eq!(at("2026-11-22 07:30"), "2026-11-22T06:30:00.000Z");
        assert_eq!(at("2026-11-22T07:30:15"), "2026-11-22T06:30:15.000Z");
        assert_eq!(at("2026-11-22"), "2026-11-21T23:00:00.000Z");
        assert_eq!(at("-30m"), "2026-11-23T07:14:00.000Z");
        assert_eq!(at("30 min ago"), "2026-11-23T07:14:00.000Z");
        assert_eq!(at("yesterday"), "2026-11-21T23:00:00.000Z");
        assert_eq!(at("@1795333440"), "2026-11-22T07:44:00.000Z");
        assert_eq!(at("2026-11-22T07:30:00Z"), "2026-11-22T07:30:00.000Z");
    }

    #[test]
    fn a_time_alone_is_the_last_one_that_was_recorded() {
        assert_eq!(at("07:30"), "2026-11-22T06:30:00.000Z");
        assert_eq!(at("23:50"), "2026-11-21T22:50:00.000Z");
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        for text in ["", "30", "25:00", "-30", "@", "@1.2.3", "soon", "-99999999y"] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
        assert!(parse_duration("30").is_err());
        assert!(parse_duration("0s").is_err());
    }
}
