//! Where a snapshot goes: into the file that was named, or into a folder under a name of its own.
//!
//! The folder of this machine is bounded, for it shares its disk with everything else. What is in it
//! was kept on purpose, so nothing is ever removed from it: when it is full, its owner decides.

use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};

use crate::args::{DEFAULT_RECORDING, DEFAULT_SNAPSHOTS, Snapshot};
use crate::outcome::{Outcome, Trouble};
use crate::snapshot::Edge;
use crate::units;
use crate::views::text::escape;
use crate::zone::Zone;

/// Snapshots in the folder of this machine.
const SNAPSHOTS_MAX: usize = 100;
/// Names that are tried.
const NAMES_MAX: u32 = 1000;

/// What was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// This file.
    File(PathBuf),
    /// A file in this folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Whether all in it together may take no more than the recording.
        bounded: bool,
    },
}

impl Target {
    /// Where a snapshot of this recording goes.
    pub fn of(wish: &Snapshot) -> Result<Self, Trouble> {
        if let Some(out) = &wish.output {
            return Ok(Self::File(out.clone()));
        }
        if let Some(folder) = &wish.to {
            return Ok(Self::Folder { path: folder.clone(), bounded: false });
        }
        if wish.file != Path::new(DEFAULT_RECORDING) {
            return Err(Trouble::usage(
                "where shall the snapshot go? Name a file with -o OUT, or a folder with --to DIR.\n\
                 Only the recording of this machine has a folder for its snapshots.",
            ));
        }
        Ok(Self::Folder { path: PathBuf::from(DEFAULT_SNAPSHOTS), bounded: true })
    }

    /// The path of the new file, which takes `bytes`, of a recording of `size` bytes.
    pub fn file(
        &self,
        first: &Edge,
        zone: Zone,
        bytes: u64,
        size: u64,
    ) -> Result<PathBuf, Trouble> {
        let (folder, bounded) = match self {
            Self::File(out) => return Ok(out.clone()),
            Self::Folder { path, bounded } => (path, *bounded),
        };
        if bounded {
            make(folder);
            Room::of(folder).refuse(folder, bytes, size)?;
        }
        let time = first.time_ms.and_then(|time| zone.show(time));
        let time = time.map_or_else(
            || format!("{}s", first.time_ns / 1_000_000_000),
            |time| time.format("%Y-%m-%d-%H%M%S").to_string(),
        );
        let name = format!("{time}-boot{}", first.ordinal);
        let names = (1..=NAMES_MAX).map(|number| {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            folder.join(format!("{name}{more}.frec"))
        });
        let free = names.into_iter().find(|path| fs::symlink_metadata(path).is_err());
        free.ok_or_else(|| {
            let shown = escape(&folder.to_string_lossy());
            Trouble::new(Outcome::Failed, format!("{shown} is full of snapshots called {name}"))
        })
    }
}

/// Makes the folder; whether that went well is seen when something is written into it.
fn make(folder: &Path) {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
    #[cfg(not(unix))]
    let _ = &mut builder;
    builder.create(folder).unwrap_or_default();
}

/// What a folder holds already.
#[derive(Debug, Default)]
struct Room {
    count: usize,
    bytes: u64,
    /// The first by name, which begins with its time.
    oldest: Option<(String, u64)>,
}

impl Room {
    fn of(folder: &Path) -> Self {
        let mut room = Self::default();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(metadata) = entry.metadata() else { continue };
            if !metadata.is_file() {
                continue;
            }
            let bytes = taken(&metadata);
            room.count += 1;
            room.bytes = room.bytes.saturating_add(bytes);
            if room.oldest.as_ref().is_none_or(|(oldest, _)| name < *oldest) {
                room.oldest = Some((name, bytes));
            }
        }
        room
    }

    fn refuse(&self, folder: &Path, bytes: u64, size: u64) -> Result<(), Trouble> {
        if self.count < SNAPSHOTS_MAX && self.bytes.saturating_add(bytes) <= size {
            return Ok(());
        }
        let shown = |bytes| units::bytes(figure(bytes));
        let oldest = self
            .oldest
            .as_ref()
            .map(|(name, bytes)| format!(" (the oldest: {}, {})", escape(name), shown(*bytes)));
        Err(Trouble::new(
            Outcome::Failed,
            format!(
                "{} is full: {} in {} files, and this snapshot takes {} more. They may take as much \
                 as the recording, {}, in at most {SNAPSHOTS_MAX}.\n\
                 Remove what is no longer needed{}, or name another place with -o or --to.",
                escape(&folder.to_string_lossy()),
                shown(self.bytes),
                self.count,
                shown(bytes),
                shown(size),
                oldest.unwrap_or_default()
            ),
        ))
    }
}

/// Bytes that a file takes on the disk: its holes take none.
fn taken(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512);
    #[cfg(not(unix))]
    metadata.len()
}

#[expect(clippy::as_conversions, reason = "figures for people")]
fn figure(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge() -> Edge {
        Edge { at: (0, 0), ordinal: 7, tick: 90, time_ns: 90_500_000_000, time_ms: None }
    }

    /// Nothing that was kept is removed: when the folder is full, that is said.
    #[test]
    fn the_folder_of_this_machine_takes_no_more_than_the_recording() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("snapshots");
        let target = Target::Folder { path: path.clone(), bounded: true };
        let file = |bytes| target.file(&edge(), Zone::UTC, bytes, 1 << 20);
        let first = file(1 << 20).unwrap();
        assert_eq!(first, path.join("90s-boot7.frec"), "without a date: by its time since boot");
        fs::write(&first, vec![1; 700 << 10]).unwrap();
        assert_eq!(file(200 << 10).unwrap(), path.join("90s-boot7-2.frec"));
        let full = file(500 << 10).unwrap_err();
        assert_eq!(full.outcome, Outcome::Failed);
        assert!(full.message.contains("is full") && full.message.contains("90s-boot7.frec"));
        assert!(full.message.lines().count() <= 3 && first.exists());
        let elsewhere = Target::Folder { path, bounded: false };
        assert!(elsewhere.file(&edge(), Zone::UTC, 500 << 10, 1 << 20).is_ok());
        for number in 0..SNAPSHOTS_MAX {
            fs::write(first.with_file_name(format!("{number}.frec")), "").unwrap();
        }
        assert!(file(0).unwrap_err().message.contains("at most 100"));
    }
}
