//! Durations and sizes as people write them: `10ms`, `1s`, `2m`, `64MiB`.

/// Nanoseconds of a whole number with one of the units ms, s, m, h.
pub fn duration_ns(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] =
        &[("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
    whole(text, UNITS)
        .ok_or_else(|| format!("{text:?} is not a duration such as \"10ms\", \"1s\" or \"2m\""))
}

/// Bytes of a whole number with one of the units KiB, MiB, GiB.
pub fn size_bytes(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    whole(text, UNITS)
        .ok_or_else(|| format!("{text:?} is not a size such as \"64MiB\" or \"1GiB\""))
}

/// Bytes of a whole number with one of the units kB, MB, GB: what is written is counted in these, as
/// those who sell cards do.
pub fn written_bytes(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    whole(text, UNITS)
        .ok_or_else(|| format!("{text:?} is not an amount such as \"350MB\" or \"1GB\""))
}

/// Hundredths of a percent: `2%`, `0.5%`, `1.25%`.
pub fn percent_hundredths(text: &str) -> Result<u32, String> {
    let parse = || {
        let number = text.strip_suffix('%')?.trim_end_matches(' ');
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(part) {
            return None;
        }
        let part = match part.len() {
            1 => part.parse::<u32>().ok()? * 10,
            2 => part.parse().ok()?,
            _ => return None,
        };
        whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part)
    };
    parse().ok_or_else(|| format!("{text:?} is not a share such as \"2%\" or \"0.5%\""))
}

/// A duration in the largest unit that leaves it whole.
#[must_use]
pub fn show_duration(ns: u64) -> String {
    for (unit, factor) in [("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)] {
        if ns >= factor && ns.is_multiple_of(factor) {
            return format!("{}{unit}", ns / factor);
        }
    }
    format!("{ns}ns")
}

/// A size in the largest unit that leaves it whole.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

/// An amount in the largest unit that leaves it whole.
#[must_use]
pub fn show_written(bytes: u64) -> String {
    for (unit, factor) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes} bytes")
}

/// A share, as short as can be.
#[must_use]
pub fn show_percent(hundredths: u32) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn whole(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits_len = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_len);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start_matches(' '))?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests;
