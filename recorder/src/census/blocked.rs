//! Processes and threads in state D: they wait in the kernel for something that does not come, a
//! disk as a rule, and nothing can end them. What they wait in is the best hint at what is broken.

use std::fs::File;
use std::sync::mpsc::SyncSender;

use flightrec_format::event::EventKind;

use super::cmdline::Key;
use super::pid_path;
use crate::process::{self, Stat};
use crate::report::Report;
use crate::sys;

/// Processes that are watched at once, by one thread each.
pub(super) const WATCHED_MAX: usize = 4;

/// Who waits for so long is told. Shorter waits are what disks are like.
const TOLD_MS: u64 = 5000;

/// One thread that waits.
#[derive(Clone, Copy, Debug)]
struct Watched {
    /// Its process: id and start.
    process: Key,
    /// Its own id, that of the process if it is the first, and its start.
    thread: Key,
    since_ms: u64,
    /// Who waits for ever uses no time. Not known before the first look: that of a process is the
    /// time of all its threads.
    cpu_ticks: Option<u64>,
    told: bool,
}

/// Those that are watched.
#[derive(Debug)]
pub(super) struct Blocked {
    watched: [Option<Watched>; WATCHED_MAX],
    reports: SyncSender<Report>,
}

impl Blocked {
    /// What it sees goes to `reports`.
    #[must_use]
    pub(super) fn new(reports: SyncSender<Report>) -> Self {
        Self { watched: [None; WATCHED_MAX], reports }
    }

    /// Watches a thread of `process` that was seen in state D, if there is room.
    pub(super) fn watch(&mut self, process: Key, thread: &Stat<'_>, now_ms: u64) {
        if self.watched.iter().flatten().all(|known| known.process.0 != process.0)
            && let Some(place) = self.watched.iter_mut().find(|place| place.is_none())
        {
            *place = Some(Watched {
                process,
                thread: (thread.pid, thread.start_ticks),
                since_ms: now_ms,
                cpu_ticks: None,
                told: false,
            });
        }
    }

    /// The processes that are watched.
    pub(super) fn iter(&self) -> impl Iterator<Item = Key> {
        self.watched.iter().flatten().map(|known| known.process)
    }

    /// Looks at each again, forgets who goes on, and tells of who does not.
    pub(super) fn look(&mut self, proc: &File, now_ns: u64, text: &mut [u8]) {
        let now_ms = now_ns / 1_000_000;
        for place in &mut self.watched {
            let Some(known) = place else { continue };
            let waited_ms = now_ms.saturating_sub(known.since_ms);
            let (tid, start_ticks) = known.thread;
            let stat = open(proc, tid, "stat");
            let stat =
                stat.and_then(|file| process::read(&file, text).ok()).and_then(Stat::parse_brief);
            // A busy copy is found in state D each time, and gets on all the same.
            let waits = stat.filter(|stat| {
                stat.state == b'D'
                    && stat.start_ticks == start_ticks
                    && known.cpu_ticks.is_none_or(|ticks| ticks == stat.cpu_ticks())
            });
            let Some(stat) = waits else {
                *place = None;
                continue;
            };
            known.cpu_ticks = Some(stat.cpu_ticks());
            if waited_ms < TOLD_MS || known.told {
                continue;
            }
            let pid = known.process.0;
            let arguments =
                [u64::from(pid), waited_ms].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
            let mut report = Report::new(EventKind::BLOCKED, now_ns, arguments).with(stat.comm);
            if tid != pid {
                let (path, len) = pid_path(tid, "");
                let digits = path.get(..len.saturating_sub(1)).unwrap_or_default();
                report = report.with(b" (thread ").with(digits).with(b")");
            }
            let wchan = open(proc, tid, "wchan");
            let wchan = wchan.and_then(|file| process::read(&file, text).ok());
            // Who may not know is told "0".
            let wchan = wchan.filter(|wchan| !matches!(*wchan, b"" | b"0"));
            let report = match wchan {
                Some(wchan) => report.with(b" in ").with(wchan),
                None => report,
            };
            // Without room it is told at the next look.
            known.told = self.reports.try_send(report).is_ok();
        }
    }
}

/// A file of a thread. As that of a process it would tell the time of all its threads.
fn open(proc: &File, tid: u32, file: &str) -> Option<File> {
    let (path, len) = pid_path(tid, "task");
    let folder = sys::open_at(proc, path.get(..len)?).ok()?;
    let (path, len) = pid_path(tid, file);
    sys::open_at(&folder, path.get(..len)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    fn stat(state: &str, ticks: u64) -> String {
        let zeros = ["0 ".repeat(9), "0 ".repeat(7)];
        format!("77 (jbd2/mmcblk0p1) {state} 2 {}{ticks} {}900 0 0 0\n", zeros[0], zeros[1])
    }

    /// Looks each second from the second to the nineteenth; what is told, and when.
    fn told(blocked: &mut Blocked, mut stat_of: impl FnMut(u64) -> String) -> Vec<u64> {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("77/task/77");
        std::fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        put("wchan", "wait_on_page_bit");
        let proc = File::open(tree.path()).unwrap();
        let mut text = [0; 2048];
        blocked.watch((77, 900), &Stat::parse(stat_of(1).as_bytes()).unwrap(), 1000);
        let mut seconds = Vec::new();
        for second in 2..20 {
            put("stat", &stat_of(second));
            blocked.look(&proc, second * 1_000_000_000, &mut text);
            seconds.extend(blocked.watched.iter().flatten().filter(|own| own.told).map(|_| second));
        }
        seconds
    }

    #[test]
    fn who_waits_for_five_seconds_is_told_once_with_what_it_waits_in() {
        let (sender, receiver) = report::channel();
        let mut blocked = Blocked::new(sender);
        let seconds = told(&mut blocked, |second| stat(if second < 19 { "D" } else { "S" }, 3));
        assert_eq!(seconds.first(), Some(&6));
        let reports: Vec<_> = receiver.try_iter().collect();
        let [report] = &reports[..] else { panic!("told {} times", reports.len()) };
        assert_eq!(report.text(), b"jbd2/mmcblk0p1 in wait_on_page_bit");
        assert_eq!(report.arguments(), [77, 5000]);
        assert_eq!(blocked.iter().count(), 0, "who goes on is forgotten");
    }

    #[test]
    fn who_waits_at_each_look_and_works_in_between_is_not_blocked() {
        let (sender, receiver) = report::channel();
        let mut blocked = Blocked::new(sender);
        assert!(told(&mut blocked, |second| stat("D", second)).is_empty());
        assert_eq!(receiver.try_iter().count(), 0);
    }
}
