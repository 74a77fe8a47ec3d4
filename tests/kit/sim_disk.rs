//! A disk in memory that can lose power, fail and stall.
//!
//! Its physics: a write is visible at once and durable after [`Disk::sync`]; each takes its time
//! on the clock. A sync can fail: then what was written since the last good one is lost. When
//! power is cut, nothing that comes later arrives, and what was not synced does not either.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use flightrec_recorder::clock::Clock;
use flightrec_recorder::disk::Disk;

use crate::sim_clock::SimClock;

/// A simulated disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    clock: Arc<SimClock>,
}

#[derive(Debug)]
struct State {
    visible: Vec<u8>,
    unsynced: Vec<Range<usize>>,
    durable: Vec<u8>,
    syncs: u64,
    failing: Range<u64>,
    errno: i32,
    sync_ns: u64,
    cut_ns: Option<u64>,
    writes: u64,
    written_bytes: u64,
    bad: Vec<Range<usize>>,
}

impl SimDisk {
    /// A disk that holds `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>, clock: Arc<SimClock>) -> Self {
        let state = State {
            visible: bytes.clone(),
            unsynced: Vec::new(),
            durable: bytes,
            syncs: 0,
            failing: 0..0,
            errno: 5,
            sync_ns: 3_000_000,
            cut_ns: None,
            writes: 0,
            written_bytes: 0,
            bad: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// The syncs with these numbers, from 0, fail with `errno`.
    pub fn fail_syncs(&self, which: Range<u64>, errno: i32) {
        let mut state = self.state();
        state.failing = which;
        state.errno = errno;
    }

    /// From now on each sync takes this long.
    pub fn sync_takes(&self, ns: u64) {
        self.state().sync_ns = ns;
    }

    /// Power goes at this boot time.
    pub fn cut_at(&self, boottime_ns: u64) {
        self.state().cut_ns = Some(boottime_ns);
    }

    /// These bytes cannot be read.
    pub fn make_bad(&self, bytes: Range<usize>) {
        self.state().bad.push(bytes);
    }

    /// What is left after the power cut.
    #[must_use]
    pub fn durable(&self) -> Vec<u8> {
        self.state().durable.clone()
    }

    /// Syncs, writes and bytes so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let state = self.state();
        (state.syncs, state.writes, state.written_bytes)
    }

    /// Whether power is gone.
    #[must_use]
    pub fn is_dark(&self) -> bool {
        let now_ns = self.clock.boottime_ns();
        self.state().cut_ns.is_some_and(|cut_ns| now_ns >= cut_ns)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

fn range(offset: u64, len: usize) -> Range<usize> {
    let start = usize::try_from(offset).expect("a small disk");
    start..start + len
}

impl Disk for SimDisk {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state();
        let wanted = range(offset, buffer.len());
        if state.bad.iter().any(|bad| bad.start < wanted.end && wanted.start < bad.end) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let end = wanted.end.min(state.visible.len());
        let Some(bytes) = state.visible.get(wanted.start..end) else { return Ok(0) };
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_dark() {
            return Ok(());
        }
        let mut state = self.state();
        let place = range(offset, bytes.len());
        let end = place.end;
        assert!(end <= state.visible.len(), "a write beyond the end: the recording would grow");
        state.visible[place.clone()].copy_from_slice(bytes);
        state.unsynced.push(place);
        state.writes += 1;
        state.written_bytes += u64::try_from(bytes.len()).expect("a small write");
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let sync_ns = self.state().sync_ns;
        self.clock.pass(sync_ns);
        if self.is_dark() {
            return Ok(());
        }
        let mut state = self.state();
        let number = state.syncs;
        state.syncs += 1;
        let unsynced = std::mem::take(&mut state.unsynced);
        if state.failing.contains(&number) {
            // The kernel has dropped the pages; what was there before is what will be read.
            for place in unsynced {
                let old = state.durable[place.clone()].to_vec();
                state.visible[place].copy_from_slice(&old);
            }
            return Err(io::Error::from_raw_os_error(state.errno));
        }
        for place in unsynced {
            let new = state.visible[place.clone()].to_vec();
            state.durable[place].copy_from_slice(&new);
        }
        Ok(())
    }
}
