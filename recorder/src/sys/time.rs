//! Clocks: when is it, and does the kernel trust its answer?

use std::mem::zeroed;

/// `CLOCK_BOOTTIME`: nanoseconds since boot, suspend included. See clock_gettime(2).
#[must_use]
pub fn boottime_ns() -> u64 {
    unsigned(read(libc::CLOCK_BOOTTIME))
}

/// `CLOCK_MONOTONIC`: nanoseconds since boot, suspend left out. See clock_gettime(2).
#[must_use]
pub fn monotonic_ns() -> u64 {
    unsigned(read(libc::CLOCK_MONOTONIC))
}

/// `CLOCK_REALTIME`: nanoseconds since 1970, UTC; negative before. See clock_gettime(2).
#[must_use]
pub fn realtime_ns() -> i64 {
    read(libc::CLOCK_REALTIME)
}

/// CPU time that all threads of this process used, nanoseconds. See clock_gettime(2).
#[must_use]
pub fn process_cpu_ns() -> u64 {
    unsigned(read(libc::CLOCK_PROCESS_CPUTIME_ID))
}

/// Whether the kernel calls its real time synchronised. See adjtimex(2).
#[must_use]
pub fn clock_synced() -> bool {
    // SAFETY: `timex` is a plain C struct for which all zeros are valid; modes = 0 only asks.
    let mut state: libc::timex = unsafe { zeroed() };
    // SAFETY: `state` lives for the call, and the kernel writes no more than its size.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    answer != -1 && answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0
}

/// Seconds that local time is ahead of UTC at this moment of real time, by `TZ` or
/// `/etc/localtime`. The first call reads a file and allocates. See localtime_r(3).
#[must_use]
pub fn local_offset_s(realtime_s: i64) -> Option<i32> {
    let moment = libc::time_t::try_from(realtime_s).ok()?;
    // SAFETY: `tm` is a plain C struct for which all zeros are valid.
    let mut local: libc::tm = unsafe { zeroed() };
    // SAFETY: both live for the call. It reads the environment, which nobody changes here.
    let answer = unsafe { libc::localtime_r(&raw const moment, &raw mut local) };
    if answer.is_null() { None } else { i32::try_from(local.tm_gmtoff).ok() }
}

fn read(clock: libc::clockid_t) -> i64 {
    // SAFETY: `timespec` is a plain C struct for which all zeros are valid.
    let mut now: libc::timespec = unsafe { zeroed() };
    // SAFETY: `now` lives for the call. The clocks asked for exist since Linux 2.6.39, so the
    // call cannot fail; if it did, the answer would be 0, never an undefined value.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    #[allow(clippy::useless_conversion, reason = "time_t and long have 32 bits on some boards")]
    let (seconds, nanoseconds) = (i64::from(now.tv_sec), i64::from(now.tv_nsec));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn unsigned(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}
