//! Real file systems that do not answer, or answer with an error: FUSE, whose server we are.
//!
//! Whoever asks a [`DeadFs`] waits in the kernel, as before an NFS server that is gone or a disk that
//! died. A [`RefusingFile`] can be opened, and refuses to be read.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use flightrec_recorder::clock::{Clock, SystemClock};

/// Opcodes and lengths of linux/fuse.h.
const FUSE_GETATTR: u32 = 3;
const FUSE_OPEN: u32 = 14;
const FUSE_READ: u32 = 15;
const FUSE_STATFS: u32 = 17;
pub(crate) const FUSE_INIT: u32 = 26;
pub(crate) const IN_HEADER_LEN: usize = 40;
pub(crate) const REQUEST_LEN_MAX: usize = 1 << 17;
/// `FOPEN_DIRECT_IO`: each read comes to us, whatever length the file has.
const DIRECT_IO: u32 = 1;
pub(crate) const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_444;

/// The mount; taken away when dropped, which lets go of whoever waits.
#[derive(Debug)]
pub struct DeadFs {
    point: PathBuf,
    asked: Arc<AtomicU64>,
    device: Option<File>,
}

impl DeadFs {
    /// Mounts it on a folder. `statfs_after`: a real time after which it answers how full it is;
    /// `None`: never. The error says what is missing here.
    pub fn mount(point: &Path, statfs_after: Option<Duration>) -> Result<Self, String> {
        let device = mount(point, FOLDER)?;
        let asked = Arc::new(AtomicU64::new(0));
        let server = device.try_clone().map_err(|error| error.to_string())?;
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || serve(server, &counted, statfs_after));
        Ok(Self { point: point.to_owned(), asked, device: Some(device) })
    }

    /// How often it was asked how full it is.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(SeqCst)
    }
}

impl Drop for DeadFs {
    fn drop(&mut self) {
        unmount(&self.point);
        self.device.take();
    }
}

/// A file that refuses to be read; its own again when dropped.
#[derive(Debug)]
pub struct RefusingFile {
    point: PathBuf,
    _device: File,
}

impl RefusingFile {
    /// Mounts it on a file. Every read answers `errno`. The error says what is missing here.
    pub fn mount(point: &Path, errno: i32) -> Result<Self, String> {
        let device = mount(point, FILE)?;
        let server = device.try_clone().map_err(|error| error.to_string())?;
        std::thread::spawn(move || refuse(server, errno));
        Ok(Self { point: point.to_owned(), _device: device })
    }
}

impl Drop for RefusingFile {
    fn drop(&mut self) {
        unmount(&self.point);
    }
}

/// Mounts a file system whose root is a folder or a file; we are asked through what it returns.
pub(crate) fn mount(point: &Path, root_mode: u32) -> Result<File, String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let device = device.map_err(|error| format!("no /dev/fuse: {error}"))?;
    let for_mount = device.try_clone().map_err(|error| error.to_string())?;
    let mounted = Command::new("mount")
        .args(["-i", "-t", "fuse", "-o"])
        .arg(format!("fd=0,rootmode={root_mode:o},user_id=0,group_id=0"))
        .arg("flightrec-test")
        .arg(point)
        .stdin(Stdio::from(for_mount))
        .output()
        .map_err(|error| format!("no mount: {error}"))?;
    if mounted.status.success() {
        return Ok(device);
    }
    let why = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
    Err(format!("no FUSE to be mounted: {why}"))
}

/// Forced, which aborts the connection: waiting requests end with an error.
fn unmount(point: &Path) {
    Command::new("umount").args(["-f", "-l"]).arg(point).status().ok();
}

/// The next request: opcode, and the number that the answer carries. `None`: unmounted.
fn next(device: &mut File, request: &mut [u8]) -> Option<(u32, [u8; 8])> {
    let len = device.read(request).ok()?;
    let (header, _) = request[..len].split_at_checked(IN_HEADER_LEN)?;
    let opcode = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
    Some((opcode, header[8..16].try_into().expect("eight bytes")))
}

/// Version 7.31, everything else as little as it goes.
pub(crate) fn init() -> Vec<u8> {
    let mut body = vec![0; 64];
    body[..4].copy_from_slice(&7_u32.to_le_bytes());
    body[4..8].copy_from_slice(&31_u32.to_le_bytes());
    body[20..24].copy_from_slice(&4096_u32.to_le_bytes());
    body
}

fn refuse(mut device: File, errno: i32) {
    let mut request = vec![0; REQUEST_LEN_MAX];
    while let Some((opcode, unique)) = next(&mut device, &mut request) {
        match opcode {
            FUSE_INIT => answer(&mut device, unique, Ok(&init())),
            FUSE_GETATTR => {
                let mut body = vec![0; 104];
                // Inode, mode and number of links.
                body[16..24].copy_from_slice(&1_u64.to_le_bytes());
                body[76..80].copy_from_slice(&FILE.to_le_bytes());
                body[80..84].copy_from_slice(&1_u32.to_le_bytes());
                answer(&mut device, unique, Ok(&body));
            }
            FUSE_OPEN => {
                let mut body = vec![0; 16];
                body[8..12].copy_from_slice(&DIRECT_IO.to_le_bytes());
                answer(&mut device, unique, Ok(&body));
            }
            FUSE_READ => answer(&mut device, unique, Err(errno)),
            // ENOSYS: such a request is optional.
            _ => answer(&mut device, unique, Err(38)),
        }
    }
}

fn serve(mut device: File, asked: &AtomicU64, statfs_after: Option<Duration>) {
    let mut request = vec![0; REQUEST_LEN_MAX];
    while let Some((opcode, unique)) = next(&mut device, &mut request) {
        match opcode {
            FUSE_INIT => answer(&mut device, unique, Ok(&init())),
            FUSE_STATFS => {
                asked.fetch_add(1, SeqCst);
                let Some(after) = statfs_after else { continue };
                let after_ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
                SystemClock.wait(SystemClock.boottime_ns() + after_ns);
                let mut body = vec![0; 80];
                // Blocks, free, available, and the size of one.
                for (at, value) in [(0, 1000_u64), (8, 500), (16, 400)] {
                    body[at..at + 8].copy_from_slice(&value.to_le_bytes());
                }
                for at in [40, 48] {
                    body[at..at + 4].copy_from_slice(&16384_u32.to_le_bytes());
                }
                answer(&mut device, unique, Ok(&body));
            }
            // Everything else gets no answer.
            _ => {}
        }
    }
}

pub(crate) fn answer(device: &mut File, unique: [u8; 8], body: Result<&[u8], i32>) {
    let (errno, body) = body.map_or_else(|errno| (-errno, &[][..]), |body| (0, body));
    let len = u32::try_from(16 + body.len()).expect("a short answer");
    let mut message = len.to_le_bytes().to_vec();
    message.extend(errno.to_le_bytes());
    message.extend(unique);
    message.extend(body);
    device.write_all(&message).ok();
}
