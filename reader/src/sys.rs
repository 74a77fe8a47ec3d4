//! What the kernel alone can tell of a file and of its clock: the only `unsafe` of the reader.
//!
//! Nothing here writes.

#![allow(unsafe_code, reason = "system calls that the standard library lacks")]

use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;

/// Flag for `OpenOptionsExt::custom_flags`: pass the page cache by. See open(2).
pub const O_DIRECT: i32 = libc::O_DIRECT;

/// Whether copy-on-write is turned off for a file. See ioctl_iflags(2), FS_NOCOW_FL.
pub fn is_nocow(file: &File) -> io::Result<bool> {
    const FS_NOCOW_FL: libc::c_int = 0x0080_0000;
    // The kernel writes an int; the second one is there because the request speaks of a long.
    let mut flags: [libc::c_int; 2] = [0; 2];
    // SAFETY: the descriptor is open; `flags` lives for the call and is as large as a long.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, flags.as_mut_ptr()) })?;
    Ok(flags.first().is_some_and(|flags| flags & FS_NOCOW_FL != 0))
}

/// Whether the kernel calls real time synchronised. See adjtimex(2).
pub fn is_clock_synced() -> io::Result<bool> {
    // SAFETY: all zeros are valid, and ask for no change.
    let mut state: libc::timex = unsafe { zeroed() };
    // SAFETY: `state` lives for the call.
    checked(unsafe { libc::adjtimex(&raw mut state) })?;
    Ok(state.status & libc::STA_UNSYNC == 0)
}

/// A part of a file that lies in one piece on its device, bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extent {
    /// Where it begins in the file.
    pub logical: u64,
    /// Where it begins on the device, as its file system counts.
    pub physical: u64,
    /// How long it is.
    pub length: u64,
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
/// A file in more pieces than this is told of as far as that.
const EXTENTS_MAX: usize = 4096;
const FIEMAP_HEADER_SIZE: usize =
    size_of::<Fiemap>() - size_of::<[FiemapExtent; EXTENTS_PER_CALL]>();
/// The request number holds the size of the header alone.
const FS_IOC_FIEMAP: libc::Ioctl = libc::_IOWR::<[u8; FIEMAP_HEADER_SIZE]>(0x66, 11);
const FIEMAP_EXTENT_LAST: u32 = 0x1;
/// UNKNOWN, DELALLOC, ENCODED, DATA_INLINE: the place on the device means nothing.
const FIEMAP_NOWHERE: u32 = 0x2 | 0x4 | 0x8 | 0x200;

/// Where the bytes `start .. start + length` of a file lie. See the kernel's
/// Documentation/filesystems/fiemap.rst.
pub fn extents(file: &File, start: u64, length: u64) -> io::Result<Vec<Extent>> {
    let end = start.saturating_add(length);
    let mut found = Vec::new();
    let mut next = start;
    // SAFETY: plain integers, for which all zeros are valid.
    let mut map: Fiemap = unsafe { zeroed() };
    while next < end && found.len() < EXTENTS_MAX {
        map.start = next;
        map.length = end - next;
        map.flags = 0;
        map.mapped_extents = 0;
        map.extent_count = u32::try_from(EXTENTS_PER_CALL).unwrap_or(0);
        // SAFETY: the descriptor is open; `map` lives for the call and has room for as many
        // extents as `extent_count` says.
        checked(unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) })?;
        let mapped = usize::try_from(map.mapped_extents).unwrap_or(0);
        let extents = map.extents.get(..mapped).unwrap_or(&map.extents);
        let before = next;
        for extent in extents {
            if extent.flags & FIEMAP_NOWHERE == 0 {
                let (logical, physical, length) = (extent.logical, extent.physical, extent.length);
                found.push(Extent { logical, physical, length });
            }
            next = extent.logical.saturating_add(extent.length);
            if extent.flags & FIEMAP_EXTENT_LAST != 0 {
                return Ok(found);
            }
        }
        // An extent that brings us no further would keep us here for ever.
        if next <= before {
            break;
        }
    }
    Ok(found)
}

fn checked(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lies_somewhere_and_all_of_it_does() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        let Ok(extents) = extents(&file, 0, 1 << 20) else {
            println!("skipped: this file system does not tell");
            return;
        };
        let whole: u64 = extents.iter().map(|extent| extent.length).sum();
        assert!(whole >= 1 << 20, "{extents:?}");
        assert!(extents.is_sorted_by_key(|extent| extent.logical));
    }

    #[test]
    fn the_kernel_tells_of_its_clock() {
        assert!(is_clock_synced().is_ok());
    }
}
