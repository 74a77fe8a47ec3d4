//! A snapshot written out: sparse, its frames in their own places, for its owner's eyes only.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use flightrec_format::frame::Header;
use flightrec_format::limits::SLOT_SIZE;

use crate::Output;
use crate::out::{Draft, folder_of};
use crate::outcome::{Outcome, Trouble};
use crate::progress::Progress;
use crate::recording::{Recording, offset_of};
use crate::scan::Frame;
use crate::snapshot::Made;
use crate::snapshot::keep::Piece;
use crate::units;
use crate::views::text::escape;

/// It names what runs on a machine, and its owner may want to look before others do.
const MODE: u32 = 0o600;

/// Writes it, whole or not at all.
pub(super) fn write(
    recording: &Recording,
    mut made: Made,
    out: &Path,
    replace: bool,
    output: &mut Output<'_>,
) -> Result<(), Trouble> {
    let bytes = made.kept.bytes();
    let written = Draft::begin(out, MODE)
        .and_then(|mut draft| {
            fill(&mut draft.file, recording, &mut made, output)?;
            Ok(draft)
        })
        .and_then(|draft| draft.keep(replace));
    written.map_err(|error| trouble(out, bytes, &error))
}

fn fill(
    file: &mut File,
    recording: &Recording,
    made: &mut Made,
    output: &mut Output<'_>,
) -> io::Result<()> {
    file.set_len(made.superblock.geometry.size)?;
    let mut progress = Progress::new("writing", made.kept.bytes());
    let mut done = 0;
    let mut buffer = Vec::new();
    for piece in std::mem::take(&mut made.kept.pieces) {
        let (slot, count) = piece.slots();
        buffer.clear();
        buffer.resize(usize::try_from(offset_of(count)).unwrap_or(0), 0);
        let read = recording.read(offset_of(slot), &mut buffer).is_ok();
        let copied = match &piece {
            Piece::Frame(frame) => read && is_whole(frame, &buffer),
            Piece::Torn(frame) => read && is_it(frame, &buffer),
            Piece::Lost(_) => {
                if !read {
                    // Not blank, for something may have been there.
                    buffer.fill(0xff);
                }
                Header::read(&buffer).is_err()
            }
        };
        if copied {
            put(file, slot, &buffer)?;
        } else if let Piece::Frame(frame) = &piece
            && read
            && !is_it(frame, &buffer)
        {
            // The writer has come round since we looked: overwritten, as it was before.
            let passed = frame.rank.0.saturating_add(u64::from(frame.slots));
            let lap = u64::from(made.superblock.geometry.history_slots);
            if frame.rank.0 > 0 {
                made.note.history_end = made.note.history_end.max(passed.saturating_add(lap));
            }
        }
        done += offset_of(count);
        progress.at(done, output);
    }
    for (copy, slot) in (0..).zip(made.superblock.geometry.superblock_slots()) {
        put(file, slot, &made.slot(copy))?;
    }
    progress.done(output);
    Ok(())
}

fn put(file: &mut File, slot: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset_of(slot)))?;
    file.write_all(bytes)
}

/// Whether these bytes are still that frame.
fn is_it(frame: &Frame, bytes: &[u8]) -> bool {
    let header = bytes.get(..SLOT_SIZE).map(Header::read);
    header.is_some_and(|header| {
        header.is_ok_and(|header| {
            (header.area, header.seq, header.first_tick, header.slots)
                == (frame.area, frame.seq, frame.first_tick, frame.slots)
        })
    })
}

fn is_whole(frame: &Frame, bytes: &[u8]) -> bool {
    let header = Header::read(bytes);
    is_it(frame, bytes) && header.is_ok_and(|header| header.payload(bytes).is_some())
}

fn trouble(out: &Path, bytes: u64, error: &io::Error) -> Trouble {
    let shown = escape(&out.to_string_lossy());
    let folder = escape(&folder_of(out).to_string_lossy());
    let message = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "no room for {shown}: it takes {} bytes. Nothing of it was left behind.\n\
             Make room in {folder}, or name a file elsewhere with -o.",
            units::bytes(figure(bytes))
        ),
        io::ErrorKind::PermissionDenied => format!(
            "not allowed to write in {folder}: no snapshot was made.\n\
             Use `sudo`, or name a file of your own with -o."
        ),
        io::ErrorKind::NotFound => format!("there is no folder {folder}: no snapshot was made."),
        io::ErrorKind::AlreadyExists => format!(
            "{shown} exists, since a moment ago; it was left as it is, and no snapshot was made."
        ),
        _ => format!("cannot write {shown}: {error}\nNothing of it was left behind."),
    };
    Trouble::new(Outcome::Failed, message)
}

#[expect(clippy::as_conversions, reason = "figures for people")]
fn figure(bytes: u64) -> f64 {
    bytes as f64
}
