//! A real file system that is mounted and answers nothing more: FUSE, whose server we are.
//!
//! Whoever asks it waits in the kernel, as before an NFS server that is gone or a disk that died.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use flightrec_recorder::clock::{Clock, SystemClock};

/// Opcodes and lengths of linux/fuse.h.
const FUSE_STATFS: u32 = 17;
pub(crate) const FUSE_INIT: u32 = 26;
pub(crate) const IN_HEADER_LEN: usize = 40;
pub(crate) const REQUEST_LEN_MAX: usize = 1 << 17;

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
        let device = mount(point)?;
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
        // Forced, which aborts the connection: waiting requests end with an error.
        Command::new("umount").args(["-f", "-l"]).arg(&self.point).status().ok();
        self.device.take();
    }
}

/// The descriptor by which the kernel asks.
pub(crate) fn mount(point: &Path) -> Result<File, String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let device = device.map_err(|error| format!("no /dev/fuse: {error}"))?;
    let for_mount = device.try_clone().map_err(|error| error.to_string())?;
    let mounted = Command::new("mount")
        .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0"])
        .arg("flightrec-test")
        .arg(point)
        .stdin(Stdio::from(for_mount))
        .output()
        .map_err(|error| format!("no mount: {error}"))?;
    if !mounted.status.success() {
        let why = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
        return Err(format!("no FUSE to be mounted: {why}"));
    }
    Ok(device)
}

fn serve(mut device: File, asked: &AtomicU64, statfs_after: Option<Duration>) {
    let mut request = vec![0; REQUEST_LEN_MAX];
    while let Ok(len) = device.read(&mut request) {
        let Some((header, _)) = request[..len].split_at_checked(IN_HEADER_LEN) else { return };
        let opcode = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
        let unique: [u8; 8] = header[8..16].try_into().expect("eight bytes");
        match opcode {
            FUSE_INIT => {
                answer(&mut device, unique, &init());
            }
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
                answer(&mut device, unique, &body);
            }
            // Everything else gets no answer.
            _ => {}
        }
    }
}

/// Version 7.31, everything else as little as it goes.
pub(crate) fn init() -> Vec<u8> {
    let mut body = vec![0; 64];
    body[..4].copy_from_slice(&7_u32.to_le_bytes());
    body[4..8].copy_from_slice(&31_u32.to_le_bytes());
    body[20..24].copy_from_slice(&4096_u32.to_le_bytes());
    body
}

pub(crate) fn answer(device: &mut File, unique: [u8; 8], body: &[u8]) {
    let len = u32::try_from(16 + body.len()).expect("a short answer");
    let mut message = len.to_le_bytes().to_vec();
    message.extend([0; 4]);
    message.extend(unique);
    message.extend(body);
    device.write_all(&message).ok();
}
