//! The census: who uses the machine, so that a recording names the culprit.
//!
//! A thread of its own looks at a few processes a second, in turn, and at every new one at once.
//! Those that use most get a *seat*: their files go to the sampler, which reads them with every
//! sample ([`Processes`], [`Units`]). So a sample costs the same with 300 processes and with 3,000.
//!
//! It is neither the sampler's work, for opening a file of `/proc` takes memory from the kernel and
//! may wait for it, nor the slow thread's, which a dead driver may keep for hours. It never touches
//! a disk, nor a file that takes a lock of a process's memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use flightrec_format::entity::EntityKind;

use crate::clock::Clock;
use crate::limits::turns::Turn;
use crate::periodic::Periodic;
use crate::report::Report;
use crate::restart::{Answers, Book};
use crate::sample::{Layout, Occupant};
use crate::sources::{Look, Page, ProcessFiles, Processes, Roots, Source, UnitFiles, Units, page};

mod blocked;
mod cgroup;
mod cmdline;
mod lifetimes;
mod pace;
mod register;
mod scan;
mod seating;
mod table;
mod threads;
mod top;

use lifetimes::Lifetimes;
use scan::Scan;
use seating::Seating;
use top::Top;

pub use cmdline::Cmdlines;
pub use scan::{SLICE, SLICE_IDLE};

/// Time between two looks.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Bytes of the thread's stack.
const STACK_SIZE: usize = 128 << 10;

/// Processes, and units, that get a seat in one look at most: opening files costs the most.
const NEWCOMERS: usize = 4;

/// Series of the machine that it posts: processes, short-lived ones, time of one round.
const MACHINE_SERIES: &[u16] = &[294, 295, 296];

/// Series of a unit that are sums over its processes where its cgroup does not tell.
const SUM_SERIES: &[u16] = &[220, 221, 222, 226, 227, 230];

/// Looks after which what was posted is not believed any more.
const STALE_NS: u64 = 30_000_000_000;

/// All that the census knows. Memory is taken at start.
#[derive(Debug)]
pub struct Census {
    scan: Scan,
    top: Top,
    units_top: Top,
    processes: Seating<ProcessFiles>,
    units: Seating<UnitFiles>,
    cgroups: cgroup::Tree,
    lifetimes: Lifetimes,
    asking: cmdline::Asking,
    restarts: Arc<Book>,
    machine: Page,
    sums: Page,
    turn: Option<Turn>,
}

impl Census {
    /// Looks below `roots`; what happens goes to `reports`. Beside it the sources that read what it
    /// finds, in their order, and what belongs on the slow thread.
    #[must_use]
    pub fn new(
        layout: &Layout,
        roots: Roots<'_>,
        interval_ns: u64,
        reports: SyncSender<Report>,
    ) -> (Self, Vec<Box<dyn Source + Send>>, Cmdlines) {
        let stale = u32::try_from(STALE_NS / interval_ns.max(1)).unwrap_or(u32::MAX).max(1);
        let (processes, process_mail) = Processes::new(layout);
        let (units, unit_mail) = Units::new(layout);
        let (machine, machine_posted) =
            page("census", layout, EntityKind::MACHINE, MACHINE_SERIES, stale);
        let (sums, sums_posted) = page("census", layout, EntityKind::UNIT, SUM_SERIES, stale);
        let (asking, cmdlines) = cmdline::cmdlines(roots.proc, reports.clone());
        let census = Self {
            scan: Scan::new(roots.proc, reports.clone()),
            top: Top::default(),
            units_top: Top::default(),
            processes: Seating::new(process_mail),
            units: Seating::new(unit_mail),
            cgroups: cgroup::Tree::new(roots.sys),
            lifetimes: Lifetimes::new(roots.sys, reports),
            asking,
            restarts: Book::new(),
            machine,
            sums,
            turn: None,
        };
        // What a cgroup says itself is read after the sums, and takes their place.
        let sources: Vec<Box<dyn Source + Send>> = vec![
            Box::new(machine_posted),
            Box::new(processes),
            Box::new(sums_posted),
            Box::new(units),
        ];
        (census, sources, cmdlines)
    }

    /// What the slow thread has to look up for it, below `root`.
    #[must_use]
    pub fn questions(&self, root: &Path) -> Box<dyn Look> {
        Box::new(Answers::new(Arc::clone(&self.restarts), root))
    }

    /// Looks only when its turn comes.
    pub fn take_turns(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Starts the thread, which looks at once and then in each `period`.
    pub fn start(mut self, clock: Arc<dyn Clock>, period: Duration) -> std::io::Result<Periodic> {
        Periodic::start("census", STACK_SIZE, period, move || {
            if self.turn.as_mut().is_none_or(Turn::comes) {
                self.look(clock.boottime_ns());
            }
        })
    }

    /// Looks once.
    pub fn look(&mut self, now_ns: u64) {
        self.scan.look(now_ns);
        self.lifetimes.look(now_ns);
        self.seat_processes();
        self.seat_units();
        self.post();
    }

    fn seat_processes(&mut self) {
        self.top.clear();
        for process in self.scan.table().iter() {
            let scores = [
                u64::from(process.cpu_permille),
                if process.is_kernel_thread { 0 } else { process.rss_kib },
                u64::from(process.write_kib_s),
                process.swap_kib,
            ];
            self.top.offer((process.pid, process.start_ticks), scores);
        }
        self.processes.begin();
        let of = |(pid, start_ticks)| Occupant { pid, start_ticks, ..Occupant::named(b"") };
        for key in self.top.firsts().chain(self.scan.blocked()) {
            self.processes.want(of(key));
        }
        self.processes.be_urgent();
        for key in self.top.others() {
            self.processes.want(of(key));
        }
        let scan = &mut self.scan;
        let asking = &mut self.asking;
        self.processes.settle(NEWCOMERS, |newcomer| {
            let files = scan.open(newcomer)?;
            // A thread of the kernel has neither.
            if files.status.is_some() {
                asking.ask((newcomer.pid, newcomer.start_ticks));
            }
            Some(files)
        });
    }

    fn seat_units(&mut self) {
        self.units_top.clear();
        let scan = &self.scan;
        let register = scan.register();
        for (number, unit) in register.iter() {
            let now = unit.now;
            let scores = [now.cpu_permille, now.rss_kib, now.write_kib_s, now.swap_kib];
            self.units_top.offer((u32::from(number), 0), scores);
        }
        self.units.begin();
        let of = |(number, _): top::Key| {
            let unit = register.get(u16::try_from(number).ok())?;
            Some(Occupant::named(unit.name.as_bytes()))
        };
        for unit in self.units_top.firsts().filter_map(of) {
            self.units.want(unit);
        }
        self.units.be_urgent();
        for unit in self.units_top.others().filter_map(of) {
            self.units.want(unit);
        }
        let cgroups = &mut self.cgroups;
        self.units.settle(NEWCOMERS, |newcomer| {
            let (number, unit) = register.iter().find(|(_, unit)| unit.name == newcomer.name)?;
            let (files, memory_max_bytes) = cgroups.open(unit.path());
            if files.cpu.is_none() && !scan.has_living(number) {
                return None;
            }
            newcomer.memory_max_bytes = memory_max_bytes;
            Some(files)
        });
        self.units.tell_anew(|unit| {
            if unit.restart > 0 {
                return false;
            }
            let known = register.iter().find(|(_, known)| known.name == unit.name);
            let is_service = known.is_some_and(|(_, known)| cgroup::is_of_system(known.path()));
            let code = is_service.then(|| self.restarts.code_of(unit.name)).flatten();
            unit.restart = code.unwrap_or(0);
            code.is_some()
        });
    }

    fn post(&mut self) {
        self.machine.begin();
        for (number, value) in self.scan.totals().into_iter().enumerate() {
            self.machine.put(b"", number, value);
        }
        self.machine.post();
        self.sums.begin();
        for (_, unit) in self.scan.register().iter() {
            if !self.units.is_seated(&Occupant::named(unit.name.as_bytes())) {
                continue;
            }
            for (number, value) in [
                unit.user_ticks * 10,
                unit.system_ticks * 10,
                unit.now.rss_kib / 16,
                unit.read_kib / 4,
                unit.write_kib / 4,
                unit.now.processes,
            ]
            .into_iter()
            .enumerate()
            {
                self.sums.put(unit.name.as_bytes(), number, Some(value));
            }
        }
        self.sums.post();
    }
}

/// `PID/FILE` below `/proc`, and its length.
fn pid_path(pid: u32, file: &str) -> ([u8; 32], usize) {
    const DIGITS_MAX: usize = 10;
    let mut digits = [b'0'; DIGITS_MAX];
    let mut rest = pid;
    let mut first = DIGITS_MAX - 1;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        first = at;
        if rest == 0 {
            break;
        }
    }
    let mut path = [0; 32];
    let parts = digits.get(first..).unwrap_or_default().iter().chain(b"/").chain(file.as_bytes());
    let mut len = 0;
    for (place, byte) in path.iter_mut().zip(parts) {
        *place = *byte;
        len += 1;
    }
    (path, len)
}

#[cfg(test)]
mod tests {
    use super::pid_path;

    #[test]
    fn a_path_below_proc_is_that_of_the_process() {
        for pid in [0, 1, 9, 10, 32_768, u32::MAX] {
            let (path, len) = pid_path(pid, "cgroup");
            assert_eq!(path.get(..len).unwrap(), format!("{pid}/cgroup").as_bytes());
        }
    }
}
