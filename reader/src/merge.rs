//! One run, sample by sample: the copies of each tick joined (V3), its events and messages beside
//! it.
//!
//! Frames are decoded when their first tick comes up and dropped when their last one is past, so
//! a week of samples takes no more memory than the few frames that overlap.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

use flightrec_format::event::{Event, EventKind};
use flightrec_format::message::Message;
use flightrec_format::place::Area;

use crate::recover::{Decoded, Entities, Reading, Recover};
use crate::scan::Frame;

/// Most readings of frames that overlap, held at once. Honest recordings stay below a hundredth;
/// the limit is for those that were made to hurt.
const READINGS_MAX: usize = 8 << 20;

/// Numbers of the series that order and date samples (spec 7).
mod series {
    pub(super) const REALTIME_OFFSET_MS: u16 = 1;
    pub(super) const SUSPENDED_MS: u16 = 2;
    pub(super) const SYNCED: u16 = 3;
    pub(super) const SAMPLES: u16 = 4;
    pub(super) const LATE_MS: u16 = 6;
    pub(super) const COMMIT_LAST_MS: u16 = 8;
    pub(super) const COMMIT_STUCK_MS: u16 = 10;
    pub(super) const DROPPED_SAMPLES: u16 = 17;
}

/// What a sample says of clocks and of the recorder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vitals {
    /// Real time minus boot time.
    pub offset_ms: Option<i64>,
    /// Boot time minus monotonic time.
    pub suspended_ms: Option<u64>,
    /// Whether the kernel called real time synchronised.
    pub synced: bool,
    /// Samples taken by this run.
    pub samples: Option<u64>,
    /// Begun after its due time.
    pub late_ms: u64,
    /// Samples dropped unwritten by this run.
    pub dropped: Option<u64>,
    /// Duration of the last finished commit.
    pub commit_last_ms: u64,
    /// Age of the unfinished commit.
    pub commit_stuck_ms: u64,
}

/// One copy of a sample: a frame, and the sample's index in it.
pub type SampleCopy = (Rc<Decoded>, usize);

/// One sample with all its copies, the one that counts first.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its tick.
    pub tick: u64,
    /// Its boot time (9.2).
    pub time_ns: u128,
    /// Of the frame that counts.
    pub interval_ns: u64,
    /// What orders and dates it.
    pub vitals: Vitals,
    /// Seq behind the history frame that counts; absent if no copy is in the history.
    pub history_end: Option<u128>,
    copies: Vec<SampleCopy>,
}

impl Joined {
    fn new(tick: u64, mut copies: Vec<SampleCopy>) -> Option<Self> {
        copies.sort_by_key(|(frame, _)| (Reverse(frame.rank), frame.slot));
        let counts = &copies.first()?.0;
        let interval_ns = counts.header.interval_ns;
        let history_end = counts.history_end();
        let get = |series| copies.iter().find_map(|(frame, index)| frame.machine(*index, series));
        let vitals = Vitals {
            offset_ms: get(series::REALTIME_OFFSET_MS).map(u64::cast_signed),
            suspended_ms: get(series::SUSPENDED_MS),
            synced: get(series::SYNCED) == Some(1),
            samples: get(series::SAMPLES),
            late_ms: get(series::LATE_MS).unwrap_or(0),
            dropped: get(series::DROPPED_SAMPLES),
            commit_last_ms: get(series::COMMIT_LAST_MS).unwrap_or(0),
            commit_stuck_ms: get(series::COMMIT_STUCK_MS).unwrap_or(0),
        };
        let time_ns =
            u128::from(tick) * u128::from(interval_ns) + u128::from(vitals.late_ms) * 1_000_000;
        Some(Self { tick, time_ns, interval_ns, vitals, history_end, copies })
    }

    /// Whether all copies stand in tail frames from `seq` on, or copies of them.
    #[must_use]
    pub fn stands_only_from(&self, seq: u64) -> bool {
        let is_it =
            |(frame, _): &SampleCopy| frame.header.area == Area::Tail && frame.header.seq >= seq;
        self.copies.iter().all(is_it)
    }

    /// The machine's own value of a series.
    #[must_use]
    pub fn machine(&self, series: u16) -> Option<u64> {
        self.copies.iter().find_map(|(frame, index)| frame.machine(*index, series))
    }

    /// Level of the write budget when the newest frame that holds it was made, KiB.
    #[must_use]
    pub fn budget_kib(&self) -> Option<u32> {
        let newest = self.copies.iter().max_by_key(|(frame, _)| frame.header.boottime_ns);
        newest.map(|(frame, _)| frame.header.budget_kib)
    }

    /// The same without its copies, which keep whole frames in memory.
    #[must_use]
    pub fn without_copies(self) -> Self {
        Self { copies: Vec::new(), ..self }
    }

    /// Writes every reading that a copy holds into `out`; returns how many differ between copies.
    pub fn readings(&self, entities: &Entities, out: &mut Vec<Reading>) -> u64 {
        out.clear();
        let mut differing = 0;
        let mut copies = self.copies.iter();
        if let Some((frame, index)) = copies.next() {
            frame.readings(*index, |reading| out.push(reading));
        }
        for (frame, index) in copies {
            let first_len = out.len();
            let mut guess = 0;
            frame.readings(*index, |reading| {
                let same = |other: &Reading| {
                    other.series == reading.series
                        && (other.entity == reading.entity
                            || entities.same(other.entity) == entities.same(reading.entity))
                };
                // Copies name their readings in much the same order: look where we stand first.
                let at = out
                    .iter()
                    .take(first_len)
                    .skip(guess)
                    .position(same)
                    .map(|found| found + guess)
                    .or_else(|| out.iter().position(same));
                match at.and_then(|at| out.get(at).map(|other| (at, other.stored))) {
                    Some((at, stored)) => {
                        guess = at + 1;
                        differing += u64::from(stored != reading.stored);
                    }
                    None => out.push(reading),
                }
            });
        }
        differing
    }
}

/// What tells two events apart (R6), in the order in which events of a tick are told (9.6).
pub type EventKey = (u64, u64, EventKind, Vec<i64>, String);

/// An event and the sampling interval it counts in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventAt {
    /// The event.
    pub event: Event,
    /// Of the frame that told it.
    pub interval_ns: u64,
}

impl EventAt {
    /// Its boot time (9.6).
    #[must_use]
    pub fn time_ns(&self) -> u128 {
        u128::from(self.event.tick) * u128::from(self.interval_ns)
            + u128::from(self.event.offset_ms) * 1_000_000
    }
}

/// What tells two messages apart (R9), in the order in which messages of a tick are told (9.6).
pub type MessageKey = (u64, u8, Option<String>, String);

/// A message and the sampling interval it counts in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageAt {
    /// The message; its source is a number in [`Entities`].
    pub message: Message,
    /// Of the frame that told it.
    pub interval_ns: u64,
}

impl MessageAt {
    /// Boot time at which its tick was due.
    #[must_use]
    pub fn time_ns(&self) -> u128 {
        u128::from(self.message.tick) * u128::from(self.interval_ns)
    }
}

/// Walks the ticks `from ..= to` of one run.
pub struct Merge {
    frames: Vec<Frame>,
    next: usize,
    from: u64,
    to: u64,
    active: Vec<SampleCopy>,
    /// Each with the slot of the frame that told it: of copies, the first in the file counts.
    events: BTreeMap<EventKey, (u64, EventAt)>,
    messages: BTreeMap<MessageKey, MessageAt>,
}

impl Merge {
    /// Over `frames` of one run, ascending by first tick.
    pub fn new<'a>(frames: impl IntoIterator<Item = &'a Frame>, from: u64, to: u64) -> Self {
        let overlaps = |frame: &&Frame| frame.last_tick >= from && frame.first_tick <= to;
        Self {
            frames: frames.into_iter().filter(overlaps).copied().collect(),
            next: 0,
            from,
            to,
            active: Vec::new(),
            events: BTreeMap::new(),
            messages: BTreeMap::new(),
        }
    }

    /// The next sample, if there is one. Afterwards all events up to its tick can be taken.
    pub fn next(&mut self, recover: &mut Recover) -> Option<Joined> {
        loop {
            let tick = self.active.iter().filter_map(|(f, at)| f.ticks.get(*at)).min().copied();
            let coming = self.frames.get(self.next);
            if let Some(frame) = coming.filter(|f| tick.is_none_or(|tick| f.first_tick <= tick)) {
                let frame = *frame;
                self.next += 1;
                self.enter(&frame, recover);
                continue;
            }
            let tick = tick?;
            let mut copies = Vec::new();
            for (frame, at) in &mut self.active {
                if frame.ticks.get(*at) == Some(&tick) {
                    copies.push((Rc::clone(frame), *at));
                    *at += 1;
                }
            }
            let to = self.to;
            self.active.retain(|(f, at)| f.ticks.get(*at).is_some_and(|tick| *tick <= to));
            return Joined::new(tick, copies);
        }
    }

    /// Takes out the events up to and with `tick`, in order.
    pub fn events_until(&mut self, tick: u64) -> Vec<EventAt> {
        let later = match tick.checked_add(1) {
            Some(next) => {
                self.events.split_off(&(next, 0, EventKind(0), Vec::new(), String::new()))
            }
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.events, later).into_values().map(|(_, event)| event).collect()
    }

    /// Takes out the messages up to and with `tick`, in order.
    pub fn messages_until(&mut self, tick: u64) -> Vec<MessageAt> {
        let later = match tick.checked_add(1) {
            Some(next) => self.messages.split_off(&(next, 0, None, String::new())),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.messages, later).into_values().collect()
    }

    /// Copies of one message are one, with the greatest count (R9).
    fn enter_messages(&mut self, decoded: &Decoded, entities: &Entities) {
        for message in &decoded.messages {
            if !(self.from..=self.to).contains(&message.tick) {
                continue;
            }
            let source = entities.get(message.source).filter(|_| message.source > 0);
            let source = source.map(|own| own.name.clone());
            let key = (message.tick, message.severity, source, message.text.clone());
            let interval_ns = decoded.header.interval_ns;
            let told = MessageAt { message: message.clone(), interval_ns };
            let own = self.messages.entry(key).or_insert(told);
            own.message.count = own.message.count.max(message.count);
        }
    }

    fn enter(&mut self, frame: &Frame, recover: &mut Recover) {
        let Some(decoded) = recover.load(frame) else { return };
        for event in &decoded.events {
            if (self.from..=self.to).contains(&event.tick) {
                let key = (
                    event.tick,
                    event.offset_ms,
                    event.kind,
                    event.arguments.clone(),
                    event.text.clone(),
                );
                let interval_ns = decoded.header.interval_ns;
                let event = EventAt { event: event.clone(), interval_ns };
                match self.events.get_mut(&key) {
                    Some((slot, _)) if *slot <= frame.slot => {}
                    Some(own) => *own = (frame.slot, event),
                    None => {
                        self.events.insert(key, (frame.slot, event));
                    }
                }
            }
        }
        self.enter_messages(&decoded, &recover.entities);
        let held: usize = self.active.iter().map(|(frame, _)| frame.size).sum();
        let first = decoded.ticks.partition_point(|tick| *tick < self.from);
        if decoded.ticks.get(first).is_some_and(|tick| *tick <= self.to)
            && held.saturating_add(decoded.size) <= READINGS_MAX.max(decoded.size)
        {
            self.active.push((decoded, first));
        }
    }
}
