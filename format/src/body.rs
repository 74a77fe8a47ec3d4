//! The body of a frame: sections, each with its kind and length (spec section 6).

use crate::entity::{self, Entity};
use crate::event::{self, Event};
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
    /// The bytes of the run facts, not looked into; their checksum is `facts_crc`.
    pub facts: Option<Vec<u8>>,
    /// Last words.
    pub messages: Vec<Message>,
}

impl Body {
    /// Reads a whole body. `first_tick` and `last_tick` are those of the header.
    pub fn read(bytes: &[u8], first_tick: u64, last_tick: u64) -> Result<Self, Malformed> {
        let mut input = Reader::new(bytes);
        let mut sections: [Option<&[u8]>; 6] = [None; 6];
        while !input.is_empty() {
            let kind = input.number()?;
            let len =
                input.at_most(u64::from(crate::limits::BODY_LEN_MAX), "a section too long")?;
            let section = input.bytes(len)?;
            let place = usize::try_from(kind).ok().and_then(|kind| sections.get_mut(kind));
            if place.is_some_and(|place| place.replace(section).is_some()) {
                return Err(Malformed("two sections of one kind"));
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
            .map(|section| message::read_all(section, first_tick))
            .transpose()?
            .unwrap_or_default();
        if facts.is_some_and(|facts| facts.len() > crate::limits::FACTS_LEN_MAX) {
            return Err(Malformed("run facts longer than allowed"));
        }
        Ok(Self { entities, samples, events, facts: facts.map(<[u8]>::to_vec), messages })
    }
}
