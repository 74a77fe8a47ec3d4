//! Creation of a recording (spec W1): all that could fail later fails here, once, in daylight.
//!
//! A new recording is made under a name of its own beside its place, `.NAME.new`, and gets its
//! name when it is whole. Cut at any moment, there is nothing, or a left-over that the next
//! creation removes. Over an existing file (forced) the old superblocks go first: cut at any
//! moment, there is the old recording, or a file that no one takes for a recording.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flightrec_format::superblock::{Geometry, Superblock};

use crate::clock::{Clock, SystemClock};
use crate::device::Device;
use crate::error::Error;
use crate::place::{Kind, Place};
use crate::units::show_size;
use crate::{facts, place, sys};

mod existing;
pub mod fill;
pub(crate) mod partition;
pub mod resize;
mod trouble;

use trouble::{about, held, no_space, not_a_size, not_created};

/// A recording that was just made.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// Bytes.
    pub size: u64,
    /// Name of the file system below, as in mountinfo.
    pub file_system: String,
    /// Whether every byte was seen to be written, so that a commit costs no more than its own
    /// bytes. `None`: this file system does not tell.
    pub verified: Option<bool>,
    /// About how long it takes until the oldest sample is overwritten, at one sample a second.
    pub days: f64,
    /// Why it will not outlive the power, where that was forced.
    pub refusal: Option<String>,
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", show_size(self.size))?;
        if !self.file_system.is_empty() {
            write!(f, " on {}", self.file_system)?;
        }
        match self.days {
            days if days < 1.5 / 24.0 => write!(f, ", about an hour"),
            days if days < 2.0 => write!(f, ", about {:.0} hours", days * 24.0),
            days => write!(f, ", about {days:.0} days"),
        }?;
        f.write_str(" at one sample a second")
    }
}

impl Created {
    /// What its owner should know, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<&str> {
        let written = match self.verified {
            // What a commit costs in RAM is nobody's concern.
            _ if self.refusal.is_some() => None,
            Some(true) => None,
            Some(false) => Some(
                "This file system keeps zeros as unwritten room: each commit will cost more there.",
            ),
            None => Some("This file system does not tell whether all is written (not verifiable)."),
        };
        let btrfs = (self.file_system == "btrfs" && self.refusal.is_none()).then_some(
            "btrfs writes 80 to 400 KB to the disk for each commit of 4 KiB. So a\n  \
             calm machine is committed each 180 s there, not 10 s: a cut may cost 181 s.\n  \
             Another file system, or a raw partition, keeps it at 10 s.",
        );
        self.refusal.as_deref().into_iter().chain(written).chain(btrfs).collect()
    }
}

/// What is asked for.
struct Wish<'a> {
    size_bytes: Option<u64>,
    force: bool,
    identity: [u8; 16],
    clock: &'a dyn Clock,
}

impl Wish<'_> {
    /// The superblock of a new recording, which has a name that no other has.
    fn superblock(&self, path: &Path, geometry: Geometry) -> Result<Superblock, Error> {
        let mut recording_id = [0; 16];
        sys::random_bytes(&mut recording_id)
            .map_err(|error| Error::io("get random bytes for", path, &error))?;
        Ok(Superblock {
            recording_id,
            identity: self.identity,
            created_realtime_ns: self.clock.realtime_ns(),
            geometry,
            compatible_flags: 0,
        })
    }
}

/// Bytes of a recording whose owner does not say how large.
pub const SIZE_DEFAULT: u64 = 64 * MIB;

/// Makes a recording of `size_bytes`, rounded down to whole slots; `None`: 64 MiB, or a whole
/// partition. `force`: over an existing file, too, over what is on a partition, and in RAM.
pub fn create(
    path: &Path,
    size_bytes: Option<u64>,
    force: bool,
    identity: [u8; 16],
    clock: &dyn Clock,
) -> Result<Created, Error> {
    let wish = Wish { size_bytes, force, identity, clock };
    let path = existing::resolve(path)?;
    if let Some(device) = Device::at(&path) {
        return partition::create(&path, &device, &wish);
    }
    let size_bytes = size_bytes.unwrap_or(SIZE_DEFAULT);
    let geometry = Geometry::for_size(size_bytes).ok_or_else(|| not_a_size(size_bytes))?;
    let occupied = existing::look(&path)?;
    if let (Some(occupant), false) = (&occupied, force) {
        return Err(occupant.refusal(&path));
    }
    if occupied.is_none() {
        check_folder(&path)?;
    }
    let place =
        place::inspect(&path).map_err(|error| Error::io("look at the place of", &path, &error))?;
    let refusal = refuse_ram(&place, force)?;
    let superblock = wish.superblock(&path, geometry)?;
    let verified = if occupied.is_some() {
        replace(&path, &superblock, &place)?
    } else {
        make(&path, &superblock, &place, |_, new| sys::rename_new(new, &path))?
    };
    Ok(Created {
        size: geometry.size,
        file_system: place.file_system,
        verified,
        days: days(&geometry),
        refusal,
    })
}

/// Refuses a place in RAM unless it is forced; then says why it should not be.
fn refuse_ram(place: &Place, force: bool) -> Result<Option<String>, Error> {
    let refusal = place::refusal(place);
    if let (Some(refusal), false) = (&refusal, force) {
        let (what, advice) = refusal.split_once(". Choose").unwrap_or((refusal, ""));
        return Err(Error::new(what, FORCE_IN_RAM).matters(format!("Choose{advice}")));
    }
    Ok(refusal)
}

/// For the service: makes a recording where there is none, smaller than `size_bytes` if the disk
/// is small. `None`: something is there already.
pub fn open_or_create(path: &Path, size_bytes: u64) -> Result<Option<Created>, Error> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(None);
    }
    let place =
        place::inspect(path).map_err(|error| Error::io("look at the place of", path, &error))?;
    let share = place.free_bytes / FREE_SHARE / MIB * MIB;
    if share < size_bytes.min(SERVICE_SIZE_MIN) {
        return Err(Error::new(
            format!(
                "{} is missing, and there is no room to make it: {} free",
                path.display(),
                about(place.free_bytes)
            ),
            format!("Make room, or: flightrecd create {} --size 1MiB", path.display()),
        )
        .matters("Unasked, a recording takes 8 MiB at least, and 5 % of the free space at most."));
    }
    let identity = facts::identity(Path::new("/"));
    create(path, Some(size_bytes.min(share)), false, identity, &SystemClock).map(Some)
}

const MIB: u64 = 1 << 20;

const FORCE_IN_RAM: &str = "To record there all the same, for a test perhaps, add --force.";

/// What is made without being asked for takes one part in so many of the free space.
const FREE_SHARE: u64 = 20;

/// Below this a recording holds less than half a day: better to say so than to make one.
const SERVICE_SIZE_MIN: u64 = 8 * MIB;

/// Readable for the group, which is the journal's where the package made the folder.
const MODE: u32 = 0o640;

/// Bytes of history per sample of a busy machine: 137 measured, in frames that are 97 % full.
const SAMPLE_BYTES: f64 = 137.0 / 0.97;

fn days(geometry: &Geometry) -> f64 {
    f64::from(geometry.history_slots) * 4096.0 / SAMPLE_BYTES / 86_400.0
}

/// A new file: everything under another name, then the right one, which `name` gives it.
fn make(
    path: &Path,
    superblock: &Superblock,
    place: &Place,
    name: impl FnOnce(&File, &Path) -> io::Result<()>,
) -> Result<Option<bool>, Error> {
    let size = superblock.geometry.size;
    let new = new_name(path)?;
    existing::remove_left_over(&new, path)?;
    if size > place.free_bytes {
        return Err(no_space(path, size, place.free_bytes));
    }
    let fail = |error: &io::Error| not_created(path, size, error);
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).mode(MODE).open(&new);
    let file = file.map_err(|error| fail(&error))?;
    lock(&file, &new).inspect_err(|_| {
        if existing::is_same(&file, &new) {
            fs::remove_file(&new).ok();
        }
    })?;
    // Whoever found our name before we held the lock may have removed it as a left-over.
    if !existing::is_same(&file, &new) {
        let what = format!("{} is just being created by another process", path.display());
        return Err(Error::new(what, "Let it finish, then look again."));
    }
    let filled = (|| {
        if place.kind == Kind::Btrfs {
            sys::set_nocow(&file)?;
        }
        fill::allocate(&file, size)?;
        let verified = fill::zeros(&file, size)?;
        fill::superblocks(&mut &file, superblock)?;
        name(&file, &new)?;
        Ok(verified)
    })();
    match filled {
        Ok(verified) => {
            sync_folder(path).map_err(|error| {
                Error::io("sync the folder of", path, &error)
                    .matters("The recording is made, but a power cut might take its name.")
                    .advise("See what dmesg says of the disk.")
            })?;
            Ok(verified)
        }
        Err(error) => {
            fs::remove_file(&new).ok();
            Err(fail(&error))
        }
    }
}

/// Over an existing file, which the owner gave up with `--force`.
fn replace(path: &Path, superblock: &Superblock, place: &Place) -> Result<Option<bool>, Error> {
    let size = superblock.geometry.size;
    let fail = |error: &io::Error| not_created(path, size, error);
    let file = File::options().read(true).write(true).open(path).map_err(|error| fail(&error))?;
    lock(&file, path)?;
    let metadata = file.metadata().map_err(|error| fail(&error))?;
    let free_bytes = place.free_bytes.saturating_add(metadata.blocks().saturating_mul(512));
    if size > free_bytes {
        return Err(no_space(path, size, free_bytes));
    }
    // First what is likeliest to fail: until the superblocks go, the old recording is whole, for
    // a file may be longer than its recording (B3).
    if let Err(error) = fill::allocate(&file, size) {
        file.set_len(metadata.len()).ok();
        return Err(fail(&error));
    }
    let filled = (|| {
        fill::forget(&mut &file, metadata.len())?;
        if place.kind == Kind::Btrfs {
            // Copy-on-write is turned off for an empty file, or not at all.
            file.set_len(0)?;
            sys::set_nocow(&file)?;
        }
        file.set_len(size)?;
        file.set_permissions(fs::Permissions::from_mode(MODE)).ok();
        fill::allocate(&file, size)?;
        let verified = fill::zeros(&file, size)?;
        fill::superblocks(&mut &file, superblock)?;
        Ok(verified)
    })();
    filled.map_err(|error: io::Error| {
        Error::io("write", path, &error)
            .matters("What was there is gone, and there is no recording in its place yet.")
            .advise("Repeat it with --force, or remove the file.")
    })
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match sys::lock_exclusive(file) {
        Ok(true) => Ok(()),
        Ok(false) => Err(held(path)),
        Err(error) => Err(Error::io("lock", path, &error)
            .matters("Without a lock two recorders would write over each other.")
            .advise("Choose a path on a local file system.")),
    }
}

/// `.NAME.new`, beside the recording: a rename must not cross file systems.
fn new_name(path: &Path) -> Result<PathBuf, Error> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::new(format!("\"{}\" names no file", path.display()), "Name one."))?;
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(".new");
    Ok(path.with_file_name(new))
}

/// The folder of a path; `.` where there is none in it.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn check_folder(path: &Path) -> Result<(), Error> {
    let folder = folder(path);
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => {
            let what =
                format!("cannot create {}: {} is no folder", path.display(), folder.display());
            Err(Error::new(what, "Choose another path."))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::new(
            format!(
                "cannot create {}: the folder {} does not exist",
                path.display(),
                folder.display()
            ),
            format!("Make it first (mkdir -p {}), or check the path.", folder.display()),
        )),
        Err(error) => Err(Error::io("look at", folder, &error)),
    }
}

/// Makes the new name durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(folder(path))?.sync_all() {
        // Some file systems sync no folders: they have nothing to offer.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests;
