//! Waiting for a file: until it has something to read, or until a name appears in a folder.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::checked;

/// Waits until the file has something to read, at most `longest`; whether it has. See poll(2).
pub fn wait_readable(file: &File, longest: Duration) -> io::Result<bool> {
    let longest = libc::c_int::try_from(longest.as_millis()).unwrap_or(libc::c_int::MAX);
    let mut wanted = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `wanted` is one pollfd, and lives for the call.
    let ready = checked(unsafe { libc::poll(&raw mut wanted, 1, longest) })?;
    Ok(ready > 0)
}

/// Tells when names in a folder come, or go. See inotify(7).
#[derive(Debug)]
pub struct FolderWatch(File);

impl FolderWatch {
    /// Watches for files that are moved in, or are written to the end, from now on. Refused where
    /// somebody has used up the machine's watches.
    pub fn of_arrivals(folder: &Path) -> io::Result<Self> {
        Self::new(folder, libc::IN_MOVED_TO | libc::IN_CLOSE_WRITE)
    }

    /// The same for everything that comes, or goes.
    pub fn of_names(folder: &Path) -> io::Result<Self> {
        Self::new(folder, libc::IN_CREATE | libc::IN_DELETE | libc::IN_MOVE)
    }

    fn new(folder: &Path, what: u32) -> io::Result<Self> {
        let path = CString::new(folder.as_os_str().as_bytes())?;
        // SAFETY: no pointers.
        let fd = checked(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        let file = unsafe { File::from_raw_fd(fd) };
        // SAFETY: the descriptor is open; the path is a zero-terminated string that lives for the
        // call.
        checked(unsafe { libc::inotify_add_watch(fd, path.as_ptr(), what) })?;
        Ok(Self(file))
    }

    /// Waits until something has happened since the last call, at most `longest`; whether it has.
    pub fn wait(&mut self, longest: Duration) -> io::Result<bool> {
        wait_readable(&self.0, longest)?;
        Ok(self.has_happened())
    }

    /// Whether something has happened since the last call. What, is thrown away: who asks looks at
    /// the folder itself.
    pub fn has_happened(&mut self) -> bool {
        let mut told = [0; 4096];
        let mut some = false;
        while matches!(self.0.read(&mut told), Ok(1..)) {
            some = true;
        }
        some
    }
}
