//! The units that have processes, and what their processes take together.
//!
//! Sums over processes rank the units. They are also what is recorded of a unit where its cgroup
//! does not tell: where the memory controller is off, as on many boards, or under cgroup v1.

use flightrec_format::entity::EntityName;

use super::cgroup;
use super::table::{Known, Table};

/// Units that are known at once; processes of others have none.
pub(super) const UNITS_MAX: usize = 128;

/// Longest path of a cgroup that is opened, bytes: a container of a cluster has some 200. What lies
/// deeper is known by sums alone.
const PATH_LEN_MAX: usize = 256;

/// One unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Its name.
    pub name: EntityName,
    path: [u8; PATH_LEN_MAX],
    path_len: usize,
    /// Time that its processes used in user mode since it is known, 10 ms: grows only.
    pub user_ticks: u64,
    /// The same in the kernel.
    pub system_ticks: u64,
    /// Read from disks since then, KiB.
    pub read_kib: u64,
    /// Written to disks since then, KiB.
    pub write_kib: u64,
    /// What its processes have now.
    pub now: Sum,
}

/// What the processes of a unit have at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Sum {
    /// How many they are.
    pub processes: u64,
    /// Resident memory, KiB; what they share counts each time.
    pub rss_kib: u64,
    /// Swapped memory, KiB.
    pub swap_kib: u64,
    /// Time used, in 1/1000 of one core.
    pub cpu_permille: u64,
    /// Written to disks, KiB per second.
    pub write_kib_s: u64,
}

impl Unit {
    /// Path of its cgroup below the root of the tree; empty if it is too long to be opened.
    #[must_use]
    pub(super) fn path(&self) -> &[u8] {
        self.path.get(..self.path_len).unwrap_or_default()
    }
}

/// All of them; a unit keeps its number as long as it has processes. Memory is taken with the first
/// process, as that of the table is.
#[derive(Debug, Default)]
pub(super) struct Register {
    units: Vec<Option<Unit>>,
}

impl Register {
    /// The number of the unit with this cgroup, which is taken in if it is new and has room.
    pub(super) fn number_of(&mut self, path: &[u8]) -> Option<u16> {
        if self.units.capacity() == 0 {
            self.units.reserve_exact(UNITS_MAX);
        }
        let name = cgroup::unit_name(path);
        if name == EntityName::default() {
            return None;
        }
        let own = |unit: &Option<Unit>| unit.is_some_and(|unit| unit.name == name);
        if let Some(at) = self.units.iter().position(own) {
            return u16::try_from(at).ok();
        }
        let at = self.units.iter().position(Option::is_none).unwrap_or(self.units.len());
        if at >= UNITS_MAX {
            return None;
        }
        let mut unit = Unit {
            name,
            path: [0; PATH_LEN_MAX],
            path_len: 0,
            user_ticks: 0,
            system_ticks: 0,
            read_kib: 0,
            write_kib: 0,
            now: Sum::default(),
        };
        let path = cgroup::unit_path(path);
        if let Some(place) = unit.path.get_mut(..path.len()) {
            place.copy_from_slice(path);
            unit.path_len = path.len();
        }
        match self.units.get_mut(at) {
            Some(place) => *place = Some(unit),
            None => self.units.push(Some(unit)),
        }
        u16::try_from(at).ok()
    }

    /// A unit by its number.
    #[must_use]
    pub(super) fn get(&self, number: Option<u16>) -> Option<&Unit> {
        self.units.get(usize::from(number?))?.as_ref()
    }

    /// All units, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &Unit)> {
        let numbered = (0_u16..).zip(&self.units);
        numbered.filter_map(|(number, unit)| Some((number, unit.as_ref()?)))
    }

    /// Adds what a process did since `before`.
    pub(super) fn grow(&mut self, process: &Known, before: &Known) {
        let Some(Some(unit)) = process.unit.and_then(|at| self.units.get_mut(usize::from(at)))
        else {
            return;
        };
        unit.user_ticks += process.user_ticks.saturating_sub(before.user_ticks);
        unit.system_ticks += process.system_ticks.saturating_sub(before.system_ticks);
        unit.read_kib += process.read_kib.saturating_sub(before.read_kib);
        unit.write_kib += process.write_kib.saturating_sub(before.write_kib);
    }

    /// Sums up what the processes of the table have now, and forgets units without any.
    pub(super) fn sum_up(&mut self, table: &Table) {
        for unit in self.units.iter_mut().flatten() {
            unit.now = Sum::default();
        }
        for process in table.iter() {
            let Some(Some(unit)) = process.unit.and_then(|at| self.units.get_mut(usize::from(at)))
            else {
                continue;
            };
            unit.now.processes += 1;
            unit.now.rss_kib += process.rss_kib;
            unit.now.swap_kib += process.swap_kib;
            unit.now.cpu_permille += u64::from(process.cpu_permille);
            unit.now.write_kib_s += u64::from(process.write_kib_s);
        }
        for unit in &mut self.units {
            if unit.is_some_and(|unit| unit.now.processes == 0) {
                *unit = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_grows_with_its_processes_and_goes_with_the_last_one() {
        let mut register = Register::default();
        let mut table = Table::default();
        let unit = register.number_of(b"/system.slice/vector.service");
        assert_eq!(unit, register.number_of(b"/system.slice/vector.service"));
        assert_eq!(register.number_of(b"/"), None);
        let one = Known { pid: 1, unit, rss_kib: 10, user_ticks: 5, ..Known::default() };
        table.put(one);
        table.put(Known { pid: 2, ..one });
        let later = Known { user_ticks: 9, write_kib: 3, ..one };
        register.grow(&later, &one);
        register.sum_up(&table);
        let told = register.get(unit).unwrap();
        assert_eq!((told.user_ticks, told.write_kib, told.now.processes), (4, 3, 2));
        assert_eq!(told.now.rss_kib, 20);
        assert_eq!(told.path(), b"/system.slice/vector.service");
        let inner = register.number_of(b"/system.slice/ssh.service/inner");
        assert_eq!(register.get(inner).unwrap().path(), b"/system.slice/ssh.service");
        register.sum_up(&Table::default());
        assert!(register.get(unit).is_none());
    }

    #[test]
    fn more_units_than_have_room_cost_the_others_nothing() {
        let mut register = Register::default();
        for number in 0..UNITS_MAX {
            assert!(register.number_of(format!("/u{number}.service").as_bytes()).is_some());
        }
        assert_eq!(register.number_of(b"/one-more.service"), None);
        let deep = format!("/{}/u0.service", "x".repeat(4000));
        assert_eq!(register.number_of(deep.as_bytes()), Some(0));
    }
}
