//! What the recorder says to the log of the system: changes of its own state, and of these at most so
//! many an hour. A log that the recorder itself fills would be the storm that it is to record.
//!
//! The sampler says nothing itself, for who takes its lines may hang: they travel through a bounded
//! channel that it never waits at, and the slow thread says them.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flightrec_format::event::EventKind;

use super::ration::{LAST, Leave, Ration};
use crate::sources::Look;

/// Longest line, bytes.
const LINE_LEN_MAX: usize = 160;

/// Lines that wait for the slow thread.
const WAITING: usize = 8;

/// A line on its way.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    text: [u8; LINE_LEN_MAX],
    len: usize,
}

impl Line {
    /// Its words; what has no room is cut.
    fn of(write: impl FnOnce(&mut dyn Write)) -> Self {
        let mut text = [0; LINE_LEN_MAX];
        let mut room = &mut text[..];
        write(&mut room);
        let left = room.len();
        Self { text, len: LINE_LEN_MAX - left }
    }

    /// Its words.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

/// The sampler's side.
#[derive(Debug)]
pub struct Voice {
    ration: Ration,
    to: Option<SyncSender<Line>>,
}

impl Voice {
    /// Goes on with what is left of a ration; lines go `to`, or nowhere.
    #[must_use]
    pub fn new(ration: Ration, to: Option<SyncSender<Line>>) -> Self {
        Self { ration, to }
    }

    /// The ration.
    pub fn ration(&mut self) -> &mut Ration {
        &mut self.ration
    }

    /// Says an event of the recorder's own state; of any other nothing.
    pub fn tell(&mut self, now_ns: u64, kind: EventKind, arguments: &[i64], text: &[u8]) {
        let Some(words) = words_of(kind) else { return };
        let leave = self.ration.ask(now_ns);
        if leave == Leave::Silence {
            return;
        }
        let line = Line::of(|room| {
            // What has no room is cut.
            match leave {
                Leave::SayLast => room.write_all(LAST.as_bytes()).ok(),
                _ => write_event(room, words, arguments, text).ok(),
            };
        });
        let sent = self.to.as_ref().is_some_and(|to| to.try_send(line).is_ok());
        if leave == Leave::Say && !sent {
            self.ration.take_back();
        }
    }
}

/// What each state is called, and the unit of its first number.
fn words_of(kind: EventKind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        EventKind::COMMIT_ERROR => ("a commit failed; it is tried again", "errno"),
        EventKind::COMMIT_STUCK => ("a commit does not end", "ms so far"),
        EventKind::COMMIT_RECOVERED => ("commits go through again", "ms for the last"),
        EventKind::DROPPED => ("samples were dropped", "of them"),
        EventKind::LIMIT => ("a limit", ""),
        _ => return None,
    })
}

fn write_event(
    room: &mut dyn Write,
    (words, unit): (&str, &str),
    arguments: &[i64],
    text: &[u8],
) -> std::io::Result<()> {
    match arguments {
        [is_reached, used, most] if unit.is_empty() => {
            let what = if *is_reached == 1 { "is reached" } else { "is over" };
            write!(room, "{words} {what} (")?;
            write_amounts(room, [*used, *most], text)?;
            room.write_all(b")")?;
        }
        [first, ..] => write!(room, "{words} ({first} {unit})")?,
        [] => write!(room, "{words}")?,
    }
    if !text.is_empty() {
        room.write_all(b": ")?;
        room.write_all(text)?;
    }
    Ok(())
}

/// How much of a limit is used, in a unit for people.
fn write_amounts(room: &mut dyn Write, amounts: [i64; 2], text: &[u8]) -> std::io::Result<()> {
    let [used, most] = amounts;
    if text.starts_with(b"cpu_max") {
        let [used, most] = amounts.map(|share| (share / 100, share % 100));
        write!(room, "{}.{:02} of {}.{:02} % of a core", used.0, used.1, most.0, most.1)
    } else if text.starts_with(b"memory_max") {
        write!(room, "{} of {} KiB", used >> 10, most >> 10)
    } else if text.starts_with(b"write_budget") {
        write!(room, "{} of {} MB", used / 1_000_000, most / 1_000_000)
    } else {
        write!(room, "{used} of {most}")
    }
}

/// The other side: says what there is to be said.
#[derive(Debug)]
pub struct Mouth {
    from: Receiver<Line>,
}

/// Both ends.
#[must_use]
pub fn channel() -> (SyncSender<Line>, Mouth) {
    let (to, from) = sync_channel(WAITING);
    (to, Mouth { from })
}

impl Mouth {
    /// The next line that waits.
    #[must_use]
    pub fn take(&self) -> Option<Line> {
        self.from.try_recv().ok()
    }
}

impl Look for Mouth {
    fn look(&mut self) {
        while let Some(line) = self.take() {
            say(line.as_bytes());
        }
    }
}

/// Says one line, in one piece.
fn say(words: &[u8]) {
    let mut line = [0; LINE_LEN_MAX + 16];
    let mut room = &mut line[..];
    for part in [&b"flightrecd: "[..], words, b"\n"] {
        // Longer ones are not said here.
        room.write_all(part).ok();
    }
    let left = room.len();
    let len = line.len() - left;
    // Nobody is left to be told if that fails too.
    std::io::stderr().write_all(line.get(..len).unwrap_or_default()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mouth: &Mouth) -> Vec<String> {
        let text = |line: Line| String::from_utf8(line.as_bytes().to_vec()).unwrap();
        std::iter::from_fn(|| mouth.take()).map(text).collect()
    }

    #[test]
    fn beyond_its_ration_of_an_hour_it_falls_silent_and_says_so_once() {
        let (to, mouth) = channel();
        let mut voice = Voice::new(Ration::new(4, 0), Some(to));
        for number in 0..6 {
            voice.tell(number, EventKind::COMMIT_STUCK, &[5000], b"");
        }
        let said = lines(&mouth);
        assert_eq!(said.len(), 4);
        assert_eq!(said[0], "a commit does not end (5000 ms so far)");
        assert_eq!(said[3], LAST);
        assert!(voice.ration().is_used_up());
        assert_eq!(voice.ration().counts(), [4, 3]);
        voice.tell(3_600_000_000_000, EventKind::COMMIT_RECOVERED, &[7], b"");
        assert_eq!(lines(&mouth), ["commits go through again (7 ms for the last)"]);
        assert!(!voice.ration().is_used_up());
    }

    /// Nobody takes the lines: nothing waits, and they count as not said.
    #[test]
    fn who_is_not_listened_to_does_not_wait() {
        let (to, mouth) = channel();
        let mut voice = Voice::new(Ration::new(60, 0), Some(to));
        for _ in 0..20 {
            voice.tell(0, EventKind::COMMIT_ERROR, &[5], b"write or sync");
        }
        assert_eq!(voice.ration().counts(), [8, 12]);
        assert_eq!(lines(&mouth).len(), 8);
    }

    #[test]
    fn only_its_own_state_is_said_and_what_is_long_is_cut() {
        let (to, mouth) = channel();
        let mut voice = Voice::new(Ration::new(60, 0), Some(to));
        voice.tell(0, EventKind::OOM_KILL, &[1], b"");
        for (key, used, most) in [("cpu_max", 250, 200), ("memory_max", 9 << 20, 8 << 20)] {
            let text = format!("{key}: what follows");
            voice.tell(0, EventKind::LIMIT, &[1, used, most], text.as_bytes());
        }
        voice.tell(0, EventKind::COMMIT_ERROR, &[5], &[b'x'; 300]);
        let said = lines(&mouth);
        let of = "2.50 of 2.00 % of a core";
        assert_eq!(said[0], format!("a limit is reached ({of}): cpu_max: what follows"));
        assert_eq!(said[1], "a limit is reached (9216 of 8192 KiB): memory_max: what follows");
        assert_eq!((said.len(), said[2].len()), (3, LINE_LEN_MAX));
    }
}
