//! Bytes of a new recording: room, zeros, superblocks (spec W1).

use std::fs::File;
use std::io;

use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::superblock::{Geometry, Superblock};

use crate::disk::Disk;
use crate::sys;

/// Bytes of zeros in one write.
const STEP: usize = 1 << 20;

/// Zeros are synced this often: without it a large recording would fill a small board's memory
/// with dirty pages, and every other program would wait for the card.
const SYNC_EVERY: u64 = 16 << 20;

/// Takes the whole room at once.
pub(super) fn allocate(file: &File, size: u64) -> io::Result<()> {
    match sys::fallocate(file, size) {
        // Where nothing can be preallocated the zeros take the room, only later.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        answer => answer,
    }
}

/// Overwrites everything with zeros, and looks whether all of it is written: a write into room
/// that is only allocated costs a journal commit of its own.
pub(super) fn zeros(file: &File, size: u64) -> io::Result<Option<bool>> {
    overwrite(&mut &*file, size)?;
    if sys::fiemap_unwritten(file)? == Some(true) {
        // Seen where the file system still delayed the allocation; a second time is enough.
        overwrite(&mut &*file, size)?;
    }
    Ok(sys::fiemap_unwritten(file)?.map(|unwritten| !unwritten))
}

/// Writes `size` bytes of zeros, and syncs them.
pub fn overwrite(disk: &mut dyn Disk, size: u64) -> io::Result<()> {
    let zeros = vec![0; STEP];
    let mut offset = 0;
    while offset < size {
        let len = usize::try_from(size - offset).map_or(STEP, |rest| rest.min(STEP));
        disk.write_at(zeros.get(..len).unwrap_or_default(), offset)?;
        offset += u64::try_from(len).unwrap_or(size);
        if offset.is_multiple_of(SYNC_EVERY) {
            disk.sync()?;
        }
    }
    disk.sync()
}

/// Writes the three superblocks. The zeros are durable by now: a superblock never vouches for
/// what was there before.
pub fn superblocks(disk: &mut dyn Disk, superblock: &Superblock) -> io::Result<()> {
    for (copy, slot) in (0..).zip(superblock.geometry.superblock_slots()) {
        disk.write_at(&superblock.slot(copy), slot * 4096)?;
    }
    disk.sync()
}

/// Zeroes the superblocks of what was in the file of `len` bytes, so that no cut leaves a mixture
/// of two recordings that calls itself one.
pub fn forget(disk: &mut dyn Disk, len: u64) -> io::Result<()> {
    let last = (len / 4096).saturating_sub(1);
    let geometry = [0, last]
        .into_iter()
        .find_map(|slot| superblock_at(disk, slot))
        .map(|superblock| superblock.geometry)
        .or_else(|| Geometry::for_size(len));
    let copies = geometry.map(|geometry| geometry.superblock_slots());
    for slot in copies.into_iter().flatten().chain([0, last]) {
        // A copy that was cut off is not there to be forgotten; a write would bring it back.
        let offset = slot.saturating_mul(4096);
        let rest = usize::try_from(len.saturating_sub(offset)).unwrap_or(SLOT_SIZE);
        let zeros = [0; SLOT_SIZE];
        disk.write_at(zeros.get(..rest).unwrap_or(&zeros), offset)?;
    }
    disk.sync()
}

/// The superblock in a slot, if one is there.
pub(super) fn superblock_at(disk: &mut dyn Disk, slot: u64) -> Option<Superblock> {
    let mut bytes = [0; SLOT_SIZE];
    let len = disk.read_at(&mut bytes, slot * 4096).ok()?;
    Superblock::read(bytes.get(..len)?).ok()
}
