//! What is known of every process: how it stood when it was looked at last, and its pace since the
//! look before.

/// Processes that are known at once. Of more than that the others are judged by their whole life,
/// and take the place of one that does less.
pub(super) const KNOWN_MAX: usize = 4096;

/// Places that are looked at for one that does less: cheap, and as good as all in a crowd of idlers.
const RIVALS: usize = 16;

/// One process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Known {
    /// Process id.
    pub pid: u32,
    /// Start after boot, 10 ms.
    pub start_ticks: u64,
    /// Number of its unit in the register, if it has one.
    pub unit: Option<u16>,
    /// State, a letter.
    pub state: u8,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: bool,
    /// Threads then.
    pub threads: u32,
    /// Round in which it was seen last.
    pub round: u8,
    /// Boot time of the last look, milliseconds.
    pub looked_ms: u64,
    /// Time in user mode until then, 10 ms.
    pub user_ticks: u64,
    /// Time in the kernel until then, 10 ms.
    pub system_ticks: u64,
    /// Resident memory then, KiB.
    pub rss_kib: u64,
    /// Swapped memory then, KiB.
    pub swap_kib: u64,
    /// Read from disks until then, KiB.
    pub read_kib: u64,
    /// Written to disks until then, KiB.
    pub write_kib: u64,
    /// Time used since the look before, in 1/1000 of one core.
    pub cpu_permille: u32,
    /// Written since the look before, KiB per second.
    pub write_kib_s: u32,
}

impl Known {
    /// Time used until the last look, 10 ms.
    #[must_use]
    pub(super) fn cpu_ticks(&self) -> u64 {
        self.user_ticks.saturating_add(self.system_ticks)
    }

    /// Takes the pace since `before`, or since its start if it was never looked at.
    pub(super) fn pace_since(&mut self, before: Option<&Self>) {
        let (from_ms, cpu_ticks, write_kib) = match before {
            Some(before) => (before.looked_ms, before.cpu_ticks(), before.write_kib),
            None => (self.start_ticks.saturating_mul(10), 0, 0),
        };
        // Two looks within a tick of the kernel's would make a pace out of nothing.
        let elapsed_ms = self.looked_ms.saturating_sub(from_ms).max(100);
        let cpu_ms = self.cpu_ticks().saturating_sub(cpu_ticks).saturating_mul(10);
        let pace = |grown: u64| u32::try_from(grown.saturating_mul(1000) / elapsed_ms);
        self.cpu_permille = pace(cpu_ms).unwrap_or(u32::MAX);
        self.write_kib_s = pace(self.write_kib.saturating_sub(write_kib)).unwrap_or(u32::MAX);
    }

    /// How much it would be missed: a core, a gibibyte and 4 MiB/s weigh the same.
    fn weight(&self) -> u64 {
        let memory = if self.is_kernel_thread { 0 } else { self.rss_kib.max(self.swap_kib) };
        u64::from(self.cpu_permille) + memory / 1024 + u64::from(self.write_kib_s) / 4
    }
}

/// All of them, by process id. Memory is taken with the first, on the thread that looks: locked as it
/// is used, it costs what there are.
#[derive(Debug, Default)]
pub(super) struct Table {
    known: Vec<Known>,
    /// Where the next search for a place begins.
    hand: usize,
}

impl Table {
    /// The process of that id, if it is known.
    #[must_use]
    pub(super) fn get(&self, pid: u32) -> Option<&Known> {
        let at = self.known.binary_search_by_key(&pid, |known| known.pid).ok()?;
        self.known.get(at)
    }

    /// The processes from that id on, in their order.
    pub(super) fn from(&self, pid: u32) -> impl Iterator<Item = &Known> {
        let begin = self.known.partition_point(|known| known.pid < pid);
        self.known.iter().skip(begin)
    }

    /// Puts a process in, or in the place of an earlier one with its id. Without room it takes the
    /// place of one that does less, or is left out.
    pub(super) fn put(&mut self, process: Known) {
        match self.known.binary_search_by_key(&process.pid, |known| known.pid) {
            Ok(at) => {
                if let Some(place) = self.known.get_mut(at) {
                    *place = process;
                }
            }
            Err(at) if self.known.len() < KNOWN_MAX => {
                if self.known.capacity() == 0 {
                    self.known.reserve_exact(KNOWN_MAX);
                }
                self.known.insert(at, process);
            }
            Err(at) => self.displace(process, at),
        }
    }

    fn displace(&mut self, process: Known, at: usize) {
        let rivals = self.known.iter().enumerate().skip(self.hand).take(RIVALS);
        let quietest = rivals.min_by_key(|(_, rival)| rival.weight());
        let loser = quietest.filter(|(_, rival)| rival.weight() < process.weight());
        let loser = loser.map(|(place, _)| place);
        self.hand = if self.hand + RIVALS < self.known.len() { self.hand + RIVALS } else { 0 };
        let Some(loser) = loser else { return };
        // The order by process id is kept.
        let own = if loser < at { at - 1 } else { at };
        if let Some(moved) = self.known.get_mut(loser.min(own)..=loser.max(own)) {
            if loser < at { moved.rotate_left(1) } else { moved.rotate_right(1) }
        }
        if let Some(place) = self.known.get_mut(own) {
            *place = process;
        }
    }

    /// Forgets those that were seen neither in this round nor in the last; returns how many are
    /// left.
    pub(super) fn end_round(&mut self, round: u8) -> usize {
        self.known.retain(|known| round.wrapping_sub(known.round) <= 1);
        self.known.len()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_since_the_last_look_and_at_first_that_of_the_whole_life() {
        let mut first = Known { start_ticks: 100, looked_ms: 11_000, ..Known::default() };
        (first.user_ticks, first.system_ticks) = (400, 100);
        first.write_kib = 2000;
        first.pace_since(None);
        assert_eq!((first.cpu_permille, first.write_kib_s), (500, 200));
        let mut second = Known { looked_ms: 15_000, user_ticks: 1200, ..first };
        second.pace_since(Some(&first));
        assert_eq!((second.cpu_permille, second.write_kib_s), (2000, 0));
    }

    #[test]
    fn who_is_not_seen_in_two_rounds_is_forgotten_and_a_full_table_takes_nobody() {
        let mut table = Table::default();
        let count = u32::try_from(KNOWN_MAX).unwrap();
        for pid in (1..=count + 5).rev() {
            table.put(Known { pid, round: u8::from(pid % 2 == 0), ..Known::default() });
        }
        assert!(table.get(1).is_none(), "the table was full");
        assert_eq!(table.get(6).unwrap().round, 1);
        assert_eq!(table.end_round(2), KNOWN_MAX / 2);
        assert!(table.get(7).is_none() && table.get(8).is_some());
        table.put(Known { pid: 8, round: 2, start_ticks: 9, ..Known::default() });
        assert_eq!(table.get(8).unwrap().start_ticks, 9);
    }

    #[test]
    fn in_a_full_table_who_does_more_takes_the_place_of_who_does_less() {
        let mut table = Table::default();
        let count = u32::try_from(KNOWN_MAX).unwrap();
        for pid in 1..=count {
            let cpu_permille = if pid % 5 == 0 { 900 } else { 0 };
            table.put(Known { pid: pid * 2, cpu_permille, ..Known::default() });
        }
        for pid in [1, 4001, count * 2 + 1] {
            table.put(Known { pid, cpu_permille: 500, ..Known::default() });
            assert!(table.get(pid).is_some(), "{pid}");
            table.put(Known { pid: pid + 100_000, ..Known::default() });
            assert!(table.get(pid + 100_000).is_none(), "an idler takes nobody's place");
        }
        assert_eq!(table.known.len(), KNOWN_MAX);
        assert_eq!(table.known.capacity(), KNOWN_MAX, "it takes no more memory");
        assert!(table.known.is_sorted_by(|one, next| one.pid < next.pid));
        let busy = table.iter().filter(|known| known.cpu_permille == 900).count();
        assert_eq!(busy, KNOWN_MAX / 5, "who does more stays");
    }
}
