//! A carved recording written out: into a new file, never onto what it was carved from.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use crate::Output;
use crate::carve::rebuild::Rebuilt;
use crate::medium::Medium;
use crate::out::{self, Draft};
use crate::outcome::{Outcome, Trouble};
use crate::progress::Progress;
use crate::recording::{SLOT_SIZE_U64, offset_of};
use crate::views::text::escape;

/// Slots copied at once.
const CHUNK_SLOTS: u64 = 64;

/// Refuses what would destroy something, before the long work begins.
pub fn check(out: &Path, image: &Path, force: bool) -> Result<(), Trouble> {
    out::check(out, image, "image", force)?;
    if lies_on(out, image) && !force {
        let shown = escape(&out.to_string_lossy());
        return Err(Trouble::usage(format!(
            "{shown} would lie on the very device that is searched, and could overwrite what is \
             to be found.\nName a file on another disk, or use --force."
        )));
    }
    Ok(())
}

/// Writes the recording: sparse, of its full size, synced.
pub fn write(
    rebuilt: &Rebuilt,
    out: &Path,
    force: bool,
    output: &mut Output<'_>,
) -> Result<(), Trouble> {
    // As private as a recording is.
    let written = Draft::begin(out, 0o640)
        .and_then(|mut draft| fill(&mut draft.file, rebuilt, output).map(|()| draft))
        .and_then(|draft| draft.keep(force));
    written.map_err(|error| {
        let shown = escape(&out.to_string_lossy());
        Trouble::new(Outcome::Failed, format!("cannot write {shown}: {error}"))
    })
}

fn fill(file: &mut File, rebuilt: &Rebuilt, output: &mut Output<'_>) -> io::Result<()> {
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
    Ok(())
}

/// Whether the folder of `out` is on the file system that lies on the device `image`.
fn lies_on(out: &Path, image: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::fs;
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let folder = fs::metadata(out::folder_of(out));
        if let (Ok(folder), Ok(image)) = (folder, fs::metadata(image)) {
            return image.file_type().is_block_device() && image.rdev() == folder.dev();
        }
    }
    let _ = (out, image);
    false
}
