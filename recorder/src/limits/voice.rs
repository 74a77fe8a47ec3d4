//! What the recorder says to the log of the system: changes of its own state, and of these at most so
//! many an hour. A log that the recorder itself fills would be the storm that it is to record.
//!
//! The sampler says nothing itself, for who takes its lines may hang: they travel through a bounded
//! channel that it never waits at, and the slow thread says them.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bincode::{Decode, Encode};
use flightrec_format::event::EventKind;

use crate::sources::Look;

const HOUR_NS: u64 = 3_600_000_000_000;

/// Longest line, bytes.
const LINE_LEN_MAX: usize = 160;

/// Lines that wait for the slow thread.
const WAITING: usize = 8;

/// Whether a line may be said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leave {
    /// It may.
    Say,
    /// It is one too many: what is said instead is that no more will be.
    SayLast,
    /// Not in this hour.
    Silence,
}

/// So many lines an hour.
#[derive(Clone, Copy, Debug, Decode, Encode)]
pub struct Ration {
    most: u32,
    hour_began_ns: u64,
    said_in_hour: u32,
    unsaid_in_hour: u64,
    said: u64,
    unsaid: u64,
}

impl Ration {
    /// A ration of which nothing is used.
    #[must_use]
    pub fn new(most: u32, now_ns: u64) -> Self {
        let (said_in_hour, unsaid_in_hour) = (0, 0);
        Self { most, hour_began_ns: now_ns, said_in_hour, unsaid_in_hour, said: 0, unsaid: 0 }
    }

    /// Asks for one line.
    pub fn ask(&mut self, now_ns: u64) -> Leave {
        self.pass(now_ns);
        if self.said_in_hour < self.most {
            self.said_in_hour += 1;
            self.said += 1;
            if self.said_in_hour < self.most {
                return Leave::Say;
            }
        }
        self.unsaid_in_hour += 1;
        self.unsaid += 1;
        if self.unsaid_in_hour == 1 && self.most > 0 { Leave::SayLast } else { Leave::Silence }
    }

    /// A line that was asked for did not go out after all.
    fn take_back(&mut self) {
        self.said = self.said.saturating_sub(1);
        self.said_in_hour = self.said_in_hour.saturating_sub(1);
        self.unsaid += 1;
    }

    /// The hour may be over.
    pub fn pass(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.hour_began_ns) >= HOUR_NS {
            (self.hour_began_ns, self.said_in_hour, self.unsaid_in_hour) = (now_ns, 0, 0);
        }
    }

    /// Lines said, and not said, in all.
    #[must_use]
    pub fn counts(&self) -> [u64; 2] {
        [self.said, self.unsaid]
    }

    /// Whether lines of this hour were not said.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.unsaid_in_hour > 0
    }

    /// Lines of this hour: said, and how many may be.
    #[must_use]
    pub fn used(&self) -> (u64, u64) {
        (u64::from(self.said_in_hour), u64::from(self.most))
    }
}

/// What is said instead of the line that was one too many.
pub const LAST: &str =
    "this hour's lines are used up (log_lines_max): `flightrec events` tells the rest";

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
            write!(room, "{words} {what}, {used} of {most}")?;
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
        voice.tell(HOUR_NS, EventKind::COMMIT_RECOVERED, &[7], b"");
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
        voice.tell(0, EventKind::LIMIT, &[1, 250, 200], b"cpu_max: looks wait");
        voice.tell(0, EventKind::COMMIT_ERROR, &[5], &[b'x'; 300]);
        let said = lines(&mouth);
        assert_eq!(said[0], "a limit is reached, 250 of 200: cpu_max: looks wait");
        assert_eq!((said.len(), said[1].len()), (2, LINE_LEN_MAX));
    }

    #[test]
    fn a_ration_of_none_says_nothing() {
        let mut ration = Ration::new(0, 0);
        assert_eq!((ration.ask(0), ration.ask(HOUR_NS)), (Leave::Silence, Leave::Silence));
        assert_eq!(ration.counts(), [0, 2]);
    }
}
