//! Words: what the logs of this machine say, on its way into the recording.
//!
//! Whoever reads a log tells a [`Listener`]: how much each source has said, and which messages.
//! A message is redacted before anything keeps it ([`redact`]), folded with its like ([`fold`]),
//! and only then kept for the frames to come ([`kept`]). What the kernel says gravely becomes an
//! event ([`grave`]).

pub mod fold;
pub mod grave;
pub mod kept;
pub mod redact;

use flightrec_format::entity::EntityName;
use flightrec_format::event::EventKind;

/// How much one source has said since the recorder started. Grows only.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Lines.
    pub lines: u64,
    /// Lines of severity err or worse, where severities are told.
    pub errors: Option<u64>,
    /// Bytes.
    pub bytes: u64,
    /// Lines that were suppressed, or lost before they were read, where that is told.
    pub suppressed: Option<u64>,
}

/// Somebody who is told what logs say.
pub trait Listener {
    /// A source, and how much it has said by now.
    fn source(&mut self, name: &[u8], counts: Counts);

    /// A message that a source has said so many times, with its severity as in syslog.
    fn message(&mut self, source: &[u8], severity: u8, repeats: u64, text: &[u8]);

    /// A line of the kernel itself that is of a grave class, or an error.
    fn grave(&mut self, _class: Option<&'static str>, _severity: u8, _text: &[u8]) {}

    /// What the service manager says of a unit, so many times: the event that it is, the name of the
    /// unit, and more about it, if there is more.
    fn unit(&mut self, _kind: EventKind, _name: &str, _more: &str, _repeats: u64) {}
}

/// Longest text of a message that is kept, bytes. (The format allows 512.)
pub const TEXT_LEN_MAX: usize = 256;

/// A text in a fixed place: valid UTF-8 without control characters.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Text {
    len: usize,
    bytes: [u8; TEXT_LEN_MAX],
}

impl Default for Text {
    fn default() -> Self {
        Self { len: 0, bytes: [0; TEXT_LEN_MAX] }
    }
}

impl Text {
    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The same, as it was put in.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Appends as much as has room, whole characters only; false if something was left out.
    pub fn push(&mut self, more: &str) -> bool {
        let room = TEXT_LEN_MAX - self.len;
        let fits = (0..=more.len().min(room)).rev().find(|&end| more.is_char_boundary(end));
        let fits = fits.unwrap_or(0);
        if let (Some(place), Some(part)) =
            (self.bytes.get_mut(self.len..self.len + fits), more.as_bytes().get(..fits))
        {
            place.copy_from_slice(part);
            self.len += fits;
        }
        fits == more.len()
    }

    /// Appends all of it, or nothing.
    pub fn push_whole(&mut self, more: &str) -> bool {
        more.len() <= TEXT_LEN_MAX - self.len && self.push(more)
    }

    /// Makes room for `len` more bytes by cutting off the end.
    pub fn leave_room(&mut self, len: usize) {
        let most = TEXT_LEN_MAX.saturating_sub(len);
        let text = std::str::from_utf8(self.as_bytes()).unwrap_or_default();
        let end = (0..=self.len.min(most)).rev().find(|&end| text.is_char_boundary(end));
        self.len = end.unwrap_or(0);
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        if self.push(more) { Ok(()) } else { Err(std::fmt::Error) }
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// How much of a message may be recorded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Messages {
    /// Nothing: rates, and the classes of grave kernel messages.
    None,
    /// A number for each distinct message, and how often it came.
    Hashes,
    /// The text, redacted.
    #[default]
    Redacted,
}

impl Messages {
    /// As in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hashes => "hashes",
            Self::Redacted => "redacted",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Hashes, Self::Redacted].into_iter().find(|own| own.name() == name)
    }
}

/// Something for the sampler: a message as it stands by now, or an event of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The event that it is; else it is a message.
    pub event: Option<EventKind>,
    /// Boot time at which it was heard last.
    pub at_ns: u64,
    /// Who said it.
    pub source: EntityName,
    /// As in syslog, 0 to 7.
    pub severity: u8,
    /// How often it was said, as far as that is remembered.
    pub count: u64,
    /// What is alike has the same.
    pub id: u64,
    /// What it says, as much as may be recorded.
    pub text: Text,
}

/// The name of a source, short enough for an entity: of a long one the middle is left out, for
/// what tells files and units apart stands at the end.
#[must_use]
pub fn short_name(name: &[u8]) -> EntityName {
    const HEAD: usize = 13;
    const DOTS: &[u8] = b"..";
    if name.len() <= EntityName::LEN_MAX {
        return EntityName::new(name);
    }
    let mut short = [0; EntityName::LEN_MAX];
    let tail = EntityName::LEN_MAX - HEAD - DOTS.len();
    let end = name.get(name.len() - tail..).unwrap_or_default();
    let bytes = name.iter().take(HEAD).chain(DOTS).chain(end);
    for (place, &byte) in short.iter_mut().zip(bytes) {
        *place = byte;
    }
    EntityName::new(&short)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
