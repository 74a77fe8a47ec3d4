//! A real file that cannot be read in places, as on a card with bad sectors: FUSE, whose server we
//! are.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dead_fs::{FOLDER, FUSE_INIT, IN_HEADER_LEN, REQUEST_LEN_MAX, answer, init, mount};

/// Opcodes of linux/fuse.h.
const FUSE_LOOKUP: u32 = 1;
const FUSE_FORGET: u32 = 2;
const FUSE_GETATTR: u32 = 3;
const FUSE_OPEN: u32 = 14;
const FUSE_READ: u32 = 15;
const FUSE_RELEASE: u32 = 18;
const FUSE_INTERRUPT: u32 = 36;
const FUSE_BATCH_FORGET: u32 = 42;
const ROOT_NODE: u64 = 1;
const FILE_NODE: u64 = 2;
const ENOENT: i32 = 2;
const EIO: i32 = 5;
const ENOSYS: i32 = 38;

/// A mounted file system with one file, which answers EIO wherever a read touches certain bytes.
#[derive(Debug)]
pub struct BadFile {
    point: PathBuf,
    device: Option<File>,
}

impl BadFile {
    /// The name of the file.
    pub const NAME: &str = "card.img";

    /// Mounts it on a folder. The error says what is missing here.
    pub fn mount(point: &Path, bytes: Vec<u8>, bad: &[Range<usize>]) -> Result<Self, String> {
        let device = mount(point, FOLDER)?;
        let bad = bad.to_vec();
        let mut server = device.try_clone().map_err(|error| error.to_string())?;
        std::thread::spawn(move || {
            let mut request = vec![0; REQUEST_LEN_MAX];
            while let Ok(len) = server.read(&mut request) {
                let Some((header, body)) = request[..len].split_at_checked(IN_HEADER_LEN) else {
                    return;
                };
                let number = |at: usize| {
                    u32::from_le_bytes(header[at..at + 4].try_into().expect("as many bytes"))
                };
                let node = u64::from_le_bytes(header[16..24].try_into().expect("as many bytes"));
                let unique: [u8; 8] = header[8..16].try_into().expect("as many bytes");
                match reply((number(4), node, body), &bytes, &bad) {
                    None => {}
                    Some(Ok(body)) => answer(&mut server, unique, Ok(&body)),
                    Some(Err(errno)) => answer(&mut server, unique, Err(errno)),
                }
            }
        });
        Ok(Self { point: point.to_owned(), device: Some(device) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.point.join(Self::NAME)
    }
}

impl Drop for BadFile {
    fn drop(&mut self) {
        Command::new("umount").args(["-f", "-l"]).arg(&self.point).status().ok();
        self.device.take();
    }
}

/// `None`: the kernel wants no answer.
fn reply(
    (opcode, node, body): (u32, u64, &[u8]),
    bytes: &[u8],
    bad: &[Range<usize>],
) -> Option<Result<Vec<u8>, i32>> {
    let number =
        |at: usize| usize::try_from(u64::from_le_bytes(body[at..at + 8].try_into().ok()?)).ok();
    Some(match opcode {
        FUSE_INIT => Ok(init()),
        FUSE_LOOKUP if body.strip_suffix(&[0]) == Some(BadFile::NAME.as_bytes()) => {
            let mut entry = vec![0; 40];
            entry[..8].copy_from_slice(&FILE_NODE.to_le_bytes());
            entry.extend(attributes(FILE_NODE, bytes.len()));
            Ok(entry)
        }
        FUSE_LOOKUP => Err(ENOENT),
        FUSE_GETATTR => {
            let mut answer = vec![0; 16];
            answer.extend(attributes(node, bytes.len()));
            Ok(answer)
        }
        FUSE_OPEN => {
            // Direct: a read arrives as it was asked for.
            let mut answer = vec![0; 16];
            answer[8] = 1;
            Ok(answer)
        }
        FUSE_READ => {
            let begin = number(8)?.min(bytes.len());
            let size = u32::from_le_bytes(body[16..20].try_into().ok()?);
            let end = begin.saturating_add(usize::try_from(size).ok()?).min(bytes.len());
            if bad.iter().any(|bad| bad.start < end && begin < bad.end) {
                Err(EIO)
            } else {
                Ok(bytes[begin..end].to_vec())
            }
        }
        FUSE_RELEASE => Ok(Vec::new()),
        FUSE_FORGET | FUSE_BATCH_FORGET | FUSE_INTERRUPT => return None,
        _ => Err(ENOSYS),
    })
}

/// `struct fuse_attr`.
fn attributes(node: u64, size: usize) -> Vec<u8> {
    let (size, mode) = match node {
        ROOT_NODE => (0, 0o40_755_u32),
        _ => (u64::try_from(size).expect("a small file"), 0o100_644),
    };
    let mut attributes: Vec<u8> =
        [node, size, size.div_ceil(512), 0, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect();
    let small = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0];
    attributes.extend(small.into_iter().flat_map(u32::to_le_bytes));
    attributes
}
