//! Where the journal files are: folders named by machine ids, below `/var` and below `/run`.
//!
//! A folder is listed when its mtime has changed, and once more in the look after that: what happens
//! within the same tick of the kernel leaves the mtime as it is.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::{Inode, bad};
use super::layout::Bad;
use super::name::FileName;
use crate::sys;

/// Folders that are followed: a machine has one in each place, and one more for each namespace.
const FOLDERS_MAX: usize = 8;

/// Names of one folder that are looked at.
const NAMES_MAX: usize = 48;

/// Bytes of names that the kernel gives at once.
const ENTRIES_LEN: usize = 4096;

/// Room for a path, so that looking allocates nothing.
const PATH_LEN: usize = 512;

/// When a folder was changed, and which one it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

/// Whether there is anything to list.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    stamp: Option<Stamp>,
    once_more: bool,
}

impl Watch {
    fn wants_listing(&mut self, path: &Path) -> Result<bool, Bad> {
        let metadata = fs::metadata(path).map_err(|error| bad(&error));
        let metadata = metadata.inspect_err(|_| self.stamp = None)?;
        let stamp = Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        };
        let is_changed = self.stamp != Some(stamp);
        let wanted = is_changed || self.once_more;
        self.once_more = is_changed;
        self.stamp = Some(stamp);
        Ok(wanted)
    }
}

/// A folder of one machine id.
#[derive(Debug)]
pub(super) struct Folder {
    /// Below `/run`, in memory.
    pub(super) is_run: bool,
    /// The machine id, and the namespace if there is one.
    pub(super) name: FileName,
    is_there: bool,
    watch: Watch,
}

/// All folders.
#[derive(Debug)]
pub(super) struct Folders {
    roots: [(PathBuf, Watch, Option<Bad>); 2],
    known: Vec<Folder>,
    entries: Box<[u8]>,
    path: PathBuf,
    names: Vec<FileName>,
}

/// What a look at a folder found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Nothing has changed.
    Same,
    /// It is gone, with all that was in it.
    Gone,
    /// It was listed: [`Folders::names`].
    Names,
}

impl Folders {
    pub(super) fn new(var: &Path, run: &Path) -> Self {
        let root = |path: &Path| (path.to_owned(), Watch::default(), None);
        Self {
            roots: [root(var), root(run)],
            known: Vec::with_capacity(FOLDERS_MAX),
            entries: vec![0; ENTRIES_LEN].into_boxed_slice(),
            path: PathBuf::with_capacity(PATH_LEN),
            names: Vec::with_capacity(NAMES_MAX),
        }
    }

    /// Looks for folders that are new.
    pub(super) fn look(&mut self) {
        for (number, (path, watch, trouble)) in self.roots.iter_mut().enumerate() {
            let is_run = number == 1;
            let wanted = watch.wants_listing(path);
            *trouble = wanted.err().filter(|bad| !matches!(bad, Bad::Io(libc::ENOENT)));
            if wanted != Ok(true) {
                continue;
            }
            let known = &mut self.known;
            let listed = File::open(&*path).and_then(|dir| {
                sys::list_dir(&dir, &mut self.entries, |name| {
                    if is_machine(name) {
                        seat(known, is_run, FileName::new(name));
                    }
                })
            });
            if let Err(error) = listed {
                *trouble = Some(bad(&error));
                watch.stamp = None;
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    pub(super) fn get(&self, folder: u8) -> Option<&Folder> {
        self.known.get(usize::from(folder))
    }

    /// Why a root cannot be looked through.
    pub(super) fn trouble(&self) -> Option<(&Path, Bad)> {
        self.roots.iter().find_map(|(path, _, trouble)| Some((path.as_path(), (*trouble)?)))
    }

    /// The two roots.
    pub(super) fn roots(&self) -> [&Path; 2] {
        self.roots.each_ref().map(|(path, ..)| path.as_path())
    }

    /// Lists a folder if that may bring anything new.
    pub(super) fn list(&mut self, folder: u8) -> Result<Found, Bad> {
        self.path_of(folder, b"");
        let Self { known, path, entries, names, .. } = self;
        let Some(folder) = known.get_mut(usize::from(folder)) else { return Ok(Found::Same) };
        if !folder.is_there {
            return Ok(Found::Same);
        }
        match folder.watch.wants_listing(path) {
            Ok(false) => return Ok(Found::Same),
            Ok(true) => {}
            Err(Bad::Io(libc::ENOENT)) => {
                folder.is_there = false;
                return Ok(Found::Gone);
            }
            Err(bad) => return Err(bad),
        }
        names.clear();
        let listed = File::open(&*path).and_then(|dir| {
            sys::list_dir(&dir, entries, |name| {
                if names.len() < NAMES_MAX && is_followed(name) {
                    names.push(FileName::new(name));
                }
            })
        });
        listed.map_err(|error| {
            folder.watch.stamp = None;
            bad(&error)
        })?;
        Ok(Found::Names)
    }

    /// The n-th name of the folder that was listed last.
    pub(super) fn nth(&self, number: usize) -> Option<FileName> {
        self.names.get(number).copied()
    }

    /// Whether the folder that was listed last has a name.
    pub(super) fn has_name(&self, name: &FileName) -> bool {
        self.names.contains(name)
    }

    /// Lists a folder in the next look, whatever its mtime.
    pub(super) fn list_again(&mut self, folder: u8) {
        if let Some(folder) = self.known.get_mut(usize::from(folder)) {
            folder.watch.once_more = true;
        }
    }

    /// The path of a file; of the folder itself, if the name is empty.
    pub(super) fn path_of(&mut self, folder: u8, name: &[u8]) -> &Path {
        self.path.as_mut_os_string().clear();
        if let Some(folder) = self.known.get(usize::from(folder)) {
            let [(var, ..), (run, ..)] = &self.roots;
            self.path.push(if folder.is_run { run } else { var });
            self.path.push(OsStr::from_bytes(folder.name.as_bytes()));
            if !name.is_empty() {
                self.path.push(OsStr::from_bytes(name));
            }
        }
        &self.path
    }

    /// Which file a name stands for.
    pub(super) fn inode(&mut self, folder: u8, name: &[u8]) -> Option<Inode> {
        let metadata = fs::metadata(self.path_of(folder, name)).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Looks for archived files that came and went between two looks: the successors of a file in
    /// its folder, by the sequence numbers in their names.
    pub(super) fn archived_since(
        &mut self,
        folder: u8,
        name: &FileName,
        seqnum_id: &[u8; 16],
        tail_seqnum: u64,
        found: &mut [FileName],
    ) -> usize {
        let Some(stem) = name.as_bytes().strip_suffix(b".journal") else { return 0 };
        self.path_of(folder, b"");
        let Self { path, entries, .. } = self;
        let mut count = 0;
        let listed = File::open(&*path).and_then(|dir| {
            sys::list_dir(&dir, entries, |archived| {
                if let Some((id, head)) = seqnums(archived, stem)
                    && id == *seqnum_id
                    && head > tail_seqnum
                    && let Some(place) = found.get_mut(count)
                {
                    *place = FileName::new(archived);
                    count += 1;
                }
            })
        });
        // If it cannot be listed, nothing was found.
        if listed.is_ok() { count } else { 0 }
    }
}

/// Seats a folder, in a place of its own or of one that is gone.
fn seat(folders: &mut Vec<Folder>, is_run: bool, name: FileName) {
    let known = folders.iter_mut().find(|own| own.is_run == is_run && own.name == name);
    if let Some(folder) = known {
        folder.is_there = true;
    } else if folders.len() < FOLDERS_MAX {
        folders.push(Folder { is_run, name, is_there: true, watch: Watch::default() });
    }
}

/// A machine id, perhaps with a namespace. (`remote` holds the lines of others.)
fn is_machine(name: &[u8]) -> bool {
    let Some((id, rest)) = name.split_at_checked(32) else { return false };
    id.iter().all(u8::is_ascii_hexdigit) && matches!(rest.first(), None | Some(b'.'))
}

/// A file that is written to: the system's, or a user's.
fn is_followed(name: &[u8]) -> bool {
    let user = || name.strip_prefix(b"user-")?.strip_suffix(b".journal");
    let is_number = |uid: &[u8]| !uid.is_empty() && uid.iter().all(u8::is_ascii_digit);
    name == b"system.journal" || user().is_some_and(is_number)
}

/// Sequence number id and first sequence number in the name of an archived file.
fn seqnums(name: &[u8], stem: &[u8]) -> Option<([u8; 16], u64)> {
    let rest = name.strip_prefix(stem)?.strip_prefix(b"@")?.strip_suffix(b".journal")?;
    let mut parts = rest.split(|&byte| byte == b'-');
    let (id, head) = (parts.next()?, parts.next()?);
    if head.len() > 16 {
        return None;
    }
    let digit = |&digit: &u8| char::from(digit).to_digit(16).map(u64::from);
    let head = head.iter().try_fold(0, |value, byte| Some(value << 4 | digit(byte)?))?;
    Some((id128(id)?, head))
}

/// 32 hexadecimal digits; dashes between them do not count.
pub(super) fn id128(text: &[u8]) -> Option<[u8; 16]> {
    let mut id = [0_u8; 16];
    let mut digits = text.iter().filter(|&&byte| byte != b'-');
    for place in &mut id {
        for _ in 0..2 {
            let digit = char::from(*digits.next()?).to_digit(16)?;
            *place = *place << 4 | u8::try_from(digit).ok()?;
        }
    }
    digits.next().is_none().then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(is_machine(id.as_bytes()));
        assert!(is_machine(format!("{id}.game").as_bytes()));
        assert!(!is_machine(b"remote"));
        for (name, expected) in [
            ("system.journal", true),
            ("user-1000.journal", true),
            ("user-.journal", false),
            ("remote-10.0.0.1.journal", false),
            ("system@0-0-0.journal", false),
            ("system.journal~", false),
        ] {
            assert_eq!(is_followed(name.as_bytes()), expected, "{name}");
        }
        let archived = format!("system@{id}-00000000000012ab-00061234.journal");
        let expected = (id128(id.as_bytes()).unwrap(), 0x12ab);
        assert_eq!(seqnums(archived.as_bytes(), b"system"), Some(expected));
        assert_eq!(seqnums(archived.as_bytes(), b"user-1000"), None);
        assert_eq!(seqnums(b"system@x-y.journal", b"system"), None);
    }
}
