//! What the recorder allows itself, beside what it uses: the facts of its run, and its newest readings
//! about itself.

use flightrec_format::facts::RunFacts;

use crate::merge::Joined;

/// Names of the limits, by their bit in the series `recorder.limits`.
pub const NAMES: [&str; 5] =
    ["write_budget", "cpu_max", "memory_max", "threads_max", "log_lines_max"];

/// Series of the recorder about itself.
mod series {
    pub(super) const CPU_MS: u16 = 12;
    pub(super) const RSS: u16 = 13;
    pub(super) const LOCKED: u16 = 297;
    pub(super) const THREADS: u16 = 298;
    pub(super) const LOG_LINES: u16 = 300;
    pub(super) const LOG_LINES_UNSAID: u16 = 301;
    pub(super) const LOOKS_PUT_OFF: u16 = 302;
    pub(super) const LIMITS: u16 = 303;
}

/// Bytes in a unit of [`series::RSS`] and [`series::LOCKED`].
const PAGE: u64 = 4096;

/// What a recorder of before said of its budget: nothing, for it was always this.
const BUDGET_OF_OLD: u64 = 350_000_000;

/// Limits, and what is used. `None`: it was not recorded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// What may be written beyond calm, bytes.
    pub budget_bytes: u64,
    /// What is left of it.
    pub budget_left_bytes: Option<u64>,
    /// What comes back in a day.
    pub budget_daily_bytes: Option<u64>,
    /// Part of it that is kept for a dying machine.
    pub budget_reserve_percent: Option<u64>,
    /// CPU time, hundredths of a percent of one core.
    pub cpu_max: Option<u64>,
    /// The same, used in the last minute.
    pub cpu_used: Option<u64>,
    /// Looks that waited for CPU time in this run.
    pub looks_put_off: Option<u64>,
    /// Resident memory.
    pub memory_max_bytes: Option<u64>,
    /// The same, used.
    pub resident_bytes: Option<u64>,
    /// Locked memory: what is reserved counts too.
    pub locked_bytes: Option<u64>,
    /// Threads.
    pub threads_max: Option<u64>,
    /// The same, running.
    pub threads: Option<u64>,
    /// Lines to the log of the system in one hour.
    pub log_lines_max: Option<u64>,
    /// The same, said in this run.
    pub log_lines: Option<u64>,
    /// Lines that were not said.
    pub log_lines_unsaid: Option<u64>,
    /// Bits of the limits that are reached.
    pub reached: u64,
}

impl Limits {
    /// As the facts and the newest sample of a run tell, and a sample of a minute before.
    #[must_use]
    pub fn of(facts: Option<&RunFacts>, newest: &Joined, before: Option<&Joined>) -> Self {
        let fact = |name| facts?.get(name);
        let number = |name| fact(name)?.parse::<u64>().ok();
        let reading = |series| newest.machine(series);
        let budget_bytes = number("write_budget").unwrap_or(BUDGET_OF_OLD);
        let pages = |series| Some(reading(series)?.saturating_mul(PAGE));
        Self {
            budget_bytes,
            budget_left_bytes: newest.budget_kib().map(|kib| left(u64::from(kib), budget_bytes)),
            budget_daily_bytes: number("write_budget_daily"),
            budget_reserve_percent: number("write_budget_reserve"),
            cpu_max: fact("cpu_max").and_then(hundredths),
            cpu_used: before.and_then(|before| share(before, newest)),
            looks_put_off: reading(series::LOOKS_PUT_OFF),
            memory_max_bytes: number("memory_max"),
            resident_bytes: pages(series::RSS),
            locked_bytes: pages(series::LOCKED),
            threads_max: number("threads_max"),
            threads: reading(series::THREADS),
            log_lines_max: number("log_lines_max"),
            log_lines: reading(series::LOG_LINES),
            log_lines_unsaid: reading(series::LOG_LINES_UNSAID),
            reached: reading(series::LIMITS).unwrap_or(0),
        }
    }

    /// What is left of the write budget, percent.
    #[must_use]
    pub fn budget_percent(&self) -> Option<u64> {
        let left = u128::from(self.budget_left_bytes?) * 100;
        u64::try_from(left / u128::from(self.budget_bytes.max(1))).ok()
    }

    /// Whether this limit is reached.
    #[must_use]
    pub fn is_reached(&self, name: &str) -> bool {
        let bit = NAMES.iter().position(|own| *own == name);
        bit.is_some_and(|bit| self.reached >> bit & 1 == 1)
    }

    /// The same for machines.
    pub(super) fn put_json(&self, out: &mut String) {
        out.push_str(",\"limits\":{");
        for (number, (name, value)) in [
            ("write_budget_bytes", Some(self.budget_bytes)),
            ("write_budget_left_bytes", self.budget_left_bytes),
            ("write_budget_daily_bytes", self.budget_daily_bytes),
            ("write_budget_reserve_percent", self.budget_reserve_percent),
            ("cpu_max_hundredths", self.cpu_max),
            ("cpu_used_hundredths", self.cpu_used),
            ("looks_put_off", self.looks_put_off),
            ("memory_max_bytes", self.memory_max_bytes),
            ("resident_bytes", self.resident_bytes),
            ("locked_bytes", self.locked_bytes),
            ("threads_max", self.threads_max),
            ("threads", self.threads),
            ("log_lines_max", self.log_lines_max),
            ("log_lines", self.log_lines),
            ("log_lines_unsaid", self.log_lines_unsaid),
        ]
        .into_iter()
        .enumerate()
        {
            let comma = if number > 0 { "," } else { "" };
            let value = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
            put!(out, "{comma}\"{name}\":{value}");
        }
        let reached: Vec<_> = NAMES.into_iter().filter(|name| self.is_reached(name)).collect();
        let reached: Vec<_> = reached.iter().map(|name| format!("\"{name}\"")).collect();
        put!(out, ",\"reached\":[{}]}}", reached.join(","));
    }
}

/// A header counts whole KiB: a full bucket shall look full.
fn left(kib: u64, budget_bytes: u64) -> u64 {
    if kib == budget_bytes / 1024 { budget_bytes } else { kib.saturating_mul(1024) }
}

/// `2.50` is 250.
fn hundredths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    if part.len() != 2 {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part.parse().ok()?)
}

/// CPU time between two samples, hundredths of a percent of one core.
fn share(before: &Joined, newest: &Joined) -> Option<u64> {
    let used_ms = newest.machine(series::CPU_MS)?.checked_sub(before.machine(series::CPU_MS)?)?;
    let elapsed_ns = newest.time_ns.checked_sub(before.time_ns).filter(|ns| *ns > 0)?;
    u64::try_from(u128::from(used_ms) * 1_000_000 * 10_000 / elapsed_ns).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_it_was_written_or_not_at_all() {
        assert_eq!(hundredths("2.00"), Some(200));
        assert_eq!(hundredths("0.05"), Some(5));
        for no in ["", "2", "2.5", "2.500", "x.yz", "-1.00", "99999999999999999999.00"] {
            assert_eq!(hundredths(no), None, "{no}");
        }
    }

    #[test]
    fn a_full_budget_is_a_hundred_percent_of_any_size() {
        for bytes in [1_000_000, 350_000_000, 1_000_000_000_000] {
            let budget_left_bytes = Some(left(bytes / 1024, bytes));
            let limits = Limits { budget_bytes: bytes, budget_left_bytes, ..Limits::default() };
            assert_eq!(limits.budget_percent(), Some(100));
        }
        let none = Limits { budget_left_bytes: Some(7), ..Limits::default() };
        assert_eq!(none.budget_percent(), Some(700), "hostile, and no panic");
    }
}
