//! How full the file systems are, and whether one has gone read-only.
//!
//! `statvfs` asks the file system itself and hangs with it; so only those that live on this
//! machine are asked, and they last of all.

use std::path::Path;

use flightrec_format::entity::EntityKind;

use crate::procfile::{ProcFile, fields, lines};
use crate::sample::{Layout, SeriesNumber};
use crate::sources::sheet::{Look, Page, Posted, page};
use crate::sys;

/// Free bytes, size, free inodes, read-only.
pub(in super::super) const SERIES: &[SeriesNumber] = &[262, 280, 281, 282];
const UNIT: u64 = 16_384;

/// File systems on disks of this machine, and those in memory that a log can fill.
const LOCAL: [&[u8]; 15] = [
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"btrfs",
    b"xfs",
    b"vfat",
    b"exfat",
    b"ntfs3",
    b"jfs",
    b"nilfs2",
    b"bcachefs",
    b"zfs",
    b"ubifs",
    b"overlay",
];
const IN_MEMORY: [&[u8]; 4] = [b"/tmp", b"/run", b"/var/log", b"/var/tmp"];

/// Longest mount point that is asked for, with the zero byte behind it.
const PATH_LEN: usize = 256;
/// As many as there are slots (`RANKS`).
const SEEN_MAX: usize = 8;

/// Series 262 and 280 to 282.
#[derive(Debug)]
pub(in super::super) struct Mounts {
    table: ProcFile,
    page: Page,
}

impl Mounts {
    pub(in super::super) fn new(layout: &Layout, proc_root: &Path, stale: u32) -> (Self, Posted) {
        let (page, posted) = page("file systems", layout, EntityKind::FS, SERIES, stale);
        (
            Self {
                table: ProcFile::open_with_long_records(&proc_root.join("self/mountinfo")),
                page,
            },
            posted,
        )
    }
}

impl Look for Mounts {
    fn look(&mut self) {
        self.page.begin();
        let text = self.table.read().unwrap_or_default();
        // One file system may be mounted in many places; the first is asked.
        let mut seen: [&[u8]; SEEN_MAX] = [b""; SEEN_MAX];
        let mut count = 0;
        for mount in lines(text).filter_map(Mount::of).filter(Mount::is_wanted) {
            if seen.contains(&mount.device) {
                continue;
            }
            let Some(place) = seen.get_mut(count) else { break };
            *place = mount.device;
            count += 1;
            let mut path = [0; PATH_LEN];
            let Some(path) = unescape(mount.point, &mut path) else { continue };
            let Ok(room) = sys::file_system_room(path) else { continue };
            let name = path.to_bytes();
            self.page.put(name, 0, Some(room.available_bytes / UNIT));
            self.page.put(name, 1, Some(room.size_bytes / UNIT));
            // btrfs makes inodes as it needs them, and says 0 of 0.
            self.page.put(name, 2, (room.inodes > 0).then_some(room.free_inodes));
            self.page.put(name, 3, Some(u64::from(room.read_only)));
        }
        self.page.post();
    }
}

/// A line of `mountinfo` (proc(5)).
struct Mount<'a> {
    device: &'a [u8],
    point: &'a [u8],
    kind: &'a [u8],
}

impl<'a> Mount<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let mut words = fields(line);
        let device = words.nth(2)?;
        let point = words.nth(1)?;
        words.find(|word| *word == b"-")?;
        Some(Self { device, point, kind: words.next()? })
    }

    fn is_wanted(&self) -> bool {
        LOCAL.contains(&self.kind) || (self.kind == b"tmpfs" && IN_MEMORY.contains(&self.point))
    }
}

/// A mount point as the system calls want it: `\040` is a blank.
fn unescape<'a>(point: &[u8], path: &'a mut [u8; PATH_LEN]) -> Option<&'a std::ffi::CStr> {
    let mut rest = point;
    let mut len = 0;
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = match (byte, behind) {
            (b'\\', &[a, b, c, ref behind @ ..]) => {
                let digits = [a, b, c].map(|digit| char::from(digit).to_digit(8));
                let [Some(a), Some(b), Some(c)] = digits else { return None };
                (u8::try_from(a * 64 + b * 8 + c).ok()?, behind)
            }
            _ => (byte, behind),
        };
        // The last place keeps its zero byte.
        *path.get_mut(..PATH_LEN - 1)?.get_mut(len)? = byte;
        len += 1;
        rest = behind;
    }
    std::ffi::CStr::from_bytes_until_nul(path).ok()
}
