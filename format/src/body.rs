//! The body of a frame: sections, each with its kind and length (spec section 6).

use std::collections::BTreeSet;

use crate::entity::{self, Entity};
use crate::event::{self, Event};
use crate::facts;
use crate::frame::Header;
use crate::message::{self, Message};
use crate::samples::Samples;
use crate::varint::{Malformed, Reader};

/// Kinds of section.
pub mod section {
    /// Entities, 6.1.
    pub const ENTITIES: u64 = 1;
    /// Samples, 6.2.
    pub const SAMPLES: u64 = 2;
    /// Events, 6.3.
    pub const EVENTS: u64 = 3;
    /// Run facts, 6.4.
    pub const FACTS: u64 = 4;
    /// Messages, 6.5.
    pub const MESSAGES: u64 = 5;
}

/// Everything that stands in one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Entity `i` of the grammar is `entities[i - 1]`.
    pub entities: Vec<Entity>,
    /// The samples, if there are any.
    pub samples: Option<Samples>,
    /// The events, in the order in which they were written.
    pub events: Vec<Event>,
    /// The bytes of the run facts; [`Body::of`] made sure of their checksum.
    pub facts: Option<Vec<u8>>,
    /// Last words.
    pub messages: Vec<Message>,
}

impl Body {
    /// Reads the whole body of the frame that begins with `header`.
    pub fn of(header: &Header, bytes: &[u8]) -> Result<Self, Malformed> {
        let body = Self::read(bytes, header.first_tick, header.last_tick)?;
        match &body.facts {
            Some(facts) if facts::facts_crc(facts) != header.facts_crc => {
                Err(Malformed("run facts with another checksum than the header's"))
            }
            _ => Ok(body),
        }
    }

    /// Reads a whole body. `first_tick` and `last_tick` are those of the header,
    /// whose `facts_crc` nobody has compared yet.
    pub fn read(bytes: &[u8], first_tick: u64, last_tick: u64) -> Result<Self, Malformed> {
        let mut input = Reader::new(bytes);
        let mut kinds = BTreeSet::new();
        let mut sections: [Option<&[u8]>; 6] = [None; 6];
        while !input.is_empty() {
            let kind = input.number()?;
            let len =
                input.at_most(u64::from(crate::limits::BODY_LEN_MAX), "a section too long")?;
            let section = input.bytes(len)?;
            if !kinds.insert(kind) {
                return Err(Malformed("two sections of one kind"));
            }
            if let Some(place) = usize::try_from(kind).ok().and_then(|kind| sections.get_mut(kind))
            {
                *place = Some(section);
            }
        }
        let [_, entities, samples, events, facts, messages] = sections;
        let entities = entities.map(entity::read_all).transpose()?.unwrap_or_default();
        let samples = samples
            .map(|section| Samples::read(section, first_tick, last_tick, entities.len()))
            .transpose()?;
        let events = events
            .map(|section| event::read_all(section, first_tick, last_tick))
            .transpose()?
            .unwrap_or_default();
        let messages = messages
            .map(|section| message::read_all(section, first_tick, last_tick, entities.len()))
            .transpose()?
            .unwrap_or_default();
        facts.map_or(Ok(()), facts::check)?;
        Ok(Self { entities, samples, events, facts: facts.map(<[u8]>::to_vec), messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1, R8: sections in any order, one from the future; an event, and facts of a later version.
    const BODY: [u8; 21] = [99, 1, 7, 4, 3, 2, 0, 5, 3, 6, 1, 1, 1, 0, 0, 0, 2, 3, 1, 1, 0];

    #[test]
    fn sections_stand_in_any_order_and_unknown_ones_are_skipped() {
        let body = Body::read(&BODY[..16], 10, 11).unwrap();
        assert_eq!(body.facts.as_deref(), Some(&[2, 0, 5][..]));
        assert_eq!((body.events[0].tick, body.samples), (11, None));
        assert!(Body::read(&BODY, 10, 11).is_err(), "samples that end early");
        assert!(Body::read(&BODY[..16], 10, 10).is_err(), "an event above last_tick");
        let twice = [&BODY[..16], &[99, 0]].concat();
        assert!(Body::read(&twice, 10, 11).is_err(), "two sections of one kind");
    }
}
