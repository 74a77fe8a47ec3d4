//! Frames to samples: the payloads that are needed, decoded within bounds.
//!
//! A frame is decoded only here, and everything in it is doubted: the payload by its checksum,
//! the unpacked length by a limit, the body by the grammar of spec section 6.

use std::collections::HashMap;
use std::rc::Rc;

use flightrec_format::body::Body;
use flightrec_format::entity::{Entity, EntityKind, attribute};
use flightrec_format::event::Event;
use flightrec_format::frame::{Codec, HEADER_SIZE, Header};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::message::Message;
use flightrec_format::samples::{Group, Samples};

use crate::recording::{Recording, offset_of};
use crate::scan::{Frame, Verdict};

/// Readings of frames that stay decoded for the next question about them: two full history
/// frames and the tail frames around them, a few MiB.
const KEPT_READINGS: usize = 512 << 10;

/// Frames that stay decoded, however small: they are searched one after the other.
const KEPT_FRAMES: usize = 64;

/// Reads the payload of the frame at `slot` into `buffer` and checks it.
pub fn payload(
    recording: &Recording,
    slot: u64,
    header: &Header,
    buffer: &mut Vec<u8>,
) -> Result<(), Verdict> {
    buffer.clear();
    buffer.resize(HEADER_SIZE + usize::try_from(header.payload_len).unwrap_or(0), 0);
    recording.read(offset_of(slot), buffer).map_err(|_| Verdict::Torn)?;
    header.payload(buffer).map(|_| ()).ok_or(Verdict::Torn)
}

/// Reads, checks and unpacks frames, with buffers of its own.
#[derive(Default)]
pub struct Inflater {
    buffer: Vec<u8>,
    body: Vec<u8>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Inflater {
    /// The frame that begins at `slot`, whole, or the verdict that it deserves.
    pub fn read(&mut self, recording: &Recording, slot: u64) -> Result<(Header, Body), Verdict> {
        let mut first = [0; SLOT_SIZE];
        recording.read(offset_of(slot), &mut first).map_err(|_| Verdict::Unreadable)?;
        let header = Header::read(&first).map_err(|_| Verdict::Damaged)?;
        payload(recording, slot, &header, &mut self.buffer)?;
        let bytes = self.buffer.get(HEADER_SIZE..).unwrap_or_default();
        let bytes = match header.codec {
            Codec::Plain => bytes,
            Codec::Zstd => {
                unpack(&mut self.zstd, bytes, &header, &mut self.body).ok_or(Verdict::Damaged)?;
                &self.body
            }
        };
        let body = Body::of(&header, bytes).map_err(|_| Verdict::Damaged)?;
        let once = body.samples.as_ref().is_none_or(each_reading_once);
        if once { Ok((header, body)) } else { Err(Verdict::Damaged) }
    }
}

/// Exactly one zstd frame of exactly `body_len` bytes; more is refused before it takes memory.
fn unpack(
    zstd: &mut Option<zstd::bulk::Decompressor<'static>>,
    bytes: &[u8],
    header: &Header,
    body: &mut Vec<u8>,
) -> Option<()> {
    if zstd::zstd_safe::find_frame_compressed_size(bytes).ok()? != bytes.len() {
        return None;
    }
    let len = usize::try_from(header.body_len).ok()?;
    body.clear();
    body.resize(len, 0);
    if zstd.is_none() {
        *zstd = zstd::bulk::Decompressor::new().ok();
    }
    let got = zstd.as_mut()?.decompress_to_buffer(bytes, body.as_mut_slice()).ok()?;
    (got == len).then_some(())
}

/// One pair of entity and series at most once in a sample (6.2). Groups of one entity may share
/// a series only if no sample is in both.
fn each_reading_once(samples: &Samples) -> bool {
    let mut order: Vec<&Group> = samples.groups.iter().collect();
    order.sort_by_key(|group| group.entity);
    order.chunk_by(|one, other| one.entity == other.entity).all(|groups| {
        groups.len() < 2 || {
            let mut seen: HashMap<u16, Vec<&Group>> = HashMap::new();
            groups.iter().all(|group| {
                group.series.iter().all(|series| {
                    let others = seen.entry(*series).or_default();
                    let apart = others.iter().all(|other| are_apart(group, other));
                    others.push(group);
                    apart
                })
            })
        }
    })
}

fn are_apart(one: &Group, other: &Group) -> bool {
    one.spans.iter().all(|span| {
        other.spans.iter().all(|theirs| theirs.end <= span.start || span.end <= theirs.start)
    })
}

/// What a reading belongs to, for the whole recording.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct EntityKey {
    /// What it is.
    pub kind: EntityKind,
    /// Its name.
    pub name: String,
    /// Process id, if it has one.
    pub pid: Option<u64>,
    /// Start of the process, if it has one.
    pub start_ticks: Option<u64>,
    /// Name of the unit that a process belongs to, if that is told.
    pub unit: Option<String>,
    /// Most memory that a unit may take, bytes, if it has a limit.
    pub memory_max_bytes: Option<u64>,
    /// Code of what is done when a unit ends, if that is told.
    pub restart: Option<u64>,
}

impl EntityKey {
    /// Somebody that its kind and name alone tell apart.
    #[must_use]
    pub fn named(kind: EntityKind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            pid: None,
            start_ticks: None,
            unit: None,
            memory_max_bytes: None,
            restart: None,
        }
    }

    /// What is done when a unit ends, in the words of systemd (spec 6.1).
    #[must_use]
    pub fn restart_word(&self) -> Option<&'static str> {
        let code = usize::try_from(self.restart?).ok()?;
        attribute::RESTART_WORDS.get(code.checked_sub(1)?).copied()
    }

    /// What all that are the same thing have in common.
    fn in_common(&self) -> Self {
        match self.kind {
            EntityKind::PROCESS => Self { name: String::new(), unit: None, ..self.clone() },
            EntityKind::UNIT => Self::named(self.kind, &self.name),
            _ => self.clone(),
        }
    }
}

/// Every entity met, numbered; 0 is the machine. Frames number their own differently.
#[derive(Debug)]
pub struct Entities {
    keys: Vec<(EntityKey, usize)>,
    index: HashMap<EntityKey, usize>,
}

impl Default for Entities {
    fn default() -> Self {
        let mut entities = Self { keys: Vec::new(), index: HashMap::new() };
        entities.number(EntityKey::named(EntityKind::MACHINE, ""));
        entities
    }
}

impl Entities {
    /// The entity with this number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&EntityKey> {
        self.keys.get(number).map(|(key, _)| key)
    }

    /// The number that this entity shares with all that are the same thing: a process is known
    /// by its pid and start, whatever it calls itself and wherever it belongs; a unit by its name,
    /// whatever its limit.
    #[must_use]
    pub fn same(&self, number: usize) -> usize {
        self.keys.get(number).map_or(number, |(_, same)| *same)
    }

    /// The number of the entity of a frame that lists `listed`.
    fn of(&mut self, entity: &Entity, listed: &[Entity]) -> usize {
        let named = EntityKey::named(entity.kind, &entity.name);
        if entity.kind == EntityKind::UNIT {
            return self.number(EntityKey {
                memory_max_bytes: entity.attribute(attribute::MEMORY_MAX_BYTES),
                restart: entity.attribute(attribute::RESTART),
                ..named
            });
        }
        if entity.kind != EntityKind::PROCESS {
            return self.number(named);
        }
        let unit = entity.attribute(attribute::UNIT).and_then(|number| {
            let unit = listed.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
            (unit.kind == EntityKind::UNIT).then(|| unit.name.clone())
        });
        self.number(EntityKey {
            pid: entity.attribute(attribute::PID),
            start_ticks: entity.attribute(attribute::START_TICKS),
            unit,
            ..named
        })
    }

    fn number(&mut self, key: EntityKey) -> usize {
        if let Some(number) = self.index.get(&key) {
            return *number;
        }
        let in_common = key.in_common();
        let same = if in_common == key { self.keys.len() } else { self.number(in_common) };
        let number = self.keys.len();
        self.keys.push((key.clone(), same));
        self.index.insert(key, number);
        number
    }
}

/// One value in one sample, as stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// Number in [`Entities`].
    pub entity: usize,
    /// Number in the catalogue.
    pub series: u16,
    /// Before its scale.
    pub stored: u64,
}

/// A frame, decoded.
#[derive(Debug)]
pub struct Decoded {
    /// Its header.
    pub header: Header,
    /// Its first slot.
    pub slot: u64,
    /// Which of two copies counts (V3).
    pub rank: (u64, u64),
    /// Ticks of its samples.
    pub ticks: Vec<u64>,
    /// Its events.
    pub events: Vec<Event>,
    /// Its run facts.
    pub facts: Option<Vec<u8>>,
    /// Its messages; their sources are numbers in [`Entities`].
    pub messages: Vec<Message>,
    /// Numbers of its entities in [`Entities`], each with the one that it shares with all that are
    /// the same thing.
    entities: Vec<(usize, usize)>,
    groups: Vec<Group>,
    /// Whether two of its entities are the same thing, so that the later one counts (9.6).
    repeats: bool,
    /// How many readings it holds.
    pub size: usize,
}

impl Decoded {
    /// Hands every reading of the sample `index` to `take`, in the order of groups and columns.
    pub fn readings(&self, index: usize, mut take: impl FnMut(Reading)) {
        if self.repeats {
            let mut once: Vec<(usize, Reading)> = Vec::new();
            self.each(index, &mut |same, reading| {
                let is_same =
                    |own: &&mut (usize, Reading)| (own.0, own.1.series) == (same, reading.series);
                match once.iter_mut().find(is_same) {
                    Some((_, own)) => own.stored = reading.stored,
                    None => once.push((same, reading)),
                }
            });
            for (_, reading) in once {
                take(reading);
            }
        } else {
            self.each(index, &mut |_, reading| take(reading));
        }
    }

    fn each(&self, index: usize, take: &mut dyn FnMut(usize, Reading)) {
        for group in &self.groups {
            let Some(row) = row_of(group, index) else { continue };
            let (entity, same) = match group.entity.checked_sub(1) {
                None => (0, 0),
                Some(listed) => self.entities.get(listed).copied().unwrap_or_default(),
            };
            for (series, column) in group.series.iter().zip(&group.columns) {
                if let Some(stored) = column.get(row) {
                    take(same, Reading { entity, series: *series, stored: *stored });
                }
            }
        }
    }

    /// Seq behind it in the history, its salvage mark's if that is why it lies there.
    #[must_use]
    pub fn history_end(&self) -> Option<u128> {
        let (seq, _) = self.rank;
        (seq > 0).then(|| u128::from(seq) + u128::from(self.header.slots))
    }

    /// The machine's own value of a series in the sample `index`.
    #[must_use]
    pub fn machine(&self, index: usize, series: u16) -> Option<u64> {
        self.groups.iter().filter(|group| group.entity == 0).find_map(|group| {
            let column = group.series.iter().position(|own| *own == series)?;
            group.columns.get(column)?.get(row_of(group, index)?).copied()
        })
    }
}

/// Row of a sample in the columns of a group, if the group is present in it.
fn row_of(group: &Group, index: usize) -> Option<usize> {
    let mut before = 0;
    for span in &group.spans {
        if span.contains(&index) {
            return Some(before + index - span.start);
        }
        before += span.len();
    }
    None
}

/// Decodes frames on demand and remembers which ones turned out to be none.
pub struct Recover {
    recording: Recording,
    inflater: Inflater,
    kept: Vec<(u64, Rc<Decoded>)>,
    bad: HashMap<u64, Verdict>,
    /// Every entity met so far.
    pub entities: Entities,
}

impl Recover {
    /// For frames of `recording`.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        Self {
            recording,
            inflater: Inflater::default(),
            kept: Vec::new(),
            bad: HashMap::new(),
            entities: Entities::default(),
        }
    }

    /// The recording.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// What a frame, believed by its header, turned out to be.
    #[must_use]
    pub fn bad(&self) -> &HashMap<u64, Verdict> {
        &self.bad
    }

    /// Decodes a frame; `None` if it is torn or damaged after all.
    pub fn load(&mut self, frame: &Frame) -> Option<Rc<Decoded>> {
        if let Some(place) = self.kept.iter().position(|(slot, _)| *slot == frame.slot) {
            // What is asked for often stays: the newest answers are at the end.
            let kept = self.kept.remove(place);
            let decoded = Rc::clone(&kept.1);
            self.kept.push(kept);
            return Some(decoded);
        }
        if self.bad.contains_key(&frame.slot) {
            return None;
        }
        let (header, body) = match self.inflater.read(&self.recording, frame.slot) {
            Ok(whole) => whole,
            Err(verdict) => {
                self.bad.insert(frame.slot, verdict);
                return None;
            }
        };
        // Written over while we read: the slot holds another frame now, which is not this one.
        if header.first_tick != frame.first_tick || header.seq != frame.seq {
            return None;
        }
        let numbers = body.entities.iter().map(|entity| self.entities.of(entity, &body.entities));
        let numbers: Vec<usize> = numbers.collect();
        let entities: Vec<(usize, usize)> =
            numbers.into_iter().map(|number| (number, self.entities.same(number))).collect();
        let mut messages = body.messages;
        for message in &mut messages {
            let listed = message.source.checked_sub(1).and_then(|listed| entities.get(listed));
            // A unit is the same source whatever its limit; a process is called by its name.
            message.source = listed.map_or(0, |(number, same)| {
                let is_unit =
                    self.entities.get(*number).is_some_and(|e| e.kind == EntityKind::UNIT);
                if is_unit { *same } else { *number }
            });
        }
        let mut sorted: Vec<usize> = entities.iter().map(|(_, same)| *same).collect();
        sorted.sort_unstable();
        let repeats = sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
        let samples = body.samples.unwrap_or_default();
        let size = samples.groups.iter().flat_map(|group| &group.columns).map(Vec::len).sum();
        let decoded = Rc::new(Decoded {
            header,
            slot: frame.slot,
            rank: frame.rank,
            ticks: samples.ticks,
            events: body.events,
            facts: body.facts,
            messages,
            entities,
            groups: samples.groups,
            repeats,
            size,
        });
        let mut held = size;
        let room = self.kept.iter().rev().take(KEPT_FRAMES - 1).take_while(|(_, kept)| {
            held = held.saturating_add(kept.size);
            held <= KEPT_READINGS
        });
        let stay = room.count();
        self.kept.drain(..self.kept.len() - stay);
        self.kept.push((frame.slot, Rc::clone(&decoded)));
        Some(decoded)
    }
}
