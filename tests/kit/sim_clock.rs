//! A clock that moves when somebody waits, or when a disk takes its time.

use std::sync::Mutex;

use flightrec_recorder::clock::{Clock, Signal};

/// One second, in the clock's unit.
pub const SECOND_NS: u64 = 1_000_000_000;

/// A simulated clock. Shared by the recorder and the disk under it.
#[derive(Debug)]
pub struct SimClock(Mutex<State>);

#[derive(Clone, Debug)]
struct State {
    boottime_ns: u64,
    suspended_ns: u64,
    realtime_offset_ns: i64,
    synced: bool,
    signal: Option<(u64, Signal)>,
    step: Option<(u64, i64, bool)>,
    sleep: Option<(u64, u64)>,
}

impl SimClock {
    /// A machine that was switched on `boottime_ns` ago, whose real time says `realtime_ns`.
    #[must_use]
    pub fn new(boottime_ns: u64, realtime_ns: i64, synced: bool) -> Self {
        let realtime_offset_ns = realtime_ns - i64::try_from(boottime_ns).expect("a sane time");
        let state = State {
            boottime_ns,
            suspended_ns: 0,
            realtime_offset_ns,
            synced,
            signal: None,
            step: None,
            sleep: None,
        };
        Self(Mutex::new(state))
    }

    /// Time passes: a disk is busy, or the machine hangs.
    pub fn pass(&self, ns: u64) {
        self.state().boottime_ns += ns;
    }

    /// The machine sleeps: boot time passes, monotonic time does not.
    pub fn suspend(&self, ns: u64) {
        let mut state = self.state();
        state.boottime_ns += ns;
        state.suspended_ns += ns;
    }

    /// Somebody sets real time.
    pub fn step(&self, ns: i64, synced: bool) {
        let mut state = self.state();
        state.realtime_offset_ns += ns;
        state.synced = synced;
    }

    /// Somebody sets real time at this boot time.
    pub fn step_at(&self, boottime_ns: u64, ns: i64, synced: bool) {
        self.state().step = Some((boottime_ns, ns, synced));
    }

    /// The machine falls asleep at this boot time, for so long.
    pub fn suspend_at(&self, boottime_ns: u64, ns: u64) {
        self.state().sleep = Some((boottime_ns, ns));
    }

    /// A signal arrives at this boot time.
    pub fn signal_at(&self, boottime_ns: u64, signal: Signal) {
        self.state().signal = Some((boottime_ns, signal));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Clock for SimClock {
    fn boottime_ns(&self) -> u64 {
        self.state().boottime_ns
    }

    fn monotonic_ns(&self) -> u64 {
        let state = self.state();
        state.boottime_ns - state.suspended_ns
    }

    fn realtime_ns(&self) -> i64 {
        let state = self.state();
        i64::try_from(state.boottime_ns).expect("a sane time") + state.realtime_offset_ns
    }

    fn synced(&self) -> bool {
        self.state().synced
    }

    fn wait(&self, deadline_ns: u64) -> Option<Signal> {
        let mut state = self.state();
        if let Some((_, ns, synced)) = state.step.take_if(|(at, ..)| *at <= deadline_ns) {
            state.realtime_offset_ns += ns;
            state.synced = synced;
        }
        if let Some((_, ns)) = state.sleep.take_if(|(at, _)| *at <= deadline_ns) {
            state.boottime_ns += ns;
            state.suspended_ns += ns;
        }
        if let Some((at, signal)) = state.signal
            && at <= deadline_ns
        {
            state.boottime_ns = state.boottime_ns.max(at);
            state.signal = None;
            return Some(signal);
        }
        state.boottime_ns = state.boottime_ns.max(deadline_ns);
        None
    }
}
