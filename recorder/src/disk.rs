//! Where frames go: a trait, so that a simulation can own the disk, and the preallocated file or
//! partition.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use memmap2::MmapMut;

use crate::device::Device;
use crate::sys;

/// A disk under a recording.
pub trait Disk: Send {
    /// Reads at `offset`; fewer bytes than asked for only at the end.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes whole slots at `offset`; a [`FileDisk`] from memory that is aligned to a page.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes durable what was written. After an error nothing since the last good sync counts
    /// (W7): the kernel may have dropped the pages and will not say so again.
    fn sync(&mut self) -> io::Result<()>;
}

/// A preallocated file: `pwrite` past the page cache where the file system lets us, and
/// `fdatasync`. Measured: 4.00 KiB reach the device per commit; through a mapping it is 50 – 64.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
}

impl FileDisk {
    /// Opens a recording for reading and writing; a partition as its only user.
    pub fn open(path: &Path) -> io::Result<Self> {
        let exclusive = if Device::at(path).is_some() { sys::O_EXCL } else { 0 };
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(exclusive);
        let direct = options.clone().custom_flags(exclusive | sys::O_DIRECT).open(path);
        let file = match direct {
            // tmpfs, some FUSE and overlay file systems refuse O_DIRECT, at open or at first use.
            Ok(file) if takes_direct(&file) => file,
            Ok(file) => {
                // A partition has one user, even if both are we.
                drop(file);
                options.open(path)?
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => options.open(path)?,
            Err(error) => return Err(error),
        };
        Ok(Self { file })
    }

    /// The open file, to lock it and to ask where it lies.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

fn takes_direct(file: &File) -> bool {
    MmapMut::map_anon(4096).is_ok_and(|mut page| file.read_at(&mut page, 0).is_ok())
}

/// One that is open, and as it was opened.
impl From<File> for FileDisk {
    fn from(file: File) -> Self {
        Self { file }
    }
}

impl Disk for FileDisk {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_whole(&self.file, buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Any file, through the page cache: for making a recording, where sizes change and bytes are many.
impl Disk for &File {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_whole(self, buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Reads until the buffer is full or the file ends.
fn read_whole(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let place = buffer.get_mut(done..).unwrap_or_default();
        match file.read_at(place, offset + u64::try_from(done).unwrap_or(0)) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Memory for direct I/O: whole pages, aligned to a page.
#[derive(Debug)]
pub struct PageBuffer(MmapMut);

impl PageBuffer {
    /// Takes `len` bytes of zeros.
    pub fn new(len: usize) -> io::Result<Self> {
        MmapMut::map_anon(len).map(Self)
    }
}

impl std::ops::Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
