//! Whose lines they are, and how many: a table that never grows.
//!
//! A source is a unit, the kernel, or the identifier of a line that has no unit. What has no seat,
//! or could not be told apart, is summed as `others`, so that the sum of all lines is always that of
//! the journal.

use super::name::SourceName;
use super::{Counts, Listener};

/// Sources with seats of their own.
pub(super) const SOURCES_MAX: usize = 256;

/// Number of a seat.
pub(super) type SourceId = u16;

/// Whatever has no seat of its own.
pub(super) const OTHERS: SourceId = 0;
/// `_TRANSPORT=kernel`.
pub(super) const KERNEL: SourceId = 1;
/// Our own lines, which have their place whatever happens: who reads of a storm must see whether it
/// is ours.
const OWN: SourceId = 2;

/// Names of ourselves, as a unit and as an identifier.
const OWN_NAMES: [&[u8]; 3] = [b"flightrec.service", b"flightrecd.service", b"flightrecd"];

#[derive(Clone, Copy, Debug)]
struct Source {
    name: SourceName,
    counts: Counts,
    /// As last told: a count never goes back.
    told: Counts,
    /// Lines in the stretch that is being settled.
    new_lines: u64,
    new_errors: u64,
}

/// The table.
#[derive(Debug)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    pub(super) fn new() -> Self {
        let mut sources = Self(Vec::with_capacity(SOURCES_MAX));
        for name in ["others", "kernel", "flightrecd"] {
            sources.push(name.as_bytes());
        }
        sources
    }

    /// The seat of a source, a new one if need be.
    pub(super) fn of(&mut self, name: &[u8]) -> SourceId {
        if OWN_NAMES.contains(&name) {
            return OWN;
        }
        let name = SourceName::new(folded(name));
        let found = self.0.iter().skip(1).position(|source| source.name == name);
        match found {
            Some(index) => SourceId::try_from(index + 1).unwrap_or(OTHERS),
            None => self.push(name.as_bytes()),
        }
    }

    fn push(&mut self, name: &[u8]) -> SourceId {
        if self.0.len() >= SOURCES_MAX {
            return OTHERS;
        }
        self.0.push(Source {
            name: SourceName::new(name),
            counts: Counts::default(),
            told: Counts::default(),
            new_lines: 0,
            new_errors: 0,
        });
        SourceId::try_from(self.0.len() - 1).unwrap_or(OTHERS)
    }

    pub(super) fn name(&self, id: SourceId) -> SourceName {
        let source = self.0.get(usize::from(id)).or_else(|| self.0.first());
        source.map_or_else(|| SourceName::new(b"others"), |source| source.name)
    }

    /// A stretch of one file begins.
    pub(super) fn begin(&mut self) {
        for source in &mut self.0 {
            source.new_lines = 0;
            source.new_errors = 0;
        }
    }

    pub(super) fn add_lines(&mut self, id: SourceId, lines: u64) {
        if let Some(source) = self.0.get_mut(usize::from(id)) {
            source.counts.lines = source.counts.lines.saturating_add(lines);
            source.new_lines = source.new_lines.saturating_add(lines);
        }
    }

    /// An error of the stretch was seen.
    pub(super) fn saw_error(&mut self, id: SourceId) {
        if let Some(source) = self.0.get_mut(usize::from(id)) {
            source.new_errors = source.new_errors.saturating_add(1);
        }
    }

    pub(super) fn add_suppressed(&mut self, id: SourceId, lines: u64) {
        if let Some(source) = self.0.get_mut(usize::from(id)) {
            source.counts.suppressed = source.counts.suppressed.saturating_add(lines);
        }
    }

    /// Errors of the stretch that are certain without having been seen: of `lines` lines `errors`
    /// are errors, so what exceeds the lines of everybody else must be one's own.
    pub(super) fn certain_errors(&self, errors: u64, lines: u64) -> u64 {
        let own = self.0.iter().map(|source| certain(source, errors, lines));
        own.fold(0, u64::saturating_add)
    }

    /// Ends the stretch.
    pub(super) fn end(&mut self, errors: u64, lines: u64) {
        for source in &mut self.0 {
            let at_least = source.new_errors.max(certain(source, errors, lines));
            source.counts.errors = source.counts.errors.saturating_add(at_least);
        }
    }

    /// Tells what there is to tell.
    pub(super) fn tell(&mut self, listener: &mut dyn Listener) {
        for source in &mut self.0 {
            let Counts { lines, errors, bytes, suppressed } = source.counts;
            source.told.lines = source.told.lines.max(lines);
            source.told.errors = source.told.errors.max(errors);
            source.told.bytes = source.told.bytes.max(bytes);
            source.told.suppressed = source.told.suppressed.max(suppressed);
            if source.told != Counts::default() {
                listener.source(source.name.as_bytes(), source.told);
            }
        }
    }
}

fn certain(source: &Source, errors: u64, lines: u64) -> u64 {
    source.new_lines.saturating_add(errors).saturating_sub(lines)
}

/// One name for what gets a new one each time: sessions and transient units.
fn folded(name: &[u8]) -> &[u8] {
    let numbered = |prefix: &[u8], suffix: &[u8]| {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        number.is_some_and(|number| !number.is_empty())
    };
    if numbered(b"session-", b".scope") {
        b"session-*.scope"
    } else if numbered(b"run-", b".scope") {
        b"run-*.scope"
    } else if numbered(b"run-", b".service") {
        b"run-*.service"
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_seat_is_summed_as_others() {
        let mut sources = Sources::new();
        let seats = (0..300).map(|number| sources.of(format!("{number}.service").as_bytes()));
        let without = seats.filter(|&id| id == OTHERS).count();
        assert_eq!(without, 300 - (SOURCES_MAX - 3));
        assert_eq!(sources.of(b"flightrec.service"), OWN);
        assert_eq!(sources.of(b"kernel"), KERNEL);
    }

    #[test]
    fn sessions_and_transient_units_share_a_name() {
        let mut sources = Sources::new();
        assert_eq!(sources.of(b"session-1.scope"), sources.of(b"session-c2.scope"));
        assert_eq!(sources.of(b"run-u12.service"), sources.of(b"run-r0a.service"));
        assert_ne!(sources.of(b"run-u12.service"), sources.of(b"runner.service"));
    }

    /// 1,000 lines, 900 errors: who wrote 990 lines wrote 890 of the errors at least.
    #[test]
    fn errors_that_nobody_read_are_told_as_far_as_they_are_certain() {
        let mut sources = Sources::new();
        let [storm, calm] = [&b"storm.service"[..], b"calm.service"].map(|name| sources.of(name));
        sources.begin();
        sources.add_lines(storm, 990);
        sources.add_lines(calm, 10);
        sources.saw_error(calm);
        sources.end(900, 1000);
        let errors = |id: SourceId| sources.0[usize::from(id)].counts.errors;
        assert_eq!((errors(storm), errors(calm)), (890, 1));
    }
}
