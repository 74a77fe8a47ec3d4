use super::*;
use crate::sources::testing::{layout, present, read, reading};

/// Our own figures are there and plausible: procfs counts the same pages, but for those of the
/// moment between.
#[test]
fn the_recorder_knows_its_cost() {
    let sample = read(&mut Own::new(&layout(), Path::new("/proc")));
    assert_eq!(present(&sample), [12, 13, 14, 15, 297, 298]);
    assert!(reading(&sample, 298) >= Some(1));
    let oracle = procfs::process::Process::myself().unwrap().statm().unwrap().resident;
    let oracle_bytes = oracle * u64::from(sys::page_size());
    let ours_bytes = reading(&sample, 13).unwrap() * RSS_UNIT;
    assert!(ours_bytes.abs_diff(oracle_bytes) < 16 << 20, "{ours_bytes} {oracle_bytes}");
}
