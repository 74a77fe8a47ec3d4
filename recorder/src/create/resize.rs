//! `flightrecd resize`: a new recording in the place of one, which is set aside, readable.
//!
//! A recording never changes its size: its geometry says where every frame lies. So the new one is
//! made whole beside the old one first. Then the old one gets a second name, and the new one takes
//! over the first in one step: cut at any moment, the old or the new one is there, whole.
//!
//! Ordinals of boots and the level of the write budget stand in frames; a new recording has none,
//! so it counts boots from 1 and begins with a full budget, as after `create`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use flightrec_format::superblock::Geometry;

use super::existing::{self, Occupant};
use super::{Created, Wish, days, lock, make, not_a_size, sync_folder};
use crate::clock::Clock;
use crate::error::Error;
use crate::units::show_size;
use crate::{device::Device, place, sys};

/// Makes a recording of `size_bytes` in the place of the one at `path`; says where that is now.
pub fn resize(
    path: &Path,
    size_bytes: u64,
    identity: [u8; 16],
    clock: &dyn Clock,
) -> Result<(Created, PathBuf), Error> {
    let wish = Wish { size_bytes: Some(size_bytes), force: true, identity, clock };
    let geometry = Geometry::for_size(size_bytes).ok_or_else(|| not_a_size(size_bytes))?;
    let path = existing::resolve(path)?;
    if Device::at(&path).is_some() {
        let what = format!("{} is a partition: what lies on it has its size", path.display());
        let advice = format!(
            "To begin anew, smaller: flightrecd create {} --size SIZE --force",
            path.display()
        );
        return Err(Error::new(what, advice)
            .matters("There is no second place on it to set the old recording aside."));
    }
    let old = open_old(&path, &geometry)?;
    let aside = aside(&path);
    refuse_second(&old, &path, &aside)?;
    let place =
        place::inspect(&path).map_err(|error| Error::io("look at the place of", &path, &error))?;
    let superblock = wish.superblock(&path, geometry)?;
    let verified = make(&path, &superblock, &place, |file, new| {
        // Who could read the old one, and write to it, can do so with the new one.
        if let Ok(metadata) = old.metadata() {
            fchown(file, Some(metadata.uid()), Some(metadata.gid())).ok();
            file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o777)).ok();
        }
        swap(&old, new, &path, &aside)
    })?;
    let made = Created {
        size: geometry.size,
        refusal: place::refusal(&place),
        file_system: place.file_system,
        verified,
        days: days(&geometry),
    };
    Ok((made, aside))
}

/// `recording.frec` is set aside as `recording.old.frec`.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("old.frec")
}

/// Opens the old recording and keeps every recorder out of it.
fn open_old(path: &Path, geometry: &Geometry) -> Result<File, Error> {
    let missing = || {
        Error::new(
            format!("there is no recording at {}", path.display()),
            format!("Make one: flightrecd create {}", path.display()),
        )
    };
    if existing::look(path)?.is_none() {
        return Err(missing());
    }
    let file = File::options().read(true).write(true).open(path).map_err(|error| {
        let told = Error::io("open", path, &error);
        match error.kind() {
            io::ErrorKind::PermissionDenied => told.advise("Run it as root (sudo)."),
            _ => told,
        }
    })?;
    lock(&file, path)?;
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    let found = existing::occupant(&file, len).map_err(|error| Error::io("read", path, &error))?;
    match found {
        Occupant::Recording(superblock) if superblock.geometry.size == geometry.size => {
            let what = format!("{} has {} already", path.display(), show_size(geometry.size));
            Err(Error::new(what, "").matters("Nothing was changed."))
        }
        Occupant::Recording(superblock) if existing::is_snapshot(&superblock) => {
            let what = format!("{} is a snapshot: it has the size that it needs", path.display());
            Err(Error::new(what, "").matters("Nothing was changed."))
        }
        Occupant::Recording(_) | Occupant::Newer | Occupant::Headless => Ok(file),
        _ => {
            let what = format!("{} is not a recording", path.display());
            let advice = format!("To make one there: flightrecd create {} --force", path.display());
            Err(Error::new(what, advice).matters("Nothing was changed."))
        }
    }
}

/// Of recordings that were set aside there is one: a second would need a name of its own.
fn refuse_second(old: &File, path: &Path, aside: &Path) -> Result<(), Error> {
    // The old one itself, under both names: a resize that was cut goes on.
    if fs::symlink_metadata(aside).is_err() || existing::is_same(old, aside) {
        return Ok(());
    }
    let what = format!("{} is there already, from an earlier resize", aside.display());
    let advice = format!("Move it away or remove it, then repeat for {}.", path.display());
    Err(Error::new(what, advice).matters("Nothing was changed, and nothing is lost."))
}

/// Gives the old recording its second name, and its first one to the new recording.
fn swap(old: &File, new: &Path, path: &Path, aside: &Path) -> io::Result<()> {
    if !existing::is_same(old, path) {
        return Err(io::Error::other("it was replaced by another process meanwhile"));
    }
    if !existing::is_same(old, aside) {
        match fs::hard_link(path, aside) {
            Ok(()) => {}
            Err(error) if has_no_links(&error) => return swap_without_links(new, path, aside),
            Err(error) => return Err(error),
        }
        sync_folder(path)?;
    }
    fs::rename(new, path).inspect_err(|_| {
        fs::remove_file(aside).ok();
    })
}

fn has_no_links(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported)
}

/// On a file system without a second name, as FAT: for a moment there is none at the old place.
fn swap_without_links(new: &Path, path: &Path, aside: &Path) -> io::Result<()> {
    sys::rename_new(path, aside)?;
    sync_folder(path)?;
    sys::rename_new(new, path).inspect_err(|_| {
        sys::rename_new(aside, path).ok();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a file has but one name: moved in two steps, and back if the second one fails.
    #[test]
    fn without_second_names_the_old_one_is_moved_and_never_lost() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (new, path, aside) = (at(".a.frec.new"), at("a.frec"), aside(&at("a.frec")));
        fs::write(&path, "old").unwrap();
        assert!(swap_without_links(&new, &path, &aside).is_err(), "there is no new one");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert!(!aside.exists());

        fs::write(&new, "new").unwrap();
        swap_without_links(&new, &path, &aside).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read(&aside).unwrap()),
            (b"new".into(), b"old".into())
        );

        fs::write(&new, "newer").unwrap();
        assert!(swap_without_links(&new, &path, &aside).is_err(), "one is set aside already");
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read(&aside).unwrap()),
            (b"new".into(), b"old".into())
        );
    }
}
