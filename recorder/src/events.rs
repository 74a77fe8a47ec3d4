//! Events that wait to be sealed with their samples, in memory taken at start; the messages of the
//! logs beside them.

use flightrec_format::event::{self, EventKind};
use flightrec_format::varint::Writer;

use crate::words::kept::Kept;

/// Longest text of an event that the recorder writes, bytes.
const TEXT_LEN_MAX: usize = 512;

/// Most arguments of an event that the recorder writes.
const ARGUMENTS_MAX: usize = 3;

#[derive(Clone, Copy, Debug)]
struct Event {
    kind: EventKind,
    tick: u64,
    offset_ms: u64,
    arguments: [i64; ARGUMENTS_MAX],
    argument_count: usize,
    text: [u8; TEXT_LEN_MAX],
    text_len: usize,
}

/// The events of this run, by their ticks.
#[derive(Debug)]
pub struct Events {
    ring: Vec<Event>,
    capacity: usize,
    dropped: u64,
    floor_tick: u64,
    /// What logs said.
    pub words: Kept,
}

impl Events {
    /// Room for `capacity` events.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let ring = Vec::with_capacity(capacity);
        Self { ring, capacity, dropped: 0, floor_tick: 0, words: Kept::new() }
    }

    /// Adds an event of the sample `tick`. Events up to `sealed_tick` make room if there is none;
    /// if that is not enough, the event is dropped and counted.
    pub fn push(
        &mut self,
        kind: EventKind,
        (tick, offset_ms): (u64, u64),
        arguments: &[i64],
        text: &[u8],
        sealed_tick: Option<u64>,
    ) {
        if self.ring.len() >= self.capacity {
            let oldest = self.ring.first().map(|event| event.tick);
            match (oldest, sealed_tick) {
                (Some(oldest), Some(sealed)) if oldest <= sealed => {
                    self.floor_tick = oldest + 1;
                    self.ring.retain(|event| event.tick > oldest);
                }
                _ => {
                    self.dropped += 1;
                    return;
                }
            }
        }
        let mut event = Event {
            kind,
            tick,
            offset_ms,
            arguments: [0; ARGUMENTS_MAX],
            argument_count: arguments.len().min(ARGUMENTS_MAX),
            text: [0; TEXT_LEN_MAX],
            text_len: text.len().min(TEXT_LEN_MAX),
        };
        for (place, value) in event.arguments.iter_mut().zip(arguments) {
            *place = *value;
        }
        for (place, value) in event.text.iter_mut().zip(text) {
            *place = *value;
        }
        // The owner's mark comes a second or two after others that happened later.
        let place = self.ring.partition_point(|other| other.tick <= tick);
        self.ring.insert(place, event);
    }

    /// Whether room for so many more events than one is left: what comes in storms leaves it to
    /// those that come once.
    #[must_use]
    pub fn has_room(&self, spare: usize, sealed_tick: Option<u64>) -> bool {
        let is_sealed = |event: &&Event| sealed_tick.is_some_and(|sealed| event.tick <= sealed);
        let held = self.ring.len() - self.ring.iter().take_while(is_sealed).count();
        held + spare < self.capacity
    }

    /// First tick whose events are all still here: no frame may begin before it (F4).
    #[must_use]
    pub fn floor_tick(&self) -> u64 {
        self.floor_tick
    }

    /// Events that found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Tick of the newest event.
    #[must_use]
    pub fn newest_tick(&self) -> Option<u64> {
        self.ring.last().map(|event| event.tick)
    }

    /// Writes the events section for a frame of these ticks; returns how many they are.
    pub fn write(
        &self,
        out: &mut Writer<'_>,
        (first_tick, last_tick): (u64, u64),
        archived_only: bool,
    ) -> usize {
        let chosen = || {
            self.ring.iter().filter(move |event| {
                (first_tick..=last_tick).contains(&event.tick)
                    && (!archived_only || event.kind.row().is_some_and(|row| row.archived))
            })
        };
        let count = chosen().count();
        out.number(u64::try_from(count).unwrap_or(0));
        for event in chosen() {
            event::write(
                out,
                first_tick,
                event.kind,
                (event.tick, event.offset_ms),
                event.arguments.get(..event.argument_count).unwrap_or_default(),
                event.text.get(..event.text_len).unwrap_or_default(),
            );
        }
        count
    }

    /// First and last tick of the archived events between two ticks, both included.
    #[must_use]
    pub fn archived_between(&self, first_tick: u64, last_tick: u64) -> Option<(u64, u64)> {
        let mut ticks = self.archived(first_tick, last_tick).map(|event| event.tick);
        let first = ticks.next()?;
        Some((first, ticks.next_back().unwrap_or(first)))
    }

    /// About how many bytes the archived events between two ticks take.
    #[must_use]
    pub fn archived_bytes(&self, first_tick: u64, last_tick: u64) -> usize {
        self.archived(first_tick, last_tick).map(|event| event.text_len + 16).sum()
    }

    fn archived(&self, first: u64, last: u64) -> impl DoubleEndedIterator<Item = &Event> {
        self.ring.iter().filter(move |event| {
            (first..=last).contains(&event.tick) && event.kind.row().is_some_and(|row| row.archived)
        })
    }
}
