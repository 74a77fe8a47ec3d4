//! The write budget: flash wears, so what goes beyond the calm cadence is paid from a bucket
//! (design: 350 MB, refilled by 10 MB a day, a third kept for dying).

use crate::alert::Grade;

/// The bucket when full, bytes.
pub const CAPACITY_BYTES: u64 = 350_000_000;

const REFILL_BYTES_PER_DAY: u64 = 10_000_000;
const DAY_NS: u64 = 86_400_000_000_000;

/// Slowest cadence, as a multiple of the one asked for, on an empty bucket.
const STRETCH_MAX: u64 = 8;

/// How much more than calm may be written.
#[derive(Debug)]
pub struct Budget {
    level_bytes: u64,
    calm_commit_ns: u64,
    refilled_ns: u64,
    /// Part of a byte that a refill left over, in bytes x nanoseconds of a day.
    remainder: u64,
    stretch: u64,
    next_doubling_ns: u64,
}

/// An empty bucket doubles the cadence at most once in this time.
const DOUBLING_NS: u64 = 60_000_000_000;

/// The cadence goes back to what was wanted when so much is there again.
const RELIEF_BYTES: u64 = 5_000_000;

impl Budget {
    /// Goes on from `level_bytes`.
    #[must_use]
    pub fn new(level_bytes: u64, calm_commit_ns: u64, now_ns: u64) -> Self {
        let level_bytes = level_bytes.min(CAPACITY_BYTES);
        Self {
            level_bytes,
            calm_commit_ns,
            refilled_ns: now_ns,
            remainder: 0,
            stretch: 1,
            next_doubling_ns: 0,
        }
    }

    /// Takes the level that an earlier run left.
    pub fn restore(&mut self, level_bytes: u64) {
        self.level_bytes = level_bytes.min(CAPACITY_BYTES);
    }

    /// Level for a header, KiB.
    #[must_use]
    pub fn level_kib(&self) -> u32 {
        u32::try_from(self.level_bytes / 1024).unwrap_or(u32::MAX)
    }

    /// Pays for a tail frame written `since_last_ns` after the one before.
    pub fn spend(&mut self, bytes: u64, since_last_ns: u64, now_ns: u64) {
        self.refill(now_ns);
        let calm = u128::from(bytes) * u128::from(since_last_ns.min(self.calm_commit_ns));
        let calm = calm / u128::from(self.calm_commit_ns.max(1));
        let beyond = bytes - u64::try_from(calm).unwrap_or(bytes).min(bytes);
        self.level_bytes = self.level_bytes.saturating_sub(beyond);
    }

    /// Commit interval for this grade: the one wanted; on an empty bucket doubled once a minute,
    /// never slower than calm.
    pub fn commit_ns(&mut self, grade: Grade, wanted_ns: u64, now_ns: u64) -> u64 {
        self.refill(now_ns);
        let reserve = if grade == Grade::Dying { 0 } else { CAPACITY_BYTES / 3 };
        if self.level_bytes > reserve + RELIEF_BYTES {
            self.stretch = 1;
        } else if self.level_bytes <= reserve && now_ns >= self.next_doubling_ns {
            self.stretch = (self.stretch * 2).min(STRETCH_MAX);
            self.next_doubling_ns = now_ns + DOUBLING_NS;
        }
        wanted_ns.saturating_mul(self.stretch).min(self.calm_commit_ns.max(wanted_ns))
    }

    fn refill(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.refilled_ns).min(365 * DAY_NS);
        self.refilled_ns = now_ns;
        let owed =
            u128::from(elapsed_ns) * u128::from(REFILL_BYTES_PER_DAY) + u128::from(self.remainder);
        let bytes = u64::try_from(owed / u128::from(DAY_NS)).unwrap_or(CAPACITY_BYTES);
        self.remainder = u64::try_from(owed % u128::from(DAY_NS)).unwrap_or(0);
        self.level_bytes = self.level_bytes.saturating_add(bytes).min(CAPACITY_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const CALM_NS: u64 = 10 * SECOND_NS;

    #[test]
    fn the_calm_cadence_costs_nothing() {
        let mut budget = Budget::new(CAPACITY_BYTES, CALM_NS, 0);
        for commit in 1..10_000 {
            budget.spend(4096, CALM_NS, commit * CALM_NS);
        }
        assert_eq!(u64::from(budget.level_kib()), CAPACITY_BYTES / 1024);
    }

    #[test]
    fn a_commit_each_second_lasts_about_a_day_then_slows_down_and_never_below_calm() {
        let mut budget = Budget::new(CAPACITY_BYTES, CALM_NS, 0);
        let mut slowest = 0;
        let mut first_slow = None;
        let mut now_ns = 0;
        while now_ns < 3 * DAY_NS {
            let interval = budget.commit_ns(Grade::Dying, SECOND_NS, now_ns);
            if interval > SECOND_NS && first_slow.is_none() {
                first_slow = Some(now_ns);
            }
            slowest = slowest.max(interval);
            now_ns += interval;
            budget.spend(4096, interval, now_ns);
        }
        let hours = first_slow.unwrap() / (3600 * SECOND_NS);
        assert!((24..=30).contains(&hours), "{hours} h");
        assert!((2 * SECOND_NS..=CALM_NS).contains(&slowest));
    }
}
