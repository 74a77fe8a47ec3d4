//! A disk that went away is looked for again: a card that was put back, a file system that was
//! repaired and mounted anew.
//!
//! An open file leads to what it was opened on for ever, and keeps its file system from being
//! unmounted. So after some failures it is closed, and each later try opens the path again. What is
//! there then counts only if it is this recording, and nobody has written into it meanwhile.
//!
//! Not too soon where the disk itself reports errors: on kernels up to 6.1 an open file goes on being
//! written to after ext4 has given up, and no new one does.

use std::io;
use std::path::PathBuf;

use flightrec_format::frame::Header;
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;
use flightrec_format::superblock::Superblock;

use crate::disk::{Disk, FileDisk, PageBuffer};
use crate::resume::find_superblock;
use crate::sys;

/// Failures in a row until it is opened anew.
const PATIENCE: u32 = 3;

/// The same where the last one was EIO, which may pass: two minutes.
const PATIENCE_EIO: u32 = 8;

/// The disk reports an error.
const EIO: i32 = 5;

/// Bytes of a partition that are searched for its superblock.
const SEARCHED: u64 = 4096;

/// Slots read at once.
const CHUNK_SLOTS: usize = 64;

/// Opens the disk again.
pub type Reopen = Box<dyn FnMut() -> io::Result<Box<dyn Disk>> + Send>;

/// A disk, and the way back to it.
pub struct Returning {
    disk: Option<Box<dyn Disk>>,
    superblock: Superblock,
    reopen: Reopen,
    failures: u32,
    /// Whether the next try opens it anew.
    is_useless: bool,
    /// Of the tail frames that were given to the disk.
    newest_seq: u64,
}

impl Returning {
    /// A disk that is open.
    #[must_use]
    pub fn new(disk: Box<dyn Disk>, superblock: Superblock, reopen: Reopen) -> Self {
        Self { disk: Some(disk), superblock, reopen, failures: 0, is_useless: false, newest_seq: 0 }
    }

    /// A recording that is open, at this path.
    #[must_use]
    pub fn at(path: PathBuf, disk: FileDisk, superblock: Superblock) -> Self {
        let reopen = move || {
            let disk = FileDisk::open(&path)?;
            if !sys::lock_exclusive(disk.file())? {
                return Err(io::Error::from_raw_os_error(BUSY));
            }
            let disk: Box<dyn Disk> = Box::new(disk);
            Ok(disk)
        };
        Self::new(Box::new(disk), superblock, Box::new(reopen))
    }

    fn run<T>(&mut self, work: impl FnOnce(&mut dyn Disk) -> io::Result<T>) -> io::Result<T> {
        if std::mem::take(&mut self.is_useless) {
            // First: nobody opens it twice.
            self.disk = None;
        }
        let outcome = match &mut self.disk {
            Some(disk) => work(&mut **disk),
            None => self.open_again().and_then(|mut disk| {
                self.failures = 0;
                let outcome = work(&mut *disk);
                self.disk = Some(disk);
                outcome
            }),
        };
        if let Err(error) = &outcome {
            self.failures = self.failures.saturating_add(1);
            let is_eio = error.raw_os_error() == Some(EIO);
            self.is_useless = self.failures >= if is_eio { PATIENCE_EIO } else { PATIENCE };
        }
        outcome
    }

    fn open_again(&mut self) -> io::Result<Box<dyn Disk>> {
        let mut disk = (self.reopen)()?;
        if find_superblock(&mut *disk, SEARCHED)? != Some(self.superblock) {
            return Err(io::Error::from_raw_os_error(STALE));
        }
        // In another machine it may have been recorded into.
        let (first, count) = self.superblock.geometry.area(Area::Tail);
        let mut chunk = PageBuffer::new(CHUNK_SLOTS * SLOT_SIZE)?;
        let step = u32::try_from(CHUNK_SLOTS).unwrap_or(1);
        for slot in (first..first + count).step_by(CHUNK_SLOTS) {
            let slots = usize::try_from((first + count - slot).min(step)).unwrap_or(0);
            let bytes = chunk.get_mut(..slots * SLOT_SIZE).unwrap_or_default();
            disk.read_at(bytes, u64::from(slot) * 4096)?;
            let mut headers = bytes.chunks(SLOT_SIZE).filter_map(|slot| Header::read(slot).ok());
            let id = self.superblock.recording_id;
            if headers.any(|own| own.recording_id == id && own.seq > self.newest_seq) {
                return Err(io::Error::from_raw_os_error(STALE));
            }
        }
        Ok(disk)
    }
}

/// Another has the lock.
const BUSY: i32 = 16;
/// It is not what it was.
const STALE: i32 = 116;

impl Disk for Returning {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.run(|disk| disk.read_at(buffer, offset))
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let tail = Header::read(bytes).ok().filter(|header| header.area == Area::Tail);
        // Whether it arrives or not, its seq is spent.
        self.newest_seq = self.newest_seq.max(tail.map_or(0, |header| header.seq));
        self.run(|disk| disk.write_at(bytes, offset))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.run(|disk| disk.sync())?;
        self.failures = 0;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use flightrec_format::superblock::Geometry;

    use super::*;

    const MIB: usize = 1 << 20;

    /// Bytes that several disks may be opened on; `None`: nobody answers.
    type Shared = Arc<Mutex<Option<Vec<u8>>>>;

    /// One opening of them, which ends when they go, with this errno.
    struct Opened(Shared, bool, i32);

    impl Opened {
        fn with<T>(&mut self, work: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
            let mut bytes = self.0.lock().unwrap();
            self.1 |= bytes.is_none();
            let errno = self.2;
            let gone = || io::Error::from_raw_os_error(errno);
            bytes.as_mut().filter(|_| !self.1).map(work).ok_or_else(gone)
        }
    }

    impl Disk for Opened {
        fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let at = usize::try_from(offset).unwrap();
            self.with(|bytes| {
                let len = buffer.len();
                buffer.copy_from_slice(&bytes[at..at + len]);
                len
            })
        }

        fn write_at(&mut self, slots: &[u8], offset: u64) -> io::Result<()> {
            let at = usize::try_from(offset).unwrap();
            self.with(|bytes| bytes[at..at + slots.len()].copy_from_slice(slots))
        }

        fn sync(&mut self) -> io::Result<()> {
            self.with(|_| ())
        }
    }

    fn superblock() -> Superblock {
        Superblock {
            recording_id: [7; 16],
            identity: [0; 16],
            created_realtime_ns: 1,
            geometry: Geometry::for_size(1 << 20).unwrap(),
            compatible_flags: 0,
        }
    }

    fn card() -> Vec<u8> {
        let mut bytes = vec![0; MIB];
        bytes[..4096].copy_from_slice(&superblock().slot(0));
        bytes
    }

    fn returning(bytes: &Shared, errno: i32) -> Returning {
        let again = bytes.clone();
        let reopen = move || {
            let disk: Box<dyn Disk> = Box::new(Opened(again.clone(), false, errno));
            if again.lock().unwrap().is_some() {
                Ok(disk)
            } else {
                Err(io::Error::from_raw_os_error(2))
            }
        };
        Returning::new(
            Box::new(Opened(bytes.clone(), false, errno)),
            superblock(),
            Box::new(reopen),
        )
    }

    /// A tail frame's, of the same recording.
    pub(crate) fn header() -> Header {
        Header {
            compatible_flags: 0,
            area: Area::Tail,
            codec: flightrec_format::frame::Codec::Plain,
            recording_id: [7; 16],
            boot_id: [1; 16],
            run_id: [1; 8],
            seq: 99,
            first_tick: 1,
            last_tick: 1,
            interval_ns: 1,
            boottime_ns: 1,
            monotonic_ns: 1,
            realtime_ns: 1,
            boot_ordinal: 1,
            slot: 0,
            slots: 1,
            synced: false,
            payload_len: 0,
            body_len: 0,
            payload_crc: 0,
            facts_crc: 0,
            budget_kib: 0,
        }
    }

    fn commit(disk: &mut Returning) -> Result<(), i32> {
        let mut slot = vec![1; 4096];
        slot[0] = 2;
        let written = disk.write_at(&slot, 4096).and_then(|()| disk.sync());
        written.map_err(|error| error.raw_os_error().unwrap())
    }

    #[test]
    fn a_card_that_is_put_back_is_written_to_again() {
        let bytes: Shared = Arc::new(Mutex::new(Some(card())));
        let mut disk = returning(&bytes, 19);
        assert_eq!(commit(&mut disk), Ok(()));
        let away = bytes.lock().unwrap().take();
        assert_eq!([(); 5].map(|()| commit(&mut disk)), [19, 19, 19, 2, 2].map(Err));
        *bytes.lock().unwrap() = away;
        assert_eq!([(); 3].map(|()| commit(&mut disk)), [Ok(()); 3]);
        // Once more, this time back before anybody looks for it.
        let away = bytes.lock().unwrap().take();
        assert_eq!(commit(&mut disk), Err(19));
        *bytes.lock().unwrap() = away;
        assert_eq!([(); 4].map(|()| commit(&mut disk)), [Err(19), Err(19), Ok(()), Ok(())]);
    }

    #[test]
    fn an_open_file_is_kept_longer_where_the_disk_reports_errors() {
        let bytes: Shared = Arc::new(Mutex::new(Some(card())));
        let mut disk = returning(&bytes, EIO);
        let away = bytes.lock().unwrap().take();
        assert_eq!([(); 1].map(|()| commit(&mut disk)), [Err(EIO)]);
        *bytes.lock().unwrap() = away;
        assert_eq!([(); 7].map(|()| commit(&mut disk)), [Err(EIO); 7]);
        assert_eq!(commit(&mut disk), Ok(()), "opened anew");
    }

    #[test]
    fn another_card_or_one_that_was_recorded_into_meanwhile_is_left_alone() {
        let mut other = superblock();
        other.recording_id = [8; 16];
        let mut stranger = card();
        stranger[..4096].copy_from_slice(&other.slot(0));
        let mut newer = card();
        let mut header = header();
        header.seal(&mut newer[8192..12288]);
        for there in [stranger, newer] {
            let bytes: Shared = Arc::new(Mutex::new(Some(card())));
            let mut disk = returning(&bytes, 19);
            bytes.lock().unwrap().take();
            assert_eq!([(); 3].map(|()| commit(&mut disk)), [Err(19); 3]);
            *bytes.lock().unwrap() = Some(there.clone());
            assert_eq!([(); 2].map(|()| commit(&mut disk)), [Err(STALE); 2]);
            assert_eq!(bytes.lock().unwrap().as_ref(), Some(&there), "it was written to");
        }
    }
}
