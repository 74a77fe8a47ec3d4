//! From counters to lines and errors: what came since the last look, and whose it is.
//!
//! Lines of units and of the kernel are differences of counters: exact, and as cheap in a storm as
//! in a calm. What needs entries to be read (errors by source, lines without a unit) is exact while
//! it is little; beyond that errors are told as far as they are certain, and lines go to `others`.

use super::file::{ITEMS_MAX, u64_of};
use super::layout::Bad;
use super::list::AT_ONCE;
use super::rows::{Rows, What};
use super::seat::{ERROR, Seat};
use super::sources::{OTHERS, Sources};
use crate::procfile::number;

/// Errors, and lines without a unit, that are read one by one in one look at a file.
pub(super) const ENTRIES_PER_LOOK: u64 = 32;

/// Lines about suppression that are read in one look; the rest waits.
const SUPPRESSIONS_PER_LOOK: u64 = 8;

impl Seat {
    /// Takes what came since the last time. Answers with the errors among it, all sources together.
    pub(super) fn settle(&mut self, rows: &mut Rows, sources: &mut Sources) -> Result<u64, Bad> {
        if self.reading.is_measured {
            sources.begin();
            let errors = self.count_lines(rows, sources);
            // All of it lies between the last header and the one after the counters; one entry more
            // may have been half-way.
            let lines = self.entries_after.saturating_sub(self.stretch_begin).saturating_add(1);
            self.read_errors(errors, lines, rows, sources)?;
            self.read_unowned(rows, sources)?;
            sources.end(errors, lines);
            let meanwhile = self.entries_after.saturating_sub(self.header.n_entries);
            self.stretch_begin = self.header.n_entries.saturating_sub(meanwhile);
            self.settle_errors(rows);
            self.place_rest(sources);
            self.read_suppressions(rows, sources)?;
            return Ok(errors);
        }
        self.place_rest(sources);
        self.read_suppressions(rows, sources)?;
        Ok(0)
    }

    /// Adds up what the counters say. Answers with the number of errors.
    fn count_lines(&mut self, rows: &mut Rows, sources: &mut Sources) -> u64 {
        let mut errors = 0_u64;
        for row in rows.of(self.number) {
            let new = row.now.saturating_sub(row.settled);
            match row.what {
                What::Lines(source) => {
                    sources.add_lines(source, new);
                    self.owned = self.owned.saturating_add(new);
                    row.settled = row.settled.max(row.now);
                }
                What::Severity(0..=ERROR) => errors = errors.saturating_add(new),
                _ => {}
            }
        }
        errors
    }

    /// Reads errors for the sake of their sources: all, if they are few; if counting cannot tell
    /// whose most of them are, the newest.
    fn read_errors(
        &mut self,
        errors: u64,
        lines: u64,
        rows: &Rows,
        sources: &mut Sources,
    ) -> Result<(), Bad> {
        if errors > ENTRIES_PER_LOOK && sources.certain_errors(errors, lines) >= errors / 2 {
            return Ok(());
        }
        let mut left = ENTRIES_PER_LOOK;
        let mut next = 0;
        while let Some(row) = rows.nth(next) {
            next += 1;
            let What::Severity(severity @ 0..=ERROR) = row.what else { continue };
            if row.file != self.number || row.now <= row.settled {
                continue;
            }
            let mut from = row.settled.max(row.now.saturating_sub(left));
            let (data, _) = self.file.data(row.offset, &mut [])?;
            while from < row.now && left > 0 {
                let mut offsets = [0; AT_ONCE];
                let wanted = usize::try_from(row.now - from).unwrap_or(AT_ONCE).min(AT_ONCE);
                let wanted = offsets.get_mut(..wanted).unwrap_or_default();
                let Some(place) = self.severities.get_mut(usize::from(severity)) else { break };
                let count = place.read_of(&mut self.file, &data, from, wanted)?;
                if count == 0 {
                    break;
                }
                for &at in offsets.iter().take(count) {
                    let whose = self.whose(at, rows)?;
                    sources.saw_error(whose.source());
                }
                from += u64_of(count);
                left = left.saturating_sub(u64_of(count));
            }
        }
        Ok(())
    }

    fn settle_errors(&self, rows: &mut Rows) {
        for row in rows.of(self.number) {
            if matches!(row.what, What::Severity(_)) {
                row.settled = row.settled.max(row.now);
            }
        }
    }

    /// Gives lines without a unit to their identifiers.
    fn read_unowned(&mut self, rows: &Rows, sources: &mut Sources) -> Result<(), Bad> {
        let entries = self.header.n_entries;
        let unowned = (entries - self.base.min(entries)).saturating_sub(self.owned);
        // Only between two equal headers do the counters belong to this one.
        let is_all_owned = self.entries_after == entries && unowned == self.placed;
        if is_all_owned || entries.saturating_sub(self.cursor) > ENTRIES_PER_LOOK {
            self.cursor = entries;
            return Ok(());
        }
        while self.cursor < entries {
            let mut offsets = [0; AT_ONCE];
            let wanted = usize::try_from(entries - self.cursor).unwrap_or(AT_ONCE).min(AT_ONCE);
            let wanted = offsets.get_mut(..wanted).unwrap_or_default();
            let head = self.header.entry_array;
            let count = self.all.read(&mut self.file, head, self.cursor, wanted)?;
            if count == 0 {
                break;
            }
            for &at in offsets.iter().take(count) {
                let whose = self.whose(at, rows)?;
                if whose.owner.is_none() {
                    sources.add_lines(whose.source(), 1);
                    self.placed = self.placed.saturating_add(1);
                }
            }
            self.cursor += u64_of(count);
        }
        Ok(())
    }

    /// What belongs to nobody that we know: so many entries, so few in the counters.
    fn place_rest(&mut self, sources: &mut Sources) {
        // The newest may be half-way into the counters, unless nothing came for a while.
        let entries = self.header.n_entries.saturating_sub(u64::from(!self.reading.is_quiet));
        let unowned = entries.saturating_sub(self.base).saturating_sub(self.owned);
        let rest = unowned.saturating_sub(self.placed);
        sources.add_lines(OTHERS, rest);
        self.placed = self.placed.saturating_add(rest);
    }

    /// "Suppressed N messages from UNIT": lines that nobody will see.
    fn read_suppressions(&mut self, rows: &mut Rows, sources: &mut Sources) -> Result<(), Bad> {
        let mut next = 0;
        while let Some(row) = rows.nth(next) {
            next += 1;
            let is_ours = row.file == self.number && row.what == What::Suppression;
            if !is_ours || row.now <= row.settled {
                continue;
            }
            let (data, _) = self.file.data(row.offset, &mut [])?;
            let end = row.now.min(row.settled.saturating_add(SUPPRESSIONS_PER_LOOK));
            for number in row.settled..end {
                let mut at = [0];
                if self.suppression.read_of(&mut self.file, &data, number, &mut at)? == 0 {
                    break;
                }
                rows.settle(next - 1, number + 1);
                let [at] = at;
                self.read_suppression(at, rows, sources)?;
            }
        }
        Ok(())
    }

    fn read_suppression(&mut self, at: u64, rows: &Rows, sources: &mut Sources) -> Result<(), Bad> {
        let mut items = [0; ITEMS_MAX];
        let (_, count) = self.file.entry(at, &mut items)?;
        for &item in items.iter().take(count) {
            if rows.find(self.number, item).is_some() {
                continue;
            }
            let mut payload = [0; 320];
            let (data, len) = self.file.data(item, &mut payload)?;
            let payload = payload.get(..len).unwrap_or_default();
            if data.is_compressed == 0
                && let Some(text) = payload.strip_prefix(b"MESSAGE=")
                && let Some((lines, unit)) = suppressed(text)
            {
                let unit = sources.of(unit);
                sources.add_suppressed(unit, lines);
                break;
            }
        }
        Ok(())
    }
}

/// How many lines, and of whom.
fn suppressed(text: &[u8]) -> Option<(u64, &[u8])> {
    let rest = text.strip_prefix(b"Suppressed ")?;
    let end = rest.iter().position(|&byte| byte == b' ')?;
    let (digits, rest) = rest.split_at_checked(end)?;
    let unit = rest.strip_prefix(b" messages from ")?;
    let unit = unit.strip_suffix(b"\n").unwrap_or(unit);
    Some((number(digits)?, unit)).filter(|(_, unit)| !unit.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_journald_says_of_suppressed_lines_is_understood() {
        let said = b"Suppressed 5531 messages from vector.service";
        assert_eq!(suppressed(said), Some((5531, &b"vector.service"[..])));
        for strange in ["Suppressed", "Suppressed x messages from a", "Suppressed 1 messages from "]
        {
            assert_eq!(suppressed(strange.as_bytes()), None, "{strange}");
        }
    }
}
