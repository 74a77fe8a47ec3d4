//! The ear: takes in what every log says, and tells the sampler what it may hear of it.

use std::fmt::Write;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::seats::Seats;
use flightrec_format::entity::EntityName;
use flightrec_format::event::EventKind;

use crate::clock::Clock;
use crate::sources::Page;
use crate::words::fold::{Fold, Heard, Limits, exact_id, id_of};
use crate::words::redact::redact;
use crate::words::{Counts, Listener, Messages, Text, Word, short_name};

/// Messages that are taken in between two posts; more are counted as lines and no more.
const MESSAGES_AT_ONCE: u32 = 2000;

/// Longest text of an event of the kernel, bytes: it is archived for months.
const EVENT_LEN_MAX: usize = 160;

/// Room for `" (x4294967295)"`.
const COUNT_LEN: usize = 14;

/// One ear for all threads; what is shared is held for moments, never while somebody reads.
#[derive(Clone)]
pub(super) struct Ear {
    state: Arc<Mutex<State>>,
    mode: Messages,
    clock: Arc<dyn Clock>,
}

struct State {
    seats: Seats,
    page: Page,
    messages: Fold,
    events: Fold,
    units: Fold,
    taken: u32,
    to: SyncSender<Word>,
}

impl Ear {
    pub(super) fn new(
        (page, seat_count): (Page, usize),
        mode: Messages,
        to: SyncSender<Word>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = State {
            seats: Seats::new(seat_count),
            page,
            messages: Fold::new(Limits::MESSAGES),
            events: Fold::new(Limits::EVENTS),
            units: Fold::new(Limits::EVENTS),
            taken: 0,
            to,
        };
        Self { state: Arc::new(Mutex::new(state)), mode, clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever a thread that died left there is whole enough.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all the memory that it will use; of what is locked, by then, only what is used counts.
    pub(super) fn take_memory(&self) {
        let mut state = self.state();
        let State { seats, messages, events, units, .. } = &mut *state;
        seats.take_memory();
        for fold in [messages, events, units] {
            fold.take_memory();
        }
    }

    /// Shows the rates to the sampler, and sends what there is to be told.
    pub(super) fn post(&mut self) {
        let now_ns = self.clock.boottime_ns();
        let mode = self.mode;
        let mut state = self.state();
        let State { seats, page, messages, events, units, taken, to } = &mut *state;
        *taken = 0;
        seats.rank(now_ns);
        page.begin();
        seats.each(|name, counts| {
            let values =
                [Some(counts.lines), counts.errors, Some(counts.bytes / 1024), counts.suppressed];
            for (number, value) in values.into_iter().enumerate() {
                page.put(name, number, value);
            }
        });
        page.post();
        while let Some(word) = events.tell(now_ns) {
            if to.try_send(as_event(&word)).is_err() {
                events.take_back(&word);
                break;
            }
        }
        while let Some(word) = units.tell(now_ns) {
            if to.try_send(word).is_err() {
                units.take_back(&word);
                break;
            }
        }
        while let Some(word) = messages.tell(now_ns) {
            let mut shown = word;
            if mode == Messages::Hashes {
                shown.text = hashed("", word.id);
            }
            if to.try_send(shown).is_err() {
                messages.take_back(&word);
                break;
            }
        }
    }
}

/// An event of the kernel has no argument for its count.
fn as_event(word: &Word) -> Word {
    let mut event = *word;
    if word.count > 1 {
        event.text.leave_room(COUNT_LEN);
        // There is room for it.
        write!(event.text, " (x{})", word.count.min(u64::from(u32::MAX))).ok();
    }
    event
}

fn hashed(class: &str, id: u64) -> Text {
    let mut text = Text::default();
    let space = if class.is_empty() { "" } else { " " };
    // There is room for it.
    write!(text, "{class}{space}#{id:016x}").ok();
    text
}

impl Listener for Ear {
    fn source(&mut self, name: &[u8], counts: Counts) {
        let now_ns = self.clock.boottime_ns();
        self.state().seats.tell(now_ns, short_name(name), counts);
    }

    fn message(&mut self, source: &[u8], severity: u8, repeats: u64, text: &[u8]) {
        let is_own = super::seats::is_own(source);
        if self.mode == Messages::None || is_own || self.state().taken >= MESSAGES_AT_ONCE {
            return;
        }
        let text = redact(text);
        if text.as_bytes().is_empty() {
            return;
        }
        let source = short_name(source);
        let severity = severity.min(7);
        let id = id_of(source.as_bytes(), text.as_bytes());
        let heard = Heard { id, event: None, source, severity, rank: severity, repeats, text };
        let now_ns = self.clock.boottime_ns();
        let mut state = self.state();
        state.taken += 1;
        state.messages.hear(now_ns, &heard);
    }

    fn grave(&mut self, class: Option<&'static str>, severity: u8, text: &[u8]) {
        let mut text = redact(text);
        text.leave_room(crate::words::TEXT_LEN_MAX - EVENT_LEN_MAX);
        let source = short_name(crate::kmsg::NAME);
        let id = id_of(source.as_bytes(), text.as_bytes());
        let shown = class.unwrap_or("error");
        let (id, text) = match self.mode {
            Messages::Redacted => (id, text),
            Messages::Hashes => (id, hashed(shown, id)),
            Messages::None => {
                let mut text = Text::default();
                text.push(shown);
                (id_of(source.as_bytes(), shown.as_bytes()), text)
            }
        };
        // An error that is of no class must leave room for one that is.
        let rank = if class.is_some() { 0 } else { Limits::BAD + 1 };
        let event = Some(EventKind::KERNEL);
        let heard = Heard { id, event, source, severity, rank, repeats: 1, text };
        let now_ns = self.clock.boottime_ns();
        self.state().events.hear(now_ns, &heard);
    }

    fn unit(&mut self, kind: EventKind, name: &str, more: &str, repeats: u64) {
        let mut text = Text::default();
        // systemd's longest name just fits.
        for part in [name, if more.is_empty() { "" } else { ": " }, more] {
            text.push(part);
        }
        let id = exact_id(&[&kind.0.to_le_bytes(), text.as_bytes()]);
        // A failure must find room beside restarts.
        let rank = if kind == EventKind::UNIT_RESTART { Limits::BAD + 1 } else { 0 };
        let source = EntityName::new(b"");
        let heard = Heard { id, event: Some(kind), source, severity: 6, rank, repeats, text };
        let now_ns = self.clock.boottime_ns();
        self.state().units.hear(now_ns, &heard);
    }
}
