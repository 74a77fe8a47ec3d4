//! The write budget: flash wears, so what goes beyond the calm cadence is paid from a bucket
//! (350 MB, refilled by 10 MB a day, a third kept for dying, unless the owner says otherwise).

use bincode::{Decode, Encode};

use crate::alert::Grade;

/// What may be written beyond calm.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Allowance {
    /// The bucket when full.
    pub capacity_bytes: u64,
    /// What comes back in a day.
    pub daily_bytes: u64,
    /// Part of the bucket that is kept for dying, percent.
    pub reserve_percent: u8,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { capacity_bytes: 350_000_000, daily_bytes: 10_000_000, reserve_percent: 33 }
    }
}

const DAY_NS: u64 = 86_400_000_000_000;

/// Slowest cadence, as a multiple of the one asked for, on an empty bucket.
const STRETCH_MAX: u64 = 8;

/// How much more than calm may be written.
#[derive(Debug)]
pub struct Budget {
    allowed: Allowance,
    level_bytes: u64,
    calm_commit_ns: u64,
    refilled_ns: u64,
    /// Part of a byte that a refill left over, in bytes x nanoseconds of a day.
    remainder: u64,
    stretch: u64,
    next_doubling_ns: u64,
    is_used_up: bool,
}

/// An empty bucket doubles the cadence at most once in this time.
const DOUBLING_NS: u64 = 60_000_000_000;

/// The cadence goes back to what was wanted when so much is there again.
const RELIEF_BYTES: u64 = 5_000_000;

impl Budget {
    /// A full bucket.
    #[must_use]
    pub fn new(allowed: Allowance, calm_commit_ns: u64, now_ns: u64) -> Self {
        Self {
            allowed,
            level_bytes: allowed.capacity_bytes,
            calm_commit_ns,
            refilled_ns: now_ns,
            remainder: 0,
            stretch: 1,
            next_doubling_ns: 0,
            is_used_up: false,
        }
    }

    /// Takes the level that an earlier run left.
    pub fn restore(&mut self, level_bytes: u64) {
        self.level_bytes = level_bytes.min(self.allowed.capacity_bytes);
        self.is_used_up = self.level_bytes == 0;
        if self.is_used_up {
            // Or whoever is started again and again would be fast again and again.
            self.stretch = STRETCH_MAX;
        }
    }

    /// Level.
    #[must_use]
    pub fn level_bytes(&self) -> u64 {
        self.level_bytes
    }

    /// Whether nothing is left, or not enough has come back since.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.is_used_up
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
        self.is_used_up |= self.level_bytes == 0;
    }

    /// Commit interval for this grade: the one wanted; on an empty bucket doubled once a minute,
    /// never slower than calm.
    pub fn commit_ns(&mut self, grade: Grade, wanted_ns: u64, now_ns: u64) -> u64 {
        self.refill(now_ns);
        let reserve = if grade == Grade::Dying { 0 } else { self.reserve_bytes() };
        // In a small bucket so much is never there.
        let relief = RELIEF_BYTES.min(self.allowed.capacity_bytes.saturating_sub(reserve) / 10);
        if self.level_bytes > reserve.saturating_add(relief) {
            self.stretch = 1;
        } else if self.level_bytes <= reserve && now_ns >= self.next_doubling_ns {
            self.stretch = (self.stretch * 2).min(STRETCH_MAX);
            self.next_doubling_ns = now_ns + DOUBLING_NS;
        }
        wanted_ns.saturating_mul(self.stretch).min(self.calm_commit_ns.max(wanted_ns))
    }

    fn reserve_bytes(&self) -> u64 {
        let part =
            u128::from(self.allowed.capacity_bytes) * u128::from(self.allowed.reserve_percent);
        u64::try_from(part / 100).unwrap_or(u64::MAX)
    }

    fn refill(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.refilled_ns).min(365 * DAY_NS);
        self.refilled_ns = now_ns;
        let Allowance { capacity_bytes, daily_bytes, .. } = self.allowed;
        let owed = u128::from(elapsed_ns) * u128::from(daily_bytes) + u128::from(self.remainder);
        let bytes = u64::try_from(owed / u128::from(DAY_NS)).unwrap_or(capacity_bytes);
        self.remainder = u64::try_from(owed % u128::from(DAY_NS)).unwrap_or(0);
        self.level_bytes = self.level_bytes.saturating_add(bytes).min(capacity_bytes);
        self.is_used_up &= self.level_bytes <= RELIEF_BYTES.min(capacity_bytes / 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const CALM_NS: u64 = 10 * SECOND_NS;

    /// Commits as fast as it may, from `from_ns` until `to_ns`; the intervals, and when each began.
    fn commits(budget: &mut Budget, grade: Grade, from_ns: u64, to_ns: u64) -> Vec<(u64, u64)> {
        let mut now_ns = from_ns;
        let mut intervals = Vec::new();
        while now_ns < to_ns {
            let interval_ns = budget.commit_ns(grade, SECOND_NS, now_ns);
            intervals.push((now_ns, interval_ns));
            now_ns += interval_ns;
            budget.spend(4096, interval_ns, now_ns);
        }
        intervals
    }

    #[test]
    fn the_calm_cadence_costs_nothing() {
        let allowed = Allowance::default();
        let mut budget = Budget::new(allowed, CALM_NS, 0);
        for commit in 1..10_000 {
            budget.spend(4096, CALM_NS, commit * CALM_NS);
        }
        assert_eq!(budget.level_bytes(), allowed.capacity_bytes);
    }

    #[test]
    fn a_commit_each_second_lasts_about_a_day_then_slows_down_and_never_below_calm() {
        let mut budget = Budget::new(Allowance::default(), CALM_NS, 0);
        let seen = commits(&mut budget, Grade::Dying, 0, 3 * DAY_NS);
        let (first_slow_ns, _) = seen.iter().find(|(_, interval)| *interval > SECOND_NS).unwrap();
        let hours = first_slow_ns / (3600 * SECOND_NS);
        assert!((24..=30).contains(&hours), "{hours} h");
        let slowest = seen.iter().map(|(_, interval)| *interval).max().unwrap();
        assert!((2 * SECOND_NS..=CALM_NS).contains(&slowest));
    }

    #[test]
    fn what_an_owner_allows_is_what_is_written_beyond_calm() {
        let allowed = Allowance { capacity_bytes: 1_000_000, daily_bytes: 0, reserve_percent: 50 };
        let mut budget = Budget::new(allowed, CALM_NS, 0);
        // Each second costs 0.9 of 4096 bytes: half of the bucket lasts 136 of them.
        let seen = commits(&mut budget, Grade::Warn, 0, 1000 * SECOND_NS);
        let first_slow = seen.iter().position(|(_, interval)| *interval > SECOND_NS).unwrap();
        assert!((130..=140).contains(&first_slow), "{first_slow}");
        assert!(!budget.is_used_up());
        // Most of the other half is there for dying.
        let begin_ns = 1000 * SECOND_NS;
        let seen = commits(&mut budget, Grade::Dying, begin_ns, begin_ns + 60 * SECOND_NS);
        assert!(seen.iter().all(|(_, interval)| *interval == SECOND_NS), "{seen:?}");
        commits(&mut budget, Grade::Dying, begin_ns, begin_ns + 3600 * SECOND_NS);
        assert_eq!((budget.level_bytes(), budget.is_used_up()), (0, true));
    }

    /// So that nothing is told again and again: a tenth, or 5 MB, must have come back.
    #[test]
    fn a_bucket_that_was_used_up_is_so_until_enough_has_come_back() {
        let mut budget = Budget::new(Allowance::default(), CALM_NS, 0);
        budget.restore(0);
        assert_eq!(budget.commit_ns(Grade::Dying, SECOND_NS, 0), 8 * SECOND_NS);
        let mut at = |hours: u64| {
            budget.commit_ns(Grade::Calm, CALM_NS, hours * DAY_NS / 24);
            budget.is_used_up()
        };
        assert_eq!([0, 6, 11, 13].map(&mut at), [true, true, true, false]);
    }

    #[test]
    fn an_empty_bucket_doubles_the_cadence_minute_by_minute() {
        let allowed = Allowance { capacity_bytes: 0, daily_bytes: 0, reserve_percent: 0 };
        let mut budget = Budget::new(allowed, CALM_NS, 0);
        let at = |budget: &mut Budget, minute: u64| {
            budget.commit_ns(Grade::Dying, SECOND_NS, minute * 60 * SECOND_NS) / SECOND_NS
        };
        assert_eq!([0, 1, 2, 3, 4].map(|minute| at(&mut budget, minute)), [2, 4, 8, 8, 8]);
        assert_eq!(budget.commit_ns(Grade::Calm, CALM_NS, 400 * SECOND_NS), CALM_NS);
    }
}
