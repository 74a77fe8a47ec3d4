//! What is read on the slow thread: drivers and file systems that may hang.
//!
//! Each look keeps its files open and opens others only when a folder has changed, so that it
//! allocates nothing while nothing is new.

pub(super) mod frequency;
pub(super) mod links;
pub(super) mod mounts;
pub(super) mod power;
pub(super) mod storage;
pub(super) mod thermal;

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::procfile::{ProcFile, fields, number};
use crate::sys;

/// A folder that is listed now and then, to see whether anything came or went.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: Option<File>,
    entries: Box<[u8]>,
    sum: u64,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, dir: None, entries: vec![0; 2048].into_boxed_slice(), sum: 0 }
    }

    /// Whether other names stand there than last time; at first, whether there are any.
    pub(super) fn has_changed(&mut self) -> bool {
        // Drivers come while the machine boots, and we were first.
        if self.dir.is_none() {
            self.dir = File::open(&self.path).ok();
        }
        let Some(dir) = &self.dir else { return false };
        let mut sum = 0_u64;
        let add = |name: &[u8]| {
            // FNV-1a of each name; their sum does not depend on the order.
            let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            sum = sum.wrapping_add(hash);
        };
        if sys::list_dir(dir, &mut self.entries, add).is_err() {
            return false;
        }
        let changed = sum != self.sum;
        self.sum = sum;
        changed
    }

    /// The names that stand there now, in their numbers' order. Allocates.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The one word of a small file, as a number.
fn value(file: &mut ProcFile) -> Option<u64> {
    number(word(file)?)
}

/// The first word of a small file.
fn word(file: &mut ProcFile) -> Option<&[u8]> {
    fields(file.read().ok()?).next()
}

/// A decimal number that may be negative.
fn signed(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        Some(digits) => Some(-i64::try_from(number(digits)?).ok()?),
        None => i64::try_from(number(text)?).ok(),
    }
}

/// A hexadecimal number, with or without `0x`.
fn hexadecimal(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &byte| {
        Some(value << 4 | u64::from(char::from(byte).to_digit(16)?))
    })
}

/// The text of a small file at start or when a folder has changed. Allocates.
fn text(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

/// Opens a file that is there.
fn open(path: &Path) -> Option<ProcFile> {
    Some(ProcFile::open(path)).filter(|file| file.missing().is_none())
}

#[cfg(test)]
mod tests;
