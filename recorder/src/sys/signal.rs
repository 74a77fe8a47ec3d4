//! Waiting: for a moment of boot time or for a signal, whichever comes first.
//!
//! The signals are blocked in every thread and taken synchronously, so no handler ever runs and
//! nothing is interrupted halfway.

use std::io;
use std::mem::zeroed;

use super::{checked, time};

/// What the outside asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGTERM: the service manager wants us to stop.
    Terminate,
    /// SIGINT: the user at the terminal does.
    Interrupt,
    /// SIGUSR1: commit now.
    Commit,
    /// SIGHUP.
    Hangup,
}

impl Signal {
    fn from_number(number: libc::c_int) -> Option<Self> {
        match number {
            libc::SIGTERM => Some(Self::Terminate),
            libc::SIGINT => Some(Self::Interrupt),
            libc::SIGUSR1 => Some(Self::Commit),
            libc::SIGHUP => Some(Self::Hangup),
            _ => None,
        }
    }
}

/// The kernel measures the timeout in monotonic time, which stands still during suspend; looking
/// at the boot clock this often keeps us from oversleeping a resume.
const NAP_MAX_NS: u64 = 1_000_000_000;

/// Blocks the signals of [`Signal`] in this thread and in all that it starts. Call it before the
/// first thread is started. See sigprocmask(2).
pub fn block_signals() -> io::Result<()> {
    let signals = ours();
    // SAFETY: `signals` is initialised and lives for the call; no old mask is asked for.
    let errno =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut()) };
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

/// Sleeps until boot time `deadline_ns`, or until one of the blocked signals arrives. A deadline
/// that has passed still takes a pending signal. See sigtimedwait(2).
#[must_use]
pub fn wait_signal_until(deadline_ns: u64) -> Option<Signal> {
    let signals = ours();
    loop {
        let left_ns = deadline_ns.saturating_sub(time::boottime_ns());
        let nap = timespec(left_ns.min(NAP_MAX_NS));
        // SAFETY: both structs are initialised and live for the call; no siginfo is asked for.
        let answer =
            unsafe { libc::sigtimedwait(&raw const signals, std::ptr::null_mut(), &raw const nap) };
        // An error is EAGAIN (the nap is over) or EINTR (a signal of somebody else's).
        if let Ok(number) = checked(answer)
            && let Some(signal) = Signal::from_number(number)
        {
            return Some(signal);
        }
        if time::boottime_ns() >= deadline_ns {
            return None;
        }
    }
}

fn ours() -> libc::sigset_t {
    // SAFETY: `sigset_t` is a plain C struct for which all zeros are valid.
    let mut signals: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: `signals` lives for the calls, and the numbers are valid, so that they cannot fail.
    unsafe {
        libc::sigemptyset(&raw mut signals);
        for number in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGHUP] {
            libc::sigaddset(&raw mut signals, number);
        }
    }
    signals
}

fn timespec(ns: u64) -> libc::timespec {
    // SAFETY: a plain C struct for which all zeros are valid. (It has padding on some targets, so
    // it cannot be written as a literal everywhere.)
    let mut span: libc::timespec = unsafe { zeroed() };
    span.tv_sec = libc::time_t::try_from(ns / 1_000_000_000).unwrap_or(libc::time_t::MAX);
    span.tv_nsec = (ns % 1_000_000_000).try_into().unwrap_or(0);
    span
}
