//! A disk in memory that fails and stalls on purpose, and writes down all it is told.
//!
//! Its physics: a write is visible at once and durable when a later [`Disk::sync`] has returned;
//! each takes its time on the disk's own clock, which runs ahead of the machine's while the disk
//! is busy. What power leaves of it is for the [`Trace`] to say.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use flightrec_recorder::clock::{Clock, Signal};
use flightrec_recorder::disk::Disk;

use crate::image::{Image, Patch, SLOT};
use crate::sim_clock::SimClock;
use crate::trace::{Op, Trace, Write};

/// How a disk behaves for a while, told by the boot time at which an operation begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mood {
    /// Each sync takes so long, nanoseconds; `u64::MAX`: it never returns.
    Slow(u64),
    /// Each sync fails with this errno. The kernel has dropped what was written: the old is read.
    SyncFails(i32),
    /// Each write fails with this errno, and nothing of it arrives.
    WriteFails(i32),
    /// Writes and syncs are acknowledged, and nothing arrives.
    Stuck,
    /// Everything fails with ENODEV.
    Gone,
}

/// A simulated disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    clock: Arc<SimClock>,
}

#[derive(Debug)]
struct State {
    visible: Image,
    /// What was there before the writes that no sync has covered yet.
    unsynced: Vec<Patch>,
    trace: Trace,
    /// Ops that were folded into the base of the trace.
    folded: usize,
    ops_kept: usize,
    syncs: u64,
    failing_syncs: Option<(Range<u64>, i32)>,
    moods: Vec<(Range<u64>, Mood)>,
    sync_ns: u64,
    busy_until_ns: u64,
    cut_ns: u64,
    writes: u64,
    written_bytes: u64,
    bad: Vec<Range<usize>>,
}

/// Ops that a disk remembers if nobody asks for all of them.
const OPS_KEPT: usize = 256;

impl SimDisk {
    /// A disk that holds `image`.
    #[must_use]
    pub fn new(image: Image, clock: Arc<SimClock>) -> Self {
        let state = State {
            visible: image.clone(),
            unsynced: Vec::new(),
            trace: Trace { base: image, ops: Vec::new() },
            folded: 0,
            ops_kept: OPS_KEPT,
            syncs: 0,
            failing_syncs: None,
            moods: Vec::new(),
            sync_ns: 3_000_000,
            busy_until_ns: 0,
            cut_ns: u64::MAX,
            writes: 0,
            written_bytes: 0,
            bad: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// Remembers every op, so that power can be cut at any of them afterwards.
    #[must_use]
    pub fn with_whole_trace(self) -> Self {
        self.state().ops_kept = usize::MAX;
        self
    }

    /// The syncs with these numbers, from 0, fail with `errno`.
    pub fn fail_syncs(&self, which: Range<u64>, errno: i32) {
        self.state().failing_syncs = Some((which, errno));
    }

    /// From now on each sync takes this long.
    pub fn sync_takes(&self, ns: u64) {
        self.state().sync_ns = ns;
    }

    /// Between these boot times the disk is in a mood.
    pub fn be(&self, when_ns: Range<u64>, mood: Mood) {
        self.state().moods.push((when_ns, mood));
    }

    /// Power goes at this boot time.
    pub fn cut_at(&self, boottime_ns: u64) {
        self.state().cut_ns = boottime_ns;
    }

    /// These bytes cannot be read.
    pub fn make_bad(&self, bytes: Range<usize>) {
        self.state().bad.push(bytes);
    }

    /// What is left after the power cut, if nothing came but what was synced.
    #[must_use]
    pub fn durable(&self) -> Image {
        let (trace, cut_ns) = {
            let state = self.state();
            (state.trace.clone(), state.cut_ns)
        };
        trace.moments(cut_ns).last().map_or(trace.base, |moment| moment.settled)
    }

    /// What it was told.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    /// Ops so far, also those that are no longer remembered.
    #[must_use]
    pub fn op_count(&self) -> usize {
        let state = self.state();
        state.folded + state.trace.ops.len()
    }

    /// Syncs, writes and bytes so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let state = self.state();
        (state.syncs, state.writes, state.written_bytes)
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::try_from(self.state().visible.len() * SLOT).expect("a small disk")
    }

    /// The disk's own clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(DiskClock(self.clone()))
    }

    fn now_ns(&self) -> u64 {
        self.clock.boottime_ns().max(self.state().busy_until_ns)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

impl State {
    fn mood(&self, now_ns: u64) -> Option<Mood> {
        let now = |(when, _): &&(Range<u64>, Mood)| when.contains(&now_ns);
        self.moods.iter().rev().find(now).map(|(_, mood)| *mood)
    }

    /// Forgets ops that nobody will ask for.
    fn fold(&mut self, now_ns: u64) {
        if self.trace.ops.len() / 2 < self.ops_kept {
            return;
        }
        let until = self.trace.ops.len() - self.ops_kept;
        let settled =
            |op: &Op| matches!(op, Op::Sync { to_ns, failed: false, .. } if *to_ns <= now_ns);
        let Some(last) = self.trace.ops.iter().take(until).rposition(settled) else { return };
        let rest = self.trace.ops.split_off(last + 1);
        let moment = self.trace.moments(now_ns).last();
        self.folded += last + 1;
        if let Some(moment) = moment {
            self.trace.base = moment.settled;
        }
        self.trace.ops = rest;
    }
}

impl Disk for SimDisk {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let now_ns = self.now_ns();
        let state = self.state();
        if state.mood(now_ns) == Some(Mood::Gone) {
            return Err(io::Error::from_raw_os_error(19));
        }
        let start = usize::try_from(offset).expect("a small disk");
        let wanted = start..start + buffer.len();
        if state.bad.iter().any(|bad| bad.start < wanted.end && wanted.start < bad.end) {
            return Err(io::Error::from_raw_os_error(5));
        }
        assert!(start.is_multiple_of(SLOT), "a read of a part of a slot");
        let mut done = 0;
        for (slot, part) in (start / SLOT..state.visible.len()).zip(buffer.chunks_mut(SLOT)) {
            part.copy_from_slice(&state.visible.slot(slot)[..part.len()]);
            done += part.len();
        }
        Ok(done)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at_ns = self.now_ns();
        let mut state = self.state();
        match state.mood(at_ns) {
            Some(Mood::WriteFails(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Mood::Gone) => return Err(io::Error::from_raw_os_error(19)),
            _ => {}
        }
        let offset = usize::try_from(offset).expect("a small disk");
        assert!(offset.is_multiple_of(SLOT) && bytes.len().is_multiple_of(SLOT));
        let slot = offset / SLOT;
        let end = slot + bytes.len() / SLOT;
        assert!(end <= state.visible.len(), "a write beyond the end: the recording would grow");
        state.writes += 1;
        state.written_bytes += u64::try_from(bytes.len()).expect("a small write");
        if state.mood(at_ns) == Some(Mood::Stuck) {
            return Ok(());
        }
        let before = state.visible.lift(slot..end);
        state.unsynced.push(before);
        let patch = Patch::new(slot, bytes);
        state.visible.lay(&patch);
        state.trace.ops.push(Op::Write(Write { at_ns, patch }));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let from_ns = self.now_ns();
        let mut state = self.state();
        let number = state.syncs;
        state.syncs += 1;
        let mood = state.mood(from_ns);
        let takes_ns = if let Some(Mood::Slow(ns)) = mood { ns } else { state.sync_ns };
        let errno = match (mood, &state.failing_syncs) {
            (Some(Mood::SyncFails(errno)), _) => Some(errno),
            (Some(Mood::Gone), _) => Some(19),
            (_, Some((which, errno))) if which.contains(&number) => Some(*errno),
            _ => None,
        };
        let to_ns = from_ns.saturating_add(takes_ns);
        state.busy_until_ns = to_ns;
        let unsynced = std::mem::take(&mut state.unsynced);
        if mood != Some(Mood::Stuck) {
            state.trace.ops.push(Op::Sync { from_ns, to_ns, failed: errno.is_some() });
        }
        state.fold(from_ns);
        let Some(errno) = errno else { return Ok(()) };
        for before in unsynced.iter().rev() {
            state.visible.lay(before);
        }
        Err(io::Error::from_raw_os_error(errno))
    }
}

/// Runs ahead of the machine's clock while the disk is busy.
#[derive(Debug)]
struct DiskClock(SimDisk);

impl Clock for DiskClock {
    fn boottime_ns(&self) -> u64 {
        self.0.now_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.clock.monotonic_ns()
    }

    fn realtime_ns(&self) -> i64 {
        self.0.clock.realtime_ns()
    }

    fn synced(&self) -> bool {
        self.0.clock.synced()
    }

    fn wait(&self, _deadline_ns: u64) -> Option<Signal> {
        None
    }
}
