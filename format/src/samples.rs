//! Samples as groups of columns (spec section 6.2).

use std::ops::Range;

use crate::column::{self, Mode};
use crate::limits::{GROUPS_MAX, LISTS_MAX, READINGS_MAX, SAMPLES_MAX};
use crate::varint::{Malformed, Reader, Writer};

/// The samples of one frame.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Samples {
    /// Tick of each sample, ascending.
    pub ticks: Vec<u64>,
    /// What was read.
    pub groups: Vec<Group>,
}

/// Columns of one entity that are present in the same samples.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// 0: the machine; else `entities[entity - 1]` of the frame.
    pub entity: usize,
    /// The samples that have these readings, as ranges of sample indices, ascending.
    pub spans: Vec<Range<usize>>,
    /// Series of each column, ascending.
    pub series: Vec<u16>,
    /// Stored values of each column, for the samples in `spans`, one after the other.
    pub columns: Vec<Vec<u64>>,
}

impl Samples {
    /// Reads the section.
    pub fn read(
        section: &[u8],
        first_tick: u64,
        last_tick: u64,
        entity_count: usize,
    ) -> Result<Self, Malformed> {
        let mut input = Reader::new(section);
        let count = input.at_most(SAMPLES_MAX, "more samples than allowed")?;
        if count == 0 {
            return Err(Malformed("no samples in their section"));
        }
        let ticks = read_ticks(&mut input, count, first_tick, last_tick)?;
        let group_count = input.at_most(GROUPS_MAX, "more groups than allowed")?;
        let mut groups = Vec::new();
        let mut readings = 0_u64;
        for _ in 0..group_count {
            let group = read_group(&mut input, count, entity_count, &mut readings)?;
            groups.push(group);
        }
        let mut modes = Vec::new();
        for group in &groups {
            for _ in &group.series {
                modes.push(Mode::from_number(input.byte()?).ok_or(Malformed("a form unknown"))?);
            }
        }
        let mut modes = modes.into_iter();
        for group in &mut groups {
            let len = group.spans.iter().map(ExactSizeIterator::len).sum();
            for mode in modes.by_ref().take(group.series.len()) {
                group.columns.push(column::read(&mut input, mode, len)?);
            }
        }
        if !input.is_empty() {
            return Err(Malformed("bytes after the last column"));
        }
        Ok(Self { ticks, groups })
    }
}

fn read_ticks(
    input: &mut Reader<'_>,
    count: usize,
    first_tick: u64,
    last_tick: u64,
) -> Result<Vec<u64>, Malformed> {
    const BEYOND: Malformed = Malformed("a tick beyond those of the header");
    let run_count = input.at_most(SAMPLES_MAX, "more runs of ticks than samples")?;
    let mut ticks = Vec::with_capacity(count);
    let mut next = first_tick;
    for _ in 0..run_count {
        let skipped = input.number()?;
        next = next.checked_add(skipped).ok_or(BEYOND)?;
        let len = input.at_most(SAMPLES_MAX, "a run of ticks too long")? + 1;
        if len > count - ticks.len() {
            return Err(Malformed("more ticks than samples"));
        }
        for _ in 0..len {
            if next > last_tick {
                return Err(BEYOND);
            }
            ticks.push(next);
            next = next.saturating_add(1);
        }
    }
    if ticks.len() == count { Ok(ticks) } else { Err(Malformed("fewer ticks than samples")) }
}

fn read_group(
    input: &mut Reader<'_>,
    count: usize,
    entity_count: usize,
    readings: &mut u64,
) -> Result<Group, Malformed> {
    let entity = input.at_most(u64::try_from(entity_count).unwrap_or(0), "an entity not listed")?;
    let spans = read_spans(input, count)?;
    let present: u64 = spans.iter().map(|span| u64::try_from(span.len()).unwrap_or(0)).sum();
    let list_count = input.at_most(LISTS_MAX, "more lists of series than allowed")?;
    if list_count == 0 {
        return Err(Malformed("a group without series"));
    }
    let mut series = Vec::new();
    let mut next = 0_u64;
    for _ in 0..list_count {
        let skipped = input.number()?;
        next = next.checked_add(skipped).ok_or(Malformed("a series number too large"))?;
        let len = input.number()?.checked_add(1).ok_or(Malformed("a list too long"))?;
        *readings = readings.saturating_add(len.saturating_mul(present));
        if *readings > READINGS_MAX {
            return Err(Malformed("more readings than allowed"));
        }
        for _ in 0..len {
            series.push(u16::try_from(next).map_err(|_| Malformed("a series number too large"))?);
            next += 1;
        }
    }
    Ok(Group { entity, spans, series, columns: Vec::new() })
}

fn read_spans(input: &mut Reader<'_>, count: usize) -> Result<Vec<Range<usize>>, Malformed> {
    const BEYOND: Malformed = Malformed("a span beyond the samples");
    let most = u64::try_from(count).unwrap_or(0);
    let span_count = input.at_most(most, "more spans than samples")?;
    if span_count == 0 {
        return Ok(vec![Range { start: 0, end: count }]);
    }
    let mut spans = Vec::with_capacity(span_count);
    let mut next = 0;
    for _ in 0..span_count {
        let start = next + input.at_most(most, "a span beyond the samples")?;
        let end = start + input.at_most(most, "a span beyond the samples")? + 1;
        if end > count {
            return Err(BEYOND);
        }
        spans.push(start..end);
        next = end;
    }
    Ok(spans)
}

/// Writes ticks as runs of consecutive ones: their count, then each. The first tick is the
/// frame's `first_tick`: nothing is skipped before it. `ticks` is walked twice.
pub fn write_ticks(out: &mut Writer<'_>, ticks: &(impl Iterator<Item = u64> + Clone)) {
    let runs = |ticks: &mut dyn Iterator<Item = u64>, each: &mut dyn FnMut(u64, u64)| {
        let Some(first) = ticks.next() else { return };
        let (mut skipped, mut last, mut more) = (0, first, 0);
        for tick in ticks {
            if tick == last.wrapping_add(1) {
                more += 1;
            } else {
                each(skipped, more);
                skipped = tick.saturating_sub(last).saturating_sub(1);
                more = 0;
            }
            last = tick;
        }
        each(skipped, more);
    };
    let mut count = 0;
    runs(&mut ticks.clone(), &mut |_, _| count += 1);
    out.number(count);
    runs(&mut ticks.clone(), &mut |skipped, more| {
        out.number(skipped);
        out.number(more);
    });
}

/// Writes the header of a group that is present in `spans` of `count` samples. `spans` and
/// `series` are ascending; each is walked twice.
pub fn write_group(
    out: &mut Writer<'_>,
    entity: usize,
    spans: &(impl Iterator<Item = Range<usize>> + Clone),
    count: usize,
    series: &(impl Iterator<Item = u16> + Clone),
) {
    let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    out.number(number(entity));
    if spans.clone().next() == Some(0..count) {
        out.number(0);
    } else {
        out.number(number(spans.clone().count()));
        let mut next = 0;
        for span in spans.clone() {
            out.number(number(span.start.saturating_sub(next)));
            out.number(number(span.len().saturating_sub(1)));
            next = span.end;
        }
    }
    let runs = |each: &mut dyn FnMut(u64, u64)| {
        let (mut next, mut start, mut len) = (0_u64, 0_u64, 0_u64);
        for number in series.clone().map(u64::from) {
            if len > 0 && number == start + len {
                len += 1;
                continue;
            }
            if len > 0 {
                each(start - next, len - 1);
                next = start + len;
            }
            (start, len) = (number, 1);
        }
        if len > 0 {
            each(start - next, len - 1);
        }
    };
    let mut lists = 0;
    runs(&mut |_, _| lists += 1);
    out.number(lists);
    runs(&mut |skipped, more| {
        out.number(skipped);
        out.number(more);
    });
}

#[cfg(test)]
mod tests;
