//! What the benchmarks share: frames, bodies and samples out of a recording that was really made.

#![allow(dead_code, reason = "each benchmark takes what it needs")]

use std::collections::BTreeMap;

use flightrec_format::body::Body;
use flightrec_format::frame::{Codec, Header};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;
use flightrec_recorder::frames::Stamp;
use flightrec_recorder::sample::{Layout, Occupant, Sample};

/// A stamp of a recording at one sample a second.
pub(crate) fn stamp() -> Stamp {
    Stamp { interval_ns: 1_000_000_000, boot_ordinal: 1, ..Stamp::default() }
}

/// Header and plain body of each frame of the history of a recording.
pub(crate) fn history(path: &str) -> Vec<(Header, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let slots = 0..bytes.len() / SLOT_SIZE;
    let frames = slots.filter_map(|slot| {
        let frame = &bytes[slot * SLOT_SIZE..];
        let header = Header::read(frame).ok().filter(|header| header.area == Area::History)?;
        let payload = header.payload(frame)?;
        let body = match header.codec {
            Codec::Plain => payload.to_vec(),
            Codec::Zstd => {
                zstd::bulk::decompress(payload, header.body_len.try_into().ok()?).ok()?
            }
        };
        Some((header, body))
    });
    frames.collect()
}

/// The samples of the longest run in the history of a recording.
pub(crate) fn samples(path: &str, layout: &Layout) -> Vec<Sample> {
    let mut runs: BTreeMap<[u8; 8], BTreeMap<u64, Sample>> = BTreeMap::new();
    for (header, body) in history(path) {
        let Ok(body) = Body::of(&header, &body) else { continue };
        take_in(&body, layout, runs.entry(header.run_id).or_default());
    }
    let longest = runs.into_values().max_by_key(BTreeMap::len).unwrap_or_default();
    longest.into_values().collect()
}

fn take_in(body: &Body, layout: &Layout, run: &mut BTreeMap<u64, Sample>) {
    let Some(samples) = &body.samples else { return };
    for (row, tick) in samples.ticks.iter().enumerate() {
        let mut sample = Sample::new(layout);
        sample.tick = *tick;
        for group in &samples.groups {
            let entity = group.entity.checked_sub(1).map(|at| &body.entities[at]);
            let slot = entity.map_or(Some(0), |entity| {
                let name = Occupant::named(entity.name.as_bytes());
                let free_or_own =
                    |slot: &usize| sample.occupant(*slot).is_none_or(|own| *own == name);
                let slot = layout.slots_of(entity.kind).find(free_or_own)?;
                sample.seat(slot, Some(name));
                Some(slot)
            });
            let Some(slot) = slot else { continue };
            let mut before = 0;
            for span in &group.spans {
                if span.contains(&row) {
                    let at = before + row - span.start;
                    let place = layout.slots()[slot];
                    for (series, column) in group.series.iter().zip(&group.columns) {
                        let offset = place.series.iter().position(|own| own == series);
                        let Some(offset) = offset else { continue };
                        sample.set(place.first_column + offset, column[at]);
                    }
                }
                before += span.len();
            }
        }
        run.insert(*tick, sample);
    }
}
