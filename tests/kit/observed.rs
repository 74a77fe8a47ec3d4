//! What the real reader makes of an image, without the detour over text.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use flightrec_format::event::EventKind;
use flightrec_reader::dump::gone_in;
use flightrec_reader::gap::Cause;
use flightrec_reader::outcome::Trouble;
use flightrec_reader::play::{Item, Part, play};
use flightrec_reader::progress::nobody;
use flightrec_reader::recording::Recording;
use flightrec_reader::scan::{Depth, Place};
use flightrec_reader::{order, scan::Scan, timeline::Timeline};
use flightrec_recorder::sample::SeriesNumber;

use crate::image::{Card, Image, SLOT};

/// A sample that was read back.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Ordinal of its boot.
    pub ordinal: u32,
    /// Number of its run.
    pub run: u64,
    /// Its tick.
    pub tick: u64,
    /// Series and stored values.
    pub readings: Vec<(SeriesNumber, u64)>,
}

/// What stands in a timeline, in its order.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A sample.
    Sample(Sample),
    /// Time without samples.
    Gap(Cause),
    /// An event: number of its run, tick, kind and arguments.
    Event(u64, u64, EventKind, Vec<i64>),
    /// Run, tick and text of a message.
    Message(u64, u64, String),
}

/// Everything that was read back from an image.
#[derive(Debug)]
pub struct Observed {
    /// The timeline, from its beginning to its end.
    pub entries: Vec<Entry>,
    /// Samples that were once durable and are gone, as the reader counts them.
    pub gone: u64,
    /// Readings that differ between copies.
    pub differing: u64,
    /// Where damage lies.
    pub damage: Vec<Place>,
    /// Ordinals that two boots share.
    pub shared_ordinals: Vec<u32>,
    /// Commits that each run may have lost to damage, beyond the age bound.
    pub doubtful_commits: BTreeMap<u64, u64>,
    /// Bytes that were read for it.
    pub read_bytes: u64,
}

impl Observed {
    /// Reads all of an image; the slots of `unreadable` give errors.
    pub fn of(image: &Image, unreadable: Range<usize>) -> Result<Self, Trouble> {
        let len = u64::try_from(image.len() * SLOT).expect("a small image");
        let (card, read_bytes) = Card::new(image.clone(), unreadable);
        let recording =
            Recording::on(Box::new(card), len, Path::new("simulated.frec"), &mut nobody)?;
        let (scan, mut timeline) = order(recording, Depth::Headers, &mut nobody)?;
        let parts = whole(&timeline);
        let mut entries = Vec::new();
        let seen = play(&mut timeline, &parts, &mut |timeline, item| {
            entries.push(entry(timeline, &item));
            Ok(())
        })?;
        let runs = timeline.boots.iter().flat_map(|boot| &boot.runs);
        let doubtful = runs.map(|run| (u64::from_le_bytes(run.run_id), run.doubtful_commits));
        let doubtful_commits = doubtful.collect();
        let gone = gone_in(&timeline, &parts, &seen);
        let damage = damage(&scan, &timeline);
        let read_bytes = read_bytes.load(Ordering::Relaxed);
        Ok(Self {
            entries,
            gone,
            differing: seen.differing,
            damage,
            doubtful_commits,
            shared_ordinals: timeline.shared_ordinals,
            read_bytes,
        })
    }

    /// The samples, in order.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Sample(sample) => Some(sample),
            _ => None,
        })
    }

    /// Run and tick of each sample, in order.
    pub fn keys(&self) -> impl Iterator<Item = (u64, u64)> {
        self.samples().map(|sample| (sample.run, sample.tick))
    }
}

fn whole(timeline: &Timeline) -> Vec<Part> {
    let boots = timeline.boots.iter().enumerate();
    boots
        .flat_map(|(boot, own)| (0..own.runs.len()).map(move |run| Part::whole(boot, run)))
        .collect()
}

fn entry(timeline: &Timeline, item: &Item<'_>) -> Entry {
    let number = |(boot, run): (usize, usize)| {
        timeline.run(boot, run).map_or(0, |run| u64::from_le_bytes(run.run_id))
    };
    match item {
        Item::Gap(gap) => Entry::Gap(gap.cause),
        Item::Message(message) => {
            let told = &message.told.message;
            Entry::Message(number(message.at), told.tick, told.text.clone())
        }
        Item::Event(event) => {
            let told = &event.told.event;
            Entry::Event(number(event.at), told.tick, told.kind, told.arguments.clone())
        }
        Item::Sample(sample) => {
            let at = sample.stand.at;
            let readings = sample.readings.iter().map(|reading| (reading.series, reading.stored));
            Entry::Sample(Sample {
                ordinal: timeline.boots.get(at.0).map_or(0, |boot| boot.ordinal),
                run: number(at),
                tick: sample.stand.sample.tick,
                readings: readings.collect(),
            })
        }
    }
}

/// Damage that the scan met, and what turned out to be damaged when it was decoded.
fn damage(scan: &Scan, timeline: &Timeline) -> Vec<Place> {
    let late = timeline.recover.bad().iter();
    let late = late.map(|(slot, verdict)| Place { slot: *slot, count: 1, verdict: *verdict });
    scan.places.iter().copied().chain(late).collect()
}
