//! The recorder's share of the processor: a bucket of CPU time, filled by `cpu_max` of each second and
//! emptied by what the recorder uses. What can wait does before it is empty; samples never do.

/// The bucket holds the share of so much time: a start, or a storm of logs, may take it at once.
const BURST_NS: u64 = 60_000_000_000;

/// The last part of the bucket belongs to the sampler.
const RESERVE_PART: u64 = 4;

/// A look that waited makes it a limit that is reached for so long.
const REACHED_NS: u64 = 60_000_000_000;

/// The share that is told is measured over at least so much time.
const MEASURED_NS: u64 = 10_000_000_000;

/// What the recorder used, and what it may.
#[derive(Debug)]
pub struct Share {
    /// Hundredths of a percent of one core.
    most: u64,
    /// CPU time in the bucket, ns.
    level_ns: u64,
    last: Option<Used>,
    /// Two moments between which the share is measured, the older one first.
    marks: [Option<Used>; 2],
    waited_ns: Option<u64>,
}

/// CPU time used until a moment.
#[derive(Clone, Copy, Debug)]
struct Used {
    at_ns: u64,
    cpu_ms: u64,
}

impl Share {
    /// Begins with a full bucket.
    #[must_use]
    pub fn new(cpu_max: u32) -> Self {
        let most = u64::from(cpu_max);
        let (last, marks, waited_ns) = (None, [None; 2], None);
        Self { most, level_ns: of(BURST_NS, most), last, marks, waited_ns }
    }

    /// Takes the CPU time used so far; says whether what can wait has to.
    pub fn observe(&mut self, cpu_ms: u64, now_ns: u64) -> bool {
        let now = Used { at_ns: now_ns, cpu_ms };
        let before = self.last.replace(now).unwrap_or(now);
        let earned_ns = of(now_ns.saturating_sub(before.at_ns), self.most);
        let used_ns = cpu_ms.saturating_sub(before.cpu_ms).saturating_mul(1_000_000);
        let full_ns = of(BURST_NS, self.most);
        self.level_ns =
            self.level_ns.saturating_add(earned_ns).min(full_ns).saturating_sub(used_ns);
        let [_, newer] = self.marks;
        if newer.is_none_or(|mark| now_ns.saturating_sub(mark.at_ns) >= MEASURED_NS) {
            self.marks = [newer, Some(now)];
        }
        let must_wait = self.level_ns < full_ns / RESERVE_PART;
        if must_wait {
            self.waited_ns = Some(now_ns);
        }
        must_wait
    }

    /// Whether something had to wait in the last minute.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        let now_ns = self.last.map_or(0, |last| last.at_ns);
        self.waited_ns.is_some_and(|at_ns| now_ns.saturating_sub(at_ns) < REACHED_NS)
    }

    /// The share used lately, hundredths of a percent of one core.
    #[must_use]
    pub fn used(&self) -> u64 {
        let (Some(now), [older, newer]) = (self.last, self.marks) else { return 0 };
        let Some(from) = older.or(newer) else { return 0 };
        let elapsed_ns = now.at_ns.saturating_sub(from.at_ns).max(1);
        let used_ns = u128::from(now.cpu_ms.saturating_sub(from.cpu_ms)) * 1_000_000;
        u64::try_from(used_ns * 10_000 / u128::from(elapsed_ns)).unwrap_or(u64::MAX)
    }
}

/// So many hundredths of a percent of a time.
fn of(ns: u64, hundredths: u64) -> u64 {
    u64::try_from(u128::from(ns) * u128::from(hundredths) / 10_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// Runs for so many seconds; each takes `floor_ms`, and `look_ms` more if looks need not wait.
    /// Returns the CPU time used, and the seconds in which they waited.
    fn run(
        share: &mut Share,
        from_s: u64,
        seconds: u64,
        floor_ms: u64,
        look_ms: u64,
    ) -> (u64, u64) {
        let begun_ms = share.last.map_or(0, |last| last.cpu_ms);
        let (mut cpu_ms, mut waited) = (begun_ms, 0);
        for second in from_s..from_s + seconds {
            let must_wait = share.observe(cpu_ms, second * SECOND_NS);
            waited += u64::from(must_wait);
            cpu_ms += floor_ms + if must_wait { 0 } else { look_ms };
        }
        (cpu_ms - begun_ms, waited)
    }

    #[test]
    fn who_stays_below_never_waits() {
        let mut share = Share::new(200);
        assert_eq!(run(&mut share, 0, 100_000, 5, 14), (1_900_000, 0));
        assert!(!share.is_reached());
        assert_eq!(share.used(), 190);
    }

    /// Looks that would take 3 % beside samples that take 1 % get what is left of 2 %.
    #[test]
    fn looks_wait_so_that_the_whole_stays_below_the_limit() {
        let mut share = Share::new(200);
        let (_, waited) = run(&mut share, 0, 600, 10, 30);
        assert!(waited > 0 && share.is_reached());
        let (used_ms, waited) = run(&mut share, 600, 10_000, 10, 30);
        assert!((198_000..=202_000).contains(&used_ms), "{used_ms}");
        assert!((6000..7000).contains(&waited), "two thirds of them: {waited}");
        // The crowd goes away.
        run(&mut share, 10_600, 200, 10, 5);
        assert!(!share.is_reached());
        assert_eq!(run(&mut share, 10_800, 1000, 10, 5).1, 0);
    }

    /// Where samples alone take more, every look waits, and nothing overflows.
    #[test]
    fn samples_are_not_asked() {
        let mut share = Share::new(200);
        run(&mut share, 0, 600, 50, 30);
        let (used_ms, waited) = run(&mut share, 600, 600, 50, 30);
        assert_eq!((used_ms, waited), (30_000, 600));
        assert_eq!(share.used(), 500);
        share.observe(u64::MAX, u64::MAX);
        share.observe(0, 0);
        assert!(share.level_ns <= of(BURST_NS, 200));
    }
}
