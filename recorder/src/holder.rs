//! Who holds a recording: for the second recorder, which has to be refused with a reason.
//!
//! The lock itself does not tell: one that belongs to an open file shows no pid in `/proc/locks`.
//! But the holder's `/proc/PID/fdinfo` does.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The process that holds the lock of a recording.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

/// Finds the process that has `recording` open and locked. `None`: there is none, or we may not
/// look into it.
#[must_use]
pub fn find(recording: &Path) -> Option<Holder> {
    let wanted = identity(&fs::metadata(recording).ok()?);
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if holds(&process.path(), wanted) {
            let comm = fs::read(process.path().join("comm")).unwrap_or_default();
            let comm = String::from_utf8_lossy(comm.trim_ascii()).into_owned();
            return Some(Holder { pid, comm });
        }
    }
    None
}

fn holds(process: &Path, wanted: (u64, u64)) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        // First what costs nothing: to stat a file of a dead network server may never end.
        let details = process.join("fdinfo").join(descriptor.file_name());
        let details = fs::read(details).unwrap_or_default();
        details.windows(LOCK.len()).any(|part| part == LOCK)
            && fs::metadata(descriptor.path()).is_ok_and(|opened| identity(&opened) == wanted)
    })
}

/// A file by its inode; a device by its number, for it may have several names.
fn identity(metadata: &Metadata) -> (u64, u64) {
    if metadata.file_type().is_block_device() {
        return (u64::MAX, metadata.rdev());
    }
    (metadata.dev(), metadata.ino())
}

/// How fdinfo calls a lock that belongs to an open file. See proc_pid_fdinfo(5).
const LOCK: &[u8] = b"OFDLCK";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    /// Only who has it open *and* locked holds it.
    #[test]
    fn the_holder_of_the_lock_is_found() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let file = fs::File::options().write(true).open(place.path()).unwrap();
        assert_eq!(find(place.path()), None);
        assert!(sys::lock_exclusive(&file).unwrap());
        assert_eq!(find(place.path()).map(|holder| holder.pid), Some(std::process::id()));
        drop(file);
        assert_eq!(find(place.path()), None);
        assert_eq!(find(Path::new("/no/such/recording")), None);
    }
}
