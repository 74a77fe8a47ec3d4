//! What the recorder allows itself. Each limit has a name, which is its key in the configuration, a
//! fact of the run, a part of the series `recorder.limits`, and a line of `flightrec status`.
//!
//! Nothing here ends the recorder or costs a sample: at a limit something that can wait does.

use bincode::{Decode, Encode};

use crate::budget::Allowance;

pub mod ration;
pub mod share;
pub mod turns;
pub mod voice;
pub mod watch;

/// All limits of a run, but for the size of the recording, which is what it was made with.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Limits {
    /// What may be written beyond calm.
    pub writes: Allowance,
    /// CPU time of all threads, hundredths of a percent of one core.
    pub cpu_max: u32,
    /// Resident memory.
    pub memory_max_bytes: u64,
    /// Threads, sampler and writer among them.
    pub threads_max: u32,
    /// Lines that it says to the log of the system in one hour.
    pub log_lines_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            writes: Allowance::default(),
            cpu_max: 200,
            memory_max_bytes: 16 << 20,
            threads_max: 8,
            log_lines_max: 60,
        }
    }
}

/// Threads that nothing is recorded without: sampler and writer.
pub const THREADS_MIN: u32 = 2;

/// The others, those that are missed most at first, and what is not recorded without each.
pub const OTHER_THREADS: [(&str, &str); 4] = [
    ("slow", "disks that come, file systems, sensors, links and marks"),
    ("census", "processes and units"),
    ("kmsg", "the kernel's messages"),
    ("logs", "text logs and the journal"),
];

impl Limits {
    /// Whether this thread is started.
    #[must_use]
    pub fn has_thread(&self, name: &str) -> bool {
        let others = usize::try_from(self.threads_max.saturating_sub(THREADS_MIN));
        OTHER_THREADS.iter().take(others.unwrap_or(0)).any(|(own, _)| *own == name)
    }

    /// Threads that are not started, in words; `None`: all are.
    #[must_use]
    pub fn missing_threads(&self) -> Option<String> {
        let lost = OTHER_THREADS.iter().filter(|(name, _)| !self.has_thread(name));
        let lost: Vec<&str> = lost.map(|(_, what)| *what).collect();
        let words = || format!("threads_max: {} leave out {}", self.threads_max, lost.join("; "));
        (!lost.is_empty()).then(words)
    }

    /// As facts of the run: name and value.
    #[must_use]
    pub fn facts(&self) -> [(&'static str, String); 7] {
        [
            ("write_budget", self.writes.capacity_bytes.to_string()),
            ("write_budget_daily", self.writes.daily_bytes.to_string()),
            ("write_budget_reserve", self.writes.reserve_percent.to_string()),
            ("cpu_max", format!("{}.{:02}", self.cpu_max / 100, self.cpu_max % 100)),
            ("memory_max", self.memory_max_bytes.to_string()),
            ("threads_max", self.threads_max.to_string()),
            ("log_lines_max", self.log_lines_max.to_string()),
        ]
    }
}

/// A limit, by its bit in the series `recorder.limits`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// `write_budget`.
    Writes,
    /// `cpu_max`.
    Cpu,
    /// `memory_max`.
    Memory,
    /// `threads_max`.
    Threads,
    /// `log_lines_max`.
    LogLines,
}

impl Limit {
    /// Every limit, in the order of the bits.
    pub const ALL: [Self; 5] =
        [Self::Writes, Self::Cpu, Self::Memory, Self::Threads, Self::LogLines];

    /// What follows while it is reached, and when it is no longer: words of the event.
    #[must_use]
    pub fn words(self, is_reached: bool) -> &'static str {
        match (self, is_reached) {
            (Self::Writes, true) => "write_budget: commits slow down, never below calm",
            (Self::Writes, false) => "write_budget: commits as fast as they should be",
            (Self::Cpu, true) => "cpu_max: looks at processes, logs and drivers wait",
            (Self::Cpu, false) => "cpu_max: no look waits any more",
            (Self::Memory, true) => "memory_max: logs but for the kernel's are let go",
            (Self::Memory, false) => "memory_max: below; logs are read from the next start on",
            (Self::Threads, true) => "threads_max: what has no thread is not recorded",
            (Self::Threads, false) => "threads_max: below",
            (Self::LogLines, true) => "log_lines_max: what else happens is said here only",
            (Self::LogLines, false) => "log_lines_max: lines are said again",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_are_left_out_are_the_last_and_are_named() {
        assert_eq!(Limits::default().missing_threads(), None);
        let limits = |threads_max| Limits { threads_max, ..Limits::default() };
        assert!(limits(6).has_thread("logs") && !limits(5).has_thread("logs"));
        assert!(limits(3).has_thread("slow") && !limits(3).has_thread("census"));
        assert!(!limits(0).has_thread("slow"));
        let told = limits(4).missing_threads().unwrap();
        assert_eq!(
            told,
            "threads_max: 4 leave out the kernel's messages; text logs and the journal"
        );
    }

    /// Words begin with the key, which is how the reader knows whose they are.
    #[test]
    fn every_limit_says_its_key() {
        let limits = Limits::default();
        let keys = limits.facts();
        for limit in Limit::ALL {
            for words in [true, false].map(|is_reached| limit.words(is_reached)) {
                let (key, _) = words.split_once(": ").unwrap();
                assert!(keys.iter().any(|(own, _)| *own == key), "{words}");
            }
        }
    }
}
