use procfs::FromBufRead;

use super::*;
use crate::sources::testing::{layout, present, put, read, reading, survives_noise, tree};

/// Linux 4.14 on a board: no Zswap, with CMA.
const OLD: &str = "\
MemTotal:        2058548 kB\nMemFree:           30100 kB\nMemAvailable:     106980 kB\n\
Buffers:            1648 kB\nCached:           112508 kB\nSwapCached:        11040 kB\n\
Active:           936048 kB\nInactive:         902312 kB\nActive(anon):     871540 kB\n\
Inactive(anon):   858404 kB\nActive(file):      64508 kB\nInactive(file):    43908 kB\n\
Unevictable:           0 kB\nMlocked:               0 kB\nSwapTotal:       1029272 kB\n\
SwapFree:         262144 kB\nDirty:                15 kB\nWriteback:            16 kB\n\
AnonPages:       1717012 kB\nMapped:            48472 kB\nShmem:              5820 kB\n\
Slab:              84256 kB\nSReclaimable:      29328 kB\nSUnreclaim:        54928 kB\n\
KernelStack:        5248 kB\nPageTables:        14068 kB\nCommitted_AS:    3940204 kB\n\
VmallocTotal:   135290159040 kB\nCmaTotal:         131072 kB\nCmaFree:            2000 kB\n";

fn source(tree: &tempfile::TempDir) -> Meminfo {
    Meminfo::new(&layout(), tree.path())
}

#[test]
fn values_are_in_units_of_16_kib() {
    let sample = read(&mut source(&tree(&[("meminfo", OLD)])));
    assert_eq!(reading(&sample, 50), Some(2_058_548 / 16));
    assert_eq!(reading(&sample, 56), Some(64_508 / 16));
    assert_eq!(reading(&sample, 62), Some(0));
    assert_eq!(reading(&sample, 63), Some(1));
    assert_eq!(reading(&sample, 72), Some(125));
}

/// What a kernel does not tell stays absent; it is not zero.
#[test]
fn missing_keys_are_absent() {
    let have = present(&read(&mut source(&tree(&[("meminfo", OLD)]))));
    let all: Vec<u16> = (50..=72).filter(|series| ![60, 61].contains(series)).collect();
    assert_eq!(have, all);
}

/// Lines that come, go or trade places are noticed, and nothing is taken for its neighbour.
#[test]
fn a_changed_order_is_learnt_anew() {
    let tree = tree(&[("meminfo", OLD)]);
    let mut source = source(&tree);
    read(&mut source);
    let reversed: String = OLD.split_inclusive('\n').rev().collect();
    let with_zswap = OLD.replace("Dirty:", "Zswap:    1600 kB\nDirty:");
    let without_total = OLD.replace("MemTotal:        2058548 kB\n", "");
    for (text, total, zswap) in [
        (&reversed, Some(128_659), None),
        (&with_zswap, Some(128_659), Some(100)),
        (&without_total, None, None),
    ] {
        put(tree.path(), "meminfo", text.as_bytes());
        for _ in 0..2 {
            let sample = read(&mut source);
            assert_eq!(reading(&sample, 50), total);
            assert_eq!(reading(&sample, 60), zswap);
            assert_eq!(reading(&sample, 72), Some(125));
        }
    }
}

/// procfs reads the same out of this machine's file.
#[test]
fn procfs_agrees() {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let oracle = procfs::Meminfo::from_buf_read(text.as_bytes()).unwrap();
    let sample = read(&mut source(&tree(&[("meminfo", &text)])));
    for (series, bytes) in [
        (50, Some(oracle.mem_total)),
        (51, Some(oracle.mem_free)),
        (52, oracle.mem_available),
        (53, Some(oracle.buffers)),
        (54, Some(oracle.cached)),
        (55, Some(oracle.swap_cached)),
        (56, oracle.active_file),
        (57, oracle.unevictable),
        (58, Some(oracle.swap_total)),
        (59, Some(oracle.swap_free)),
        (62, Some(oracle.dirty)),
        (63, Some(oracle.writeback)),
        (64, oracle.anon_pages),
        (65, Some(oracle.mapped)),
        (66, oracle.shmem),
        (67, oracle.s_reclaimable),
        (68, oracle.s_unreclaim),
        (69, oracle.kernel_stack),
        (70, oracle.page_tables),
        (71, Some(oracle.committed_as)),
        (72, oracle.cma_free),
    ] {
        assert_eq!(reading(&sample, series), bytes.map(|bytes| bytes / 16_384), "series {series}");
    }
}

#[test]
fn noise_does_no_harm() {
    survives_noise(OLD, "meminfo", |root| Box::new(Meminfo::new(&layout(), root)));
}
