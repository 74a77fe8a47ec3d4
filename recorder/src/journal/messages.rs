//! The newest messages that were not there before, each told once, and again when it has doubled.
//!
//! A value is stored once in a file however often it is logged: a new `MESSAGE` is a new distinct
//! message, its counter says how often. The newest are read first, so that the last words are there
//! however many came before them.

use std::fmt::Write;

use super::Listener;
use super::counting::ENTRIES_PER_LOOK;
use super::file::PAYLOAD_LEN_MAX;
use super::layout::{Bad, Data};
use super::name::{Name, SourceName};
use super::rows::Rows;
use super::seat::Seat;
use super::sources::Sources;
use crate::sys::StaticDecompressor;

/// Longest text that is told, bytes.
pub const TEXT_LEN_MAX: usize = 512;

/// New messages of one file that are told in one look, in a calm and in a storm. Who missed some
/// finds them among the lines.
const MESSAGES_PER_LOOK: usize = 16;
const MESSAGES_IN_STORM: usize = 4;

/// Messages that may not be linked to an entry yet, before the newest that is.
const UNLINKED_MAX: u32 = 8;

/// Messages whose repetition is watched, and how many of them in a look in a storm.
const WATCHED_MAX: usize = 16;
const WATCHED_IN_STORM: usize = 2;

const PREFIX: &[u8] = b"MESSAGE=";

/// A message that was told.
#[derive(Clone, Copy, Debug)]
struct Watched {
    file: u8,
    offset: u64,
    source: SourceName,
    severity: u8,
    repeats: u64,
}

/// Those that were told last.
#[derive(Debug)]
pub(super) struct Messages {
    watched: [Option<Watched>; WATCHED_MAX],
    next: usize,
    /// The one that is read next in a storm.
    turn: usize,
    unpacker: Unpacker,
}

/// `None`: there was no memory for it.
type Unpacker = Option<StaticDecompressor>;

impl Messages {
    pub(super) fn new() -> Self {
        Self {
            watched: [None; WATCHED_MAX],
            next: 0,
            turn: 0,
            unpacker: StaticDecompressor::new().ok(),
        }
    }

    /// Forgets a file.
    pub(super) fn forget(&mut self, file: u8) {
        for place in &mut self.watched {
            *place = place.filter(|watched| watched.file != file);
        }
    }

    /// Tells what is new in a file, oldest first.
    pub(super) fn tell(
        &mut self,
        seat: &mut Seat,
        new_entries: u64,
        rows: &Rows,
        sources: &Sources,
        listener: &mut dyn Listener,
    ) -> Result<(), Bad> {
        if !seat.reading.is_measured {
            return Ok(());
        }
        let is_storm = new_entries > ENTRIES_PER_LOOK;
        self.tell_repeated(seat, is_storm, listener)?;
        let most = if is_storm { MESSAGES_IN_STORM } else { MESSAGES_PER_LOOK };
        let mut found = [(0, Data::default()); MESSAGES_PER_LOOK];
        let mut count = 0;
        let newest = seat.fields.newest;
        let told = *seat.fields.told_message();
        let (mut at, mut unlinked) = (newest, 0);
        while at != 0 && at != told && count < most {
            let (data, _) = seat.file.data(at, &mut [])?;
            if data.n_entries == 0 || data.first_entry == 0 {
                // It is being written: another look will find it.
                unlinked += 1;
                if unlinked > UNLINKED_MAX {
                    break;
                }
            } else if data.first_entry < seat.message_floor {
                break;
            } else if let Some(place) = found.get_mut(count) {
                *place = (at, data);
                count += 1;
            }
            at = data.older;
        }
        if let Some((newest, _)) = found.iter().take(count).next() {
            *seat.fields.told_message() = *newest;
        }
        for &(at, data) in found.iter().take(count).rev() {
            let whose = seat.whose(data.first_entry, rows)?;
            let source = sources.name(whose.source());
            let severity = whose.severity.unwrap_or(super::SEVERITY_UNKNOWN);
            let watched = Watched {
                file: seat.number,
                offset: at,
                source,
                severity,
                repeats: data.n_entries,
            };
            tell_one(seat, &mut self.unpacker, &watched, listener)?;
            self.watch(watched);
        }
        Ok(())
    }

    /// In a storm it is the turn of some of them only.
    fn tell_repeated(
        &mut self,
        seat: &mut Seat,
        is_storm: bool,
        listener: &mut dyn Listener,
    ) -> Result<(), Bad> {
        let count = if is_storm { WATCHED_IN_STORM } else { WATCHED_MAX };
        for _ in 0..count {
            self.turn = (self.turn + 1) % WATCHED_MAX;
            let watched = self.watched.get_mut(self.turn).and_then(Option::as_mut);
            let Some(watched) = watched.filter(|watched| watched.file == seat.number) else {
                continue;
            };
            let (data, _) = seat.file.data(watched.offset, &mut [])?;
            let repeats = data.n_entries.min(seat.entries_after);
            if repeats / 2 >= watched.repeats {
                watched.repeats = repeats;
                tell_one(seat, &mut self.unpacker, watched, listener)?;
            }
        }
        Ok(())
    }

    fn watch(&mut self, watched: Watched) {
        if let Some(place) = self.watched.get_mut(self.next % WATCHED_MAX) {
            *place = Some(watched);
        }
        self.next = (self.next + 1) % WATCHED_MAX;
    }
}

/// How a value is compressed.
const XZ: u8 = 1;
const LZ4: u8 = 2;
const ZSTD: u8 = 4;

fn tell_one(
    seat: &mut Seat,
    unpacker: &mut Unpacker,
    told: &Watched,
    listener: &mut dyn Listener,
) -> Result<(), Bad> {
    const LEN: usize = PREFIX.len() + TEXT_LEN_MAX;
    const { assert!(LEN <= PAYLOAD_LEN_MAX) };
    let mut payload = [0; LEN];
    let (data, len) = seat.file.data(told.offset, &mut payload)?;
    let mut payload = payload.get(..len).unwrap_or_default();
    let whole_len = whole_len(&data, payload);
    if data.is_compressed == ZSTD
        && let Some(unpacker) = unpacker
    {
        let len = seat.file.payload(told.offset, &data, unpacker.packed())?;
        payload = unpacker.unpack(len, LEN).unwrap_or_default();
        payload = payload.get(..LEN).unwrap_or(payload);
    }
    let text = payload.strip_prefix(PREFIX);
    let (source, severity, repeats) = (told.source.as_bytes(), told.severity, told.repeats);
    match (data.is_compressed, text) {
        (0 | ZSTD, Some(text)) => listener.message(source, severity, repeats, text),
        (0, None) => return Err(Bad::Damaged("a message")),
        (how, _) => {
            let how = match how {
                XZ => "compressed with xz",
                LZ4 => "compressed with lz4",
                _ => "compressed",
            };
            let mut text = Name::<64>::new(b"");
            write!(text, "({how}, {whole_len} bytes)").ok();
            listener.message(source, severity, repeats, text.as_bytes());
        }
    }
    Ok(())
}

/// How long a compressed message is, where that is told; else as it is stored.
fn whole_len(data: &Data, payload: &[u8]) -> u64 {
    let whole = match data.is_compressed {
        LZ4 => payload.first_chunk().map(|len| u64::from_le_bytes(*len)),
        ZSTD => zstd_len(payload),
        _ => None,
    };
    let prefix = u64::try_from(PREFIX.len()).unwrap_or(0);
    whole.map_or(data.payload_len, |len| len.saturating_sub(prefix))
}

/// The content size in the header of a zstd frame (RFC 8878, 3.1.1.1), without a dictionary.
fn zstd_len(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?.first()?;
    let is_single = descriptor & 0x20 != 0;
    let begin = if is_single { 5 } else { 6 };
    let rest = frame.get(begin..)?;
    match descriptor >> 6 {
        0 if is_single => rest.first().map(|&len| u64::from(len)),
        1 => rest.first_chunk().map(|len| u64::from(u16::from_le_bytes(*len)) + 256),
        2 => rest.first_chunk().map(|len| u64::from(u32::from_le_bytes(*len))),
        3 => rest.first_chunk().map(|len| u64::from_le_bytes(*len)),
        _ => None,
    }
}
