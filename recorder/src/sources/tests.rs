use std::collections::BTreeSet;

use super::testing::{layout, seated};
use super::*;

/// The rows of section 7 that are recorded today, as (number, entity).
fn catalogue() -> BTreeSet<(SeriesNumber, String)> {
    let spec = include_str!("../../../format-spec.md");
    let section = spec.split("\n## 7 ").nth(1).unwrap().split("\n### 7.1").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        Some((cells.get(1)?.parse().ok()?, (*cells.get(6)?).to_owned()))
    });
    // Too dear to ask for.
    let is_left_out = |number: &SeriesNumber| matches!(number, 223..=225 | 228);
    rows.filter(|(number, _)| !is_left_out(number)).collect()
}

/// Every series that the spec says is recorded today has a column, and there are no others.
#[test]
fn the_columns_are_those_of_the_catalogue() {
    let mut ours: BTreeSet<_> = MACHINE.iter().map(|&n| (n, "machine".to_owned())).collect();
    let name = |kind| match kind {
        EntityKind::DISK => "disk",
        EntityKind::NET => "net",
        EntityKind::THERMAL => "thermal",
        EntityKind::CORE => "core",
        EntityKind::FS => "fs",
        EntityKind::UNIT => "unit",
        EntityKind::PROCESS => "process",
        EntityKind::LOG => "log",
        _ => "swap",
    };
    for rank in RANKS {
        ours.extend(rank.series.iter().map(|&series| (series, name(rank.kind).to_owned())));
    }
    assert_eq!(ours, catalogue());
    assert!(MACHINE.is_sorted() && RANKS.iter().all(|rank| rank.series.is_sorted()));
}

/// On a real machine every source reads, and those that every kernel has fill their columns.
#[test]
fn this_machine_is_read() {
    let layout = layout();
    let (mut sources, mut lookout) = all(&layout, Roots::real(), 1_000_000_000);
    let mut sample = Sample::new(&layout);
    for _ in 0..2 {
        for source in &mut sources {
            if let Err(errno) = source.read(&mut sample) {
                assert!(source.name().starts_with("/proc/pressure"), "{} {errno}", source.name());
            }
        }
        lookout.look();
    }
    let have: Vec<_> = testing::present(&sample);
    for series in
        [12, 13, 14, 20, 23, 28, 29, 30, 31, 33, 36, 39, 50, 51, 52, 59, 100, 103, 108, 263, 264]
    {
        assert!(have.contains(&series), "{series}");
    }
    assert!(seated(&sample).iter().all(|name| name != "lo" && !name.starts_with("loop")));
}
