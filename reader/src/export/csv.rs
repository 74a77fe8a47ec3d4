//! Comma-separated values (RFC 4180): one row a sample, one column a series.

use std::collections::HashMap;

use crate::export::json::{hex, rate_text, seconds};
use crate::play::Sample;
use crate::timeline::Timeline;
use crate::values::{Names, Rates, is_counter, write_value};
use crate::zone::rfc3339;

/// Turns samples into rows.
pub struct Rows {
    names: Names,
    rates: Option<Rates>,
    columns: Vec<String>,
    index: HashMap<String, usize>,
}

impl Rows {
    /// With these names; counters become rates if `rates`.
    #[must_use]
    pub fn new(names: Names, rates: bool) -> Self {
        Self {
            names,
            rates: rates.then(Rates::default),
            columns: Vec::new(),
            index: HashMap::new(),
        }
    }

    /// First walk: learns which columns there are. Processes, units and logs come and go and
    /// would make a column each; they are in the JSON forms.
    pub fn learn(&mut self, timeline: &Timeline, sample: &Sample) {
        let entities = &timeline.recover.entities;
        for reading in &sample.readings {
            if let Some(name) = column(&mut self.names, timeline, reading)
                && !self.index.contains_key(name)
                && entities.get(reading.entity).is_some()
            {
                self.index.insert(name.to_owned(), self.columns.len());
                self.columns.push(name.to_owned());
            }
        }
    }

    /// The first line.
    pub fn header(&self, out: &mut String) {
        out.push_str("time,clock,boot,run,tick,boottime_s");
        for column in &self.columns {
            out.push(',');
            cell(out, column);
        }
        out.push_str("\r\n");
    }

    /// Second walk: one row.
    pub fn row(&mut self, out: &mut String, timeline: &Timeline, sample: &Sample) {
        let joined = &sample.stand.sample;
        let (boot, run) = sample.stand.at;
        let entities = &timeline.recover.entities;
        let elapsed = self.rates.as_mut().map_or(0, |rates| rates.next(entities, sample));
        out.push_str(&sample.time_ms().and_then(rfc3339).unwrap_or_default());
        put!(
            out,
            ",{},{},{},{},",
            sample.dated.clock.name(),
            timeline.boots.get(boot).map_or(0, |boot| boot.ordinal),
            hex(&timeline.run(boot, run).map(|run| run.run_id).unwrap_or_default()),
            joined.tick
        );
        seconds(out, joined.time_ns);
        let mut cells = vec![String::new(); self.columns.len()];
        for reading in &sample.readings {
            let Some(name) = column(&mut self.names, timeline, reading) else { continue };
            let Some(place) = self.index.get(name).and_then(|place| cells.get_mut(*place)) else {
                continue;
            };
            place.clear();
            match &self.rates {
                Some(rates) if is_counter(reading.series) => {
                    let rate = rates.rate(entities, reading, elapsed);
                    if rate.is_some() {
                        place.push_str(&rate_text(rate));
                    }
                }
                _ => write_value(place, reading.series, reading.stored),
            }
        }
        for value in cells {
            out.push(',');
            out.push_str(&value);
        }
        out.push_str("\r\n");
    }
}

/// The column of a reading, if it has one.
fn column<'a>(
    names: &'a mut Names,
    timeline: &Timeline,
    reading: &crate::recover::Reading,
) -> Option<&'a str> {
    use flightrec_format::entity::EntityKind as Kind;
    let entities = &timeline.recover.entities;
    let kind = entities.get(reading.entity)?.kind;
    if matches!(kind, Kind::PROCESS | Kind::UNIT | Kind::LOG) {
        return None;
    }
    names.get(entities, reading)
}

/// Writes a cell, quoted if it must be; one that a spreadsheet would run as a formula is defused.
fn cell(out: &mut String, text: &str) {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
    if text.contains([',', '"']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(&text);
    }
}
