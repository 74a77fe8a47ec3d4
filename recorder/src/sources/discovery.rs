//! Finding disks that come and go, on the slow thread.
//!
//! Listing a directory and opening files can block and allocates, so the sampler has no part in
//! it. Each seat of the sampler has a place in the [`Mailbox`]; a place goes round: vacant,
//! arrived (ours to fill), seated, gone (the sampler's to give back), vacant.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use flightrec_format::entity::EntityName;

use super::sheet::Look;
use crate::procfile::{ProcFile, fields, number};
use crate::sys;

/// What lies in a place of the mailbox. A file travels both ways, so that it is opened and closed
/// by the slow thread.
#[derive(Debug)]
pub(super) enum Mail {
    Vacant,
    Arrived(EntityName, Option<ProcFile>),
    Seated(EntityName),
    Gone(#[expect(dead_code, reason = "carried here to be closed")] Option<ProcFile>),
}

/// Where the slow thread and the sampler hand things over.
#[derive(Debug)]
pub(super) struct Mailbox(Mutex<Box<[Mail]>>);

impl Mailbox {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new((0..places).map(|_| Mail::Vacant).collect())))
    }

    /// For the sampler, which does not wait.
    pub(super) fn try_open(&self) -> Option<MutexGuard<'_, Box<[Mail]>>> {
        self.0.try_lock().ok()
    }

    fn open(&self) -> Option<MutexGuard<'_, Box<[Mail]>>> {
        self.0.lock().ok()
    }

    /// Whether there is a vacant place and the disk is not in another one.
    fn wants(&self, name: EntityName) -> bool {
        self.open().is_some_and(|places| {
            let known = |mail: &Mail| {
                matches!(mail, Mail::Arrived(other, _) | Mail::Seated(other) if *other == name)
            };
            places.iter().any(|mail| matches!(mail, Mail::Vacant)) && !places.iter().any(known)
        })
    }

    fn deliver(&self, name: EntityName, file: ProcFile) {
        if let Some(mut places) = self.open()
            && let Some(vacant) = places.iter_mut().find(|mail| matches!(mail, Mail::Vacant))
        {
            *vacant = Mail::Arrived(name, Some(file));
        }
    }

    /// Closes the files that came back. Not while the mailbox is open: closing may take its time.
    fn clear(&self) {
        loop {
            let gone = self.open().and_then(|mut places| {
                let gone = places.iter_mut().find(|mail| matches!(mail, Mail::Gone(_)))?;
                Some(std::mem::replace(gone, Mail::Vacant))
            });
            if gone.is_none() {
                return;
            }
        }
    }
}

/// Looks for disks. Lives on the slow thread.
#[derive(Debug)]
pub struct Discovery {
    mailbox: Arc<Mailbox>,
    root: PathBuf,
    dir: Option<File>,
    entries: Box<[u8]>,
    path: PathBuf,
}

/// Longer than any path of ours, so that looking allocates nothing while nothing new is there.
const PATH_LEN: usize = 512;

impl Discovery {
    pub(super) fn new(sys_root: &Path, mailbox: Arc<Mailbox>) -> Self {
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
            let entity = EntityName::new(name);
            if is_left_out(name) || !mailbox.wants(entity) || is_empty(root, name, path) {
                return;
            }
            let file = ProcFile::open(in_dir(root, name, "stat", path));
            if file.missing().is_none() {
                mailbox.deliver(entity, file);
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
