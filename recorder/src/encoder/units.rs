//! Which number the unit of a process has in the entities of a frame (spec 6.1): that of a group of
//! its own, else that of a name that is listed behind all groups.

use flightrec_format::entity::{EntityKind, EntityName};

use super::groups::Groups;

/// The units of one frame. Memory is taken at start.
pub(super) struct Units {
    /// Units that have groups, and the number of the first one.
    own: Vec<(EntityName, u64)>,
    /// Units that only processes name, in the order in which they are listed.
    pub(super) extra: Vec<EntityName>,
    /// Entities before those.
    listed: u64,
}

impl Units {
    /// Room for so many units.
    pub(super) fn new(units_max: usize) -> Self {
        let units_max = units_max.min(256);
        let (own, extra) = (Vec::with_capacity(units_max), Vec::with_capacity(units_max));
        Self { own, extra, listed: 0 }
    }

    /// Finds the units of the groups in `order`, behind which `others` are listed before them. Those
    /// without room have no number: their processes are shown without them.
    pub(super) fn list(&mut self, groups: &Groups, order: &[usize], others: usize) {
        self.own.clear();
        self.extra.clear();
        let groups = || order.iter().filter_map(|&index| groups.list.get(index));
        self.listed = 0;
        for group in groups().filter(|group| group.slot != 0) {
            self.listed += 1;
            if let Some(unit) = group.occupant.filter(|_| group.kind == EntityKind::UNIT)
                && self.own.len() < self.own.capacity()
                && self.number_of(unit.name).is_none()
            {
                self.own.push((unit.name, self.listed));
            }
        }
        for group in groups().filter(|group| group.kind == EntityKind::PROCESS) {
            if let Some(process) = group.occupant
                && process.unit != EntityName::default()
                && self.extra.len() < self.extra.capacity()
                && self.number_of(process.unit).is_none()
            {
                self.extra.push(process.unit);
            }
        }
        self.listed += u64::try_from(others).unwrap_or(0);
    }

    /// The number of a unit; `None` for none.
    pub(super) fn number_of(&self, unit: EntityName) -> Option<u64> {
        if unit == EntityName::default() {
            return None;
        }
        if let Some((_, number)) = self.own.iter().find(|(own, _)| *own == unit) {
            return Some(*number);
        }
        let at = self.extra.iter().position(|own| *own == unit)?;
        Some(self.listed + 1 + u64::try_from(at).ok()?)
    }
}
