//! Files of keys and values, a line each: `/proc/meminfo`, `/proc/vmstat`.
//!
//! The kernel prints its keys in an order that does not change while it runs. So the order is
//! learnt once; from then on a line is compared with the one key that it had last time, or passed
//! over. When a comparison fails or lines come or go, the order is learnt anew.

use super::column;
use crate::procfile::{fields, lines, number};
use crate::sample::{Layout, Sample, SeriesNumber};

/// A key of the file and the series that it belongs to. Values of one series are added up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Begins with this, or is just this.
    pub text: &'static [u8],
    /// Whether `text` is only the beginning of the key.
    pub prefix: bool,
    /// The series.
    pub series: SeriesNumber,
}

impl Key {
    /// A whole key.
    pub(super) const fn new(text: &'static [u8], series: SeriesNumber) -> Self {
        Self { text, prefix: false, series }
    }

    /// What stands behind the key of `MemFree:  123 kB` or `pgfault 123`, if it is this one.
    fn value_in(self, line: &[u8]) -> Option<&[u8]> {
        let mut rest = line.strip_prefix(self.text)?;
        if self.prefix {
            rest = rest.get(rest.iter().position(|byte| *byte == b' ')?..)?;
        }
        rest = rest.strip_prefix(b":").unwrap_or(rest);
        rest.starts_with(b" ").then(|| rest.trim_ascii_start())
    }
}

/// Lines whose place is learnt; those behind are searched for each time.
const LEARNT_LINES: usize = 512;

/// The wanted keys of one file.
#[derive(Debug)]
pub(super) struct KeyedLines {
    keys: &'static [Key],
    /// Column of each key, and the first key with the same series.
    places: Box<[Place]>,
    /// By line: which key stood there last time.
    learnt: Box<[Option<u8>]>,
    line_count: usize,
    totals: Box<[Option<u64>]>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    column: usize,
    total: usize,
}

impl KeyedLines {
    pub(super) fn new(layout: &Layout, keys: &'static [Key]) -> Self {
        let places = keys.iter().map(|key| Place {
            column: column(layout, key.series),
            total: keys.iter().position(|other| other.series == key.series).unwrap_or(0),
        });
        Self {
            keys,
            places: places.collect(),
            learnt: vec![None; LEARNT_LINES].into_boxed_slice(),
            line_count: 0,
            totals: vec![None; keys.len()].into_boxed_slice(),
        }
    }

    /// Fills the columns of the keys that `text` has, each sum divided by `unit`.
    pub(super) fn read(&mut self, text: &[u8], unit: u64, sample: &mut Sample) {
        if !self.take(text) {
            self.learn(text);
            self.take(text);
        }
        for (place, total) in self.places.iter().zip(&self.totals) {
            if let Some(total) = total {
                sample.set(place.column, total / unit);
            }
        }
    }

    /// Adds up the values; false when the lines are not where they were.
    fn take(&mut self, text: &[u8]) -> bool {
        self.totals.fill(None);
        let mut line_count = 0;
        for line in lines(text) {
            let learnt = self.learnt.get(line_count);
            line_count += 1;
            let (index, value) = match learnt {
                Some(None) => continue,
                Some(Some(learnt)) => {
                    let index = usize::from(*learnt);
                    let value = self.keys.get(index).and_then(|key| key.value_in(line));
                    let Some(value) = value else { return false };
                    (index, value)
                }
                None => match self.search(line) {
                    Some(found) => found,
                    None => continue,
                },
            };
            if let Some(place) = self.places.get(index)
                && let Some(total) = self.totals.get_mut(place.total)
                && let Some(value) = fields(value).next().and_then(number)
            {
                *total = Some(total.unwrap_or(0).saturating_add(value));
            }
        }
        line_count == self.line_count
    }

    fn learn(&mut self, text: &[u8]) {
        self.learnt.fill(None);
        self.line_count = 0;
        for line in lines(text) {
            let found = self.search(line).and_then(|(index, _)| u8::try_from(index).ok());
            if let Some(learnt) = self.learnt.get_mut(self.line_count) {
                *learnt = found;
            }
            self.line_count += 1;
        }
    }

    /// Which key a line has, and what stands behind it.
    fn search<'a>(&self, line: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let mut keys = self.keys.iter().enumerate();
        keys.find_map(|(index, key)| Some((index, key.value_in(line)?)))
    }
}
