//! A raw partition becomes a recording: opened exclusively, and never over what somebody may miss.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use flightrec_format::limits::{RECORDING_SIZE_MAX, SLOT_SIZE};
use flightrec_format::superblock::Geometry;

use super::existing::{self, Occupant};
use super::{Created, Wish, days, fill, lock, no_space, not_a_size, not_created, refuse_ram};
use crate::device::{Device, len_of};
use crate::error::Error;
use crate::{holder, place, signatures, sys};

/// Makes a recording of a block device: of its whole room, unless a size is asked for.
pub(super) fn create(path: &Path, device: &Device, wish: &Wish<'_>) -> Result<Created, Error> {
    let place =
        place::inspect(path).map_err(|error| Error::io("look at the place of", path, &error))?;
    let refusal = refuse_ram(&place, wish.force)?;
    if !wish.force && !device.is_partition() {
        return Err(whole_disk(path, device));
    }
    if device.is_read_only() {
        let what = format!("{} is write-protected", path.display());
        return Err(Error::new(what, "See whether the card has a switch, or: blockdev --setrw."));
    }
    let block_size = device.block_size();
    if block_size > 4096 {
        let what = format!("{} writes blocks of {block_size} bytes at once", path.display());
        return Err(Error::new(what, "Put a file system on it, and the recording into that.")
            .matters("A recording writes 4096 bytes; each write would endanger those around it."));
    }
    let file = open(path, device)?;
    lock(&file, path)?;
    let fail = |error: &io::Error| not_created(path, 0, error);
    let len = len_of(&file).map_err(|error| fail(&error))?;
    let size = wish.size_bytes.unwrap_or(len.min(RECORDING_SIZE_MAX));
    let geometry = Geometry::for_size(size).ok_or_else(|| not_a_size(size))?;
    if geometry.size > len {
        return Err(no_space(path, geometry.size, len));
    }
    if !wish.force {
        refuse_others(path, &file, len)?;
    }
    let superblock = wish.superblock(path, geometry)?;
    let filled = (|| {
        fill::forget(&mut &file, len)?;
        fill::overwrite(&mut &file, geometry.size)?;
        forget_others(&file, len)?;
        fill::superblocks(&mut &file, &superblock)
    })();
    filled.map_err(|error: io::Error| {
        Error::io("write", path, &error)
            .matters("What was there is gone, and there is no recording in its place yet.")
            .advise("See what dmesg says of the disk, then repeat it with --force.")
    })?;
    Ok(Created {
        size: geometry.size,
        file_system: place.file_system,
        // A partition has no room that is only promised.
        verified: Some(true),
        days: days(&geometry),
        refusal,
    })
}

/// Opens it as its only user.
fn open(path: &Path, device: &Device) -> Result<File, Error> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(sys::O_EXCL);
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => in_use(path, device),
        _ => not_created(path, 0, &error),
    })
}

/// Why the kernel refused a device to us, who wanted it alone. No `--force` helps.
pub(crate) fn in_use(path: &Path, device: &Device) -> Error {
    if let Some(holder) = holder::find(path) {
        let what =
            format!("{} is in use by {} (process {})", path.display(), holder.comm, holder.pid);
        return Error::new(what, "Stop it first (systemctl stop flightrec), or choose another.")
            .matters("Nothing was changed.");
    }
    let user = device.user();
    let user = user.as_deref().unwrap_or("held by the kernel or by another program");
    let what = format!("{} is in use: it is {user}", path.display());
    Error::new(what, "Check that it is the right one. If so: end that use first, then repeat.")
        .matters("Nothing was changed. To write to it now would destroy what is in use.")
}

fn whole_disk(path: &Path, device: &Device) -> Error {
    let what = match device.partition_count() {
        0 => "is no partition, but a whole disk, loop device or volume".to_owned(),
        1 => "is a whole disk with a partition on it".to_owned(),
        count => format!("is a whole disk with {count} partitions on it"),
    };
    Error::new(
        format!("{} {what}", path.display()),
        "Name a partition (see lsblk). With --force all of it would be overwritten.",
    )
    .matters("Nothing was changed.")
}

/// What is on it and may be missed.
fn refuse_others(path: &Path, file: &File, len: u64) -> Result<(), Error> {
    let unreadable = |error: &io::Error| Error::io("read", path, error);
    let occupant = existing::occupant(file, len).map_err(|error| unreadable(&error))?;
    if matches!(occupant, Occupant::Recording(_) | Occupant::Newer) {
        return Err(occupant.refusal(path));
    }
    let found = signatures::find(file, len).map_err(|error| unreadable(&error))?;
    if let Some(found) = found {
        let what = format!("{} holds {} (byte {})", path.display(), found.name, found.offset);
        let advice = "If nobody misses what is on it, add --force: all of it would be lost.";
        return Err(Error::new(what, advice).matters("Nothing was changed."));
    }
    if occupant == Occupant::Headless { Err(occupant.refusal(path)) } else { Ok(()) }
}

/// Marks beyond the recording: left there they would have the partition taken for what it was,
/// and started as a part of a RAID perhaps.
fn forget_others(file: &File, len: u64) -> io::Result<()> {
    for _ in 0..64 {
        let Some(found) = signatures::find(file, len)? else { break };
        let zeros = [0; SLOT_SIZE];
        let zeros = zeros.get(..found.mark.len()).unwrap_or_default();
        file.write_all_at(zeros, found.offset)?;
    }
    Ok(())
}
