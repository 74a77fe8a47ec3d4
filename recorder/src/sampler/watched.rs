//! Readings whose every change is an event: a cable that is pulled, a file system that turns
//! read-only.

use flightrec_format::entity::{EntityKind, EntityName};
use flightrec_format::event::EventKind;

use crate::sample::{Layout, Sample, SeriesNumber};

/// Which readings, of which kind of entity, and the event that a change is.
const WATCHED: [(EntityKind, SeriesNumber, EventKind); 2] =
    [(EntityKind::NET, 284, EventKind::LINK), (EntityKind::FS, 282, EventKind::REMOUNT)];

/// One reading of one slot.
#[derive(Clone, Copy, Debug)]
struct Watch {
    slot: usize,
    column: usize,
    kind: EventKind,
    before: Option<(EntityName, u64)>,
}

/// All that are watched.
#[derive(Debug)]
pub(super) struct Watched(Box<[Watch]>);

impl Watched {
    pub(super) fn new(layout: &Layout) -> Self {
        let watches = WATCHED.iter().flat_map(|(entity, series, kind)| {
            layout.slots_of(*entity).filter_map(move |slot| {
                let place = layout.slots().get(slot)?;
                let offset = place.series.iter().position(|own| own == series)?;
                let column = place.first_column + offset;
                Some(Watch { slot, column, kind: *kind, before: None })
            })
        });
        Self(watches.collect())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells of each reading of the same entity that is not what it was before. One that was
    /// absent meanwhile is compared with the last that was there.
    pub(super) fn look(
        &mut self,
        sample: &Sample,
        mut tell: impl FnMut(EventKind, EntityName, u64),
    ) {
        for watch in &mut self.0 {
            let Some(name) = sample.occupant(watch.slot).map(|occupant| occupant.name) else {
                watch.before = None;
                continue;
            };
            let Some(now) = sample.get(watch.column) else { continue };
            if let Some((own, before)) = watch.before
                && own == name
                && before != now
            {
                tell(watch.kind, name, now);
            }
            watch.before = Some((name, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Occupant;
    use crate::sources::{MACHINE, RANKS};

    #[test]
    fn a_change_is_told_once_and_a_newcomer_is_no_change() {
        let layout = Layout::new(MACHINE, RANKS);
        let mut watched = Watched::new(&layout);
        let slot = layout.slots_of(EntityKind::NET).start;
        let carrier = watched.0.iter().find(|watch| watch.slot == slot).unwrap().column;
        let mut sample = Sample::new(&layout);
        let mut look = |name: &str, value: Option<u64>| {
            sample.clear();
            sample.seat(slot, (!name.is_empty()).then(|| Occupant::named(name.as_bytes())));
            if let Some(value) = value {
                sample.set(carrier, value);
            }
            let mut told = Vec::new();
            watched.look(&sample, |kind, name, value| told.push((kind, name, value)));
            told
        };
        let down = (EventKind::LINK, EntityName::new(b"eth0"), 0);
        assert_eq!(look("eth0", Some(1)), []);
        assert_eq!(look("eth0", Some(0)), [down]);
        assert_eq!(look("eth0", Some(0)), []);
        assert_eq!(look("eth0", None), []);
        assert_eq!(look("eth0", Some(1)), [(EventKind::LINK, EntityName::new(b"eth0"), 1)]);
        assert_eq!(look("wlan0", Some(0)), [], "another one");
        assert_eq!(look("", None), []);
        assert_eq!(look("wlan0", Some(1)), [], "it came back");
    }
}
