//! Last words: the newest distinct log messages, folded (spec section 6.5).

use crate::limits::{MESSAGES_MAX, TEXT_LEN_MAX};
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
pub fn read_all(
    section: &[u8],
    first_tick: u64,
    last_tick: u64,
    entity_count: usize,
) -> Result<Vec<Message>, Malformed> {
    let mut input = Reader::new(section);
    let count = input.at_most(MESSAGES_MAX, "more messages than allowed")?;
    let listed = u64::try_from(entity_count).unwrap_or(0);
    let mut messages = Vec::with_capacity(count);
    for _ in 0..count {
        let tick = first_tick
            .checked_add(input.number()?)
            .filter(|tick| *tick <= last_tick)
            .ok_or(Malformed("a tick beyond those of the header"))?;
        let source = input.at_most(listed, "an entity not listed")?;
        let severity = input.at_most(7, "a severity above 7")?;
        let count = input.number()?;
        let text = String::from_utf8_lossy(input.text(TEXT_LEN_MAX)?).into_owned();
        let severity = u8::try_from(severity).unwrap_or(7);
        messages.push(Message { tick, source, severity, count, text });
    }
    if input.is_empty() { Ok(messages) } else { Err(Malformed("bytes after the last message")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_and_one_beyond_tick_or_entities_is_malformed() {
        let bytes = [1, 3, 1, 4, 2, 2, b'h', b'i'];
        let message = Message { tick: 13, source: 1, severity: 4, count: 2, text: "hi".into() };
        assert_eq!(read_all(&bytes, 10, 13, 1), Ok(vec![message]));
        assert!(read_all(&bytes, 10, 12, 1).is_err());
        assert!(read_all(&bytes, 10, 13, 0).is_err());
    }
}
