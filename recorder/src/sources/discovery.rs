//! Finding disks that come and go, on the slow thread.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sheet::Look;
use crate::mailbox::Mailbox;
use crate::procfile::{ProcFile, fields, number};
use crate::sample::Occupant;
use crate::sys;

/// Looks for disks. Lives on the slow thread.
#[derive(Debug)]
pub struct Discovery {
    mailbox: Arc<Mailbox<ProcFile>>,
    root: PathBuf,
    dir: Option<File>,
    entries: Box<[u8]>,
    path: PathBuf,
}

/// Longer than any path of ours, so that looking allocates nothing while nothing new is there.
const PATH_LEN: usize = 512;

impl Discovery {
    pub(super) fn new(sys_root: &Path, mailbox: Arc<Mailbox<ProcFile>>) -> Self {
        let root = sys_root.join("block");
        let dir = File::open(&root).ok();
        let entries = vec![0; 2048].into_boxed_slice();
        Self { mailbox, root, dir, entries, path: PathBuf::with_capacity(PATH_LEN) }
    }
}

impl Look for Discovery {
    /// Opens the disks that are new, closes those that are gone.
    fn look(&mut self) {
        let Self { mailbox, root, dir, entries, path } = self;
        mailbox.clear();
        let Some(dir) = dir else { return };
        // A directory that cannot be listed now shows nothing new; the seated disks stay.
        sys::list_dir(dir, entries, |name| {
            let disk = Occupant::named(name);
            let mut is_known = false;
            mailbox.each_occupant(|_, own| is_known |= *own == disk);
            if is_left_out(name) || is_known || !mailbox.has_vacancy() || is_empty(root, name, path)
            {
                return;
            }
            let file = ProcFile::open(in_dir(root, name, "stat", path));
            if file.missing().is_none() {
                mailbox.deliver(disk, file);
            }
        })
        .unwrap_or_default();
    }
}

/// Disks that are none: files, memory, and the boot partitions of an eMMC, which lie idle.
fn is_left_out(name: &[u8]) -> bool {
    let begins = |prefix: &[u8]| name.starts_with(prefix);
    begins(b"loop")
        || begins(b"ram")
        || begins(b"zram")
        || (begins(b"mmcblk") && name.windows(4).any(|part| part == b"boot"))
}

/// Whether it holds no sectors: a card reader without a card.
fn is_empty(root: &Path, name: &[u8], path: &mut PathBuf) -> bool {
    let mut text = [0; 32];
    let read = File::open(in_dir(root, name, "size", path)).and_then(|f| f.read_at(&mut text, 0));
    let text = read.ok().and_then(|len| text.get(..len)).unwrap_or_default();
    fields(text).next().and_then(number).unwrap_or(0) == 0
}

fn in_dir<'a>(root: &Path, name: &[u8], file: &str, path: &'a mut PathBuf) -> &'a Path {
    path.as_mut_os_string().clear();
    path.push(root);
    path.push(std::ffi::OsStr::from_bytes(name));
    path.push(file);
    path
}
