//! Entities: what a reading can belong to (spec section 6.1).

use crate::limits;
use crate::varint::{Malformed, Reader, Writer};

/// What an entity is. Numbers that we do not know are kept (R2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntityKind(pub u64);

impl EntityKind {
    /// The machine itself; never listed.
    pub const MACHINE: Self = Self(0);
    /// A disk, as in `/sys/block`.
    pub const DISK: Self = Self(1);
    /// A network interface.
    pub const NET: Self = Self(2);
    /// A process; `pid` and `start_ticks` tell namesakes apart.
    pub const PROCESS: Self = Self(3);
    /// A systemd unit or cgroup.
    pub const UNIT: Self = Self(4);
    /// A source of log lines.
    pub const LOG: Self = Self(5);
    /// A thermal zone or hwmon sensor.
    pub const THERMAL: Self = Self(6);
    /// A CPU core.
    pub const CORE: Self = Self(7);
    /// A mounted file system.
    pub const FS: Self = Self(8);
    /// A swap device.
    pub const SWAP: Self = Self(9);
}

/// Attribute ids (spec 6.1).
pub mod attribute {
    /// Process id.
    pub const PID: u64 = 1;
    /// Start of the process in clock ticks after boot.
    pub const START_TICKS: u64 = 2;
    /// Number of the unit entity that a process belongs to.
    pub const UNIT: u64 = 3;
    /// Most memory that a unit may take, bytes; absent: no limit.
    pub const MEMORY_MAX_BYTES: u64 = 4;
    /// What systemd does when the process of a unit ends: a code; absent: not known.
    pub const RESTART: u64 = 5;

    /// What the codes of `restart` mean, from 1.
    pub const RESTART_WORDS: [&str; 7] =
        ["no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"];
}

/// A name that fits a fixed place; longer ones are cut at 63 bytes.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct EntityName {
    len: u8,
    bytes: [u8; Self::LEN_MAX],
}

impl EntityName {
    /// Longest name that the recorder writes, bytes. (The format allows 255.)
    pub const LEN_MAX: usize = 63;

    /// Takes the first 63 bytes of `name`.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = [0; Self::LEN_MAX];
        let mut len = 0_u8;
        for (place, &byte) in bytes.iter_mut().zip(name) {
            *place = byte;
            len += 1;
        }
        Self { len, bytes }
    }

    /// The name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Default for EntityName {
    fn default() -> Self {
        Self::new(b"")
    }
}

impl std::fmt::Debug for EntityName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// One entity of a frame, as read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its name; invalid UTF-8 is replaced by U+FFFD.
    pub name: String,
    /// Ids and values of its attributes.
    pub attributes: Vec<(u64, u64)>,
}

impl Entity {
    /// Value of an attribute, if the entity has it. Of two with one id the last counts.
    #[must_use]
    pub fn attribute(&self, id: u64) -> Option<u64> {
        self.attributes.iter().rfind(|(own, _)| *own == id).map(|(_, value)| *value)
    }
}

/// Writes one entity.
pub fn write(out: &mut Writer<'_>, kind: EntityKind, name: &[u8], attributes: &[(u64, u64)]) {
    out.number(kind.0);
    out.text(name);
    out.number(u64::try_from(attributes.len()).unwrap_or(u64::MAX));
    for &(id, value) in attributes {
        out.number(id);
        out.number(value);
    }
}

/// Reads the entities section.
pub fn read_all(section: &[u8]) -> Result<Vec<Entity>, Malformed> {
    let mut input = Reader::new(section);
    let count = input.at_most(limits::ENTITIES_MAX, "more entities than allowed")?;
    let mut entities = Vec::with_capacity(count.min(section.len()));
    for _ in 0..count {
        let kind = EntityKind(input.number()?);
        if kind == EntityKind::MACHINE {
            return Err(Malformed("the machine is listed"));
        }
        let name = String::from_utf8_lossy(input.text(limits::NAME_LEN_MAX)?).into_owned();
        let attribute_count =
            input.at_most(limits::ATTRIBUTES_MAX, "more attributes than allowed")?;
        let mut attributes = Vec::with_capacity(attribute_count);
        for _ in 0..attribute_count {
            attributes.push((input.number()?, input.number()?));
        }
        entities.push(Entity { kind, name, attributes });
    }
    if !input.is_empty() {
        return Err(Malformed("bytes after the last entity"));
    }
    Ok(entities)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6.1: entity 0 is the machine; a second one would have readings of its own.
    #[test]
    fn a_listed_machine_is_damage() {
        let mut bytes = [0; 64];
        let mut out = Writer::new(&mut bytes);
        out.number(1);
        write(&mut out, EntityKind::MACHINE, b"", &[]);
        let used = out.finish().unwrap();
        assert!(read_all(&bytes[..used]).is_err());
    }

    /// R2: the unknown kind and attribute stay; of two `pid`s the last counts.
    #[test]
    fn unknown_kinds_are_kept_and_the_last_of_two_attributes_counts() {
        let mut bytes = [0; 64];
        let mut out = Writer::new(&mut bytes);
        out.number(1);
        write(&mut out, EntityKind(77), b"\xff\xfex", &[(1, 5), (900, 8), (1, 6)]);
        let used = out.finish().unwrap();
        let entities = read_all(&bytes[..used]).unwrap();
        assert_eq!(entities[0].kind, EntityKind(77));
        assert_eq!(entities[0].name, "\u{fffd}\u{fffd}x");
        assert_eq!(entities[0].attribute(attribute::PID), Some(6));
        assert_eq!(entities[0].attribute(900), Some(8));
    }
}
