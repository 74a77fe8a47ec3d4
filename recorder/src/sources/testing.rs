//! What the tests of sources share: captured trees, samples read by series number, noise.

use std::path::Path;

use super::{MACHINE, RANKS, Source};
use crate::sample::{Layout, Sample, SeriesNumber};

pub(super) fn layout() -> Layout {
    Layout::new(MACHINE, RANKS)
}

/// A tree like `/proc` or `/sys`, with these files.
pub(super) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for (path, text) in files {
        put(tree.path(), path, text.as_bytes());
    }
    tree
}

pub(super) fn put(root: &Path, path: &str, text: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A sample that `source` alone has filled.
pub(super) fn read(source: &mut impl Source) -> Sample {
    let mut sample = Sample::new(&layout());
    source.read(&mut sample).unwrap();
    sample
}

/// A reading of the machine.
pub(super) fn reading(sample: &Sample, series: SeriesNumber) -> Option<u64> {
    sample.get(layout().machine_column(series).unwrap())
}

/// The machine's series that have a reading.
pub(super) fn present(sample: &Sample) -> Vec<SeriesNumber> {
    MACHINE.iter().copied().filter(|&series| reading(sample, series).is_some()).collect()
}

/// A reading of the entity of that name.
pub(super) fn entity_reading(sample: &Sample, name: &str, series: SeriesNumber) -> Option<u64> {
    let layout = layout();
    let slot = (1..layout.slots().len()).find(|&slot| {
        sample.occupant(slot).is_some_and(|seated| seated.name.as_bytes() == name.as_bytes())
    })?;
    let place = layout.slots()[slot];
    let at = place.series.iter().position(|&own| own == series)?;
    sample.get(place.first_column + at)
}

/// The names that are seated.
pub(super) fn seated(sample: &Sample) -> Vec<String> {
    let slots = 1..layout().slots().len();
    slots
        .filter_map(|slot| sample.occupant(slot))
        .map(|seated| String::from_utf8_lossy(seated.name.as_bytes()).into_owned())
        .collect()
}

/// Mutilates a text in `rounds` ways and hands each to the source: it must not panic, whatever
/// the kernel says. A failure names its seed.
pub(super) fn survives_noise(
    text: &str,
    path: &str,
    mut new: impl FnMut(&Path) -> Box<dyn Source>,
) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7_u64);
    println!("SEED={seed}");
    let mut state = seed;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    let tree = tree(&[(path, text)]);
    let mut source = new(tree.path());
    let mut sample = Sample::new(&layout());
    for round in 0..600 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=random(8) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes.truncate(at),
                1 => drop(bytes.splice(at..at, *b"99999999999999999999999")),
                2 => bytes.extend((0..random(64)).map(|n| u8::try_from(n * 37 % 256).unwrap())),
                _ if !bytes.is_empty() => bytes[at] = u8::try_from(random(256)).unwrap(),
                _ => {}
            }
        }
        put(tree.path(), path, &bytes);
        if round % 50 == 0 {
            source = new(tree.path());
        }
        sample.clear();
        assert!(source.read(&mut sample).is_ok());
    }
}
