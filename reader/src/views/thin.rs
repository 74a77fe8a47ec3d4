//! How many rows: a table for people is at most a screen or two, whatever was recorded.

/// Rows that a table has room for.
const ROWS_MAX: u128 = 60;

/// Lengths of a row that read well, seconds.
const STEPS_S: [u128; 18] =
    [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400, 43_200];

/// The shortest length of a row, nanoseconds, at which `length_ns` takes at most 60 rows; 0: every
/// sample has a row of its own.
#[must_use]
pub fn step_for(length_ns: u128, interval_ns: u128) -> u128 {
    if length_ns <= ROWS_MAX * interval_ns.max(1) {
        return 0;
    }
    let steps = STEPS_S.iter().map(|seconds| seconds * 1_000_000_000);
    let days = || (length_ns / ROWS_MAX).div_ceil(86_400_000_000_000) * 86_400_000_000_000;
    steps
        .filter(|step| *step > interval_ns)
        .find(|step| length_ns <= step * ROWS_MAX)
        .unwrap_or_else(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_hour_takes_a_row_each_30_s_and_a_minute_a_row_each_sample() {
        let second = 1_000_000_000;
        assert_eq!(step_for(1800 * second, second), 30 * second);
        assert_eq!(step_for(60 * second, second), 0);
        assert_eq!(step_for(61 * second, second), 2 * second);
        assert_eq!(step_for(86_400 * second, second), 1800 * second);
        assert!(step_for(u128::MAX / 4, second) > 0);
    }
}
