use procfs::FromRead;

use super::*;
use crate::sources::testing::{layout, read, reading, survives_noise, tree};

fn source(tree: &tempfile::TempDir) -> Loadavg {
    Loadavg::new(&layout(), tree.path())
}

#[test]
fn loads_are_in_hundredths() {
    let sample = read(&mut source(&tree(&[("loadavg", "137.02 61.50 24.99 3/412 20391\n")])));
    assert_eq!([36, 37, 38, 39].map(|s| reading(&sample, s).unwrap()), [13_702, 6150, 2499, 412]);
}

/// procfs reads the same out of this machine's file.
#[test]
fn procfs_agrees() {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    let oracle = procfs::LoadAverage::from_read(text.as_bytes()).unwrap();
    let sample = read(&mut source(&tree(&[("loadavg", &text)])));
    for (series, load) in [(36, oracle.one), (37, oracle.five), (38, oracle.fifteen)] {
        let ours = reading(&sample, series).unwrap();
        assert_eq!(format!("{}.{:02}", ours / 100, ours % 100), format!("{load:.2}"));
    }
    assert_eq!(reading(&sample, 39), Some(u64::from(oracle.max)));
}

#[test]
fn noise_does_no_harm() {
    let text = "137.02 61.50 24.99 3/412 20391\n";
    survives_noise(text, "loadavg", |root| Box::new(Loadavg::new(&layout(), root)));
}
