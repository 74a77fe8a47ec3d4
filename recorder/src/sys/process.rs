//! What a process can ask for itself so that it lives through the worst.

use std::io;
use std::mem::zeroed;

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

/// Locks every page of this process, so that none is ever swapped out or dropped; and, if there is
/// no limit or it can be lifted, what is taken later as soon as it is used. `false`: under a limit
/// a later allocation, or a thread's stack, would be refused; so [`lock_used_memory`] is to be called
/// when all is taken. See mlockall(2).
pub fn lock_memory() -> io::Result<bool> {
    // SAFETY: all-zero is a valid value of this struct.
    let mut limit: libc::rlimit = unsafe { zeroed() };
    // SAFETY: `limit` lives for the call, which writes only into it.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) })?;
    let none = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `none` lives for the call, which reads it.
    if checked(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) }).is_ok() {
        limit = none;
    }
    // SAFETY: takes no pointers.
    checked(unsafe { libc::mlockall(libc::MCL_CURRENT) })?;
    if limit.rlim_cur != libc::RLIM_INFINITY {
        return Ok(false);
    }
    // SAFETY: takes no pointers.
    checked(unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) })?;
    Ok(true)
}

/// Locks what was taken since [`lock_memory`] as far as it is used, and the rest as soon as it is. See
/// mlockall(2), `MCL_ONFAULT`.
pub fn lock_used_memory() -> io::Result<()> {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_ONFAULT) }).map(drop)
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
