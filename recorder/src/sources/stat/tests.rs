use procfs::{FromBufReadSI, LocalSystemInfo};

use super::*;
use crate::sources::testing::{layout, present, put, read, reading, survives_noise, tree};

const FOUR_CORES: &str = "\
cpu  10132153 290696 3084719 46828483 16683 0 25195 0 175628 0\n\
cpu0 1393280 32966 572056 13343292 6130 0 17875 0 23933 0\n\
cpu1 1335498 28924 573224 13346588 2400 0 3209 0 24040 0\n\
cpu2 1300000 28000 570000 13300000 2000 0 3000 0 24000 0\n\
cpu5 1200000 27000 560000 13200000 1000 0 2000 0 23000 0\n\
intr 1462898 0 1 2 3 4\nctxt 115315\nbtime 1769041301\nprocesses 86031\n\
procs_running 6\nprocs_blocked 2\nsoftirq 5057579 250191 1481983\n";

fn source(tree: &tempfile::TempDir) -> Stat {
    Stat::new(&layout(), tree.path())
}

#[test]
fn machine_wide_times_and_tasks_are_read() {
    let sample = read(&mut source(&tree(&[("stat", FOUR_CORES)])));
    let expected = [10_132_153, 290_696, 3_084_719, 46_828_483, 16_683, 0, 25_195, 0];
    for (series, time) in (20..).zip(expected) {
        assert_eq!(reading(&sample, series), Some(time));
    }
    assert_eq!(
        [30, 31, 32, 33, 34].map(|s| reading(&sample, s).unwrap()),
        [4, 115_315, 86_031, 6, 2]
    );
    // Growth needs two samples.
    assert_eq!(reading(&sample, 28), None);
    assert_eq!(reading(&sample, 29), None);
}

/// The busiest core is the one that was idle least, waiting for I/O counted as idle.
#[test]
fn the_busiest_core_is_found() {
    let tree = tree(&[("stat", FOUR_CORES)]);
    let mut source = source(&tree);
    read(&mut source);
    let later = FOUR_CORES
        .replace(
            "cpu0 1393280 32966 572056 13343292 6130",
            "cpu0 1393280 32966 572056 13343302 6220",
        )
        .replace("cpu1 1335498 28924 573224 13346588", "cpu1 1335500 28924 573230 13346680")
        .replace("cpu2 1300000", "cpu2 1300040")
        .replace("13300000 2000", "13300060 2000")
        .replace("cpu5 1200000 27000 560000 13200000", "cpu5 1200000 27000 560000 13200100");
    put(tree.path(), "stat", later.as_bytes());
    let sample = read(&mut source);
    assert_eq!(reading(&sample, 28), Some(2));
    assert_eq!(reading(&sample, 29), Some(40));
}

/// A core that is switched off and on again has no growth until it was seen twice; an idle time
/// that goes back is no growth.
#[test]
fn cores_may_leave_and_counters_go_back() {
    let tree = tree(&[("stat", FOUR_CORES)]);
    let mut source = source(&tree);
    read(&mut source);
    let without: String = FOUR_CORES
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("cpu5") && !line.starts_with("cpu2"))
        .collect();
    put(tree.path(), "stat", without.replace("13346588", "13346500").as_bytes());
    let sample = read(&mut source);
    assert_eq!(reading(&sample, 30), Some(2));
    assert_eq!(reading(&sample, 28), Some(0));
    put(tree.path(), "stat", FOUR_CORES.replace("13343292", "13343392").as_bytes());
    let sample = read(&mut source);
    assert_eq!(reading(&sample, 28), Some(1));
    assert_eq!(reading(&sample, 29), Some(0));
}

/// procfs reads the same out of this machine's file.
#[test]
fn procfs_agrees() {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let oracle = procfs::KernelStats::from_buf_read(text.as_bytes(), &LocalSystemInfo).unwrap();
    let sample = read(&mut source(&tree(&[("stat", &text)])));
    let total = oracle.total;
    for (series, value) in [
        (20, total.user),
        (21, total.nice),
        (22, total.system),
        (23, total.idle),
        (24, total.iowait.unwrap()),
        (25, total.irq.unwrap()),
        (26, total.softirq.unwrap()),
        (27, total.steal.unwrap()),
        (30, oracle.cpu_time.len().try_into().unwrap()),
        (31, oracle.ctxt),
        (32, oracle.processes),
        (33, oracle.procs_running.unwrap().into()),
        (34, oracle.procs_blocked.unwrap().into()),
    ] {
        assert_eq!(reading(&sample, series), Some(value), "series {series}");
    }
    assert_eq!(present(&sample).len(), 13);
}

#[test]
fn noise_does_no_harm() {
    survives_noise(FOUR_CORES, "stat", |root| Box::new(Stat::new(&layout(), root)));
}
