//! Marks: the owner's words, on their way into the recording.
//!
//! `flightrec mark` shares no socket with the recorder. It leaves a small file in a folder, which
//! the slow thread looks through when the kernel says that something was left there ([`Inbox`]); what
//! it finds reaches the sampler through a bounded channel that nobody waits for.
//!
//! A file holds one line: `flightrec-mark 1`, boot time and real time in milliseconds, the text.
//! The folder is locked (flock) as long as somebody looks into it: that is how the other side knows.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::procfile::number;
use crate::sys::{self, FolderWatch};

/// Longest text of a mark, bytes.
pub const TEXT_LEN_MAX: usize = 512;

/// Longest file that is read, bytes.
const FILE_LEN_MAX: usize = 640;

/// Marks taken in one look, and marks that wait for the sampler.
const AT_ONCE: usize = 4;

/// Names looked at in one look, so that a folder full of strange files costs no more.
const NAMES_MAX: usize = 256;

/// Room for the path of a mark, so that looking allocates nothing while there is none.
const PATH_LEN: usize = 512;

/// Where the manager keeps what lives as long as the machine is up.
const RUNTIME: &str = "/run/flightrec";

/// One mark.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// Boot time at which it was said.
    pub boottime_ns: u64,
    text: [u8; TEXT_LEN_MAX],
    text_len: usize,
}

impl Mark {
    /// The owner's words.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.text.get(..self.text_len).unwrap_or_default()
    }

    /// Reads a file; `None`: it is not one of ours.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"flightrec-mark 1 ")?;
        let mut words = rest.splitn(3, |&byte| byte == b' ');
        let boottime_ms = number(words.next()?)?;
        let _realtime_ms = words.next()?;
        let said = words.next()?;
        let said = said.strip_suffix(b"\n").unwrap_or(said);
        let said = std::str::from_utf8(said).ok().filter(|text| !text.is_empty())?;
        let mut mark = Self {
            boottime_ns: boottime_ms.checked_mul(1_000_000)?,
            text: [0; TEXT_LEN_MAX],
            text_len: 0,
        };
        for letter in said.chars() {
            // The file may be anybody's work; a recording holds one line of it.
            let letter = if letter.is_control() { '\u{fffd}' } else { letter };
            let end = mark.text_len + letter.len_utf8();
            let Some(place) = mark.text.get_mut(mark.text_len..end) else { break };
            letter.encode_utf8(place);
            mark.text_len = end;
        }
        Some(mark)
    }
}

/// The folder that marks are left in: below `RUNTIME_DIRECTORY`, as the service manager sets it.
#[must_use]
pub fn folder() -> PathBuf {
    let given = std::env::var_os("RUNTIME_DIRECTORY").filter(|given| !given.is_empty());
    let given = given.unwrap_or_else(|| RUNTIME.into());
    // The manager separates several by a colon; ours has one.
    let first = given.as_bytes().split(|&byte| byte == b':').next().unwrap_or_default();
    Path::new(OsStr::from_bytes(first)).join("marks")
}

/// Looks for marks. Lives on the slow thread.
#[derive(Debug)]
pub struct Inbox {
    folder: PathBuf,
    dir: File,
    owner: u32,
    is_locked: bool,
    /// Set when a mark could not be removed: it would come in again and again.
    is_stuck: bool,
    /// Set when some may have been left for the next look.
    is_more: bool,
    /// Tells when one is left; `None`: the kernel has no watch for us, and we look again and again.
    watch: Option<FolderWatch>,
    entries: Box<[u8]>,
    path: PathBuf,
    to: SyncSender<Mark>,
}

impl Inbox {
    /// Makes the folder if it is missing, and opens it. The other end is the sampler's.
    pub fn open(folder: &Path) -> io::Result<(Self, Receiver<Mark>)> {
        if let Some(runtime) = folder.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(runtime)?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let dir = File::open(folder)?;
        let (to, from) = sync_channel(AT_ONCE);
        let mut inbox = Self {
            folder: folder.to_owned(),
            owner: dir.metadata()?.uid(),
            dir,
            is_locked: false,
            is_stuck: false,
            is_more: false,
            watch: FolderWatch::of_arrivals(folder).ok(),
            entries: vec![0; 2048].into_boxed_slice(),
            path: PathBuf::with_capacity(PATH_LEN),
            to,
        };
        inbox.lock();
        Ok((inbox, from))
    }

    /// One recorder takes the marks, should there be two.
    fn lock(&mut self) {
        self.is_locked = self.is_locked || self.dir.try_lock().is_ok();
    }

    /// Waits until a mark is left, at most `longest`; whether there may be one.
    pub fn wait(&mut self, longest: Duration) -> bool {
        let Some(watch) = self.watch.as_mut().filter(|_| !self.is_more) else { return true };
        watch.wait(longest).unwrap_or(true)
    }

    /// Looks once: takes a few marks, and removes them. May block.
    pub fn look(&mut self) {
        self.lock();
        self.is_more = false;
        if !self.is_locked || self.is_stuck {
            return;
        }
        let Self { folder, dir, owner, is_stuck, is_more, entries, path, to, .. } = self;
        let (mut names, mut taken) = (0, 0);
        // A folder that cannot be listed now may be so in a second.
        sys::list_dir(dir, entries, |name| {
            names += 1;
            if names > NAMES_MAX || taken >= AT_ONCE || *is_stuck || !name.ends_with(b".mark") {
                return;
            }
            path.as_mut_os_string().clear();
            path.push(&*folder);
            path.push(OsStr::from_bytes(name));
            let Some(mark) = take(path, *owner) else { return };
            // If the sampler has not come round it stays where it is.
            if to.try_send(mark).is_err() {
                taken = AT_ONCE;
                return;
            }
            taken += 1;
            *is_stuck = fs::remove_file(&*path).is_err();
        })
        .unwrap_or_default();
        *is_more = taken >= AT_ONCE;
    }
}

/// Reads one file, if it is a plain small one of somebody who may mark.
fn take(path: &Path, owner: u32) -> Option<Mark> {
    let mut options = File::options();
    let mut file =
        options.read(true).custom_flags(sys::O_NOFOLLOW | sys::O_NONBLOCK).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_trusted = metadata.uid() == 0 || metadata.uid() == owner;
    let is_small = usize::try_from(metadata.len()).is_ok_and(|len| len <= FILE_LEN_MAX);
    if !metadata.is_file() || !is_trusted || !is_small {
        return None;
    }
    let mut bytes = [0; FILE_LEN_MAX];
    let mut filled = 0;
    while let Some(place) = bytes.get_mut(filled..).filter(|place| !place.is_empty()) {
        match file.read(place) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Mark::read(bytes.get(..filled)?)
}

#[cfg(test)]
mod tests;
