//! What another thread saw, on its way to the sampler, which alone puts events into the recording.
//!
//! It travels through a bounded channel that neither side waits at. What finds no room is lost, and
//! that is told by who wanted to send it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flightrec_format::event::EventKind;

/// Longest text, bytes.
pub const TEXT_LEN_MAX: usize = 256;

/// Reports that wait for the sampler.
const WAITING_MAX: usize = 32;

/// One event that is to be.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What happened.
    pub kind: EventKind,
    /// Boot time at which it was seen.
    pub boottime_ns: u64,
    /// Its numbers, as many as the kind has.
    pub arguments: [i64; 2],
    text: [u8; TEXT_LEN_MAX],
    text_len: usize,
}

impl Report {
    /// An event without words.
    #[must_use]
    pub fn new(kind: EventKind, boottime_ns: u64, arguments: [i64; 2]) -> Self {
        Self { kind, boottime_ns, arguments, text: [0; TEXT_LEN_MAX], text_len: 0 }
    }

    /// Adds words; what has no room is cut.
    #[must_use]
    pub fn with(mut self, words: &[u8]) -> Self {
        for (place, byte) in self.text.iter_mut().skip(self.text_len).zip(words) {
            *place = *byte;
            self.text_len += 1;
        }
        self
    }

    /// Its words.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.text.get(..self.text_len).unwrap_or_default()
    }

    /// Its numbers: as many as its kind has.
    #[must_use]
    pub fn arguments(&self) -> &[i64] {
        let count = self.kind.row().map_or(0, |row| row.arguments.len());
        self.arguments.get(..count).unwrap_or(&self.arguments)
    }
}

/// Both ends: for those who see, and for the sampler.
#[must_use]
pub fn channel() -> (SyncSender<Report>, Receiver<Report>) {
    sync_channel(WAITING_MAX)
}
