//! Why a recording could not be made, in terms of what the owner can do about it.

use std::io;
use std::path::Path;

use flightrec_format::limits::{RECORDING_SIZE_MAX, RECORDING_SIZE_MIN};

use crate::error::Error;
use crate::units::show_size;
use crate::{holder, place};

pub(super) fn not_a_size(size: u64) -> Error {
    let (least, most) = (show_size(RECORDING_SIZE_MIN), show_size(RECORDING_SIZE_MAX));
    Error::new(
        format!("{} is no size for a recording", show_size(size)),
        format!("Choose {least} to {most}; 64MiB hold about five days."),
    )
}

pub(super) fn no_space(path: &Path, size: u64, free_bytes: u64) -> Error {
    let (size, free) = (show_size(size), about(free_bytes));
    Error::new(
        format!("cannot create {}: no space, {size} wanted, {free} free", path.display()),
        "Choose a smaller --size, or another disk.",
    )
    .matters("Nothing was changed. All room is taken now, so that none can be missing later.")
}

/// Nothing was changed, or it was undone; says why in terms of what the owner can do.
pub(super) fn not_created(path: &Path, size: u64, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    let told = Error::io("create", path, error);
    match error.kind() {
        Kind::StorageFull => {
            no_space(path, size, place::inspect(path).map_or(0, |place| place.free_bytes))
        }
        Kind::QuotaExceeded => told.advise("Choose a smaller --size, or have the quota raised."),
        Kind::FileTooLarge => told
            .matters(format!(
                "{} is above a limit of the file system or of this shell.",
                show_size(size)
            ))
            .advise("Choose a smaller --size, or see what \"ulimit -f\" says."),
        Kind::PermissionDenied => {
            told.advise("Run it as root (sudo), or choose a folder of your own.")
        }
        Kind::ReadOnlyFilesystem => told
            .matters(
                "Mounted so, or turned so by the kernel after an error of the disk (see dmesg).",
            )
            .advise("Mount it writable (mount -o remount,rw), or choose another disk."),
        Kind::AlreadyExists => told.advise("Another process was faster. Look at what it made."),
        _ => told.matters("Nothing was changed."),
    }
}

/// A size for people, rounded down.
pub(super) fn about(bytes: u64) -> String {
    let shift = [30, 20, 10].into_iter().find(|shift| bytes >> shift >= 10).unwrap_or(0);
    show_size(bytes >> shift << shift)
}

pub(super) fn held(path: &Path) -> Error {
    let who = holder::find(path).map_or_else(
        || "another process".to_owned(),
        |holder| format!("{} (process {})", holder.comm, holder.pid),
    );
    Error::new(
        format!("{} is in use by {who}", path.display()),
        "Stop it first (systemctl stop flightrec), or choose another path.",
    )
    .matters("Nothing was changed.")
}
