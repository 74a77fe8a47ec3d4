//! Recorders, readers and media with one rule broken on purpose: what the explorer must catch.
//!
//! A rule is broken from outside, so that no shipped code carries a switch for it: an adapter
//! between recorder and disk moves, drops or changes frames; a compressor changes a body; a card
//! has its slots elsewhere; a reader is shown checksums that always hold.

use std::io;

use flightrec_format::frame::{HEADER_SIZE, Header, MAGIC};
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_format::superblock::Geometry;
use flightrec_recorder::disk::Disk;
use flightrec_recorder::frames::Compressor;
use flightrec_recorder::sys::StaticCompressor;

use crate::image::{Image, SLOT};
use crate::physics::Flash;
use crate::sections::with_samples;

/// The rule that is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// A sync does nothing.
    SyncDropped,
    /// A sync that failed is taken for a good one (W7).
    SyncErrorIgnored,
    /// Each tail frame goes where the one before it lies (W5).
    NewestOverwritten,
    /// Checksums are not looked at (9.1).
    ChecksumUnchecked,
    /// All tail frames lie in one lane, one beside the other (P1).
    OneLane,
    /// A run begins beside the newest frame of the dead one (W9).
    LanesIgnoredAfterRestart,
    /// Both lanes lie side by side in flash.
    LanesAdjacent,
    /// Tail slots are used again though what is in them was never sealed (W5).
    ReuseBeforeSeal,
    /// What is salvaged goes where sealed frames lie (W10).
    SalvageOverwrites,
    /// A run uses the seqs of the dead one again (P4).
    SeqReused,
    /// Every boot is the first (V4).
    OrdinalReused,
    /// Frames of another recording are taken for ours (9.1, row 7).
    ForeignAccepted,
    /// All superblocks lie in one flash page (section 3).
    SuperblocksTogether,
    /// Changes are rounded in each frame anew (W8, 7.1).
    PrecisionInTheEncoder,
}

impl Rule {
    /// The disk as the recorder of the run `chapter` meets it.
    #[must_use]
    pub fn disk(self, disk: Box<dyn Disk>, geometry: Geometry, chapter: usize) -> Box<dyn Disk> {
        Box::new(BrokenDisk { rule: self, disk, geometry, chapter, first_seq: None })
    }

    /// The compressor that the recorder uses.
    #[must_use]
    pub fn compressor(self) -> RuledCompressor {
        let honest = StaticCompressor::new().expect("memory");
        let (rounds, packs) =
            (self == Self::PrecisionInTheEncoder, self != Self::ChecksumUnchecked);
        RuledCompressor { honest, rounds, packs }
    }

    /// Where the slots of a recording lie in flash.
    #[must_use]
    pub fn flash(self, geometry: &Geometry) -> Flash {
        let slots = usize::try_from(geometry.size).expect("a small recording") / SLOT;
        let mut flash = Flash::straight(slots);
        let index = |value: u32| usize::try_from(value).expect("a small number");
        let (tail, lane) = (index(geometry.tail_start), index(geometry.lane_slots));
        match self {
            Self::LanesAdjacent => {
                for place in 0..lane {
                    flash.places[tail + place] = tail + 2 * place;
                    flash.places[tail + lane + place] = tail + 2 * place + 1;
                }
            }
            Self::SuperblocksTogether => {
                // Behind everything, with the first slots of the tail beside them.
                for (number, slot) in geometry.superblock_slots().into_iter().enumerate() {
                    let slot = usize::try_from(slot).expect("a small number");
                    flash.places[slot] = slots + 16 + number;
                }
                for place in 0..4 {
                    flash.places[tail + place] = slots + 19 + place;
                }
            }
            _ => {}
        }
        flash
    }

    /// What the reader is shown instead of an image.
    #[must_use]
    pub fn shown(self, image: &Image, geometry: &Geometry) -> Image {
        let mut shown = image.clone();
        for slot in 0..image.len() {
            let mut bytes = image.slot(slot).to_vec();
            if !bytes.starts_with(&MAGIC) {
                continue;
            }
            match self {
                Self::ChecksumUnchecked => believe(&mut bytes),
                Self::ForeignAccepted => {
                    bytes[16..32].fill(0x5a);
                    believe(&mut bytes);
                }
                _ => return shown,
            }
            if geometry.locate(u64::try_from(slot).expect("a small number")).is_some() {
                shown.put(slot, &bytes);
            }
        }
        shown
    }
}

/// Makes both checksums of a frame in one slot hold, whatever stands in it.
fn believe(bytes: &mut [u8]) {
    use flightrec_format::crc::checksum;
    let len = u32::from_le_bytes(bytes[124..128].try_into().expect("four bytes"));
    let len = usize::try_from(len).expect("a small number");
    if let Some(payload) = bytes.get(HEADER_SIZE..HEADER_SIZE.saturating_add(len)) {
        let crc = checksum(payload).to_le_bytes();
        bytes[132..136].copy_from_slice(&crc);
    }
    let crc = checksum(&bytes[8..HEADER_SIZE]).to_le_bytes();
    bytes[4..8].copy_from_slice(&crc);
}

/// Changes what passes through it.
struct BrokenDisk {
    rule: Rule,
    disk: Box<dyn Disk>,
    geometry: Geometry,
    chapter: usize,
    first_seq: Option<u64>,
}

impl BrokenDisk {
    /// Where a tail frame goes that belongs to `seq`, and the seq that it then bears.
    fn other_seq(&mut self, seq: u64) -> u64 {
        let first = *self.first_seq.get_or_insert(seq);
        let lap = u64::from(self.geometry.lane_slots) * 2;
        match self.rule {
            Rule::NewestOverwritten => first + (seq - first) * lap,
            Rule::OneLane => seq * 2,
            Rule::LanesIgnoredAfterRestart if self.chapter > 0 => seq - 31,
            Rule::SeqReused if self.chapter > 0 => seq - 33,
            _ => seq,
        }
    }

    /// The seq of the oldest frame of the history.
    fn oldest_sealed(&mut self) -> Option<u64> {
        let mut bytes = vec![0; SLOT];
        let seqs = (0..self.geometry.history_slots).filter_map(|slot| {
            self.disk.read_at(&mut bytes, self.geometry.offset_of(Area::History, slot)).ok()?;
            let header = Header::read(&bytes).ok()?;
            (header.area == Area::History).then_some(header.seq)
        });
        seqs.min()
    }

    /// Writes a frame that lies somewhere else, or says something else, than the recorder meant.
    fn write_frame(&mut self, mut header: Header, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut frame = bytes.to_vec();
        let mut offset = offset;
        let mark = Mark::read(bytes);
        let (area, _) = self.geometry.locate(offset / 4096).unwrap_or((Area::History, 0));
        match (self.rule, area, mark) {
            (Rule::ReuseBeforeSeal, Area::History, None) => return Ok(()),
            (Rule::SalvageOverwrites, Area::History, Some(mark)) => {
                // As if the oldest frame were in nobody's way.
                let oldest = self.oldest_sealed().unwrap_or(mark.seq);
                let seq = oldest + u64::from(self.geometry.history_slots);
                Mark { area, seq }.write(&mut frame);
                offset = self.geometry.offset_of(area, self.geometry.slot_of(area, seq));
            }
            (Rule::OrdinalReused, _, None) => {
                header.boot_ordinal = 1;
                header.seal(&mut frame);
            }
            (_, Area::Tail, None) => {
                let seq = self.other_seq(header.seq);
                if seq != header.seq {
                    header.seq = seq;
                    header.slot = self.geometry.slot_of(area, seq);
                    header.seal(&mut frame);
                    offset = self.geometry.offset_of(area, header.slot);
                }
            }
            _ => {}
        }
        self.disk.write_at(&frame, offset)
    }
}

impl Disk for BrokenDisk {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match Header::read(bytes) {
            Ok(header) => self.write_frame(header, bytes, offset),
            Err(_) => self.disk.write_at(bytes, offset),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.rule {
            Rule::SyncDropped => Ok(()),
            Rule::SyncErrorIgnored => self.disk.sync().or(Ok(())),
            _ => self.disk.sync(),
        }
    }
}

/// Compresses honestly, or rounds the changes of each frame anew.
pub struct RuledCompressor {
    honest: StaticCompressor,
    rounds: bool,
    /// A zstd frame notices most damage by itself: without one the checksum stands alone.
    packs: bool,
}

impl RuledCompressor {
    /// One that breaks nothing.
    #[must_use]
    pub fn honest() -> Self {
        Self { honest: StaticCompressor::new().expect("memory"), rounds: false, packs: true }
    }
}

impl Compressor for RuledCompressor {
    fn compress(&mut self, body: &[u8], payload: &mut [u8]) -> Option<usize> {
        if !self.packs {
            return None;
        }
        if !self.rounds {
            return self.honest.compress(body, payload);
        }
        // The body must keep its length, which the header tells: only what does is used.
        let rounded = with_samples(body, |samples| {
            let columns = samples
                .groups
                .iter_mut()
                .flat_map(|group| group.series.clone().into_iter().zip(&mut group.columns));
            for (_, column) in columns.filter(|(series, _)| *series == 144) {
                for at in 1..column.len() {
                    let step = i128::from(column[at]) - i128::from(column[at - 1]);
                    let cut = step / 8 * 8;
                    column[at] = u64::try_from(i128::from(column[at - 1]) + cut).unwrap_or(0);
                }
            }
        });
        let body = if rounded.len() == body.len() { &rounded } else { body };
        self.honest.compress(body, payload)
    }
}
