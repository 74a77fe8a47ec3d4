//! Files of keys and values, a line each: `/proc/meminfo`, `/proc/vmstat`.
//!
//! The kernel prints its keys in an order that does not change while it runs, and most lines keep
//! their length from one second to the next. So it is learnt where the wanted lines begin; from then
//! on each is looked for there, or a few bytes beside. What lies between two of them is passed over
//! as long as it keeps its length, else its lines are counted. When a line is not there, or others
//! come or go, all is searched and learnt anew.

use super::column;
use crate::procfile::numbers;
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
        let begin = rest.iter().position(|byte| *byte != b' ').filter(|blanks| *blanks > 0)?;
        rest.get(begin..).filter(|value| !value.starts_with(b"\n"))
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
    /// What lies behind the begin of the last one.
    tail: Stretch,
    totals: Box<[Option<u64>]>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    column: usize,
    total: usize,
}

/// Where a line began last time, the index of its key, and what lies between the wanted line before
/// and this one.
#[derive(Clone, Copy, Debug, Default)]
struct Learnt {
    begin: usize,
    key: usize,
    before: Stretch,
}

/// A part of the text, from the begin of a line on.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    len: usize,
    lines: usize,
}

impl Stretch {
    fn of(text: &[u8], from: usize, to: usize) -> Self {
        let part = text.get(from..to).unwrap_or_default();
        Self { len: part.len(), lines: memchr::memchr_iter(b'\n', part).count() }
    }

    /// Whether it has as many lines as before; it learns its new length.
    fn holds(&mut self, text: &[u8], from: usize, to: usize) -> bool {
        if to.wrapping_sub(from) == self.len {
            return true;
        }
        let now = Self::of(text, from, to);
        let same = now.lines == self.lines;
        *self = now;
        same
    }
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
            tail: Stretch::default(),
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
        if self.learnt_count == 0 {
            return false;
        }
        self.totals.fill(None);
        let (mut moved, mut before) = (0_usize, None);
        for learnt in self.learnt.iter_mut().take(self.learnt_count) {
            let Some(key) = self.keys.get(learnt.key) else { return false };
            let expected = learnt.begin.wrapping_add(moved);
            let behind = before.map_or(0, |before| before + 1);
            let Some((begin, value)) = find(*key, text, expected, behind) else { return false };
            if !learnt.before.holds(text, before.unwrap_or(0), begin) {
                return false;
            }
            moved = begin.wrapping_sub(learnt.begin);
            before = Some(begin);
            learnt.begin = begin;
            add(&mut self.totals, &self.places, learnt.key, value);
        }
        self.tail.holds(text, before.unwrap_or(0), text.len())
    }

    /// Adds up the values of all lines that have a key, and learns where these lines are.
    fn search(&mut self, text: &[u8]) {
        self.totals.fill(None);
        self.learnt_count = 0;
        let (mut found_count, mut last) = (0, 0);
        let begins = memchr::memchr_iter(b'\n', text).map(|end| end + 1);
        for begin in std::iter::once(0).chain(begins) {
            let line = text.get(begin..).unwrap_or_default();
            let mut keys = self.keys.iter().enumerate();
            let found = keys.find_map(|(index, key)| Some((index, key.value_in(line)?)));
            let Some((key, value)) = found else { continue };
            if let Some(learnt) = self.learnt.get_mut(found_count) {
                *learnt = Learnt { begin, key, before: Stretch::of(text, last, begin) };
            }
            found_count += 1;
            last = begin;
            add(&mut self.totals, &self.places, key, value);
        }
        self.tail = Stretch::of(text, last, text.len());
        if found_count <= LEARNT_MAX {
            self.learnt_count = found_count;
        }
    }
}

fn add(totals: &mut [Option<u64>], places: &[Place], key: usize, value: &[u8]) {
    if let Some(place) = places.get(key)
        && let Some(total) = totals.get_mut(place.total)
        && let Some(value) = numbers(value).next().flatten()
    {
        *total = Some(total.unwrap_or(0).saturating_add(value));
    }
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
