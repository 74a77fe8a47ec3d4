//! How bad it is: calm, warn or dying, on evidence that needs no optional kernel feature.
//!
//! *warn* asks for attention, *dying* for a commit every second. The triggers are simple: each
//! looks at two samples. A grade is taken when its trigger held in three of the last five samples,
//! and left after thirty calm ones, so that one slow write is no alarm. A grave error of the kernel
//! is a reason for some samples, and then not again for a while: some drivers never stop.

/// Grades, in rising order.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Grade {
    /// Nothing to report.
    #[default]
    Calm,
    /// Something is wrong, slowly.
    Warn,
    /// This may be the end.
    Dying,
}

impl Grade {
    /// Its number in events and in series 18.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Calm => 0,
            Self::Warn => 1,
            Self::Dying => 2,
        }
    }
}

/// What the triggers look at: growth over one sample, and levels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vitals {
    /// Time over which the counters grew, milliseconds.
    pub elapsed_ms: u64,
    /// Swapped in and out, in units of 4 KiB whatever the kernel's pages are.
    pub swapped_pages: u64,
    /// Allocations that had to reclaim memory themselves.
    pub allocation_stalls: u64,
    /// Memory that can still be had, and all of it, in one unit; 0 and 0 if unknown.
    pub available: u64,
    /// See `available`.
    pub total: u64,
    /// Tasks that wait for a disk.
    pub procs_blocked: u64,
    /// I/O wait, in 1/100 of the time of one core.
    pub iowait_percent: u64,
    /// Age of the unfinished commit, milliseconds.
    pub commit_stuck_ms: u64,
    /// What goes wrong slowly ([`crate::trends`]).
    pub trend: Option<&'static str>,
}

impl Vitals {
    /// The grade that these vitals call for, and why.
    #[must_use]
    pub fn grade(&self) -> (Grade, &'static str) {
        let per_second = |count: u64| count.saturating_mul(1000) / self.elapsed_ms.max(1);
        let available_below = |percent: u64| {
            self.total > 0 && self.available.saturating_mul(100) < self.total * percent
        };
        let swapping = per_second(self.swapped_pages);
        if self.commit_stuck_ms >= 5000 {
            return (Grade::Dying, "a commit has been stuck for 5 s");
        }
        if available_below(3) {
            return (Grade::Dying, "less than 3 % of memory available");
        }
        if swapping >= 500 && available_below(15) {
            return (Grade::Dying, "heavy swap traffic with little memory");
        }
        if per_second(self.allocation_stalls) >= 50 {
            return (Grade::Dying, "allocations stall");
        }
        if self.procs_blocked >= 8 && self.iowait_percent >= 80 {
            return (Grade::Dying, "tasks pile up waiting for the disk");
        }
        if available_below(8) {
            return (Grade::Warn, "less than 8 % of memory available");
        }
        if swapping >= 100 {
            return (Grade::Warn, "swap traffic");
        }
        if self.procs_blocked >= 4 && self.iowait_percent >= 50 {
            return (Grade::Warn, "tasks wait for the disk");
        }
        match self.trend {
            Some(trend) => (Grade::Warn, trend),
            None => (Grade::Calm, "calm"),
        }
    }
}

/// A change of grade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// Before.
    pub from: Grade,
    /// After.
    pub to: Grade,
    /// What triggered it.
    pub why: &'static str,
}

/// The grade, with memory.
#[derive(Debug, Default)]
pub struct Alert {
    grade: Grade,
    recent: [Grade; 5],
    below: u32,
    /// Samples for which the last shock counts, and those until another one does.
    shock: (u32, u32),
}

/// Samples for which a shock counts, and for which no other one does.
const SHOCK_SAMPLES: (u32, u32) = (5, 600);

/// Samples in a row that must call for less before a grade is left.
const CALM_SAMPLES: u32 = 30;

impl Alert {
    /// The present grade.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// The kernel told a grave error: this may be the end of a disk.
    pub fn shock(&mut self) {
        if self.shock.1 == 0 {
            self.shock = SHOCK_SAMPLES;
        }
    }

    /// Takes the vitals of one more sample.
    pub fn observe(&mut self, vitals: &Vitals) -> Option<Change> {
        let (mut now, mut why) = vitals.grade();
        if self.shock.0 > 0 && now < Grade::Dying {
            (now, why) = (Grade::Dying, "a grave error of the kernel");
        }
        self.shock = (self.shock.0.saturating_sub(1), self.shock.1.saturating_sub(1));
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = now;
        }
        // The grade that three of the last five samples reach, or exceed.
        let mut sorted = self.recent;
        sorted.sort_unstable();
        let [_, _, lasting, ..] = sorted;
        self.below = if now >= self.grade { 0 } else { self.below + 1 };
        let to = if lasting > self.grade {
            lasting
        } else if self.below >= CALM_SAMPLES {
            self.recent.iter().copied().max().unwrap_or_default()
        } else {
            return None;
        };
        let change = Change { from: self.grade, to, why };
        self.grade = to;
        self.below = 0;
        (change.from != change.to).then_some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DYING: Vitals = Vitals {
        elapsed_ms: 1000,
        available: 1,
        total: 100,
        swapped_pages: 0,
        allocation_stalls: 0,
        procs_blocked: 0,
        iowait_percent: 0,
        commit_stuck_ms: 0,
        trend: None,
    };
    const CALM: Vitals = Vitals { available: 50, ..DYING };

    #[test]
    fn one_bad_second_is_no_alarm_and_three_are() {
        let mut alert = Alert::default();
        assert_eq!(alert.observe(&DYING), None);
        assert_eq!(alert.observe(&CALM), None);
        assert_eq!(alert.observe(&DYING), None);
        let change = alert.observe(&DYING).unwrap();
        assert_eq!((change.from, change.to), (Grade::Calm, Grade::Dying));
    }

    #[test]
    fn a_grade_is_left_after_thirty_calm_samples() {
        let mut alert = Alert::default();
        for _ in 0..5 {
            alert.observe(&DYING);
        }
        for sample in 1..30 {
            assert_eq!(alert.observe(&CALM), None, "sample {sample}");
        }
        let change = alert.observe(&CALM).unwrap();
        assert_eq!((change.from, change.to), (Grade::Dying, Grade::Calm));
    }

    #[test]
    fn a_driver_that_never_stops_complaining_is_an_alarm_now_and_then() {
        let mut alert = Alert::default();
        let mut dying = 0;
        for _ in 0..1200 {
            alert.shock();
            alert.observe(&CALM);
            dying += u32::from(alert.grade() == Grade::Dying);
        }
        assert!((60..100).contains(&dying), "{dying}");
    }

    #[test]
    fn a_machine_that_tells_nothing_is_calm() {
        assert_eq!(Vitals::default().grade().0, Grade::Calm);
    }
}
