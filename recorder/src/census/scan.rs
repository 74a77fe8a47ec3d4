//! A few processes at a time: all of them in turn, and new ones at once.
//!
//! `/proc` lists processes by their ids, and a listing can be taken up where the last one ended. So
//! a look lists and reads [`SLICE`] of them, however many there are; fewer while the machine is idle. The kernel says which id it
//! gave out last (`/proc/loadavg`): new processes are those from the last such id on, which a
//! listing can begin at too.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::SyncSender;

use flightrec_format::entity::EntityName;

use super::blocked::Blocked;
use super::pace::Pace;
use super::register::Register;
use super::table::{Known, Table};
use super::threads::Threads;
use super::{cgroup, pid_path};
use crate::process::{self, Stat};
use crate::procfile::{ProcFile, fields, lines, number};
use crate::report::Report;
use crate::sample::Occupant;
use crate::sources::ProcessFiles;
use crate::sys;

/// Processes looked at in one look, in turn: 300 are through in 13 looks, 3,000 in 125.
pub const SLICE: usize = 24;

/// The same while the machine is idle: 300 are through in 19 looks, 3,000 in 188.
pub const SLICE_IDLE: usize = 16;

/// What the kernel lists in one call, bytes for each process that is looked at: few entries more,
/// for each costs it as much as opening a file.
const ENTRY_LEN: usize = 32;

/// New processes looked at in one look beside those; more are met in turn, if they live that long.
const NEW_MAX: usize = 16;

/// A process may be moved to its unit only after it began: until this age it is looked up again.
const SETTLED_MS: u64 = 5000;

/// Processes of a unit that are asked whether they live.
const PROBES_MAX: usize = 16;

/// Room for a path in `/proc/PID/cgroup` and more; the rest of a longer text is not needed.
const TEXT_LEN: usize = 8192;

/// What is known of the processes, and where the next look goes on.
#[derive(Debug)]
pub(super) struct Scan {
    proc: Option<File>,
    loadavg: ProcFile,
    swaps: ProcFile,
    pace: Pace,
    table: Table,
    register: Register,
    blocked: Blocked,
    threads: Threads,
    listing: Box<[u8]>,
    text: Box<[u8]>,
    /// Where the listing goes on; 0: at the beginning.
    place: u64,
    /// What to add to a process id to begin a listing there; `None`: it is not known, or not so.
    pid_place: Option<u64>,
    round: u8,
    round_began_ns: u64,
    round_ms: Option<u64>,
    process_count: Option<u64>,
    counted: u64,
    page_kib: u64,
    last: Option<Last>,
    pid_max: u64,
    short_lived: u64,
    is_swapping: bool,
}

/// What the kernel said at the last look.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// The process id that was given out last.
    pid: u64,
    /// Tasks in all.
    tasks: u64,
}

impl Scan {
    /// Looks below `proc_root`; processes that wait for long go to `reports`.
    #[must_use]
    pub(super) fn new(proc_root: &Path, reports: SyncSender<Report>) -> Self {
        let pid_max = std::fs::read(proc_root.join("sys/kernel/pid_max")).unwrap_or_default();
        Self {
            proc: File::open(proc_root).ok(),
            loadavg: ProcFile::open(&proc_root.join("loadavg")),
            swaps: ProcFile::open(&proc_root.join("swaps")),
            pace: Pace::new(proc_root),
            table: Table::default(),
            register: Register::default(),
            blocked: Blocked::new(reports),
            threads: Threads::default(),
            listing: vec![0; SLICE * ENTRY_LEN].into_boxed_slice(),
            text: vec![0; TEXT_LEN].into_boxed_slice(),
            place: 0,
            pid_place: None,
            round: 0,
            round_began_ns: 0,
            round_ms: None,
            process_count: None,
            counted: 0,
            page_kib: u64::from(sys::page_size()) / 1024,
            last: None,
            pid_max: number(pid_max.trim_ascii()).unwrap_or(32768),
            short_lived: 0,
            is_swapping: false,
        }
    }

    /// The processes.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The units.
    pub(super) fn register(&self) -> &Register {
        &self.register
    }

    /// Processes that wait in the kernel.
    pub(super) fn blocked(&self) -> impl Iterator<Item = (u32, u64)> {
        self.blocked.iter()
    }

    /// Processes, short-lived tasks, and the time of one round in milliseconds (series 294 to 296).
    pub(super) fn totals(&self) -> [Option<u64>; 3] {
        [self.process_count, self.last.map(|_| self.short_lived), self.round_ms]
    }

    /// Looks once.
    pub(super) fn look(&mut self, now_ns: u64) {
        let Some(proc) = self.proc.take() else { return };
        self.is_swapping = self.swaps.read().is_ok_and(|text| lines(text).nth(1).is_some());
        let loadavg = self.loadavg.read().unwrap_or_default();
        let suspects = self.threads.suspects(loadavg);
        if let Some(now) = last_of(loadavg) {
            self.look_at_new(&proc, now, now_ns);
        }
        self.look_in_turn(&proc, now_ns);
        if suspects {
            let Self { threads, table, blocked, text, .. } = self;
            threads.look(&proc, table, blocked, now_ns / 1_000_000, text);
        }
        self.blocked.look(&proc, now_ns, &mut self.text);
        self.register.sum_up(&self.table);
        self.proc = Some(proc);
    }

    fn look_in_turn(&mut self, proc: &File, now_ns: u64) {
        let slice = self.pace.slice();
        let mut pids = [0_u32; SLICE];
        let (mut count, mut place, mut is_end) = (0, self.place, true);
        let mut pid_place = Some(None);
        let listing = self.listing.get_mut(..slice * ENTRY_LEN).unwrap_or_default();
        let listed = sys::list_dir_from(proc, self.place, listing, |name, next| {
            if let Some(pid) = number(name).and_then(|pid| u32::try_from(pid).ok()) {
                // The place before this entry was told with the one before it.
                let own = place.checked_sub(u64::from(pid));
                match (pid_place, own) {
                    (Some(None), Some(own)) if count > 0 => pid_place = Some(Some(own)),
                    (Some(Some(known)), own) if own != Some(known) => pid_place = None,
                    _ => {}
                }
                if let Some(free) = pids.get_mut(count) {
                    *free = pid;
                    count += 1;
                }
            }
            place = next;
            if count == slice {
                is_end = false;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        self.pid_place = pid_place.flatten().or(self.pid_place.filter(|_| pid_place.is_some()));
        for pid in pids.into_iter().take(count) {
            self.look_at(proc, pid, now_ns);
        }
        self.counted += u64::try_from(count).unwrap_or(0);
        self.place = if is_end || listed.is_err() { 0 } else { place };
        if self.place == 0 {
            self.table.end_round(self.round);
            self.round = self.round.wrapping_add(1);
            self.round_ms = (self.round_began_ns > 0)
                .then(|| now_ns.saturating_sub(self.round_began_ns) / 1_000_000);
            self.round_began_ns = now_ns;
            self.process_count = Some(self.counted);
            self.counted = 0;
        }
    }

    /// Looks at processes begun since the last look, and counts the tasks that are gone already.
    fn look_at_new(&mut self, proc: &File, now: Last, now_ns: u64) {
        let Some(before) = self.last.replace(now) else { return };
        let begun = if now.pid >= before.pid {
            now.pid - before.pid
        } else {
            // The ids came round; the first 300 are left to those of the start.
            (self.pid_max.saturating_sub(before.pid) + now.pid).saturating_sub(300)
        };
        let (Some(pid_place), true) = (self.pid_place, begun > 0) else { return };
        let mut pids = [0_u32; NEW_MAX];
        let (mut count, mut alive) = (0, 0_u64);
        let from = before.pid + 1;
        // A storm of short processes leaves few to list; more than a slice are met in turn.
        let listed = sys::list_dir_from(proc, from + pid_place, &mut self.listing, |name, _| {
            let Some(pid) = number(name) else { return ControlFlow::Break(()) };
            if alive >= 64 || (now.pid >= before.pid && pid > now.pid) {
                return ControlFlow::Break(());
            }
            alive += 1;
            if let (Some(free), Ok(pid)) = (pids.get_mut(count), u32::try_from(pid)) {
                *free = pid;
                count += 1;
            }
            ControlFlow::Continue(())
        });
        if listed.is_err() {
            return;
        }
        // Threads take ids too, and are not listed: those that live show in the count of tasks.
        let stayed = alive.max(now.tasks.saturating_sub(before.tasks));
        self.short_lived += begun.saturating_sub(stayed);
        for pid in pids.into_iter().take(count) {
            self.look_at(proc, pid, now_ns);
        }
    }

    fn look_at(&mut self, proc: &File, pid: u32, now_ns: u64) {
        let now_ms = now_ns / 1_000_000;
        let Some(stat) = read(proc, pid, "stat", &mut self.text).and_then(Stat::parse_brief) else {
            return;
        };
        if stat.pid != pid {
            return;
        }
        let before = self.table.get(pid).filter(|old| old.start_ticks == stat.start_ticks).copied();
        let mut known = Known {
            pid,
            start_ticks: stat.start_ticks,
            unit: before.and_then(|before| before.unit),
            state: stat.state,
            is_kernel_thread: stat.is_kernel_thread(),
            threads: u32::try_from(stat.threads).unwrap_or(u32::MAX),
            round: self.round,
            looked_ms: now_ms,
            user_ticks: stat.user_ticks,
            system_ticks: stat.system_ticks,
            rss_kib: stat.rss_pages.saturating_mul(self.page_kib),
            swap_kib: before.map_or(0, |before| before.swap_kib),
            read_kib: before.map_or(0, |before| before.read_kib),
            write_kib: before.map_or(0, |before| before.write_kib),
            ..Known::default()
        };
        if known.state == b'D' {
            self.blocked.watch((pid, stat.start_ticks), &stat, now_ms);
        }
        if !known.is_kernel_thread {
            self.look_closer(proc, &mut known, before.as_ref());
        }
        known.pace_since(before.as_ref());
        if let Some(before) = before {
            self.register.grow(&known, &before);
        }
        self.table.put(known);
    }

    /// The dearer files, only where they may tell something new.
    fn look_closer(&mut self, proc: &File, known: &mut Known, before: Option<&Known>) {
        let pid = known.pid;
        let young = |old: &Known| old.looked_ms < old.start_ticks * 10 + SETTLED_MS;
        if before.is_none_or(young)
            && let Some(text) = read(proc, pid, "cgroup", &mut self.text)
        {
            let path = cgroup::path_of(text);
            known.unit = path.and_then(|path| self.register.number_of(path));
        }
        // Nobody reads or writes without using the processor.
        if before.is_none_or(|old| old.cpu_ticks() != known.cpu_ticks())
            && let Some((read, written)) =
                read(proc, pid, "io", &mut self.text).and_then(process::parse_io)
        {
            (known.read_kib, known.write_kib) = (read / 1024, written / 1024);
        }
        if !self.is_swapping {
            known.swap_kib = 0;
        } else if before.is_none_or(|old| old.rss_kib != known.rss_kib) {
            let status = read(proc, pid, "status", &mut self.text);
            known.swap_kib = status.and_then(process::parse_swap_kib).unwrap_or(0);
        }
    }

    /// Whether a process of this unit lives: who died since it was looked at is in the table still.
    pub(super) fn has_living(&self, unit: u16) -> bool {
        let Some(proc) = self.proc.as_ref() else { return false };
        let own = self.table.iter().filter(|process| process.unit == Some(unit));
        own.take(PROBES_MAX).any(|process| {
            let mut text = [0; 512];
            let stat = read(proc, process.pid, "stat", &mut text).and_then(Stat::parse_brief);
            stat.is_some_and(|stat| stat.start_ticks == process.start_ticks)
        })
    }

    /// Opens the files of a process that gets a seat, and finds its name and unit.
    pub(super) fn open(&mut self, newcomer: &mut Occupant) -> Option<ProcessFiles> {
        let proc = self.proc.as_ref()?;
        let open = |file: &str| {
            let (path, len) = pid_path(newcomer.pid, file);
            sys::open_at(proc, path.get(..len)?).ok()
        };
        let stat = open("stat")?;
        let told = Stat::parse_brief(process::read(&stat, &mut self.text).ok()?)?;
        if told.start_ticks != newcomer.start_ticks {
            return None;
        }
        let (io, status) =
            if told.is_kernel_thread() { (None, None) } else { (open("io"), open("status")) };
        // `io` may be opened by everybody, and is refused when it is read.
        let (io, status) = (io.filter(process::read_first), status.filter(process::read_first));
        let files = ProcessFiles { stat, io, status };
        newcomer.name = EntityName::new(told.comm);
        let unit = self.table.get(newcomer.pid).and_then(|known| self.register.get(known.unit));
        newcomer.unit = unit.map(|unit| unit.name).unwrap_or_default();
        Some(files)
    }
}

/// Reads a file of a process.
fn read<'a>(proc: &File, pid: u32, file: &str, text: &'a mut [u8]) -> Option<&'a [u8]> {
    let (path, len) = pid_path(pid, file);
    let file = sys::open_at(proc, path.get(..len)?).ok()?;
    process::read(&file, text).ok()
}

/// The last process id and the count of tasks in `/proc/loadavg`.
fn last_of(text: &[u8]) -> Option<Last> {
    let mut words = fields(text).skip(3);
    let tasks = words.next()?.split(|&byte| byte == b'/').nth(1)?;
    Some(Last { tasks: number(tasks)?, pid: number(words.next()?)? })
}

#[cfg(test)]
mod tests;
