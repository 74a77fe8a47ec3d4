//! Time, as the recorder sees it: a trait, so that a simulation can own it.
//!
//! Nobody else reads a clock or sleeps. Waiting is part of it because a simulated clock must move
//! when somebody waits.

use crate::sys;
pub use crate::sys::Signal;

/// The clocks of one machine.
pub trait Clock: Send + Sync {
    /// `CLOCK_BOOTTIME`: runs through suspend; orders everything.
    fn boottime_ns(&self) -> u64;

    /// `CLOCK_MONOTONIC`: stands still while suspended.
    fn monotonic_ns(&self) -> u64;

    /// `CLOCK_REALTIME` in UTC; negative before 1970.
    fn realtime_ns(&self) -> i64;

    /// Whether real time is synchronised.
    fn synced(&self) -> bool;

    /// Waits until boot time `deadline_ns`, or for a signal, whichever comes first. A deadline
    /// that has passed still takes a pending signal.
    fn wait(&self, deadline_ns: u64) -> Option<Signal>;
}

/// The clocks of the machine we run on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boottime_ns(&self) -> u64 {
        sys::boottime_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        sys::monotonic_ns()
    }

    fn realtime_ns(&self) -> i64 {
        sys::realtime_ns()
    }

    fn synced(&self) -> bool {
        sys::clock_synced()
    }

    fn wait(&self, deadline_ns: u64) -> Option<Signal> {
        sys::wait_signal_until(deadline_ns)
    }
}
