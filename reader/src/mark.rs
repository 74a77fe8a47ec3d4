//! `flightrec mark`: the owner's words, left where the recorder finds them.
//!
//! The recording is not touched: a small file in a folder, and the recorder, which looks there once
//! a second, makes an event of it. The folder is locked while somebody looks.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flightrec_format::limits::TEXT_LEN_MAX;

use crate::Output;
use crate::args::Mark;
use crate::outcome::{Outcome, Trouble};
use crate::views::text::escape;
use crate::zone::{boottime_ms, now_ms};

/// Where the service's files are that live as long as the machine is up.
const RUNTIME: &str = "/run/flightrec";

/// Leaves a mark for the recorder.
pub fn run(wish: &Mark, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let text = one_line(&wish.words.join(" "))?;
    leave(&folder(), &text)?;
    writeln!(output.data, "marked: {}", escape(&text))?;
    Ok(Outcome::Whole)
}

/// The words in one line, whatever the shell made of them.
fn one_line(words: &str) -> Result<String, Trouble> {
    let text: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    if text.is_empty() {
        return Err(Trouble::usage("a mark needs words, as in `flightrec mark upgraded vector`"));
    }
    let len = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if len > TEXT_LEN_MAX {
        return Err(Trouble::usage(format!(
            "a mark has at most {TEXT_LEN_MAX} bytes; these are {len}. Nothing was marked."
        )));
    }
    Ok(text.to_owned())
}

/// The same folder that the recorder looks into.
fn folder() -> PathBuf {
    let given = std::env::var_os("RUNTIME_DIRECTORY").filter(|given| !given.is_empty());
    let given = given.unwrap_or_else(|| RUNTIME.into());
    let first = given.as_bytes().split(|&byte| byte == b':').next().unwrap_or_default();
    Path::new(OsStr::from_bytes(first)).join("marks")
}

fn leave(folder: &Path, text: &str) -> Result<(), Trouble> {
    let failed = |error: &io::Error| trouble(folder, error);
    let dir = File::open(folder).map_err(|error| failed(&error))?;
    match dir.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        // We could lock it: nobody looks into it.
        Ok(()) => return Err(nobody(folder)),
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    let boottime_ms = boottime_ms().ok_or_else(|| {
        Trouble::new(Outcome::Failed, "cannot read /proc/uptime: nothing was marked")
    })?;
    let own = std::process::id();
    let (new, name) = (
        folder.join(format!(".{boottime_ms}-{own}.new")),
        folder.join(format!("{boottime_ms:015}-{own}.mark")),
    );
    let line = format!("flightrec-mark 1 {boottime_ms} {} {text}\n", now_ms());
    // Whole or not at all: the recorder may look at any moment.
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .and_then(|()| fs::rename(&new, &name));
    written.map_err(|error| {
        fs::remove_file(&new).unwrap_or_default();
        failed(&error)
    })
}

fn nobody(folder: &Path) -> Trouble {
    Trouble::new(
        Outcome::Failed,
        format!(
            "no recorder is running on this machine: nothing was marked\n\
             None looks into {}.\n\
             Start it: systemctl start flightrec",
            escape(&folder.to_string_lossy())
        ),
    )
}

fn trouble(folder: &Path, error: &io::Error) -> Trouble {
    let shown = escape(&folder.to_string_lossy());
    match error.kind() {
        io::ErrorKind::NotFound => nobody(folder),
        io::ErrorKind::PermissionDenied => Trouble::new(
            Outcome::Failed,
            format!(
                "not allowed to leave a mark in {shown}\n\
                 Only root and the user that the recorder runs as may: use `sudo flightrec mark`."
            ),
        ),
        _ => Trouble::new(Outcome::Failed, format!("cannot leave a mark in {shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_one_line_of_at_most_512_bytes() {
        assert_eq!(one_line(" a\nb\u{1b}[2J ").unwrap(), "a b [2J");
        assert!(one_line(&"é".repeat(256)).is_ok());
        for words in ["", " \n ", &"é".repeat(257)] {
            assert_eq!(one_line(words).unwrap_err().outcome, Outcome::Usage);
        }
    }
}
