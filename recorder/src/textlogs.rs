//! Text logs: how much `/var/log` grows, in lines and bytes, and its newest lines.
//!
//! Files stay open and only what they grew by is read, of that at most 64 KiB a look: a log of
//! 28 GB costs nothing at the start, for it begins at its end. They are cut, rewritten in place and
//! replaced under us, by logrotate and by those who keep logs in RAM; what is counted then is what
//! is certain (`follow`). The twins of these logs on the disk (`/var/log.hdd`, `/var/hdd.log`) are
//! never looked at: each of their lines was counted here.

mod follow;

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::logs::Log;
use crate::words::{Counts, Listener};

use follow::{Begin, Follow};

/// Files that are followed, and folders below `/var/log` that are looked into.
const FILES_MAX: usize = 32;
const FOLDERS_MAX: usize = 16;

/// Names that are looked at in one folder.
const NAMES_MAX: usize = 1024;

/// Bytes that are read of one file in one look.
const READ_LEN: usize = 64 << 10;

/// While no folder changes, one look in so many asks whether the files are still those at their paths:
/// something may have been mounted over one.
const PATHS_EVERY: u32 = 5;
/// A file that is gone is let go after so many looks.
const MISSING_LOOKS: u32 = 30;

/// A file that appears is new if it was written to since so long; else somebody copied it here.
const NEW_S: i64 = 10;

/// Logs without an ending, as syslog daemons name them.
const NAMES: [&[u8]; 13] = [
    b"syslog",
    b"messages",
    b"kern",
    b"auth",
    b"daemon",
    b"user",
    b"mail",
    b"debug",
    b"secure",
    b"cron",
    b"maillog",
    b"boot",
    b"everything",
];

/// Folders that hold no text.
const NO_TEXT: [&str; 2] = ["journal", "private"];

fn is_log(name: &[u8]) -> bool {
    (name.ends_with(b".log") && name.len() > 4 && !name.starts_with(b".")) || NAMES.contains(&name)
}

/// Whether a log in this folder, or the folder, may not be read by this process.
#[must_use]
pub fn are_refused(folder: &Path) -> bool {
    let is_refused = |error: &io::Error| error.kind() == ErrorKind::PermissionDenied;
    let names = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().take(NAMES_MAX),
        Err(error) => return is_refused(&error),
    };
    let mut logs = names.filter(|entry| {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        is_file && is_log(entry.file_name().as_encoded_bytes())
    });
    logs.any(|entry| File::open(entry.path()).is_err_and(|error| is_refused(&error)))
}

/// A folder, and what it was when it was looked through.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    seen: Option<(u64, u64, i64, i64)>,
}

impl Folder {
    /// Whether another folder stands there now, or other names in it.
    fn has_changed(&mut self) -> bool {
        let now = fs::metadata(&self.path).ok().map(|now| {
            let (device, inode) = identity(&now);
            (device, inode, now.mtime(), now.mtime_nsec())
        });
        std::mem::replace(&mut self.seen, now) != now
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// All text logs in a folder and in the folders in it.
pub struct TextLogs {
    root: PathBuf,
    folders: Vec<Folder>,
    files: Vec<Follow>,
    buffer: Box<[u8]>,
    /// Our own lines, whichever file they stand in.
    own: Counts,
    clock: Arc<dyn Clock>,
    /// Set when names may have come while we listed them.
    again: bool,
    /// Looks so far, from 0 again and again.
    turn: u32,
    root_identity: Option<(u64, u64)>,
}

impl TextLogs {
    /// Begins at the end of what is there at the first look; until then nothing is touched, for it
    /// may hang.
    #[must_use]
    pub fn new(root: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            root: root.to_owned(),
            folders: Vec::new(),
            files: Vec::with_capacity(FILES_MAX),
            buffer: Box::default(),
            own: Counts::default(),
            clock,
            again: false,
            turn: 0,
            root_identity: None,
        }
    }

    /// Looks through the folders for logs that are not followed yet. Allocates.
    fn find(&mut self) {
        let root_identity = fs::metadata(&self.root).ok().map(|now| identity(&now));
        // Somebody mounted a RAM disk over it, or took it away: what is there now is a copy.
        let is_same = root_identity == self.root_identity;
        self.root_identity = root_identity;
        let mut folders = vec![self.root.clone()];
        folders.extend(entries(&self.root).filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
            let is_folder = fs::symlink_metadata(path).is_ok_and(|there| there.is_dir());
            is_folder && !name.starts_with('.') && !NO_TEXT.contains(&name)
        }));
        folders.truncate(FOLDERS_MAX + 1);
        self.folders.retain(|own| folders.contains(&own.path));
        for path in &folders {
            if !self.folders.iter().any(|own| own.path == *path) {
                let mut folder = Folder { path: path.clone(), seen: None };
                folder.has_changed();
                self.folders.push(folder);
            }
        }
        let mut found: Vec<(PathBuf, Metadata)> = Vec::new();
        for folder in &folders {
            for path in entries(folder) {
                let name = path.file_name().unwrap_or_default().as_encoded_bytes();
                let is_followed = self.files.iter().any(|own| own.path() == path);
                if is_log(name)
                    && !is_followed
                    && let Ok(there) = fs::symlink_metadata(&path)
                    && there.is_file()
                {
                    found.push((path, there));
                }
            }
        }
        // What is written to belongs to the story; what nobody has touched for months does not.
        found.sort_by_key(|(_, there)| std::cmp::Reverse(there.mtime()));
        let now_s = self.clock.realtime_ns() / 1_000_000_000;
        for (path, there) in found {
            let is_twice = self.files.iter().any(|own| own.identity() == identity(&there));
            if self.files.len() >= FILES_MAX || is_twice {
                continue;
            }
            let is_new = is_same && there.mtime() >= now_s - NEW_S;
            let begin = if is_new { Begin::Start } else { Begin::End };
            self.files.extend(Follow::open(path, begin));
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(NAMES_MAX);
    entries.map(|entry| entry.path())
}

impl Log for TextLogs {
    fn look(&mut self, listener: &mut dyn Listener) {
        let mut changed = false;
        for folder in &mut self.folders {
            changed |= folder.has_changed();
        }
        let closely = self.folders.is_empty() || changed || self.again;
        if closely {
            self.again = changed;
            self.find();
        }
        self.turn = (self.turn + 1) % PATHS_EVERY;
        let at_path = closely || self.turn == 0;
        // Taken on the thread that looks, it is locked as it is used.
        if self.buffer.is_empty() {
            self.buffer = vec![0; READ_LEN].into_boxed_slice();
        }
        let Self { files, buffer, own, .. } = self;
        files.retain_mut(|file| {
            file.look((buffer, at_path), own, listener);
            file.missing() < MISSING_LOOKS
        });
        if own.lines > 0 {
            listener.source(b"/var/log:flightrecd", *own);
        }
    }
}

#[cfg(test)]
mod tests;
