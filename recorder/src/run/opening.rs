//! Opening the recording: whose is it, is it whole, and does nobody else write to it?

use std::io;
use std::path::{Path, PathBuf};

use flightrec_format::superblock::Superblock;

use crate::disk::FileDisk;
use crate::error::{Error, reason};
use crate::resume::find_superblock;
use crate::{create, holder, sys};

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
    if !opened.copied || aside.exists() {
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

/// `recording.frec` is set aside as `recording.copied.frec`.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("copied.frec")
}

/// Opens and locks the recording.
fn open(path: &Path) -> Result<(FileDisk, Superblock), Error> {
    let shown = path.display();
    let disk = FileDisk::open(path).map_err(|error| match error.kind() {
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
        Ok(false) => {
            let pid = holder::find(path)
                .map_or_else(String::new, |holder| format!(" (pid {})", holder.pid));
            return Err(Error::new(
                format!("another recorder{pid} is recording into {shown}"),
                "Two would overwrite each other. Stop it, or record elsewhere with --recording PATH.",
            ));
        }
        Err(error) => {
            return Err(Error::new(format!("cannot lock {shown}: {}", reason(&error)), ""));
        }
    }
    let metadata = disk.file().metadata();
    let metadata = metadata
        .map_err(|error| Error::new(format!("cannot examine {shown}: {}", reason(&error)), ""))?;
    let mut disk = disk;
    let superblock = find_superblock(&mut disk, metadata.len())
        .map_err(|error| Error::new(format!("cannot read {shown}: {}", reason(&error)), ""))?
        .ok_or_else(|| {
            Error::new(
                format!("{shown} is not a recording that this version can write to"),
                "No superblock of format 1 was found. Nothing was changed. Make a new one elsewhere: \
                 flightrecd create PATH",
            )
        })?;
    if superblock.geometry.size > metadata.len() {
        return Err(Error::new(
            format!(
                "{shown} is cut: {} of {} bytes are there",
                metadata.len(),
                superblock.geometry.size
            ),
            "Recording into it would make it grow, which a power cut does not forgive. Nothing was \
             changed. `flightrec dump` still reads it; make a new one with flightrecd create.",
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule 9 of the design: a cloned card keeps its past, under another name, and goes on in a
    /// recording of its own.
    #[test]
    fn a_recording_from_another_machine_is_set_aside_once() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("recording.frec");
        create::create(&path, 1 << 20, true, [1; 16], &crate::clock::SystemClock).unwrap();
        assert!(!open_for(&path, [1; 16]).unwrap().copied);
        let before = std::fs::read(&path).unwrap();

        let opened = open_for_service(&path, 1 << 20, [2; 16]).unwrap();
        assert!(opened.copied);
        assert_ne!(opened.superblock.recording_id, before[24..40]);
        assert_eq!(std::fs::read(aside(&path)).unwrap(), before);
        drop(opened);

        let again = open_for_service(&path, 1 << 20, [3; 16]).unwrap();
        assert_eq!(std::fs::read(aside(&path)).unwrap(), before, "the first one is not replaced");
        drop(again);
    }
}
