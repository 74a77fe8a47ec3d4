//! Opening the recording: whose is it, is it whole, and does nobody else write to it?

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::superblock::{Superblock, flag};

use crate::device::Device;
use crate::disk::{Disk, FileDisk, PageBuffer};
use crate::error::{Error, reason};
use crate::resume::find_superblock;
use crate::{create, device, holder, signatures, sys};

/// What was opened.
pub(super) struct Opened {
    /// The disk, locked.
    pub(super) disk: FileDisk,
    /// Its superblock.
    pub(super) superblock: Superblock,
    /// Whether it came from another machine, or stands in for one that did.
    pub(super) copied: bool,
}

/// Opens the recording of the service: makes it where there is none, and sets one aside that was
/// copied from another machine, as cloned cards are (once; a second one is recorded into).
pub(super) fn open_for_service(
    path: &Path,
    size_bytes: u64,
    identity: [u8; 16],
) -> Result<Opened, Error> {
    create::open_or_create(path, size_bytes)?;
    let opened = open_for(path, identity)?;
    let aside = aside(path);
    // A partition has no other name to go by: it is recorded into, and the run says "copied".
    if !opened.copied || aside.exists() || Device::at(path).is_some() {
        return Ok(opened);
    }
    let size_bytes = opened.superblock.geometry.size;
    drop(opened);
    sys::rename_new(path, &aside)
        .map_err(|error| Error::io("set aside the copied recording", path, &error))?;
    create::open_or_create(path, size_bytes)?;
    let opened = open_for(path, identity)?;
    Ok(Opened { copied: true, ..opened })
}

/// Opens a recording, and compares whose it is.
pub(super) fn open_for(path: &Path, identity: [u8; 16]) -> Result<Opened, Error> {
    let (disk, superblock) = open(path)?;
    let known = superblock.identity != [0; 16] && identity != [0; 16];
    Ok(Opened { disk, superblock, copied: known && superblock.identity != identity })
}

/// Opens what was made to be a mirror. It is made by hand: a disk that is not mounted must not be
/// mistaken for the folder it is mounted on.
pub(super) fn open_mirror(path: &Path) -> Result<(FileDisk, Superblock), Error> {
    open(path)
}

/// `recording.frec` is set aside as `recording.copied.frec`.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("copied.frec")
}

/// Opens and locks the recording.
fn open(path: &Path) -> Result<(FileDisk, Superblock), Error> {
    let shown = path.display();
    let device = Device::at(path);
    let disk = FileDisk::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy if holder::find(path).is_some() => another_recorder(path),
        io::ErrorKind::ResourceBusy if let Some(device) = &device => {
            create::partition::in_use(path, device)
        }
        io::ErrorKind::NotFound => Error::new(
            format!("there is no recording at {shown}"),
            format!("Make one: flightrecd create {shown}"),
        ),
        io::ErrorKind::PermissionDenied => Error::new(
            format!("no permission to write to {shown}"),
            "Run as root, or record elsewhere with --recording PATH.",
        ),
        _ => Error::new(format!("cannot open {shown}: {}", reason(&error)), ""),
    })?;
    match sys::lock_exclusive(disk.file()) {
        Ok(true) => {}
        Ok(false) => return Err(another_recorder(path)),
        Err(error) => {
            return Err(Error::new(format!("cannot lock {shown}: {}", reason(&error)), ""));
        }
    }
    if device.is_none() && !still_there(disk.file(), path) {
        return Err(Error::new(
            format!("{shown} was just replaced by another process"),
            "Start again: then what is there now is recorded into.",
        ));
    }
    let len = device::len_of(disk.file())
        .map_err(|error| Error::new(format!("cannot examine {shown}: {}", reason(&error)), ""))?;
    let mut disk = disk;
    if device.is_some() {
        refuse_others(path, &mut disk, len)?;
    }
    // All of our own have a copy near the start; all of a large partition would take hours.
    let searched = if device.is_some() { len.min(DEVICE_SEARCHED) } else { len };
    let superblock = find_superblock(&mut disk, searched)
        .map_err(|error| Error::new(format!("cannot read {shown}: {}", reason(&error)), ""))?
        .ok_or_else(|| {
            Error::new(
                format!("{shown} is not a recording that this version can write to"),
                "No superblock of format 1 was found. Nothing was changed. Make a new one elsewhere: \
                 flightrecd create PATH",
            )
        })?;
    if superblock.geometry.size > len {
        return Err(Error::new(
            format!("{shown} is cut: {} of {} bytes are there", len, superblock.geometry.size),
            "Recording into it would make it grow, which a power cut does not forgive. Nothing was \
             changed. `flightrec dump` still reads it; make a new one with flightrecd create.",
        ));
    }
    if superblock.compatible_flags & flag::SNAPSHOT != 0 {
        return Err(Error::new(
            format!("{shown} is a snapshot, a piece of a recording"),
            "Nothing was changed: what is kept in it would be overwritten. Make a recording \
             elsewhere: flightrecd create PATH",
        ));
    }
    if superblock.compatible_flags != 0 {
        return Err(Error::new(
            format!("{shown} was made by a later version of flightrec"),
            "Nothing was changed. Update flightrec, or make a new recording elsewhere.",
        ));
    }
    Ok((disk, superblock))
}

/// Whether the path, links followed, still leads to the file that was locked: a resize may have
/// replaced it between the opening and the lock.
fn still_there(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let opened = file.metadata().map(identity);
    opened.is_ok_and(|opened| fs::metadata(path).map(identity).is_ok_and(|it| it == opened))
}

/// Bytes at the start of a partition that are searched for a superblock.
const DEVICE_SEARCHED: u64 = 16 << 20;

/// A partition that was given to somebody else may still hold our second superblock: what begins
/// with another's mark is not ours any more.
fn refuse_others(path: &Path, disk: &mut FileDisk, len: u64) -> Result<(), Error> {
    let unreadable = |error: &io::Error| Error::io("read", path, error);
    let mut first = PageBuffer::new(SLOT_SIZE).map_err(|error| unreadable(&error))?;
    if disk.read_at(&mut first, 0).is_ok() && Superblock::read(&first).is_ok() {
        return Ok(());
    }
    // Through the page cache, for the marks stand anywhere.
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let Some(found) = signatures::find(&file, len).map_err(|error| unreadable(&error))? else {
        return Ok(());
    };
    let what = format!("{} holds {} (byte {})", path.display(), found.name, found.offset);
    Err(Error::new(
        what,
        "Check that it is the right one; to give it up: flightrecd create --force.",
    )
    .matters("Nothing was changed: to record into it would destroy that."))
}

fn another_recorder(path: &Path) -> Error {
    let pid =
        holder::find(path).map_or_else(String::new, |holder| format!(" (pid {})", holder.pid));
    Error::new(
        format!("another recorder{pid} is recording into {}", path.display()),
        "Two would overwrite each other. Stop it, or record elsewhere with --recording PATH.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule 9 of the design: a cloned card keeps its past, under another name, and goes on in a
    /// recording of its own.
    #[test]
    fn a_recording_from_another_machine_is_set_aside_once() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("recording.frec");
        create::create(&path, Some(1 << 20), true, [1; 16], &crate::clock::SystemClock).unwrap();
        assert!(!open_for(&path, [1; 16]).unwrap().copied);
        let before = fs::read(&path).unwrap();

        let opened = open_for_service(&path, 1 << 20, [2; 16]).unwrap();
        assert!(opened.copied);
        assert_ne!(opened.superblock.recording_id, before[24..40]);
        assert_eq!(fs::read(aside(&path)).unwrap(), before);
        drop(opened);

        let again = open_for_service(&path, 1 << 20, [3; 16]).unwrap();
        assert_eq!(fs::read(aside(&path)).unwrap(), before, "the first one is not replaced");
        drop(again);
    }
}
