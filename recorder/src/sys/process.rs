//! What a process can ask for itself so that it lives through the worst.

use std::fs;
use std::io;
use std::mem::zeroed;
use std::ptr;

use super::checked;

/// Not in every libc's headers; the number is the kernel's and fixed.
const PR_SET_IO_FLUSHER: libc::c_int = 57;

/// Minor and major page faults of this process. See getrusage(2).
#[must_use]
pub fn faults() -> (u64, u64) {
    // SAFETY: `rusage` is a plain C struct for which all zeros are valid.
    let mut usage: libc::rusage = unsafe { zeroed() };
    // SAFETY: `usage` lives for the call; RUSAGE_SELF cannot fail.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    (usage.ru_minflt.try_into().unwrap_or(0), usage.ru_majflt.try_into().unwrap_or(0))
}

/// Locks the pages of this process, so that none is ever swapped out or dropped: those of the program
/// and its libraries at once, all others as soon as they are used. Those to come are included only
/// if the limit is infinite: under a finite one a later allocation, or a thread's stack, would be
/// refused. So it is to be called again when all memory is taken. See mlockall(2), `MCL_ONFAULT`.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: all-zero is a valid value of this struct.
    let mut limit: libc::rlimit = unsafe { zeroed() };
    // SAFETY: `limit` lives for the call, which writes only into it.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) })?;
    let future = if limit.rlim_cur == libc::RLIM_INFINITY { libc::MCL_FUTURE } else { 0 };
    // SAFETY: takes no pointers.
    checked(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_ONFAULT | future) })?;
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        let Some((start, len)) = mapped_file(line) else { continue };
        // SAFETY: locking changes no byte, wherever it is; the kernel checks the range.
        checked(unsafe { libc::mlock(ptr::without_provenance(start), len) })?;
    }
    Ok(())
}

/// Brings these bytes into memory, where they stay. See mlock(2).
pub fn lock_in(start: *const u8, len: usize) -> io::Result<()> {
    // SAFETY: as above.
    checked(unsafe { libc::mlock(start.cast(), len) }).map(drop)
}

/// Start and length of what a line of `/proc/self/maps` says is a file, and may be read.
fn mapped_file(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_readable = words.next()?.starts_with('r');
    let is_file = words.nth(3)?.starts_with('/');
    let [start, end] = [start, end].map(|digits| usize::from_str_radix(digits, 16).ok());
    let (start, end) = start.zip(end)?;
    (is_readable && is_file).then_some((start, end.checked_sub(start)?))
}

/// Priority (-20 first, 19 last) of this thread and of those that it starts from now on. See
/// setpriority(2).
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })?;
    Ok(())
}

/// Tells the kernel that memory may depend on this thread's writes, so that its allocations never
/// wait for I/O. Per thread, inherited; Linux 5.6. See prctl(2), PR_SET_IO_FLUSHER.
pub fn set_io_flusher() -> io::Result<()> {
    const ON: libc::c_ulong = 1;
    const UNUSED: libc::c_ulong = 0;
    // SAFETY: takes no pointers; prctl wants all five arguments as unsigned long.
    checked(unsafe { libc::prctl(PR_SET_IO_FLUSHER, ON, UNUSED, UNUSED, UNUSED) })?;
    Ok(())
}

/// Bytes of a page: 4096, 16384 or 65536. See sysconf(3).
#[must_use]
pub fn page_size() -> u32 {
    // SAFETY: takes no pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    size.try_into().unwrap_or(4096)
}

/// Cores online. See sysconf(3).
#[must_use]
pub fn core_count() -> u64 {
    // SAFETY: takes no pointers.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u64::try_from(count).unwrap_or(1).max(1)
}

/// Fills `bytes` from the kernel's generator; waits for it only in the first seconds of a boot.
/// See getrandom(2).
pub fn random_bytes(bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: pointer and length are those of one slice that is ours to write.
        let answer = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        if let Ok(filled) = usize::try_from(answer) {
            rest = rest.get_mut(filled..).unwrap_or_default();
            continue;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}
