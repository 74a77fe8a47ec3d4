//! Sees when a limit is reached, and when it is no longer: from the recorder's own readings, on the
//! sampler's thread, once for each sample.

use std::sync::Arc;

use super::ration::Ration;
use super::share::Share;
use super::turns::Turns;
use super::{Limit, Limits, OTHER_THREADS, THREADS_MIN};
use crate::budget::Budget;
use crate::sample::{Layout, Sample};

/// Memory above or below its limit for so many samples in a row is believed.
const SAMPLES_IN_A_ROW: u32 = 10;

/// Unit of the series of resident memory.
const RSS_UNIT: u64 = 4096;

/// A limit that is reached from now on, or no longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// Which.
    pub limit: Limit,
    /// Whether it is reached.
    pub is_reached: bool,
    /// How much is used, in the limit's own unit.
    pub used: u64,
    /// How much may be.
    pub most: u64,
}

/// Looks at the readings.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    share: Share,
    turns: Arc<Turns>,
    cpu_ms: usize,
    rss: usize,
    threads: usize,
    /// Samples in a row that disagree with what is believed of memory.
    memory_other: u32,
    reached: [bool; Limit::ALL.len()],
}

impl Watch {
    /// Tells the other threads by way of `turns`.
    #[must_use]
    pub fn new(limits: Limits, layout: &Layout, turns: Arc<Turns>) -> Self {
        let column = |series| layout.machine_column(series).unwrap_or(usize::MAX);
        Self {
            limits,
            share: Share::new(limits.cpu_max),
            turns,
            cpu_ms: column(12),
            rss: column(13),
            threads: column(298),
            memory_other: 0,
            reached: [false; Limit::ALL.len()],
        }
    }

    /// From now on by way of these.
    pub fn use_turns(&mut self, turns: Arc<Turns>) {
        self.turns = turns;
    }

    /// Looks at a sample; returns what has changed.
    pub fn observe(
        &mut self,
        sample: &Sample,
        now_ns: u64,
        budget: &Budget,
        ration: &Ration,
    ) -> [Option<Change>; Limit::ALL.len()] {
        if let Some(cpu_ms) = sample.get(self.cpu_ms) {
            let must_wait = self.share.observe(cpu_ms, now_ns);
            self.turns.set_wait(must_wait);
        }
        let memory_bytes = sample.get(self.rss).unwrap_or(0).saturating_mul(RSS_UNIT);
        let memory = self.memory(memory_bytes);
        let all_threads = THREADS_MIN + u32::try_from(OTHER_THREADS.len()).unwrap_or(0);
        let writes = self.limits.writes;
        Limit::ALL.map(|limit| {
            let (is_reached, used, most) = match limit {
                Limit::Writes => {
                    let spent = writes.capacity_bytes.saturating_sub(budget.level_bytes());
                    (budget.is_used_up(), spent, writes.capacity_bytes)
                }
                Limit::Cpu => {
                    (self.share.is_reached(), self.share.used(), u64::from(self.limits.cpu_max))
                }
                Limit::Memory => (memory, memory_bytes, self.limits.memory_max_bytes),
                Limit::Threads => {
                    let most = self.limits.threads_max;
                    let used = sample.get(self.threads).unwrap_or(u64::from(most));
                    (most < all_threads, used, u64::from(most))
                }
                Limit::LogLines => {
                    let (said, most) = ration.used();
                    (ration.is_used_up(), said, most)
                }
            };
            let known = self.reached.get_mut(bit(limit))?;
            let change = Change { limit, is_reached, used, most };
            (std::mem::replace(known, is_reached) != is_reached).then_some(change)
        })
    }

    /// Whether memory is beyond its limit. It is below again at three quarters, so that what was let
    /// go is not what made the difference.
    fn memory(&mut self, bytes: u64) -> bool {
        let most = self.limits.memory_max_bytes;
        let believed = self.reached.get(bit(Limit::Memory)).copied().unwrap_or(false);
        let now = if believed { bytes > most / 4 * 3 } else { bytes > most };
        self.memory_other = if now == believed { 0 } else { self.memory_other + 1 };
        if self.memory_other < SAMPLES_IN_A_ROW {
            return believed;
        }
        self.memory_other = 0;
        if now {
            self.turns.shed();
        }
        now
    }

    /// The limits that are reached, as bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.reached.iter().rev().fold(0, |bits, reached| bits << 1 | u64::from(*reached))
    }

    /// Looks of other threads that waited.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.turns.skipped()
    }
}

fn bit(limit: Limit) -> usize {
    Limit::ALL.iter().position(|own| *own == limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &[u16] = &[12, 13, 298];
    const SECOND_NS: u64 = 1_000_000_000;

    struct Room {
        watch: Watch,
        sample: Sample,
        turns: Arc<Turns>,
        now_ns: u64,
    }

    impl Room {
        fn new(limits: Limits) -> Self {
            let layout = Layout::new(MACHINE, &[]);
            let turns = Arc::new(Turns::default());
            let watch = Watch::new(limits, &layout, Arc::clone(&turns));
            Self { watch, sample: Sample::new(&layout), turns, now_ns: 0 }
        }

        fn see(&mut self, cpu_ms: u64, mib: u64) -> Vec<(Limit, bool, u64)> {
            self.now_ns += SECOND_NS;
            self.sample.set(0, cpu_ms);
            self.sample.set(1, (mib << 20) / RSS_UNIT);
            self.sample.set(2, 6);
            let limits = self.watch.limits;
            let budget = Budget::new(limits.writes, SECOND_NS, 0);
            let ration = Ration::new(limits.log_lines_max, 0);
            let changes = self.watch.observe(&self.sample, self.now_ns, &budget, &ration);
            changes.iter().flatten().map(|c| (c.limit, c.is_reached, c.used)).collect()
        }
    }

    #[test]
    fn memory_is_let_go_once_it_has_lasted_and_is_not_back_at_once() {
        let limits = Limits { memory_max_bytes: 8 << 20, ..Limits::default() };
        let mut room = Room::new(limits);
        assert_eq!(room.see(0, 8), []);
        for _ in 0..9 {
            assert_eq!(room.see(0, 9), []);
        }
        assert_eq!(room.see(0, 8), [], "a moment is not believed");
        assert!(!room.turns.is_shed());
        let told: Vec<_> = (0..10).flat_map(|_| room.see(0, 9)).collect();
        assert_eq!(told, [(Limit::Memory, true, 9 << 20)]);
        assert!(room.turns.is_shed());
        assert_eq!(room.watch.bits(), 4);
        for _ in 0..100 {
            assert_eq!(room.see(0, 7), [], "what was let go made that difference");
        }
        let told: Vec<_> = (0..10).flat_map(|_| room.see(0, 5)).collect();
        assert_eq!(told, [(Limit::Memory, false, 5 << 20)]);
        assert_eq!(room.watch.bits(), 0);
    }

    #[test]
    fn a_share_that_is_used_up_is_told_when_it_begins_and_when_it_ends() {
        let mut room = Room::new(Limits::default());
        let mut cpu_ms = 0;
        let mut told = Vec::new();
        for second in 0..600 {
            cpu_ms += if second < 200 { 50 } else { 1 };
            told.extend(room.see(cpu_ms, 4).into_iter().map(|change| (second, change)));
        }
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!((told[0].1.0, told[0].1.1), (Limit::Cpu, true));
        assert_eq!((told[1].1.0, told[1].1.1), (Limit::Cpu, false));
        assert!(told[0].0 < 60 && told[1].0 > 260, "{told:?}");
        assert!((400..=600).contains(&told[0].1.2), "5 % is what was used: {told:?}");
    }

    #[test]
    fn threads_that_were_left_out_are_a_limit_that_is_reached_for_ever() {
        let mut room = Room::new(Limits { threads_max: 4, ..Limits::default() });
        assert_eq!(room.see(0, 4), [(Limit::Threads, true, 6)]);
        assert_eq!(room.see(0, 4), []);
        assert_eq!(room.watch.bits(), 8);
    }

    /// Not measured here: nothing is reached, and nothing waits.
    #[test]
    fn readings_that_are_not_there_reach_nothing() {
        let mut room = Room::new(Limits::default());
        room.watch.cpu_ms = usize::MAX;
        room.watch.rss = usize::MAX;
        for second in 0..100 {
            assert_eq!(room.see(second * 1000, 1 << 20), []);
        }
    }
}
