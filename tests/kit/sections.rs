//! Writes sections of a body from what they hold: for recordings that no recorder made.

#![allow(clippy::unwrap_used, reason = "a kit that breaks is a test that fails")]

use flightrec_format::body::section;
use flightrec_format::column::{Costs, Pen};
use flightrec_format::samples::{Samples, write_group, write_ticks};
use flightrec_format::varint::{Reader, Writer};

/// The bytes of a section of samples, each column in its cheapest form.
#[must_use]
pub fn sample_section(samples: &Samples) -> Vec<u8> {
    let columns = || samples.groups.iter().flat_map(|group| &group.columns);
    let step = |pair: &[u64]| pair[1].wrapping_sub(pair[0]).cast_signed();
    let modes: Vec<_> = columns()
        .map(|values| {
            let mut costs = Costs::start(values[0]);
            values.windows(2).for_each(|pair| costs.step(step(pair)));
            costs.cheapest().0
        })
        .collect();
    let mut section = written(|out| {
        out.number(u64::try_from(samples.ticks.len()).unwrap());
        write_ticks(out, &samples.ticks.iter().copied());
        out.number(u64::try_from(samples.groups.len()).unwrap());
        for group in &samples.groups {
            let (spans, series) = (group.spans.iter().cloned(), group.series.iter().copied());
            write_group(out, group.entity, &spans, samples.ticks.len(), &series);
        }
        for mode in &modes {
            out.byte(mode.number());
        }
    });
    for (values, mode) in columns().zip(modes) {
        let at = section.len();
        section.resize(at + 32 + 11 * values.len(), 0);
        let mut pen = Pen::start(mode, at, values[0], &mut section);
        values.windows(2).for_each(|pair| pen.step(step(pair), &mut section));
        let end = pen.finish(&mut section);
        section.truncate(end);
    }
    section
}

/// Adds a section to a body.
pub fn put(body: &mut Vec<u8>, kind: u64, bytes: &[u8]) {
    let head = written(|out| {
        out.number(kind);
        out.number(u64::try_from(bytes.len()).unwrap());
    });
    body.extend(head);
    body.extend(bytes);
}

/// A body with other samples in it.
#[must_use]
pub fn with_samples(body: &[u8], change: impl FnOnce(&mut Samples)) -> Vec<u8> {
    let whole = flightrec_format::body::Body::read(body, 0, u64::MAX / 2).unwrap();
    let Some(mut samples) = whole.samples else { return body.to_vec() };
    change(&mut samples);
    let mut changed = Vec::new();
    let mut input = Reader::new(body);
    while !input.is_empty() {
        let kind = input.number().unwrap();
        let len = usize::try_from(input.number().unwrap()).unwrap();
        let bytes = input.bytes(len).unwrap();
        if kind == section::SAMPLES {
            put(&mut changed, kind, &sample_section(&samples));
        } else {
            put(&mut changed, kind, bytes);
        }
    }
    changed
}

/// What a writer writes, at most a slot.
pub fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 16 << 10];
    let mut out = Writer::new(&mut bytes);
    write(&mut out);
    let used = out.finish().unwrap();
    bytes.truncate(used);
    bytes
}
