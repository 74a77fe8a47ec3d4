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

/// Locks every page of this process, so that none is ever swapped out or dropped. Those to come
/// are included only if the limit is infinite, or can be made so: under a finite one a later
/// allocation, or a thread's stack, would be refused. So it is to be called again when all memory is
/// taken; what a thread maps for itself as it begins may come still later. See mlockall(2).
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: all-zero is a valid value of this struct.
    let mut limit: libc::rlimit = unsafe { zeroed() };
    // SAFETY: `limit` lives for the call, which writes only into it.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) })?;
    let none = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `none` lives for the call, which reads it.
    if checked(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) }).is_ok() {
        limit = none;
    }
    let future = if limit.rlim_cur == libc::RLIM_INFINITY { libc::MCL_FUTURE } else { 0 };
    // SAFETY: takes no pointers.
    checked(unsafe { libc::mlockall(libc::MCL_CURRENT | future) })?;
    Ok(())
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
