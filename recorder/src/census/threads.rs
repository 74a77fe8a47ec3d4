//! Threads in state D that are not the first of their process. The kernel lists the first alone, so
//! the others are looked for inside of the processes, a few at a time, and only while its load says
//! that somebody waits: it counts the tasks that run and those in state D. (`procs_blocked` in
//! `/proc/stat` would miss who waits for a lock, or for a server that is gone.)

use std::fs::File;
use std::ops::ControlFlow;

use super::blocked::Blocked;
use super::pid_path;
use super::table::Table;
use crate::process::{self, Stat};
use crate::procfile::{fields, hundredths, number};
use crate::sys;

/// Threads looked at in one look, and processes whose threads are listed: the cost is flat.
const THREADS: usize = 24;
const PROCESSES: usize = 16;

/// What the kernel lists in one call: so many threads or a few more.
const LISTING_LEN: usize = THREADS * 32;

/// By so much, in hundredths, the load of the last minute exceeds what runs, for so many looks. One
/// task that waits shows after three quarters of a minute, eight after some seconds. So does a load
/// that fell, for a minute or two.
const EXCESS: u64 = 50;
const LASTING: u32 = 5;

/// Where the search stands.
#[derive(Debug)]
pub(super) struct Threads {
    /// Looks in a row in which the load was higher than what runs.
    suspicious: u32,
    pid: u32,
    /// The place in the list of its threads.
    place: u64,
    listing: Box<[u8]>,
}

impl Default for Threads {
    fn default() -> Self {
        let listing = vec![0; LISTING_LEN].into_boxed_slice();
        Self { suspicious: 0, pid: 0, place: 0, listing }
    }
}

impl Threads {
    /// Takes the text of `/proc/loadavg`; true: it is time to look.
    pub(super) fn suspects(&mut self, loadavg: &[u8]) -> bool {
        let excess = excess_of(loadavg).unwrap_or(0);
        self.suspicious = if excess >= EXCESS { self.suspicious.saturating_add(1) } else { 0 };
        self.suspicious >= LASTING
    }

    /// Looks at some threads; `blocked` watches those in state D.
    pub(super) fn look(
        &mut self,
        proc: &File,
        table: &Table,
        blocked: &mut Blocked,
        now_ms: u64,
        text: &mut [u8],
    ) {
        let mut left = THREADS;
        for _ in 0..PROCESSES {
            let Some(process) = table.from(self.pid).find(|known| known.threads > 1) else {
                (self.pid, self.place) = (0, 0);
                return;
            };
            if process.pid != self.pid {
                (self.pid, self.place) = (process.pid, 0);
            }
            let key = (process.pid, process.start_ticks);
            let found = |stat: &Stat<'_>| blocked.watch(key, stat, now_ms);
            if let Some(place) = self.look_into(process.pid, proc, &mut left, text, found) {
                self.place = place;
                return;
            }
            (self.pid, self.place) = (process.pid.saturating_add(1), 0);
        }
    }

    /// Looks at the threads of one process; the place to go on from if `left` did not suffice.
    fn look_into(
        &mut self,
        pid: u32,
        proc: &File,
        left: &mut usize,
        text: &mut [u8],
        mut found: impl FnMut(&Stat<'_>),
    ) -> Option<u64> {
        let (path, len) = pid_path(pid, "task");
        let folder = sys::open_at(proc, path.get(..len)?).ok()?;
        let mut tids = [0; THREADS];
        let (mut count, mut next_place) = (0, None);
        let listed = sys::list_dir_from(&folder, self.place, &mut self.listing, |name, place| {
            if let Some(free) = tids.get_mut(count)
                && let Some(tid) = number(name).and_then(|tid| u32::try_from(tid).ok())
            {
                *free = tid;
                count += 1;
            }
            if count < *left {
                return ControlFlow::Continue(());
            }
            next_place = Some(place);
            ControlFlow::Break(())
        });
        listed.ok()?;
        *left = left.saturating_sub(count);
        for tid in tids.into_iter().take(count).filter(|tid| *tid != pid) {
            let (path, len) = pid_path(tid, "stat");
            let file = path.get(..len).and_then(|path| sys::open_at(&folder, path).ok());
            let stat = file.and_then(|file| process::read(&file, text).ok());
            if let Some(stat) = stat.and_then(Stat::parse_brief)
                && stat.state == b'D'
            {
                found(&stat);
            }
        }
        next_place
    }
}

/// By how much the load of the last minute exceeds what runs now, we ourselves apart, hundredths.
fn excess_of(loadavg: &[u8]) -> Option<u64> {
    let mut words = fields(loadavg);
    let load = hundredths(words.next()?)?;
    let running = number(words.nth(2)?.split(|&byte| byte == b'/').next()?)?;
    Some(load.saturating_sub(running.saturating_sub(1).saturating_mul(100)))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::super::table::Known;
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::report;

    #[test]
    fn a_load_that_nobody_who_runs_explains_is_suspicious_when_it_lasts() {
        let mut threads = Threads::default();
        let mut suspects = |text: &[u8]| threads.suspects(text);
        assert!(!suspects(b"4.10 4.00 4.00 5/300 1234\n"), "four run, beside us");
        for expected in [false, false, false, false, true, true] {
            assert_eq!(suspects(b"0.70 0.10 0.00 1/300 1234\n"), expected);
        }
        assert!(!suspects(b"0.40 0.10 0.00 1/300 1234\n"));
        assert!(!suspects(b"0.70 0.10 0.00 1/300 1234\n"), "from the beginning");
        assert!(!suspects(b"9.70 noise"));
    }

    fn known(pid: u32, threads: u32) -> Known {
        Known { pid, start_ticks: 7, threads, ..Known::default() }
    }

    /// A process with as many threads as there is room for in two looks and a half; the last waits.
    #[test]
    fn who_waits_is_found_among_many_a_few_at_a_time() {
        let tree = tempfile::tempdir().unwrap();
        let count = u32::try_from(THREADS * 5 / 2).unwrap();
        let mut table = Table::default();
        table.put(known(3, 1));
        table.put(known(5, count));
        for tid in 5..5 + count {
            let folder = tree.path().join(format!("5/task/{tid}"));
            std::fs::create_dir_all(&folder).unwrap();
            let state = if tid == 4 + count { "D" } else { "S" };
            let zeros = "0 ".repeat(17);
            let stat = format!("{tid} (t) {state} 1 {zeros}900 0 0 0\n");
            std::fs::write(folder.join("stat"), stat).unwrap();
        }
        let proc = File::open(tree.path()).unwrap();
        let mut blocked = Blocked::new(report::channel().0);
        let mut threads = Threads::default();
        for _ in 0..3 {
            threads.look(&proc, &table, &mut blocked, 1000, &mut [0; 2048]);
        }
        assert_eq!(blocked.iter().collect::<Vec<_>>(), [(5, 7)]);
        // Over a process that is gone by now it goes on.
        std::fs::remove_dir_all(tree.path().join("5")).unwrap();
        threads.look(&proc, &table, &mut blocked, 2000, &mut [0; 2048]);
    }

    /// Ended when it is dropped.
    struct Python(Child);

    impl Drop for Python {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// A thread that waits, as vfork(2) does, for a child that sleeps: clone(2) with `CLONE_VFORK`.
    const WAITS: &str = "import ctypes, os, threading, time
def wait():
    if ctypes.PyDLL(None).syscall(56, 0x4000 | 17, 0, 0, 0, 0) == 0:
        time.sleep(9)
        os._exit(0)
threading.Thread(target=wait).start()
";

    #[test]
    fn a_thread_that_waits_in_the_kernel_is_told_with_its_process_and_what_it_waits_in() {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return println!("skipped: the number of the system call is that of x86-64");
        }
        let python = Command::new("python3").args(["-c", WAITS]).stdin(Stdio::null()).spawn();
        let Ok(python) = python.map(Python) else {
            return println!("skipped: there is no python3");
        };
        let pid = python.0.id();
        let (sender, receiver) = report::channel();
        let (mut blocked, mut threads) = (Blocked::new(sender), Threads::default());
        let mut table = Table::default();
        table.put(known(pid, 2));
        let proc = File::open("/proc").unwrap();
        let mut text = [0; 2048];
        // Each look is a second later in its own words; a thread needs some real time to begin.
        let end_ns = SystemClock.boottime_ns() + 8_000_000_000;
        let mut second = 0;
        let told = loop {
            second += 1;
            threads.look(&proc, &table, &mut blocked, second * 1000, &mut text);
            blocked.look(&proc, second * 1_000_000_000, &mut text);
            if let Ok(report) = receiver.try_recv() {
                break report;
            }
            assert!(SystemClock.boottime_ns() < end_ns, "nobody is told");
            SystemClock.wait(SystemClock.boottime_ns() + 20_000_000);
        };
        assert_eq!(told.arguments().first(), Some(&i64::from(pid)));
        let words = String::from_utf8_lossy(told.text());
        assert!(words.contains(" (thread "), "{words}");
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        assert!(!is_root || words.contains(") in "), "{words}");
    }
}
