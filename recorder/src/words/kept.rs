//! The messages that wait to be written with the samples of their ticks, in memory taken at start.
//!
//! A message stands where it was heard last: one that comes again moves to the newer tick. What
//! goes into a frame is chosen anew for each: the worst first, of those the newest.

use flightrec_format::entity::{EntityKind, EntityName};
use flightrec_format::varint::{Writer, len as varint_len};

use super::{Text, Word};

/// Messages that are kept.
const COUNT: usize = 64;

/// Most bytes of messages in a sealed frame.
pub const SEALED_LEN_MAX: usize = 8 << 10;

/// Most bytes of messages in a tail frame, compressed perhaps half of that.
pub const TAIL_LEN_MAX: usize = 600;

/// Entities that one frame lists for messages alone.
const STRANGERS_MAX: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Said {
    tick: u64,
    source: EntityName,
    severity: u8,
    count: u64,
    id: u64,
    text: Text,
}

impl Said {
    /// Bytes that it takes in a frame, with an entity of its own, at most.
    fn len(&self) -> usize {
        let text = self.text.as_bytes().len();
        let source = self.source.as_bytes().len() + 3;
        text + source + varint_len(self.count) + 10
    }
}

/// The newest distinct messages.
#[derive(Debug)]
pub struct Kept(Vec<Said>);

impl Kept {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(COUNT))
    }

    /// Keeps a message that was heard at a tick. What is sealed makes room, then the least bad.
    pub fn put(&mut self, tick: u64, word: &Word, sealed_tick: Option<u64>) {
        let said = Said {
            tick,
            source: word.source,
            severity: word.severity,
            count: word.count,
            id: word.id,
            text: word.text,
        };
        if let Some(own) = self.0.iter_mut().find(|own| own.id == said.id) {
            *own = said;
            return;
        }
        if self.0.len() < COUNT {
            self.0.push(said);
            return;
        }
        let order = |said: &Said| {
            let waits = sealed_tick.is_none_or(|sealed| said.tick > sealed);
            (waits, if waits { 7 - said.severity.min(7) } else { 0 }, said.tick)
        };
        let spare = self.0.iter_mut().min_by_key(|own| order(own));
        if let Some(place) = spare.filter(|place| order(place) <= order(&said)) {
            *place = said;
        }
    }
}

/// What goes into the frame in the making.
#[derive(Debug)]
pub struct Choice {
    /// Indices, in the order in which they are written.
    chosen: Vec<usize>,
    /// Sources that no sample of the frame names.
    strangers: Vec<EntityName>,
}

impl Choice {
    /// Nothing chosen yet.
    #[must_use]
    pub fn new() -> Self {
        Self { chosen: Vec::with_capacity(COUNT), strangers: Vec::with_capacity(STRANGERS_MAX) }
    }

    /// Chooses for a frame of these ticks: at most `len_max` bytes, whole messages. Returns how
    /// many bytes, about.
    pub fn choose(
        &mut self,
        Kept(said): &Kept,
        (first_tick, last_tick): (u64, u64),
        len_max: usize,
    ) -> usize {
        let Self { chosen, strangers } = self;
        chosen.clear();
        strangers.clear();
        let within = |(_, said): &(usize, &Said)| (first_tick..=last_tick).contains(&said.tick);
        chosen.extend(said.iter().enumerate().filter(within).map(|(index, _)| index));
        chosen.sort_unstable_by_key(|&index| {
            said.get(index).map_or((8, 0, 0), |own| (own.severity, u64::MAX - own.tick, own.id))
        });
        let mut used = 0;
        chosen.retain(|&index| {
            let len = said.get(index).map_or(usize::MAX, Said::len);
            let fits = len <= len_max - used;
            used += if fits { len } else { 0 };
            fits
        });
        used
    }

    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Finds the sources among the entities that the samples name (in their order, the first is
    /// entity 1); returns those that must be listed behind them.
    pub fn find_strangers<'a>(
        &mut self,
        Kept(said): &Kept,
        named: &(impl Iterator<Item = (EntityKind, &'a [u8])> + Clone),
    ) -> &[EntityName] {
        let Self { chosen, strangers } = self;
        strangers.clear();
        chosen.retain(|&index| {
            let Some(own) = said.get(index) else { return false };
            let is_known = strangers.contains(&own.source)
                || named
                    .clone()
                    .any(|(kind, name)| kind == EntityKind::LOG && name == own.source.as_bytes());
            if !is_known && strangers.len() < STRANGERS_MAX {
                strangers.push(own.source);
                return true;
            }
            is_known
        });
        strangers
    }

    /// Writes the messages section, once [`Self::find_strangers`] was asked.
    pub fn write<'a>(
        &self,
        Kept(said): &Kept,
        out: &mut Writer<'_>,
        first_tick: u64,
        named: &(impl Iterator<Item = (EntityKind, &'a [u8])> + Clone),
    ) {
        let count = named.clone().count();
        out.number(u64::try_from(self.chosen.len()).unwrap_or(0));
        for own in self.chosen.iter().filter_map(|&index| said.get(index)) {
            let listed = named
                .clone()
                .position(|(kind, name)| kind == EntityKind::LOG && name == own.source.as_bytes());
            let stranger = || self.strangers.iter().position(|name| *name == own.source);
            let number = listed.or_else(|| Some(stranger()? + count)).map_or(0, |at| at + 1);
            out.number(own.tick - first_tick);
            out.number(u64::try_from(number).unwrap_or(0));
            out.number(u64::from(own.severity.min(7)));
            out.number(own.count);
            out.text(own.text.as_bytes());
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightrec_format::message;

    fn word(id: u64, severity: u8, source: &str, text: &str) -> Word {
        let mut own = Text::default();
        own.push(text);
        let source = EntityName::new(source.as_bytes());
        Word { event: None, at_ns: 0, source, severity, count: id, id, text: own }
    }

    fn written(kept: &Kept, ticks: (u64, u64), len_max: usize) -> Vec<(u64, usize, String)> {
        let named = [(EntityKind::DISK, &b"kmsg"[..]), (EntityKind::LOG, b"kmsg")];
        let mut choice = Choice::new();
        choice.choose(kept, ticks, len_max);
        let strangers = choice.find_strangers(kept, &named.into_iter()).len();
        let mut bytes = vec![0; 16 << 10];
        let mut out = Writer::new(&mut bytes);
        choice.write(kept, &mut out, ticks.0, &named.into_iter());
        let len = out.finish().unwrap();
        assert!(len <= len_max);
        let told = message::read_all(&bytes[..len], ticks.0, ticks.1, 2 + strangers).unwrap();
        told.into_iter().map(|own| (own.tick, own.source, own.text)).collect()
    }

    #[test]
    fn the_worst_and_newest_go_first_and_only_those_of_the_ticks() {
        let mut kept = Kept::new();
        kept.put(10, &word(1, 6, "kmsg", "info"), None);
        kept.put(11, &word(2, 3, "journal:a.service", "old error"), None);
        kept.put(12, &word(3, 3, "kmsg", "new error"), None);
        kept.put(20, &word(4, 0, "kmsg", "later"), None);
        let told = written(&kept, (10, 19), SEALED_LEN_MAX);
        let error = |text: &str| text.to_owned();
        let all =
            [(12, 2, error("new error")), (11, 3, error("old error")), (10, 2, error("info"))];
        assert_eq!(told, all);
        assert_eq!(written(&kept, (10, 19), 40), all[..1]);
        assert_eq!(written(&kept, (30, 40), 600), []);
        // It moves to where it was heard last.
        kept.put(35, &word(1, 6, "kmsg", "info again"), None);
        assert_eq!(written(&kept, (30, 40), 600), [(35, 2, error("info again"))]);
    }

    #[test]
    fn a_full_room_forgets_what_is_sealed_and_then_what_matters_least() {
        let mut kept = Kept::new();
        for id in 0..64 {
            kept.put(100 + id, &word(id, 3, "kmsg", &format!("m{id}")), None);
        }
        kept.put(200, &word(99, 6, "kmsg", "chatter"), None);
        assert!(written(&kept, (200, 200), 600).is_empty(), "errors wait to be sealed");
        kept.put(200, &word(99, 6, "kmsg", "chatter"), Some(110));
        assert_eq!(written(&kept, (200, 200), 600).len(), 1);
        kept.put(201, &word(98, 2, "kmsg", "worse"), None);
        assert_eq!(written(&kept, (201, 201), 600).len(), 1);
    }
}
