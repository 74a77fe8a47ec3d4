//! A new file, there whole or not at all: written beside its place, synced, and only then named.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::outcome::Trouble;
use crate::views::text::escape;

/// A file in the making; dropped before it is kept, it was never there.
#[derive(Debug)]
pub struct Draft {
    /// Open for writing.
    pub file: File,
    path: PathBuf,
    out: PathBuf,
    kept: bool,
}

impl Draft {
    /// Begins the file that shall be `out`, readable as `mode` says where there are modes.
    pub fn begin(out: &Path, mode: u32) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(out.file_name().unwrap_or_default());
        name.push(format!(".{}.new", std::process::id()));
        let path = out.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        let file = options.open(&path)?;
        Ok(Self { file, path, out: out.to_owned(), kept: false })
    }

    /// Makes it durable, and gives it its name: a new one, unless it may `replace` a file.
    pub fn keep(mut self, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if replace {
            fs::rename(&self.path, &self.out)?;
        } else {
            match fs::hard_link(&self.path, &self.out) {
                Ok(()) => fs::remove_file(&self.path)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
                // On FAT a file has but one name.
                Err(_) if fs::symlink_metadata(&self.out).is_ok() => {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                Err(_) => fs::rename(&self.path, &self.out)?,
            }
        }
        self.kept = true;
        sync(folder_of(&self.out))
    }
}

/// Makes a new name durable, where a file system knows how to.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        answer => answer,
    }
}

#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

/// The folder that a file lies in.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Refuses what would destroy something, before the long work begins; `source` is `what`.
pub fn check(out: &Path, source: &Path, what: &str, force: bool) -> Result<(), Trouble> {
    let shown = escape(&out.to_string_lossy());
    if is_same(out, source) {
        return Err(Trouble::usage(format!(
            "{shown} is the {what} itself, which must not be overwritten by what comes from it.\n\
             Name another file."
        )));
    }
    match fs::symlink_metadata(out) {
        Ok(there) if !force => Err(Trouble::usage(format!(
            "{shown} exists{}; nothing was written.\nName another file, or use --force.",
            if there.is_dir() { ", and is a directory" } else { "" }
        ))),
        Ok(there) if !there.is_file() => Err(Trouble::usage(format!(
            "{shown} is no ordinary file; --force replaces nothing else. Name another file."
        ))),
        _ => Ok(()),
    }
}

/// Whether two paths are one file, by whatever name.
fn is_same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        let one_device = a.rdev() != 0 && a.rdev() == b.rdev();
        return one_device || (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
