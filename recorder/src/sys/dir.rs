//! Directories: listing one that is held open, whole or from a place on, and opening a file in it.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd};

use super::checked;

/// Bytes of an entry of getdents64(2) before its name: inode, offset, length, kind.
const ENTRY_HEADER_SIZE: usize = 19;

/// Longest name that [`open_at`] takes, bytes.
const NAME_LEN_MAX: usize = 63;

/// Calls `each` with every name in a directory but `.` and `..`. It may be called again and again
/// on one open directory. `buf` should have room for some hundred bytes at least. See
/// getdents64(2).
pub fn list_dir(dir: &File, buf: &mut [u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    list_dir_from(dir, 0, buf, |name, _| {
        each(name);
        ControlFlow::Continue(())
    })
}

/// The same from a place on, until `each` breaks. Beside a name it is given the place behind it,
/// to go on from; 0 is the first place. See getdents64(2), `d_off`.
pub fn list_dir_from(
    mut dir: &File,
    place: u64,
    buf: &mut [u8],
    mut each: impl FnMut(&[u8], u64) -> ControlFlow<()>,
) -> io::Result<()> {
    dir.seek(SeekFrom::Start(place))?;
    loop {
        // SAFETY: the descriptor is open; pointer and length are those of one slice that is ours
        // to write.
        let answer = unsafe {
            libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buf.as_mut_ptr(), buf.len())
        };
        let filled = usize::try_from(answer).map_err(|_| io::Error::last_os_error())?;
        let mut rest = buf.get(..filled).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while let Some(head) = rest.first_chunk::<ENTRY_HEADER_SIZE>() {
            let [_, _, _, _, _, _, _, _, next @ .., low, high, _] = *head;
            #[allow(clippy::host_endian_bytes, reason = "from the kernel, not from a disk")]
            let (next, entry_len) =
                (u64::from_ne_bytes(next), usize::from(u16::from_ne_bytes([low, high])));
            let Some((entry, behind)) = rest.split_at_checked(entry_len.max(1)) else { break };
            let name = entry.get(ENTRY_HEADER_SIZE..).unwrap_or_default();
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            if !matches!(name, b"" | b"." | b"..") && each(name, next).is_break() {
                return Ok(());
            }
            rest = behind;
        }
    }
}

/// Opens a file of a directory that is held open, for reading; the path from there has at most 63
/// bytes. See openat(2).
pub fn open_at(dir: &File, path: &[u8]) -> io::Result<File> {
    let mut name = [0; NAME_LEN_MAX + 1];
    let place = name.get_mut(..path.len()).filter(|_| path.len() <= NAME_LEN_MAX);
    place.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(path);
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| io::ErrorKind::InvalidInput)?;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the descriptor is open, and the name is a zero-terminated string that lives for the
    // call.
    let fd = checked(unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags) })?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd) })
}
