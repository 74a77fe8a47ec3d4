//! A carved recording written out: into a new file, never onto what it was carved from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Output;
use crate::carve::rebuild::Rebuilt;
use crate::medium::Medium;
use crate::outcome::{Outcome, Trouble};
use crate::progress::Progress;
use crate::recording::{SLOT_SIZE_U64, offset_of};
use crate::views::text::escape;

/// Slots copied at once.
const CHUNK_SLOTS: u64 = 64;

/// Refuses what would destroy something, before the long work begins.
pub fn check(out: &Path, image: &Path, force: bool) -> Result<(), Trouble> {
    let shown = escape(&out.to_string_lossy());
    if is_same(out, image) {
        return Err(Trouble::usage(format!(
            "{shown} is the image itself; what is carved must not overwrite what it comes from.\n\
             Name another file, on another disk."
        )));
    }
    match fs::symlink_metadata(out) {
        Ok(there) if !force => Err(Trouble::usage(format!(
            "{shown} exists{}; nothing was written.\nName another file, or use --force.",
            if there.is_dir() { ", and is a directory" } else { "" }
        ))),
        Ok(there) if !there.is_file() => Err(Trouble::usage(format!(
            "{shown} is no ordinary file; --force replaces nothing else. Name another file."
        ))),
        _ if lies_on(out, image) && !force => Err(Trouble::usage(format!(
            "{shown} would lie on the very device that is searched, and could overwrite what is \
             to be found.\nName a file on another disk, or use --force."
        ))),
        _ => Ok(()),
    }
}

/// Writes the recording: sparse, of its full size, synced.
pub fn write(
    rebuilt: &Rebuilt,
    out: &Path,
    force: bool,
    output: &mut Output<'_>,
) -> Result<(), Trouble> {
    // An old file stands until the new one is whole.
    let path = if force { beside(out) } else { out.to_owned() };
    let failed = |error: &io::Error| {
        let shown = escape(&path.to_string_lossy());
        Trouble::new(Outcome::Failed, format!("cannot write {shown}: {error}"))
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // As private as a recording is.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let file = options.open(&path).map_err(|error| failed(&error))?;
    let written = fill(file, rebuilt, output)
        .and_then(|()| if force { fs::rename(&path, out) } else { Ok(()) });
    written.map_err(|error| {
        fs::remove_file(&path).unwrap_or_default();
        failed(&error)
    })
}

fn fill(mut file: File, rebuilt: &Rebuilt, output: &mut Output<'_>) -> io::Result<()> {
    file.set_len(offset_of(rebuilt.own_slots))?;
    let mut progress = Progress::new("writing", offset_of(rebuilt.own_slots));
    let mut buffer = vec![0; usize::try_from(offset_of(CHUNK_SLOTS)).unwrap_or(0)];
    let slot_size = usize::try_from(SLOT_SIZE_U64).unwrap_or(0);
    for (first, count) in rebuilt.used() {
        let mut slot = first;
        while slot < first + count {
            let step = CHUNK_SLOTS.min(first + count - slot);
            let len = usize::try_from(offset_of(step)).unwrap_or(0);
            let part = buffer.get_mut(..len).unwrap_or_default();
            if rebuilt.read_exact_at(part, offset_of(slot)).is_err() {
                // A bad sector costs its own slot.
                for (one, bytes) in (slot..).zip(part.chunks_exact_mut(slot_size)) {
                    if rebuilt.read_exact_at(bytes, offset_of(one)).is_err() {
                        bytes.fill(0);
                    }
                }
            }
            file.seek(SeekFrom::Start(offset_of(slot)))?;
            file.write_all(part)?;
            slot += step;
            progress.at(offset_of(slot), output);
        }
    }
    progress.done(output);
    file.sync_all()
}

fn beside(out: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(out.file_name().unwrap_or_default());
    name.push(".new");
    out.with_file_name(name)
}

/// Whether two paths are one file, by whatever name.
fn is_same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        let one_device = a.rdev() != 0 && a.rdev() == b.rdev();
        return one_device || (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Whether the folder of `out` is on the file system that lies on the device `image`.
fn lies_on(out: &Path, image: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::metadata(folder.unwrap_or(Path::new(".")));
        if let (Ok(folder), Ok(image)) = (folder, fs::metadata(image)) {
            return image.file_type().is_block_device() && image.rdev() == folder.dev();
        }
    }
    let _ = (out, image);
    false
}
