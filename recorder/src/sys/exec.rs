//! Becoming another program, and what goes along.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::null;

use super::checked;

/// An empty file in memory that stays open across [`become_program`]. See memfd_create(2).
pub fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: `name` ends with a zero byte and lives for the call.
    let descriptor = checked(unsafe { libc::memfd_create(name.as_ptr(), 0) })?;
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Lets a file stay open across [`become_program`]. See fcntl(2), FD_CLOEXEC.
pub fn keep_open(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open; no pointers.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }).map(drop)
}

/// This process becomes another program, with signals blocked as they are; the first argument is its
/// name. Comes back only with an error. See execve(2).
#[must_use]
pub fn become_program(path: &CStr, arguments: &[&CStr]) -> io::Error {
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(null());
    // SAFETY: all are strings that end with a zero byte and live for the call, and a null pointer
    // is behind the last.
    unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// A file that whoever became this program has left open. It must be taken once at most.
pub fn adopt(descriptor: i32) -> io::Result<File> {
    // SAFETY: no pointers; of a descriptor that is not open it says so.
    checked(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and this program has opened none of its own when it asks.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// The name under which this process is listed, 15 bytes at most. See prctl(2), PR_SET_NAME.
pub fn set_name(name: &CStr) -> io::Result<()> {
    const UNUSED: libc::c_ulong = 0;
    // SAFETY: `name` ends with a zero byte and lives for the call.
    checked(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), UNUSED, UNUSED, UNUSED) })
        .map(drop)
}
