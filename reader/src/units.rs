//! Numbers for people: at most five characters, and never a digit that is not known.

/// Bytes in K, M, G, T (powers of 1024): `0`, `812K`, `3.4M`, `212M`, `1.2G`.
#[must_use]
pub fn bytes(value: f64) -> String {
    scaled(value, 1024.0)
}

/// Counts in k, M, G (powers of 1000).
#[must_use]
pub fn count(value: f64) -> String {
    scaled(value, 1000.0)
}

fn scaled(value: f64, step: f64) -> String {
    let mut left = value;
    for unit in ["", "K", "M", "G", "T", "P"] {
        // 999.5 would be shown as 1000.
        if left < 999.5 || unit == "P" {
            let fine = left < 9.95 && left > 0.0 && !(unit.is_empty() && left.fract() == 0.0);
            return if fine { format!("{left:.1}{unit}") } else { format!("{left:.0}{unit}") };
        }
        left /= step;
    }
    format!("{value:.0}")
}

/// A share in whole per cent.
#[must_use]
pub fn percent(value: f64) -> String {
    format!("{value:.0}")
}

/// A length of time: `45 s`, `30 min`, `3 h 50 min`, `5 d 2 h`.
#[must_use]
pub fn duration(ns: u128) -> String {
    let seconds = ns / 1_000_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |major: u128, a: &str, minor: u128, b: &str| {
        if minor == 0 { format!("{major} {a}") } else { format!("{major} {a} {minor} {b}") }
    };
    if days > 0 {
        two(days, "d", hours, "h")
    } else if hours > 0 {
        two(hours, "h", minutes, "min")
    } else if minutes > 0 {
        two(minutes, "min", seconds % 60, "s")
    } else if seconds > 0 || ns == 0 {
        format!("{seconds} s")
    } else {
        format!("{} ms", ns / 1_000_000)
    }
}

/// Time since boot as `+H:MM:SS`.
#[must_use]
pub fn since_boot(ns: u128) -> String {
    let seconds = ns / 1_000_000_000;
    format!("+{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_never_take_more_than_five_characters() {
        let shown = |value| bytes(value);
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(16384.0), "16K");
        assert_eq!(shown(3_565_158.0), "3.4M");
        assert_eq!(shown(222_298_112.0), "212M");
        assert_eq!(shown(1_048_575.0), "1.0M");
        assert_eq!(shown(5_368_709_120.0), "5.0G");
        let mut value = 1.0;
        while value < 1e17 {
            assert!(bytes(value).len() <= 5 && count(value).len() <= 5, "{value}");
            value *= 1.01;
        }
    }

    #[test]
    fn lengths_of_time_name_their_two_largest_units() {
        let shown = |seconds: u128| duration(seconds * 1_000_000_000);
        assert_eq!(
            [shown(0), shown(45), shown(1800), shown(13_800), shown(439_200)],
            ["0 s", "45 s", "30 min", "3 h 50 min", "5 d 2 h"]
        );
        assert_eq!(duration(250_000_000), "250 ms");
        assert_eq!(since_boot(13_801_000_000_000), "+3:50:01");
    }
}
