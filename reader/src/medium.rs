//! What bytes lie on: a file, a partition, a disk, opened for reading only, on any system.
//!
//! Read with `pread`, never through a mapping: a bad sector under a mapping is a signal, under
//! `pread` it is an error that costs the slots it hit and no others. On Linux the page cache makes it
//! cost more: it reads a device in folios of several pages, and one bad sector fails all of them. So
//! a small read that failed is done once more around the cache.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use flightrec_format::limits::SLOT_SIZE;

use crate::outcome::Trouble;
use crate::recording::SLOT_SIZE_U64;

/// Never wait on opening a FIFO or a device that sleeps (`O_NONBLOCK`, the same on every Linux
/// that we build for).
#[cfg(target_os = "linux")]
const O_NONBLOCK: i32 = 0o4000;
/// The same on macOS and the BSDs.
#[cfg(all(unix, not(target_os = "linux")))]
const O_NONBLOCK: i32 = 4;

/// What a recording lies on: a file or a partition, or whatever else gives bytes by their offset.
pub trait Medium: std::fmt::Debug {
    /// Reads exactly `buffer`, or says that the medium or its end refused.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// The open file, for asking the system about it.
    fn file(&self) -> Option<&File>;
}

impl Medium for File {
    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !buffer.is_empty() {
            match self.seek_read(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                    offset = offset.saturating_add(u64::try_from(count).unwrap_or(0));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn file(&self) -> Option<&File> {
        Some(self)
    }
}

/// What was opened by its name.
#[derive(Debug)]
pub struct Opened {
    file: File,
    /// A device once more, for reading around the page cache.
    direct: Option<File>,
}

impl Medium for Opened {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.file.read_exact_at(buffer, offset);
        match &self.direct {
            Some(direct) if read.is_err() && buffer.len() <= SLOT_SIZE => {
                around_cache(direct, buffer, offset).map_or(read, Ok)
            }
            _ => read,
        }
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

/// Reads up to a slot, by way of whole pages.
fn around_cache(direct: &File, buffer: &mut [u8], offset: u64) -> Option<()> {
    let skip = usize::try_from(offset % SLOT_SIZE_U64).ok()?;
    let end = skip + buffer.len();
    let mut room = vec![0; 3 * SLOT_SIZE];
    let begin = room.as_ptr().align_offset(SLOT_SIZE);
    let pages = room.get_mut(begin..)?.get_mut(..end.next_multiple_of(SLOT_SIZE))?;
    direct.read_exact_at(pages, offset - offset % SLOT_SIZE_U64).ok()?;
    buffer.copy_from_slice(pages.get(skip..end)?);
    Some(())
}

#[cfg(target_os = "linux")]
fn open_direct(file: &File, path: &Path) -> Option<File> {
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    let is_device = file.metadata().is_ok_and(|own| own.file_type().is_block_device());
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(O_NONBLOCK | libc::O_DIRECT);
    if is_device { options.open(path).ok() } else { None }
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &File, _: &Path) -> Option<File> {
    None
}

/// Opens what is at `path`, and tells how many bytes it has.
pub fn open(path: &Path) -> Result<(Opened, u64), Trouble> {
    let wrong = |error: &io::Error| Trouble::open(path, error);
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, O_NONBLOCK);
    let mut file = options.open(path).map_err(|error| wrong(&error))?;
    if file.metadata().map_err(|error| wrong(&error))?.is_dir() {
        return Err(wrong(&io::ErrorKind::IsADirectory.into()));
    }
    let len = file.seek(SeekFrom::End(0)).map_err(|error| wrong(&error))?;
    let direct = open_direct(&file, path);
    Ok((Opened { file, direct }, len))
}
