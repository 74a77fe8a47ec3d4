//! What is at a path before a recording is created there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use flightrec_format::frame::Header;
use flightrec_format::limits::{RECORDING_SIZE_MIN, SLOT_SIZE};
use flightrec_format::superblock::{NotASuperblock, Superblock, flag};

use super::fill::superblock_at;
use super::{held, not_created};
use crate::error::{Error, reason};
use crate::sys;
use crate::units::show_size;

/// A regular file that is in the way, or what is on a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Occupant {
    /// A recording.
    Recording(Superblock),
    /// A recording that a later version made.
    Newer,
    /// A recording that lost its superblocks, but not its frames.
    Headless,
    /// Zeros: a creation over an existing file that was cut.
    Unfinished,
    /// Nothing in it.
    Empty,
    /// Another program's.
    Foreign,
    /// We may not look into it.
    Closed(String),
}

/// The path behind a link, for a link must not be renamed over.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Ok(path.to_owned());
    }
    fs::canonicalize(path).map_err(|error| {
        let what = format!("{} is a link that leads nowhere: {}", path.display(), reason(&error));
        Error::new(what, "Remove it, or name the file itself.")
    })
}

/// Looks at a path. `None`: it is free. What no recording can replace is an error at once.
pub(super) fn look(path: &Path) -> Result<Option<Occupant>, Error> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(not_created(path, 0, &error)),
    };
    let kind = metadata.file_type();
    let path_shown = path.display();
    if kind.is_dir() {
        let advice = format!("Name a file in it: {}", path.join("recording.frec").display());
        return Err(Error::new(format!("{path_shown} is a directory"), advice));
    }
    if !kind.is_file() {
        return Err(Error::new(
            format!("{path_shown} is not a regular file"),
            "Name a file on a disk or card.",
        )
        .matters("A recording needs a place that keeps what is written to it."));
    }
    let occupant = File::open(path).and_then(|file| occupant(&file, metadata.len()));
    Ok(Some(occupant.unwrap_or_else(|error| Occupant::Closed(reason(&error)))))
}

pub(super) fn occupant(file: &File, len: u64) -> io::Result<Occupant> {
    if len == 0 {
        return Ok(Occupant::Empty);
    }
    let last = (len / 4096).saturating_sub(1);
    if let Some(superblock) =
        [0, last].into_iter().find_map(|slot| superblock_at(&mut &*file, slot))
    {
        return Ok(Occupant::Recording(superblock));
    }
    let mut start = vec![0; START_SLOTS * SLOT_SIZE];
    let filled = read_start(file, &mut start)?;
    let start = start.get(..filled).unwrap_or_default();
    let first = Superblock::read(start);
    Ok(match first {
        Err(NotASuperblock::Newer { .. }) => Occupant::Newer,
        Err(NotASuperblock::Damaged) => Occupant::Headless,
        _ if start.chunks_exact(SLOT_SIZE).any(|slot| Header::read(slot).is_ok()) => {
            Occupant::Headless
        }
        _ if len >= RECORDING_SIZE_MIN && start.iter().all(|&byte| byte == 0) => {
            Occupant::Unfinished
        }
        _ => Occupant::Foreign,
    })
}

/// Slots at the start of a file that are searched for frames: every recorder that ran for a while
/// has left some there.
const START_SLOTS: usize = 49;

fn read_start(file: &File, start: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < start.len() {
        let offset = u64::try_from(filled).unwrap_or(0);
        match file.read_at(start.get_mut(filled..).unwrap_or_default(), offset) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Occupant {
    /// Why this file is not overwritten without `--force`.
    pub(super) fn refusal(&self, path: &Path) -> Error {
        let what = match self {
            Self::Recording(superblock) => format!(
                "a {} of {}, made {}",
                if is_snapshot(superblock) { "snapshot of a recording" } else { "recording" },
                show_size(superblock.geometry.size),
                show_date(superblock.created_realtime_ns)
            ),
            Self::Newer => "a recording made by a later version of flightrec".to_owned(),
            Self::Headless => "a recording whose superblocks are damaged".to_owned(),
            Self::Unfinished => {
                "zeros, no recording: a creation that was cut short, perhaps".to_owned()
            }
            Self::Empty => "an empty file".to_owned(),
            Self::Foreign => "no recording, but the file of another program".to_owned(),
            Self::Closed(reason) => format!("a file that cannot be read ({reason})"),
        };
        let advice = match self {
            Self::Recording(_) | Self::Newer | Self::Headless => format!(
                "See what it holds (flightrec dump {}); to give that up, add --force.",
                path.display()
            ),
            Self::Unfinished | Self::Empty => "To make a recording of it, add --force.".to_owned(),
            Self::Foreign | Self::Closed(_) => {
                "Choose another path. With --force it would be destroyed.".to_owned()
            }
        };
        Error::new(format!("{} is there already: {what}", path.display()), advice)
            .matters("Nothing was changed.")
    }
}

/// Whether it is a piece of a recording, which nobody records into.
pub(super) fn is_snapshot(superblock: &Superblock) -> bool {
    superblock.compatible_flags & flag::SNAPSHOT != 0
}

/// A day in UTC, or that the clock did not know it.
fn show_date(realtime_ns: i64) -> String {
    // Before the format existed: a board without a clock that had not heard of the time yet.
    const FIRST_NS: i64 = 1_704_067_200_000_000_000;
    if realtime_ns < FIRST_NS {
        return "while the clock was not set".to_owned();
    }
    // Days since 0000-03-01, in eras of 400 years, so that the leap day is the last of its year.
    let days = realtime_ns.div_euclid(86_400_000_000_000) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + month / 10, (month + 2) % 12 + 1);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Whether `path` still names the open file.
pub(super) fn is_same(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let opened = file.metadata().map(identity);
    opened.is_ok_and(|opened| fs::symlink_metadata(path).map(identity).is_ok_and(|it| it == opened))
}

/// Removes what an earlier creation left behind when it was cut: a file of ours, locked by nobody.
pub(super) fn remove_left_over(new: &Path, path: &Path) -> Result<(), Error> {
    let fail = |error: &io::Error| {
        Error::io("remove", new, error)
            .matters("An earlier creation that was cut has left it behind.")
            .advise("Remove it by hand, then repeat.")
    };
    match fs::symlink_metadata(new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(not_created(path, 0, &error)),
        Ok(metadata) if !metadata.is_file() => return Err(in_the_way(new)),
        Ok(_) => {}
    }
    let file = File::options().read(true).write(true).open(new).map_err(|error| fail(&error))?;
    if !sys::lock_exclusive(&file).map_err(|error| fail(&error))? {
        return Err(held(new));
    }
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    let found = occupant(&file, len).map_err(|error| fail(&error))?;
    // A cut may have come at any of its steps; a short one has only zeros, too.
    let all_zero = || {
        let mut start = [0; SLOT_SIZE];
        read_start(&file, &mut start).is_ok() && start.iter().all(|&byte| byte == 0)
    };
    let ours = matches!(found, Occupant::Empty | Occupant::Unfinished | Occupant::Recording(_));
    if !ours && !all_zero() {
        return Err(in_the_way(new));
    }
    if is_same(&file, new) {
        fs::remove_file(new).map_err(|error| fail(&error))?;
    }
    Ok(())
}

fn in_the_way(new: &Path) -> Error {
    Error::new(
        format!("{} is in the way, and not ours to remove", new.display()),
        "Move it, then repeat.",
    )
    .matters("A recording is made under this name before it gets its own.")
}
