//! What the service manager says of its units: failures, restarts, processes that the kernel killed.
//!
//! systemd gives each of these messages an id, and names the unit in a field. Anybody may send such
//! fields; who has sent them is told by journald, so that only process 1 is believed, or a user's own
//! manager about the units of that user.

use super::Listener;
use super::file::{ITEMS_MAX, u64_of};
use super::layout::Bad;
use super::name::Name;
use super::rows::{Rows, What};
use super::seat::Seat;
use crate::procfile::number;

/// Entries of one kind that are read in one look at a file, the newest. A restart loop that is faster
/// shows in the manager's own count.
const ENTRIES_PER_LOOK: usize = 16;

/// Units whose last words are remembered until it is told how they fared.
const UNITS_MAX: usize = 16;

/// What is told of units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tale {
    /// A process of the unit has ended; how, belongs to the failure that follows.
    Exited,
    /// The kernel killed one for its memory.
    OutOfMemory,
    /// The unit has failed.
    Failed,
    /// It will be started again.
    Restart,
}

/// How many they are.
pub(super) const TALES: usize = 4;

/// Ids as in systemd's `sd-messages.h`.
const IDS: [(&[u8], Tale); TALES] = [
    (b"98e322203f7a4ed290d09fe03c09fe15", Tale::Exited),
    (b"fe6faa94e7774663a0da52717891d8ef", Tale::OutOfMemory),
    (b"d9b373ed55a64feb8242e02dbe79a49c", Tale::Failed),
    (b"5eb03494b6584870a536b337290809b3", Tale::Restart),
];

impl Tale {
    /// The tale of a message with this id.
    pub(super) fn of(id: &[u8]) -> Option<Self> {
        IDS.iter().find(|(known, _)| *known == id).map(|(_, tale)| *tale)
    }

    fn index(self) -> usize {
        IDS.iter().position(|(_, tale)| *tale == self).unwrap_or(0)
    }
}

/// Whether the lines of a unit (as `_SYSTEMD_UNIT=` has it) may be about others: those of process 1, of
/// the managers of users, and of journald.
pub(super) fn tells_of_others(field: &[u8]) -> bool {
    let begins =
        [&b"_SYSTEMD_UNIT=init.scope"[..], b"_SYSTEMD_UNIT=user@", b"_SYSTEMD_UNIT=systemd-j"];
    begins.iter().any(|begin| field.starts_with(begin))
}

/// Something that happened to a unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate<'a> {
    /// It failed.
    Failed {
        /// The manager's word for how: `exit-code`, `timeout`, …
        result: &'a str,
        /// How its process ended: `exited`, `killed` or `dumped`; empty if that was not told.
        code: &'a str,
        /// With which status or signal.
        status: u64,
    },
    /// The manager will start it again; so many times since it was told last.
    Restarts(u64),
    /// The kernel killed a process of it for its memory.
    OutOfMemory,
}

/// Names of units have 255 bytes at most.
type UnitName = Name<255>;

#[derive(Clone, Copy, Debug)]
struct Unit {
    name: UnitName,
    is_users: bool,
    /// How its process ended.
    code: Name<16>,
    status: u64,
    /// As the manager counts.
    restarts: u64,
}

/// What is remembered from one entry to the next.
#[derive(Debug)]
pub(super) struct Manager(Vec<Unit>);

impl Manager {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(UNITS_MAX))
    }

    /// Tells what is new in a file.
    pub(super) fn tell(
        &mut self,
        seat: &mut Seat,
        rows: &mut Rows,
        listener: &mut dyn Listener,
    ) -> Result<(), Bad> {
        let mut found = [(0, Tale::Exited); TALES * ENTRIES_PER_LOOK];
        let mut count = 0;
        let mut next = 0;
        while let Some(row) = rows.nth(next) {
            next += 1;
            let What::Manager(tale) = row.what else { continue };
            if row.file != seat.number || row.now <= row.settled {
                continue;
            }
            let (data, _) = seat.file.data(row.offset, &mut [])?;
            let newest = row.now.saturating_sub(u64_of(ENTRIES_PER_LOOK));
            for number in row.settled.max(newest)..row.now {
                let mut at = [0];
                let Some(place) = seat.tales.get_mut(tale.index()) else { break };
                if place.read_of(&mut seat.file, &data, number, &mut at)? == 0 {
                    break;
                }
                rows.settle(next - 1, number + 1);
                let [at] = at;
                if let Some(place) = found.get_mut(count) {
                    *place = (at, tale);
                    count += 1;
                }
            }
        }
        // In the order in which they were said, which is that of their places.
        let found = found.get_mut(..count).unwrap_or_default();
        found.sort_unstable_by_key(|(at, _)| *at);
        for (at, tale) in found {
            let said = Said::read(seat, *at, rows)?;
            self.take(*tale, &said, listener);
        }
        Ok(())
    }

    fn take(&mut self, tale: Tale, said: &Said, listener: &mut dyn Listener) {
        let Some((name, is_users)) = said.unit() else { return };
        if tale == Tale::OutOfMemory {
            return listener.unit(name.as_str(), is_users, Fate::OutOfMemory);
        }
        let Some(unit) = self.unit(name, is_users) else { return };
        match tale {
            Tale::Exited => (unit.code, unit.status) = (said.code, said.status),
            Tale::OutOfMemory => {}
            Tale::Failed => {
                let code = std::mem::replace(&mut unit.code, Name::new(b""));
                let status = std::mem::take(&mut unit.status);
                let (result, code) = (said.result.as_str(), code.as_str());
                let fate = Fate::Failed { result, code, status };
                listener.unit(name.as_str(), is_users, fate);
            }
            Tale::Restart => {
                // The manager begins anew when somebody starts the unit by hand.
                let new = said.restarts.checked_sub(unit.restarts).unwrap_or(said.restarts).max(1);
                unit.restarts = said.restarts;
                listener.unit(name.as_str(), is_users, Fate::Restarts(new));
            }
        }
    }

    /// What is remembered of a unit; the one that was new longest ago makes room.
    fn unit(&mut self, name: UnitName, is_users: bool) -> Option<&mut Unit> {
        let Self(units) = self;
        let known = units.iter().position(|own| own.name == name && own.is_users == is_users);
        let at = known.unwrap_or_else(|| {
            if units.len() >= UNITS_MAX {
                units.remove(0);
            }
            units.push(Unit { name, is_users, code: Name::new(b""), status: 0, restarts: 0 });
            units.len() - 1
        });
        units.get_mut(at)
    }
}

/// One entry, as far as it is about units.
#[derive(Debug, Default)]
struct Said {
    /// Process 1 has said it.
    is_first: bool,
    /// A user's own manager has.
    is_users: bool,
    system_unit: UnitName,
    user_unit: UnitName,
    result: Name<24>,
    code: Name<16>,
    status: u64,
    restarts: u64,
}

impl Said {
    fn read(seat: &mut Seat, at: u64, rows: &Rows) -> Result<Self, Bad> {
        let mut said = Self::default();
        let mut items = [0; ITEMS_MAX];
        let (_, count) = seat.file.entry(at, &mut items)?;
        for &item in items.iter().take(count) {
            // What is counted is none of those that are looked for.
            if rows.find(seat.number, item).is_some() {
                continue;
            }
            let mut payload = [0; 272];
            let (data, len) = seat.file.data(item, &mut payload)?;
            if data.is_compressed == 0 {
                said.hear(payload.get(..len).unwrap_or_default());
            }
        }
        Ok(said)
    }

    fn hear(&mut self, field: &[u8]) {
        let Some(end) = field.iter().position(|&byte| byte == b'=') else { return };
        let (name, value) = field.split_at(end);
        let value = value.strip_prefix(b"=").unwrap_or_default();
        match name {
            b"_PID" => self.is_first |= value == b"1",
            b"_SYSTEMD_USER_UNIT" => self.is_users |= value == b"init.scope",
            b"UNIT" => self.system_unit = UnitName::new(value),
            b"USER_UNIT" => self.user_unit = UnitName::new(value),
            b"UNIT_RESULT" => self.result = word(value),
            b"EXIT_CODE" => self.code = word(value),
            b"EXIT_STATUS" => self.status = number(value).unwrap_or(0),
            b"N_RESTARTS" => self.restarts = number(value).unwrap_or(0),
            _ => {}
        }
    }

    /// The unit, and whether it is a user's, if whoever says it is to be believed.
    fn unit(&self) -> Option<(UnitName, bool)> {
        let (name, is_users) = match self {
            Self { is_first: true, system_unit, .. } => (*system_unit, false),
            Self { is_users: true, user_unit, .. } => (*user_unit, true),
            _ => return None,
        };
        let bytes = name.as_bytes();
        (!bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)).then_some((name, is_users))
    }
}

/// One of the manager's own words; anything else is none.
fn word<const LEN: usize>(value: &[u8]) -> Name<LEN> {
    let is_word = value.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-');
    Name::new(if is_word { value } else { b"" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Told(Vec<String>);

    impl Listener for Told {
        fn source(&mut self, _name: &[u8], _counts: crate::journal::Counts) {}

        fn message(&mut self, _source: &[u8], _severity: u8, _repeats: u64, _text: &[u8]) {}

        fn unit(&mut self, name: &str, is_users: bool, fate: Fate<'_>) {
            self.0.push(format!("{name} {is_users} {fate:?}"));
        }
    }

    fn told(entries: &[(Tale, &[&str])]) -> Vec<String> {
        let (mut manager, mut told) = (Manager::new(), Told::default());
        for (tale, fields) in entries {
            let mut said = Said::default();
            fields.iter().for_each(|field| said.hear(field.as_bytes()));
            manager.take(*tale, &said, &mut told);
        }
        told.0
    }

    #[test]
    fn only_the_manager_is_believed_and_that_of_a_user_about_its_own_units() {
        let failed = |fields: &[&str]| told(&[(Tale::OutOfMemory, fields)]);
        let users = ["_PID=812", "_SYSTEMD_USER_UNIT=init.scope", "UNIT=ssh.service"];
        assert_eq!(failed(&["_PID=1", "UNIT=a.service"]), ["a.service false OutOfMemory"]);
        assert_eq!(failed(&["_PID=12", "UNIT=a.service"]), [""; 0]);
        assert_eq!(failed(&["_PID=1", "UNIT=a\u{1b}[31m.service"]), [""; 0]);
        assert_eq!(failed(&users), [""; 0]);
        let users = [&users[..], &["USER_UNIT=b.service"]].concat();
        assert_eq!(failed(&users), ["b.service true OutOfMemory"]);
    }

    #[test]
    fn restarts_are_those_that_the_manager_counts_however_few_of_its_lines_are_read() {
        let fields = |count| ["_PID=1", "UNIT=a.service", count];
        let entries = ["N_RESTARTS=2", "N_RESTARTS=9", "N_RESTARTS=1"].map(fields);
        let entries = entries.each_ref().map(|fields| (Tale::Restart, &fields[..]));
        let counts = [2, 7, 1].map(|count| format!("a.service false Restarts({count})"));
        assert_eq!(told(&entries), counts);
    }

    #[test]
    fn more_units_than_are_remembered_are_survived() {
        let names: Vec<String> = (0..100).map(|number| format!("UNIT={number}.service")).collect();
        let fields: Vec<[&str; 3]> =
            names.iter().map(|name| ["_PID=1", name.as_str(), "N_RESTARTS=1"]).collect();
        let entries: Vec<_> = fields.iter().map(|own| (Tale::Restart, &own[..])).collect();
        assert_eq!(told(&entries).len(), 100);
    }
}
