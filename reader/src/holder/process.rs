//! The recorder's process, as the kernel tells of it: what it uses, beside what it may.

use std::fs;
use std::path::Path;

/// What a process uses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// How long it has run, s.
    pub age_s: u64,
    /// CPU time of all its threads, ms.
    pub cpu_ms: u64,
    /// Memory that is there.
    pub resident_bytes: u64,
    /// Memory that is locked.
    pub locked_bytes: u64,
    /// How much of it may be; `None`: no limit.
    pub locked_limit_bytes: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// Priority, -20 first.
    pub nice: i64,
    /// How unlikely it is to be ended when memory is gone; -1000: never.
    pub oom_score_adj: i64,
}

/// Ticks of a second in `/proc/PID/stat`, on every processor that Linux still runs on.
const TICKS_PER_S: u64 = 100;

impl Process {
    /// Looks at a process below `proc`; `None`: it is gone, or may not be looked at.
    #[must_use]
    pub fn of(proc: &Path, pid: u32) -> Option<Self> {
        let folder = proc.join(pid.to_string());
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let (status, stat) = (read("status")?, read("stat")?);
        let kib = |name| number_of(&status, name).map_or(0, |kib| kib.saturating_mul(1024));
        // The name stands in brackets, and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // As proc_pid_stat(5) counts them, of which the first two are gone.
        let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
        let ticks = |number| field(number).and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(0);
        let uptime = fs::read_to_string(proc.join("uptime")).unwrap_or_default();
        let up_s = uptime.split('.').next().and_then(|s| s.parse::<u64>().ok()).unwrap_or(0);
        let limits = read("limits").unwrap_or_default();
        let locked = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
        let oom = read("oom_score_adj").and_then(|text| text.trim().parse().ok());
        Some(Self {
            pid,
            age_s: up_s.saturating_sub(ticks(22) / TICKS_PER_S),
            cpu_ms: (ticks(14).saturating_add(ticks(15))).saturating_mul(1000 / TICKS_PER_S),
            resident_bytes: kib("VmRSS:"),
            locked_bytes: kib("VmLck:"),
            locked_limit_bytes: locked
                .and_then(|line| line.split_whitespace().next()?.parse().ok()),
            threads: number_of(&status, "Threads:").unwrap_or(0),
            nice: field(19).unwrap_or(0),
            oom_score_adj: oom.unwrap_or(0),
        })
    }

    /// Its share of one core since its start, in 1/100 percent.
    #[must_use]
    pub fn cpu_percent_hundredths(&self) -> Option<u64> {
        self.cpu_ms.saturating_mul(10).checked_div(self.age_s)
    }
}

fn number_of(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Option<Process> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("77")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Process::of(folder.path(), 77)
    }

    #[test]
    fn what_it_uses_is_read_beside_what_it_may() {
        let stat = "77 (a ) b) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 0 -20 3 0 6000 1 2 3";
        let status = "Name:\ta ) b\nVmLck:\t    6120 kB\nVmRSS:\t    6404 kB\nThreads:\t3\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\n\
                      Max locked memory         8388608              unlimited  bytes\n";
        let files = [
            ("77/stat", stat),
            ("77/status", status),
            ("77/limits", limits),
            ("77/oom_score_adj", "-900\n"),
            ("uptime", "1060.44 1000.00\n"),
        ];
        let seen = of(&files).unwrap();
        assert_eq!(
            (seen.age_s, seen.cpu_ms, seen.cpu_percent_hundredths()),
            (1000, 2000, Some(20))
        );
        assert_eq!((seen.locked_bytes, seen.locked_limit_bytes), (6120 << 10, Some(8 << 20)));
        assert_eq!((seen.resident_bytes, seen.threads), (6404 << 10, 3));
        assert_eq!((seen.nice, seen.oom_score_adj), (-20, -900));
    }

    #[test]
    fn one_that_is_gone_or_tells_nonsense_is_no_panic() {
        assert_eq!(of(&[]), None);
        let seen = of(&[("77/stat", ") x -1 9999999999999999999"), ("77/status", "VmRSS:\nx")]);
        assert_eq!(seen, Some(Process { pid: 77, ..Process::default() }));
        assert_eq!(Process::default().cpu_percent_hundredths(), None);
    }

    #[test]
    fn our_own_process_is_seen() {
        let seen = Process::of(Path::new("/proc"), std::process::id()).unwrap();
        assert!(seen.resident_bytes > 0 && seen.threads > 0, "{seen:?}");
    }
}
