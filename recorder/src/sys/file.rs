//! Files below what the standard library knows: locks, extents, file systems.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::mem::zeroed;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::checked;

/// Flag for `OpenOptionsExt::custom_flags`: pass the page cache by. See open(2).
pub const O_DIRECT: i32 = libc::O_DIRECT;

/// Flag for `OpenOptionsExt::custom_flags`: refuse a link. See open(2).
pub const O_NOFOLLOW: i32 = libc::O_NOFOLLOW;

/// Flag for `OpenOptionsExt::custom_flags`: never wait for a FIFO's other end. See open(2).
pub const O_NONBLOCK: i32 = libc::O_NONBLOCK;

/// Flag for `OpenOptionsExt::custom_flags`, on a block device: be its only user. See open(2).
pub const O_EXCL: i32 = libc::O_EXCL;

/// Locks the whole file for this open file description. `false`: somebody else holds it. Unlike
/// a classic record lock it does not vanish when another descriptor of the file is closed. See
/// fcntl(2), "Open file description locks".
pub fn lock_exclusive(file: &File) -> io::Result<bool> {
    // SAFETY: `flock` is a plain C struct for which all zeros are valid; zero start and length
    // mean the whole file, and l_pid must be zero here.
    let mut lock: libc::flock = unsafe { zeroed() };
    lock.l_type = libc::F_WRLCK.try_into().unwrap_or_default();
    lock.l_whence = libc::SEEK_SET.try_into().unwrap_or_default();
    // SAFETY: the descriptor is open, and `lock` lives for the call.
    match checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Lets the kernel keep as little as it can of what is sent to a socket. See socket(7), SO_RCVBUF.
pub fn shrink_receive_buffer(socket: &UdpSocket) -> io::Result<()> {
    let len: libc::c_int = 0;
    let size = size_of::<libc::c_int>().try_into().unwrap_or_default();
    // SAFETY: the descriptor is open; the option takes an int, which lives for the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const len).cast(),
            size,
        )
    };
    checked(answer).map(drop)
}

/// Allocates the first `size` bytes and makes the file that long. See fallocate(2).
pub fn fallocate(file: &File, size: u64) -> io::Result<()> {
    let size = libc::off64_t::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
    loop {
        // SAFETY: the descriptor is open; no pointers.
        match checked(unsafe { libc::fallocate64(file.as_raw_fd(), 0, 0, size) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer.map(drop),
        }
    }
}

/// Renames `from` to `to`, which must not exist: of two creators only one wins. See renameat2(2),
/// RENAME_NOREPLACE.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let [old, new] = [from, to].map(|path| CString::new(path.as_os_str().as_bytes()));
    let (old, new) = (old?, new?);
    // SAFETY: both are zero-terminated strings that live for the call. By number, for not every
    // libc has a wrapper.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            old.as_ptr(),
            libc::AT_FDCWD,
            new.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if answer == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Some network and FUSE file systems know no flags; a second link replaces nothing either.
        error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        error => Err(error),
    }
}

/// Makes a write beyond the process's file size limit an error, EFBIG, instead of the end of the
/// process. See setrlimit(2), RLIMIT_FSIZE.
pub fn ignore_file_size_signal() {
    // SAFETY: no handler of ours is installed, the signal is only ignored.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// `struct fiemap` of linux/fiemap.h.
#[repr(C)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    extents: [FiemapExtent; EXTENTS_PER_CALL],
}

/// `struct fiemap_extent` of linux/fiemap.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct FiemapExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

const EXTENTS_PER_CALL: usize = 32;
const FIEMAP_HEADER_SIZE: usize =
    size_of::<Fiemap>() - size_of::<[FiemapExtent; EXTENTS_PER_CALL]>();
/// The request number holds the size of the header alone.
const FS_IOC_FIEMAP: libc::Ioctl = libc::_IOWR::<[u8; FIEMAP_HEADER_SIZE]>(0x66, 11);
const FIEMAP_FLAG_SYNC: u32 = 0x1;
const FIEMAP_EXTENT_LAST: u32 = 0x1;
/// UNKNOWN, DELALLOC, UNWRITTEN: the next write there also changes metadata.
const NOT_WRITTEN: u32 = 0x2 | 0x4 | 0x800;

/// Whether any part of the file is a hole, or allocated but never written: a write there would
/// cost a journal commit more. `None`: this file system does not tell. See ioctl_fiemap(2) and
/// the kernel's Documentation/filesystems/fiemap.rst.
pub fn fiemap_unwritten(file: &File) -> io::Result<Option<bool>> {
    let size = file.metadata()?.len();
    // SAFETY: plain integers, for which all zeros are valid.
    let mut map: Fiemap = unsafe { zeroed() };
    let mut covered = 0;
    while covered < size {
        map.start = covered;
        map.length = size - covered;
        map.flags = FIEMAP_FLAG_SYNC;
        map.mapped_extents = 0;
        map.extent_count = u32::try_from(EXTENTS_PER_CALL).unwrap_or(0);
        // SAFETY: the descriptor is open; `map` lives for the call and has room for as many
        // extents as `extent_count` says.
        let answer = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) };
        if let Err(error) = checked(answer) {
            return match error.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::ENOTTY | libc::EINVAL | libc::ENOSYS) => Ok(None),
                Some(libc::EINTR) => continue,
                _ => Err(error),
            };
        }
        let mapped = usize::try_from(map.mapped_extents).unwrap_or(0);
        let extents = map.extents.get(..mapped).unwrap_or(&map.extents);
        if extents.is_empty() {
            return Ok(Some(true));
        }
        for extent in extents {
            if extent.logical > covered || extent.flags & NOT_WRITTEN != 0 {
                return Ok(Some(true));
            }
            let end = extent.logical.saturating_add(extent.length);
            // An extent that brings us no further would keep us here for ever.
            if end <= covered || (extent.flags & FIEMAP_EXTENT_LAST != 0 && end < size) {
                return Ok(Some(true));
            }
            covered = end;
        }
    }
    Ok(Some(false))
}

/// What lies under a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileSystem {
    /// Kind of file system, as in linux/magic.h.
    pub magic: u64,
    /// Bytes that we could still allocate.
    pub free_bytes: u64,
}

/// The file system of an open file or directory. See fstatfs(2).
pub fn file_system(file: impl AsFd) -> io::Result<FileSystem> {
    // SAFETY: `statfs64` is a plain C struct for which all zeros are valid.
    let mut status: libc::statfs64 = unsafe { zeroed() };
    // SAFETY: the descriptor is open, and `status` lives for the call.
    checked(unsafe { libc::fstatfs64(file.as_fd().as_raw_fd(), &raw mut status) })?;
    #[allow(
        clippy::as_conversions,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "signed on some targets, where the high bit of a magic must not spread"
    )]
    let magic = status.f_type as u64 & 0xffff_ffff;
    let block_size = u64::try_from(status.f_bsize).unwrap_or(0);
    Ok(FileSystem { magic, free_bytes: status.f_bavail.saturating_mul(block_size) })
}

/// Turns copy-on-write off for an empty file on btrfs. See ioctl_iflags(2), FS_NOCOW_FL.
pub fn set_nocow(file: &File) -> io::Result<()> {
    const FS_NOCOW_FL: libc::c_int = 0x0080_0000;
    // The kernel reads and writes an int; the second one is there because the request number
    // speaks of a long.
    let mut flags: [libc::c_int; 2] = [0; 2];
    // SAFETY: the descriptor is open; `flags` lives for the call and is as large as a long.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, flags.as_mut_ptr()) })?;
    if let Some(first) = flags.first_mut() {
        *first |= FS_NOCOW_FL;
    }
    // SAFETY: as above.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, flags.as_ptr()) })?;
    Ok(())
}

/// How much room a mounted file system has (statvfs(3)).
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Its size.
    pub size_bytes: u64,
    /// What is free for everybody.
    pub available_bytes: u64,
    /// How many files it can hold; 0 where that is not fixed.
    pub inodes: u64,
    /// How many more files.
    pub free_inodes: u64,
    /// Whether it may only be read, by wish or since an error.
    pub read_only: bool,
}

/// Asks the file system at `path`. Hangs if the file system does.
pub fn file_system_room(path: &std::ffi::CStr) -> io::Result<Room> {
    let mut told = std::mem::MaybeUninit::<libc::statvfs64>::zeroed();
    // SAFETY: the path ends with a zero byte, and the place is one that the kernel may write.
    checked(unsafe { libc::statvfs64(path.as_ptr(), told.as_mut_ptr()) })?;
    // SAFETY: the call has filled it; all zeros would have been a value too.
    let told = unsafe { told.assume_init() };
    #[allow(clippy::useless_conversion, reason = "32 bits on some machines")]
    let unit = u64::from(told.f_frsize);
    #[allow(clippy::useless_conversion, reason = "as above")]
    let read_only = u64::from(told.f_flag) & u64::from(libc::ST_RDONLY) != 0;
    Ok(Room {
        size_bytes: told.f_blocks.saturating_mul(unit),
        available_bytes: told.f_bavail.saturating_mul(unit),
        inodes: told.f_files,
        free_inodes: told.f_ffree,
        read_only,
    })
}
