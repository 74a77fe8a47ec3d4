//! Rows to whole frames: how many samples go in, compressed, under a header (spec W3, W4, W6).

use flightrec_format::frame::{Codec, HEADER_SIZE, Header, flag};
use flightrec_format::limits::{FRAME_SLOTS_MAX, SLOT_SIZE, TAIL_PAYLOAD_MAX};
use flightrec_format::place::Area;

use crate::encoder::{Encoded, Encoder, Line, TooMuch, Wanted};
use crate::events::Events;
use crate::rows::{Cursor, Rows, Step};
use crate::sample::Layout;
use crate::sys::StaticCompressor;
use crate::words::Text;
use crate::words::kept::{SEALED_LEN_MAX, TAIL_LEN_MAX};
use crate::writers::Writers;

pub use stamp::Stamp;

/// Turns a body into a payload; `None` if it does not fit.
pub trait Compressor {
    /// Compresses `body` into `payload` as one zstd frame; returns its length.
    fn compress(&mut self, body: &[u8], payload: &mut [u8]) -> Option<usize>;
}

impl Compressor for StaticCompressor {
    fn compress(&mut self, body: &[u8], payload: &mut [u8]) -> Option<usize> {
        Self::compress(self, body, payload)
    }
}

/// Where a frame will lie.
#[derive(Clone, Copy, Debug)]
pub struct Berth {
    /// Its seq in its area.
    pub seq: u64,
    /// Its first slot in the area.
    pub slot: u32,
}

/// A frame that was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Made {
    /// Slots that it takes.
    pub slots: u16,
    /// First row that it holds.
    pub first_row: u64,
    /// Row behind the last one.
    pub end_row: u64,
    /// Tick of its last record.
    pub last_tick: u64,
    /// Whether samples were cut by rank.
    pub cut: bool,
}

/// Makes frames of one run.
pub struct FrameMaker<C> {
    encoder: Encoder,
    compressor: C,
    step: Step,
    /// Where the last tail frame began: the next one begins there or later.
    window: Cursor,
    /// Where the next history frame begins.
    sealed: Cursor,
    /// Row before which all unsealed rows are known to fit one history frame.
    fits_until: u64,
    /// Bytes of payload per byte of rows in the last full history frame, in 1/1024.
    density: usize,
    /// The same of the last tail frame, which spends more on first values.
    tail_density: usize,
    writers: Writers,
}

/// Most tries to find the largest window that fits: each costs one encoding.
const TRIES_MAX: usize = 16;

impl<C: Compressor> FrameMaker<C> {
    /// Begins before the first row.
    pub fn new(layout: &Layout, columns_max: usize, compressor: C) -> Self {
        Self {
            encoder: Encoder::new(layout, columns_max),
            compressor,
            step: Step::new(layout),
            window: Cursor::new(layout),
            sealed: Cursor::new(layout),
            fits_until: 0,
            density: 700,
            tail_density: 1024,
            writers: Writers::new(layout),
        }
    }

    /// First row that is not sealed.
    pub fn sealed_row(&self) -> u64 {
        self.sealed.row
    }

    /// Who wrote how much between two ticks, as far back as rows are kept.
    pub fn writers(&mut self, rows: &Rows, (from_tick, until_tick): (u64, u64)) -> Text {
        let is_near = rows.tick(self.window.row).is_some_and(|tick| tick <= from_tick);
        let start = if is_near { &self.window } else { &self.sealed };
        let cursor = self.encoder.spare_cursor();
        cursor.copy_from(start);
        self.writers.tell(rows, cursor, &mut self.step, (from_tick, until_tick))
    }

    /// First row that is still needed for a frame to come.
    pub fn needed_row(&self) -> u64 {
        self.sealed.row.min(self.window.row)
    }

    /// Makes a tail frame that holds the rows from `must_row` on and as many older ones as fit.
    /// Those before `durable_row` are durable. `frame` is one slot. `None` only if there are no
    /// rows.
    pub fn tail(
        &mut self,
        (layout, rows, events): (&Layout, &Rows, &Events),
        (must_row, durable_row): (u64, u64),
        facts: Option<(&[u8], u64)>,
        holds: (&Stamp, Berth),
        frame: &mut [u8],
    ) -> Option<Made> {
        let end_row = rows.next();
        let must_row = must_row.min(end_row.checked_sub(1)?);
        // A frame may not begin before the first event that is still known (F4). After a stall far
        // more wait than fit: what is surely too much is not tried.
        let mut bytes = rows.bytes_from(self.window.row);
        let surely_too_much = |bytes: usize, density: usize| {
            bytes.saturating_mul(density) / 1024 > 2 * TAIL_PAYLOAD_MAX
        };
        while self.window.row < must_row
            && (rows.tick(self.window.row).is_none_or(|tick| tick < events.floor_tick())
                || surely_too_much(bytes, self.tail_density))
        {
            bytes = bytes.saturating_sub(rows.row_len(self.window.row));
            rows.advance(&mut self.window, &mut self.step)?;
        }
        let (mut slots_end, mut with_events, mut with_facts) = (usize::MAX, true, true);
        let mut words_len = TAIL_LEN_MAX;
        for tries in 0..2 * TRIES_MAX {
            let first_tick = rows.tick(self.window.row)?;
            let facts = facts.filter(|(_, tick)| with_facts && *tick >= first_tick);
            let facts = facts.map(|(bytes, _)| bytes);
            let line = Line::WHOLE;
            let wanted =
                Wanted { end_row, line, first_tick, facts, slots_end, with_events, words_len };
            let encoded = self.encoder.encode(layout, rows, &self.window, events, wanted).ok();
            if let Some((encoded, packed)) = encoded.and_then(|made| self.pack_tail(made, frame)) {
                let first_row = self.window.row;
                let cut = slots_end != usize::MAX || !with_events;
                let flags = u16::from(facts.is_some()) * flag::HOLDS_FACTS
                    + u16::from(cut) * flag::CUT
                    + u16::from(first_row > durable_row) * flag::SPARSE;
                let ticks = (first_tick, encoded.last_tick);
                let lengths = (packed.0, packed.1, encoded.body_len);
                seal(Area::Tail, holds, ticks, 1, flags, lengths, frame);
                // Messages are left out where they take room from samples; of theirs about half is
                // left when compressed.
                let samples_len = packed.1 - (encoded.words_len / 2).min(packed.1 / 2);
                self.tail_density = samples_len * 1024 / rows.bytes_from(first_row).max(1);
                return Some(Made { slots: 1, first_row, end_row, last_tick: ticks.1, cut });
            }
            if self.window.row < must_row {
                // The overlap shrinks slowly; but if it must, at once.
                let optional = must_row - self.window.row;
                let drop = if tries < 5 { (optional / 6).max(1) } else { optional };
                for _ in 0..drop {
                    rows.advance(&mut self.window, &mut self.step)?;
                }
            } else if words_len > 0 {
                // Last words come last (W3): they stand in the history too.
                words_len = 0;
            } else if facts.is_some() {
                // They stand in the first frame of the run, and will in the history.
                with_facts = false;
            } else if slots_end > 1 {
                slots_end = slots_end.min(layout.slots().len()) / 2;
                slots_end = slots_end.max(1);
            } else if with_events {
                with_events = false;
            } else if self.window.row + 1 < end_row {
                // Better the newest samples alone than no commit: the others wait for their seal.
                for _ in 0..(end_row - self.window.row).div_ceil(2) {
                    rows.advance(&mut self.window, &mut self.step)?;
                }
            } else {
                break;
            }
        }
        None
    }

    /// Compresses a body into a tail frame, if it has room there.
    fn pack_tail(
        &mut self,
        encoded: Encoded,
        frame: &mut [u8],
    ) -> Option<(Encoded, (Codec, usize))> {
        let room = frame.get_mut(HEADER_SIZE..HEADER_SIZE + TAIL_PAYLOAD_MAX)?;
        let body = self.encoder.body(encoded.body_len);
        Some((encoded, pack(&mut self.compressor, body, room)?))
    }

    /// Whether the rows from `row` on may be more than a tail frame holds, as after a stall.
    pub fn overflows(&self, rows: &Rows, row: u64) -> bool {
        rows.bytes_from(row).saturating_mul(self.tail_density) / 1024 > TAIL_PAYLOAD_MAX
    }

    /// Whether the rows from `row` on, and one more, would fill half a tail frame (W3).
    pub fn fills_half(&self, rows: &Rows, row: u64) -> bool {
        let more = rows.row_len(rows.next().saturating_sub(1));
        let guess = (rows.bytes_from(row) + more).saturating_mul(self.tail_density) / 1024;
        guess >= TAIL_PAYLOAD_MAX / 2
    }

    /// Whether the unsealed rows may be more than a history frame holds: a guess, from the last
    /// one, that spares encodings.
    pub fn may_be_full(&self, rows: &Rows) -> bool {
        let guess = rows.bytes_from(self.sealed.row).saturating_mul(self.density) / 1024;
        guess >= usize::from(FRAME_SLOTS_MAX) * SLOT_SIZE - HEADER_SIZE
    }

    /// Makes a history frame of the unsealed rows before `end_row`, as many as fit. With
    /// `only_full`, makes none unless they are more than fit. `frame` is 16 slots.
    pub fn history(
        &mut self,
        records: (&Layout, &Rows, &Events),
        (end_row, only_full): (u64, bool),
        facts: Option<&[u8]>,
        frame: &mut [u8],
    ) -> Option<PendingSeal> {
        let first_row = self.sealed.row;
        if first_row >= end_row {
            return None;
        }
        if let Ok(pending) = self.try_history(records, end_row, facts, frame) {
            self.fits_until = end_row;
            return (!only_full).then_some(pending);
        }
        // Between what is known to fit and what does not: back in growing steps, then by halves.
        let mut fits = self.fits_until.clamp(first_row, end_row - 1);
        let mut too_many = end_row;
        let mut in_frame = None;
        let mut stride = 1;
        for _ in 0..TRIES_MAX {
            if fits + 1 >= too_many {
                break;
            }
            let end = too_many.saturating_sub(stride).max(fits.midpoint(too_many));
            match self.try_history(records, end, facts, frame) {
                Ok(pending) => (fits, in_frame, stride) = (end, Some(pending), u64::MAX),
                Err(most) => {
                    too_many =
                        end.min(first_row.saturating_add(most).saturating_add(1).max(fits + 1));
                    in_frame = None;
                    stride = stride.saturating_mul(2);
                }
            }
        }
        match in_frame {
            Some(pending) if pending.end_row == fits => Some(pending),
            _ => self.try_history(records, fits.max(first_row + 1), facts, frame).ok(),
        }
    }

    /// Makes the payload of a history frame of the unsealed rows before `end_row`. On failure:
    /// how many rows may have room, as far as that is known.
    fn try_history(
        &mut self,
        (layout, rows, events): (&Layout, &Rows, &Events),
        end_row: u64,
        facts: Option<&[u8]>,
        frame: &mut [u8],
    ) -> Result<PendingSeal, u64> {
        let first_row = self.sealed.row;
        let first_tick = rows.tick(first_row).ok_or(u64::MAX)?;
        let (slots_end, with_events, words_len) = (usize::MAX, true, SEALED_LEN_MAX);
        let line = Line::WHOLE;
        let wanted = Wanted { end_row, line, first_tick, facts, slots_end, with_events, words_len };
        let encoded = self.encoder.encode(layout, rows, &self.sealed, events, wanted);
        let encoded = encoded.map_err(|too_much| match too_much {
            TooMuch::Rows(rows) => rows,
            TooMuch::Everything => 1,
        })?;
        let room = frame.get_mut(HEADER_SIZE..).ok_or(u64::MAX)?;
        let body = self.encoder.body(encoded.body_len);
        let packed = pack(&mut self.compressor, body, room).ok_or(u64::MAX)?;
        let bytes = rows.bytes_from(first_row) - rows.bytes_from(end_row);
        self.density = packed.1 * 1024 / bytes.max(1);
        Ok(PendingSeal { first_row, end_row, first_tick, encoded, packed })
    }

    /// Writes the header of a history frame whose payload stands in `frame`. Its rows count as
    /// sealed only when it is durable: then [`Self::pass`].
    pub fn finish_history(
        &self,
        pending: &PendingSeal,
        holds_facts: bool,
        (stamp, berth): (&Stamp, Berth),
        frame: &mut [u8],
    ) -> Made {
        let slots = pending.slots();
        let ticks = (pending.first_tick, pending.encoded.last_tick);
        let lengths = (pending.packed.0, pending.packed.1, pending.encoded.body_len);
        let flags = u16::from(holds_facts) * flag::HOLDS_FACTS;
        let end = usize::from(slots) * SLOT_SIZE;
        let frame = frame.get_mut(..end).unwrap_or_default();
        seal(Area::History, (stamp, berth), ticks, slots, flags, lengths, frame);
        let (first_row, end_row) = (pending.first_row, pending.end_row);
        Made { slots, first_row, end_row, last_tick: ticks.1, cut: false }
    }

    /// The rows before `end_row` are sealed.
    pub fn pass(&mut self, rows: &Rows, end_row: u64) {
        while self.sealed.row < end_row {
            if rows.advance(&mut self.sealed, &mut self.step).is_none() {
                break;
            }
        }
    }

    /// Makes an archive frame of the archived events of these ticks. `frame` is one slot.
    pub fn archive(
        &mut self,
        events: &Events,
        ticks: (u64, u64),
        facts: Option<&[u8]>,
        (stamp, berth): (&Stamp, Berth),
        frame: &mut [u8],
    ) -> bool {
        let made = self.encoder.encode_events(events, ticks, facts).and_then(|body_len| {
            let room = frame.get_mut(HEADER_SIZE..SLOT_SIZE)?;
            let body = self.encoder.body(body_len);
            Some((pack(&mut self.compressor, body, room)?, body_len))
        });
        let Some(((codec, payload_len), body_len)) = made else { return false };
        let flags = u16::from(facts.is_some()) * flag::HOLDS_FACTS;
        let lengths = (codec, payload_len, body_len);
        seal(Area::Archive, (stamp, berth), ticks, 1, flags, lengths, frame);
        true
    }
}

/// A history frame whose payload is made, and whose header waits for its place.
#[derive(Clone, Copy, Debug)]
pub struct PendingSeal {
    first_row: u64,
    end_row: u64,
    first_tick: u64,
    encoded: Encoded,
    packed: (Codec, usize),
}

impl PendingSeal {
    /// Slots that the frame takes.
    #[must_use]
    pub fn slots(&self) -> u16 {
        u16::try_from((HEADER_SIZE + self.packed.1).div_ceil(SLOT_SIZE)).unwrap_or(FRAME_SLOTS_MAX)
    }

    /// First and last tick of the frame.
    #[must_use]
    pub fn ticks(&self) -> (u64, u64) {
        (self.first_tick, self.encoded.last_tick)
    }
}

/// Compresses a body, or takes it as it is where that is shorter.
fn pack(compressor: &mut impl Compressor, body: &[u8], room: &mut [u8]) -> Option<(Codec, usize)> {
    match compressor.compress(body, room) {
        Some(len) if len < body.len() => Some((Codec::Zstd, len)),
        _ => {
            room.get_mut(..body.len())?.copy_from_slice(body);
            Some((Codec::Plain, body.len()))
        }
    }
}

fn seal(
    area: Area,
    (stamp, berth): (&Stamp, Berth),
    (first_tick, last_tick): (u64, u64),
    slots: u16,
    compatible_flags: u16,
    (codec, payload_len, body_len): (Codec, usize, usize),
    frame: &mut [u8],
) {
    let mut header = Header {
        compatible_flags,
        area,
        codec,
        recording_id: stamp.recording_id,
        boot_id: stamp.boot_id,
        run_id: stamp.run_id,
        seq: berth.seq,
        first_tick,
        last_tick,
        interval_ns: stamp.interval_ns,
        boottime_ns: stamp.boottime_ns,
        monotonic_ns: stamp.monotonic_ns,
        realtime_ns: stamp.realtime_ns,
        boot_ordinal: stamp.boot_ordinal,
        slot: berth.slot,
        slots,
        synced: stamp.synced,
        payload_len: u32::try_from(payload_len).unwrap_or(0),
        body_len: u32::try_from(body_len).unwrap_or(0),
        payload_crc: 0,
        facts_crc: stamp.facts_crc,
        budget_kib: stamp.budget_kib,
    };
    header.seal(frame);
}

mod coarse;
mod stamp;
#[cfg(test)]
mod tests;
