//! Files of keys and values, a line each: `/proc/meminfo`, `/proc/vmstat`.
//!
//! The kernel prints its keys in an order that does not change while it runs, and most lines keep
//! their length from one second to the next. So it is learnt where the wanted lines begin; from then
//! on each is looked for there, or a few bytes beside, and the lines between are only counted. When
//! one is not there, or lines come or go, all is searched and learnt anew.

use super::column;
use crate::procfile::{fields, number};
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

    /// What stands behind the key of `MemFree:  123 kB` or `pgfault 123`, if `text` begins with this
    /// one; the lines that follow may stand behind it.
    fn value_in(self, text: &[u8]) -> Option<&[u8]> {
        let mut rest = text.strip_prefix(self.text)?;
        if self.prefix {
            let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\n'))?;
            rest = rest.get(end..)?;
        }
        rest = rest.strip_prefix(b":").unwrap_or(rest);
        let value = rest.iter().position(|byte| *byte != b' ').filter(|blanks| *blanks > 0)?;
        rest.get(value..)
    }
}

/// Wanted lines that are learnt; a file that has more is searched each time.
const LEARNT_MAX: usize = 64;
/// Bytes by which the lines before one may grow or shrink until it is learnt anew.
const NEAR: usize = 32;

/// The wanted keys of one file.
#[derive(Debug)]
pub(super) struct KeyedLines {
    keys: &'static [Key],
    /// Column of each key, and the first key with the same series.
    places: Box<[Place]>,
    /// The wanted lines, in their order, and how many.
    learnt: Box<[Learnt]>,
    learnt_count: usize,
    line_count: usize,
    totals: Box<[Option<u64>]>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    column: usize,
    total: usize,
}

/// Where a line began last time, and the index of its key.
#[derive(Clone, Copy, Debug, Default)]
struct Learnt {
    begin: usize,
    key: usize,
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
            learnt: vec![Learnt::default(); LEARNT_MAX].into_boxed_slice(),
            learnt_count: 0,
            line_count: 0,
            totals: vec![None; keys.len()].into_boxed_slice(),
        }
    }

    /// Fills the columns of the keys that `text` has, each sum divided by `unit`.
    pub(super) fn read(&mut self, text: &[u8], unit: u64, sample: &mut Sample) {
        if !self.take(text) {
            self.search(text);
        }
        for (place, total) in self.places.iter().zip(&self.totals) {
            if let Some(total) = total {
                sample.set(place.column, total / unit);
            }
        }
    }

    /// Adds up the values of the learnt lines; false when they are not where they were.
    fn take(&mut self, text: &[u8]) -> bool {
        if self.learnt_count == 0 || line_ends(text) != self.line_count {
            return false;
        }
        self.totals.fill(None);
        let (mut moved, mut behind) = (0_usize, 0);
        for index in 0..self.learnt_count {
            let Some(learnt) = self.learnt.get(index).copied() else { return false };
            let Some(key) = self.keys.get(learnt.key) else { return false };
            let expected = learnt.begin.wrapping_add(moved);
            let Some((begin, value)) = find(*key, text, expected, behind) else { return false };
            moved = begin.wrapping_sub(learnt.begin);
            behind = begin + 1;
            if let Some(place) = self.learnt.get_mut(index) {
                place.begin = begin;
            }
            self.add(learnt.key, value);
        }
        true
    }

    /// Adds up the values of all lines that have a key, and learns where these lines are.
    fn search(&mut self, text: &[u8]) {
        self.totals.fill(None);
        self.line_count = line_ends(text);
        self.learnt_count = 0;
        let mut found_count = 0;
        let begins = memchr::memchr_iter(b'\n', text).map(|end| end + 1);
        for begin in std::iter::once(0).chain(begins) {
            let line = text.get(begin..).unwrap_or_default();
            let mut keys = self.keys.iter().enumerate();
            let found = keys.find_map(|(index, key)| Some((index, key.value_in(line)?)));
            let Some((key, value)) = found else { continue };
            if let Some(learnt) = self.learnt.get_mut(found_count) {
                *learnt = Learnt { begin, key };
            }
            found_count += 1;
            self.add(key, value);
        }
        if found_count <= LEARNT_MAX {
            self.learnt_count = found_count;
        }
    }

    fn add(&mut self, key: usize, value: &[u8]) {
        if let Some(place) = self.places.get(key)
            && let Some(total) = self.totals.get_mut(place.total)
            && let Some(value) = fields(value).next().and_then(number)
        {
            *total = Some(total.unwrap_or(0).saturating_add(value));
        }
    }
}

fn line_ends(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// The line with this key at `expected` or near it, not before `behind`, and its value.
fn find(key: Key, text: &[u8], expected: usize, behind: usize) -> Option<(usize, &[u8])> {
    let begins_line = expected.checked_sub(1).is_none_or(|end| text.get(end) == Some(&b'\n'));
    if begins_line
        && expected >= behind
        && let Some(value) = text.get(expected..).and_then(|line| key.value_in(line))
    {
        return Some((expected, value));
    }
    // From the end of a line on: never back onto the line that was found before.
    let from = expected.saturating_sub(NEAR).max(behind).saturating_sub(1);
    let near = text.get(from..text.len().min(expected.saturating_add(NEAR)))?;
    let mut begins = memchr::memchr_iter(b'\n', near).map(|end| from + end + 1);
    begins.find_map(|begin| Some((begin, key.value_in(text.get(begin..)?)?)))
}
