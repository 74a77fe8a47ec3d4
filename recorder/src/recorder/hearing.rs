//! What others say, at its tick: the owner's marks, and logs.

use flightrec_format::event::EventKind;

use super::{EVENT_COUNT, Recorder, signed};
use crate::committer::Committer;
use crate::frames::Compressor;

/// The kernel's errors, and worse: `err` of syslog.
const GRAVE_SEVERITY: u8 = 3;

/// Words of logs that are taken at one tick.
const WORDS_AT_ONCE: usize = 16;

impl<C: Compressor> Recorder<C> {
    /// One mark, at the time at which it was said: it came a second or two ago. What is sealed,
    /// or may leave the tail unsealed, takes no more events; then it goes to the first that does.
    pub(super) fn tell_mark(&mut self) {
        let Some(mark) = self.marks.as_ref().and_then(|marks| marks.try_recv().ok()) else {
            return;
        };
        let said_ns = mark.boottime_ns.min(self.clock.boottime_ns());
        let open = self.committer.as_ref().map_or(0, Committer::open_row).max(self.rows.first());
        let due = |row: &u64| {
            self.rows.tick(*row).is_some_and(|tick| tick * self.plan.interval_ns <= said_ns)
        };
        let newest = self.rows.next().saturating_sub(1);
        let row = (open..=newest).rev().find(due).unwrap_or(open.min(newest));
        if let Some(tick) = self.rows.tick(row) {
            self.event_at(EventKind::MARK, (tick, said_ns), &[], mark.text());
        }
    }

    /// What logs said since the last tick: messages to be kept, and events. Of these half the room is
    /// left to others.
    pub(super) fn tell_words(&mut self, tick: u64) {
        for _ in 0..WORDS_AT_ONCE {
            let Some(word) = self.words.as_ref().and_then(|words| words.try_recv().ok()) else {
                return;
            };
            let sealed = self.committer.as_ref().and_then(Committer::sealed_tick);
            let Some(kind) = word.event else {
                self.events.words.put(tick, &word, sealed);
                if let Some(mirror) = &mut self.mirror {
                    mirror.word(tick, &word);
                }
                continue;
            };
            if self.events.has_room(EVENT_COUNT / 2, sealed) {
                let mut argument = signed(word.count);
                if kind == EventKind::KERNEL {
                    argument = i64::from(word.severity);
                    if word.severity <= GRAVE_SEVERITY && word.at_ns >= self.settled_ns {
                        self.alert.shock();
                    }
                }
                self.event_at(kind, (tick, word.at_ns), &[argument], word.text.as_bytes());
            }
        }
    }
}
