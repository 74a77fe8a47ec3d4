//! Frames: is this slot ours, and whole? (spec section 5 and the table of 9.1)
//!
//! A frame is written whole and never modified, so a reader needs one question only: do these
//! bytes carry the checksums of a complete frame? The header has its own, so that all headers
//! can be read and only the payloads that are needed.

use crate::crc::checksum;
use crate::limits::{BODY_LEN_MAX, FRAME_SLOTS_MAX, SLOT_SIZE, TAIL_PAYLOAD_MAX};
use crate::place::Area;
use crate::superblock::Fields;
use crate::varint::Malformed;

/// First bytes of every frame. The high bit of the first byte keeps it apart from text.
pub const MAGIC: [u8; 4] = [0xf8, b'F', b'R', b'1'];

/// Bytes of a frame's header.
pub const HEADER_SIZE: usize = 144;

/// Bits of `compatible_flags`.
pub mod flag {
    /// The frame holds run facts.
    pub const HOLDS_FACTS: u16 = 1;
    /// Samples were cut by rank (W6).
    pub const CUT: u16 = 2;
    /// Samples between the first and last tick are left out, which were not durable (W13).
    pub const SPARSE: u16 = 4;
}

/// How the payload holds the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Codec {
    /// As it is.
    Plain = 0,
    /// As one zstd frame.
    Zstd = 1,
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Bits of [`flag`]; unknown ones are ignored (E2).
    pub compatible_flags: u16,
    /// Part of the recording that it was written for.
    pub area: Area,
    /// How the payload holds the body.
    pub codec: Codec,
    /// As in the superblock.
    pub recording_id: [u8; 16],
    /// Of the kernel.
    pub boot_id: [u8; 16],
    /// Random, one per start of the recorder.
    pub run_id: [u8; 8],
    /// Of the frame, in its area.
    pub seq: u64,
    /// Of the oldest record inside.
    pub first_tick: u64,
    /// Of the newest record inside.
    pub last_tick: u64,
    /// Sampling interval of the run, nanoseconds; never 0.
    pub interval_ns: u64,
    /// `CLOCK_BOOTTIME` when the frame was made.
    pub boottime_ns: u64,
    /// `CLOCK_MONOTONIC` when the frame was made.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME` when the frame was made.
    pub realtime_ns: i64,
    /// Counts the boots that this recording has seen, from 1.
    pub boot_ordinal: u32,
    /// Index of the first slot within the area.
    pub slot: u32,
    /// Slots taken, 1 ..= 16.
    pub slots: u16,
    /// Whether the kernel called real time synchronised.
    pub synced: bool,
    /// Bytes of payload.
    pub payload_len: u32,
    /// Bytes of the body.
    pub body_len: u32,
    /// Checksum of the payload.
    pub payload_crc: u32,
    /// Checksum of the run facts of this run; 0: none.
    pub facts_crc: u32,
    /// Level of the write budget, KiB.
    pub budget_kib: u32,
}

/// Why a slot begins no frame for us. Each is an ordinary sight, not an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotAFrame {
    /// Nothing was ever written here.
    Blank,
    /// The magic is wrong, or the header's checksum does not hold: noise, or torn.
    Damaged,
    /// A whole header, written by a later version than ours.
    Newer {
        /// Its version.
        version: u16,
        /// Its incompatible flags.
        flags: u16,
    },
    /// The header is whole, and lies: a length, area or interval that cannot be.
    Impossible(&'static str),
}

impl Header {
    /// Reads the header at the start of `slot`. Says nothing yet about its place, its recording,
    /// or its payload.
    pub fn read(slot: &[u8]) -> Result<Self, NotAFrame> {
        let bytes = slot.first_chunk::<HEADER_SIZE>().ok_or(NotAFrame::Damaged)?;
        if bytes.iter().all(|&byte| byte == 0) {
            return Err(NotAFrame::Blank);
        }
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(NotAFrame::Damaged)?;
        let (crc, covered) = rest.split_first_chunk::<4>().ok_or(NotAFrame::Damaged)?;
        if *magic != MAGIC || u32::from_le_bytes(*crc) != checksum(covered) {
            return Err(NotAFrame::Damaged);
        }
        let mut fields = Fields(covered);
        let version = fields.u16().map_err(|_| NotAFrame::Damaged)?;
        let flags = fields.u16().map_err(|_| NotAFrame::Damaged)?;
        if version > crate::VERSION || flags != 0 {
            return Err(NotAFrame::Newer { version, flags });
        }
        if version == 0 {
            return Err(NotAFrame::Impossible("a version that never was"));
        }
        let header = fields.header().map_err(|Malformed(why)| NotAFrame::Impossible(why))?;
        header.check().map_err(|Malformed(why)| NotAFrame::Impossible(why))?;
        Ok(header)
    }

    /// Most bytes of payload that a frame like this has room for (F1).
    #[must_use]
    pub fn payload_max(&self) -> usize {
        match self.area {
            Area::Tail => TAIL_PAYLOAD_MAX,
            Area::Archive | Area::History => usize::from(self.slots) * SLOT_SIZE - HEADER_SIZE,
        }
    }

    /// The payload in `frame` (all slots of it), if its checksum holds.
    #[must_use]
    pub fn payload<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let len = usize::try_from(self.payload_len).ok()?;
        let payload = frame.get(HEADER_SIZE..HEADER_SIZE.checked_add(len)?)?;
        (checksum(payload) == self.payload_crc).then_some(payload)
    }

    /// Writes the header before the payload that already stands in `frame` at
    /// [`HEADER_SIZE`], with both checksums, and zeros after it (F2).
    pub fn seal(&mut self, frame: &mut [u8]) {
        let end = HEADER_SIZE + usize::try_from(self.payload_len).unwrap_or(0);
        if let Some(rest) = frame.get_mut(end..) {
            rest.fill(0);
        }
        self.payload_crc = frame.get(HEADER_SIZE..end).map_or(0, checksum);
        let fields: [&[u8]; 24] = [
            &crate::VERSION.to_le_bytes(),
            &0_u16.to_le_bytes(),
            &self.compatible_flags.to_le_bytes(),
            &[self.area.number()],
            &[match self.codec {
                Codec::Plain => 0,
                Codec::Zstd => 1,
            }],
            &self.recording_id,
            &self.boot_id,
            &self.run_id,
            &self.seq.to_le_bytes(),
            &self.first_tick.to_le_bytes(),
            &self.last_tick.to_le_bytes(),
            &self.interval_ns.to_le_bytes(),
            &self.boottime_ns.to_le_bytes(),
            &self.monotonic_ns.to_le_bytes(),
            &self.realtime_ns.to_le_bytes(),
            &self.boot_ordinal.to_le_bytes(),
            &self.slot.to_le_bytes(),
            &self.slots.to_le_bytes(),
            &u16::from(self.synced).to_le_bytes(),
            &self.payload_len.to_le_bytes(),
            &self.body_len.to_le_bytes(),
            &self.payload_crc.to_le_bytes(),
            &self.facts_crc.to_le_bytes(),
            &self.budget_kib.to_le_bytes(),
        ];
        let bytes = fields.iter().flat_map(|field| field.iter());
        for (place, &byte) in frame.iter_mut().skip(8).zip(bytes) {
            *place = byte;
        }
        let crc = frame.get(8..HEADER_SIZE).map_or(0, checksum).to_le_bytes();
        for (place, byte) in frame.iter_mut().zip(MAGIC.into_iter().chain(crc)) {
            *place = byte;
        }
    }

    /// Row 8 of the verdict table, F1 and F6: what no writer would write.
    fn check(&self) -> Result<(), Malformed> {
        let slots_max = if self.area == Area::History { FRAME_SLOTS_MAX } else { 1 };
        if !(1..=slots_max).contains(&self.slots) {
            return Err(Malformed("a count of slots that cannot be"));
        }
        let payload_len = usize::try_from(self.payload_len).unwrap_or(usize::MAX);
        if payload_len > self.payload_max() {
            return Err(Malformed("a payload longer than its slots"));
        }
        if (HEADER_SIZE + payload_len).div_ceil(SLOT_SIZE) != usize::from(self.slots) {
            return Err(Malformed("more slots than the payload needs"));
        }
        if self.body_len > BODY_LEN_MAX
            || (self.codec == Codec::Plain && self.body_len != self.payload_len)
        {
            return Err(Malformed("a length of the body that cannot be"));
        }
        if self.interval_ns == 0 || self.first_tick > self.last_tick {
            return Err(Malformed("ticks that cannot be"));
        }
        // Boot times must fit a signed number of nanoseconds: 292 years.
        if self.last_tick.checked_mul(self.interval_ns).is_none_or(|ns| ns.leading_zeros() == 0) {
            return Err(Malformed("a tick beyond all time"));
        }
        Ok(())
    }
}

impl Fields<'_> {
    fn header(&mut self) -> Result<Header, Malformed> {
        let compatible_flags = self.u16()?;
        let [area, codec] = self.take()?;
        Ok(Header {
            compatible_flags,
            area: Area::from_number(area).ok_or(Malformed("an area that cannot be"))?,
            codec: match codec {
                0 => Codec::Plain,
                1 => Codec::Zstd,
                _ => return Err(Malformed("a codec that cannot be")),
            },
            recording_id: self.take()?,
            boot_id: self.take()?,
            run_id: self.take()?,
            seq: self.u64()?,
            first_tick: self.u64()?,
            last_tick: self.u64()?,
            interval_ns: self.u64()?,
            boottime_ns: self.u64()?,
            monotonic_ns: self.u64()?,
            realtime_ns: self.take().map(i64::from_le_bytes)?,
            boot_ordinal: self.u32()?,
            slot: self.u32()?,
            slots: self.u16()?,
            synced: self.u16()? & 1 != 0,
            payload_len: self.u32()?,
            body_len: self.u32()?,
            payload_crc: self.u32()?,
            facts_crc: self.u32()?,
            budget_kib: self.u32()?,
        })
    }
}

#[cfg(test)]
mod tests;
