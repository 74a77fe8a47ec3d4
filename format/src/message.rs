//! Last words: the newest distinct log messages, folded (spec section 6.5).

use crate::limits::{ENTITIES_MAX, MESSAGES_MAX, TEXT_LEN_MAX};
use crate::varint::{Malformed, Reader};

/// One message, as read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Tick at which it was last seen.
    pub tick: u64,
    /// Entity that said it; 0: the machine.
    pub source: usize,
    /// 0 ..= 7, as syslog.
    pub severity: u8,
    /// How often it was seen.
    pub count: u64,
    /// Its words.
    pub text: String,
}

/// Reads the messages section.
pub fn read_all(section: &[u8], first_tick: u64) -> Result<Vec<Message>, Malformed> {
    let mut input = Reader::new(section);
    let count = input.at_most(MESSAGES_MAX, "more messages than allowed")?;
    let mut messages = Vec::with_capacity(count);
    for _ in 0..count {
        let tick = first_tick.saturating_add(input.number()?);
        let source = input.at_most(ENTITIES_MAX, "an entity not listed")?;
        let severity = input.at_most(7, "a severity above 7")?;
        let count = input.number()?;
        let text = String::from_utf8_lossy(input.text(TEXT_LEN_MAX)?).into_owned();
        let severity = u8::try_from(severity).unwrap_or(7);
        messages.push(Message { tick, source, severity, count, text });
    }
    if input.is_empty() { Ok(messages) } else { Err(Malformed("bytes after the last message")) }
}
