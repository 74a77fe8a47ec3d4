//! How much each log said over a stretch of time.

use std::collections::BTreeMap;

use flightrec_format::entity::EntityKind;

use crate::export::json;
use crate::play::Sample;
use crate::timeline::Timeline;
use crate::units;
use crate::values::wide;
use crate::views::text::{WIDTH, escape, fit};

/// Series of a log: lines, those of severity err or worse, and lines that were suppressed.
const LINES: u16 = 240;
const ERRORS: u16 = 241;
const SUPPRESSED: u16 = 243;

/// How much one log said.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    lines: f64,
    errors: Option<f64>,
    suppressed: f64,
    /// Most lines in a second.
    most: f64,
    first_ns: u128,
    last_ns: u128,
    before: Option<(u128, [Option<u64>; 3])>,
}

/// The same of all of them, by their names.
#[derive(Debug, Default)]
pub struct Rates {
    sources: BTreeMap<String, Said>,
    run: Option<(usize, usize)>,
}

impl Rates {
    /// Takes one more sample, of logs with names that are wanted.
    pub fn take(&mut self, timeline: &Timeline, sample: &Sample, wanted: impl Fn(&str) -> bool) {
        let time_ns = sample.stand.sample.time_ns;
        // Counted from the start of a run.
        if self.run.replace(sample.stand.at) != Some(sample.stand.at) {
            self.sources.values_mut().for_each(|said| said.before = None);
        }
        let mut now: BTreeMap<&str, [Option<u64>; 3]> = BTreeMap::new();
        for reading in &sample.readings {
            let Some(entity) = timeline.recover.entities.get(reading.entity) else { continue };
            if entity.kind != EntityKind::LOG || !wanted(&entity.name) {
                continue;
            }
            let place = [LINES, ERRORS, SUPPRESSED].iter().position(|own| *own == reading.series);
            if let Some(cell) =
                place.and_then(|at| now.entry(&entity.name).or_default().get_mut(at))
            {
                *cell = Some(reading.stored);
            }
        }
        for (name, counts) in now {
            let said = self.sources.entry(name.to_owned()).or_default();
            said.go_on(time_ns, counts);
        }
    }

    /// Those that said most first.
    fn ranked(&self) -> Vec<(&String, &Said)> {
        let mut ranked: Vec<_> = self.sources.iter().collect();
        ranked.sort_by(|(_, one), (_, other)| other.lines.total_cmp(&one.lines));
        ranked
    }

    /// Whether no log said how much it said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// A table of the `count` that said most; nothing if there are none.
    #[must_use]
    pub fn lines(&self, count: usize) -> Vec<String> {
        let ranked: Vec<_> = self.ranked().into_iter().take(count).collect();
        if ranked.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![format!(
            "{:<44} {:>7} {:>7} {:>7} {:>7}",
            "log", "lines", "lines/s", "most/s", "errors"
        )];
        for (name, said) in ranked {
            let rate = said.per_second().map_or_else(|| "-".to_owned(), rate);
            let errors = said.errors.map_or_else(|| "-".to_owned(), units::count);
            let mut line = format!(
                "{:<44} {:>7} {rate:>7} {:>7} {errors:>7}",
                fit(&escape(name), 44),
                units::count(said.lines),
                self::rate(said.most),
            );
            if said.suppressed > 0.0 {
                put!(&mut line, "  +{} lost", units::count(said.suppressed));
            }
            lines.push(fit(&line, WIDTH));
        }
        lines
    }

    /// The same as objects, without brackets around them.
    #[must_use]
    pub fn json(&self) -> String {
        let mut out = String::new();
        for (place, (name, said)) in self.ranked().into_iter().enumerate() {
            out.push_str(if place == 0 { "{\"name\":" } else { ",{\"name\":" });
            json::quote(&mut out, name);
            for (key, value) in [
                ("lines", Some(said.lines)),
                ("errors", said.errors),
                ("suppressed", Some(said.suppressed)),
                ("lines_per_s", said.per_second()),
                ("most_lines_per_s", Some(said.most)),
            ] {
                put!(&mut out, ",\"{key}\":{}", json::rate_text(value));
            }
            out.push('}');
        }
        out
    }
}

/// At most five characters, with a decimal where it tells something.
fn rate(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { units::count(value) }
}

impl Said {
    fn go_on(&mut self, time_ns: u128, counts: [Option<u64>; 3]) {
        let Some((before_ns, before)) = self.before.replace((time_ns, counts)) else {
            if self.last_ns == 0 {
                self.first_ns = time_ns;
            }
            self.last_ns = time_ns;
            return;
        };
        let grown = |at: usize| {
            let now = counts.get(at).copied().flatten();
            let grown = now?.checked_sub(before.get(at).copied().flatten()?)?;
            Some(wide(grown))
        };
        let seconds =
            wide(u64::try_from(time_ns.saturating_sub(before_ns)).unwrap_or(u64::MAX)) / 1e9;
        let lines = grown(0).unwrap_or(0.0);
        self.lines += lines;
        if seconds > 0.0 {
            self.most = self.most.max(lines / seconds);
        }
        if let Some(errors) = grown(1) {
            self.errors = Some(self.errors.unwrap_or(0.0) + errors);
        }
        self.suppressed += grown(2).unwrap_or(0.0);
        self.last_ns = time_ns;
    }

    fn per_second(&self) -> Option<f64> {
        let watched = u64::try_from(self.last_ns.saturating_sub(self.first_ns)).ok()?;
        (watched > 0).then(|| self.lines / (wide(watched) / 1e9))
    }
}
