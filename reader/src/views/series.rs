//! Chosen series as columns, sample by sample.

use std::collections::HashMap;

use crate::export::json::rate_text;
use crate::play::Sample;
use crate::timeline::Timeline;
use crate::values::{Names, Rates, is_counter, write_value};
use crate::views::stress::row_clock;
use crate::views::text::escape;
use crate::zone::Zone;

/// A table of chosen series.
pub struct SeriesTable {
    names: Names,
    rates: Option<Rates>,
    /// Name and width of each column.
    columns: Vec<(String, usize)>,
    index: HashMap<String, usize>,
}

impl SeriesTable {
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

    /// First walk: which columns, and how wide.
    pub fn learn(&mut self, timeline: &Timeline, sample: &Sample) {
        for (name, value) in self.cells(timeline, sample) {
            let place = *self.index.entry(name.clone()).or_insert_with(|| {
                self.columns.push((name.clone(), escape(&name).chars().count()));
                self.columns.len() - 1
            });
            if let Some((_, width)) = self.columns.get_mut(place) {
                *width = (*width).max(value.chars().count());
            }
        }
    }

    /// Forgets the samples of the first walk.
    pub fn restart(&mut self) {
        self.rates = self.rates.is_some().then(Rates::default);
    }

    /// How many columns were found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether no series fits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The line above the table.
    #[must_use]
    pub fn title(&self) -> String {
        let mut line = format!("{:<9}", "time");
        for (name, width) in &self.columns {
            put!(&mut line, "  {:>width$}", escape(name));
        }
        line
    }

    /// One row.
    pub fn row(&mut self, timeline: &Timeline, sample: &Sample, zone: Zone) -> String {
        let mut cells = vec![None; self.columns.len()];
        for (name, value) in self.cells(timeline, sample) {
            if let Some(cell) = self.index.get(&name).and_then(|place| cells.get_mut(*place)) {
                *cell = Some(value);
            }
        }
        let time_ns = sample.stand.sample.time_ns;
        let time = row_clock(&sample.dated, time_ns, zone);
        let mut line = format!("{time:<9}");
        for ((_, width), cell) in self.columns.iter().zip(cells) {
            put!(&mut line, "  {:>width$}", cell.unwrap_or_else(|| "-".to_owned()));
        }
        line
    }

    fn cells(&mut self, timeline: &Timeline, sample: &Sample) -> Vec<(String, String)> {
        let entities = &timeline.recover.entities;
        let elapsed = self.rates.as_mut().map_or(0, |rates| rates.next(entities, sample));
        let mut cells = Vec::new();
        for reading in &sample.readings {
            let Some(name) = self.names.get(entities, reading) else { continue };
            let mut name = name.to_owned();
            // Series of processes, units and logs carry no entity in their name (spec 7).
            if let Some(entity) = entities.get(reading.entity)
                && !entity.name.is_empty()
                && !name.contains(&entity.name)
            {
                name = format!("{}:{name}", entity.name);
            }
            let value = match &self.rates {
                Some(rates) if is_counter(reading.series) => {
                    match rate_text(rates.rate(entities, reading, elapsed)) {
                        none if none == "null" => "-".to_owned(),
                        rate => rate,
                    }
                }
                _ => {
                    let mut value = String::new();
                    write_value(&mut value, reading.series, reading.stored);
                    value
                }
            };
            cells.push((name, value));
        }
        cells
    }
}
