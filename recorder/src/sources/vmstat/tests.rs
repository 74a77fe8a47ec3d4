use std::fmt::Write;

use procfs::FromBufRead;

use super::*;
use crate::sources::testing::{layout, present, put, read, reading, survives_noise, tree};

/// Linux 4.14, shortened: one key per zone, one refault counter, no oom_kill before 4.13.
const OLD: &str = "\
nr_free_pages 7525\nnr_zone_inactive_anon 214601\nworkingset_refault 8123\n\
workingset_activate 99\npgpgin 100\npswpin 11\npswpout 12\npgalloc_dma 5\nallocstall_dma 3\n\
allocstall_normal 4\nallocstall_movable 70\npgfault 1000\npgmajfault 100\npgsteal_kswapd 21\n\
pgsteal_direct 22\npgscan_kswapd 31\npgscan_direct 32\npgscan_direct_throttle 9\noom_kill 2\n\
compact_stall 6\ncompact_fail 1\n";

fn source(tree: &tempfile::TempDir) -> Vmstat {
    Vmstat::new(&layout(), tree.path())
}

#[test]
fn zones_are_added_up() {
    let sample = read(&mut source(&tree(&[("vmstat", OLD)])));
    assert_eq!(reading(&sample, 108), Some(77));
    assert_eq!(reading(&sample, 105), Some(32));
    assert_eq!(reading(&sample, 111), Some(8123));
    let all: Vec<u16> = (100..=112).filter(|&series| series != 110).collect();
    assert_eq!(present(&sample), all);
}

/// Before 4.10 there was one counter of stalls.
#[test]
fn a_single_stall_counter_is_taken() {
    let sample = read(&mut source(&tree(&[("vmstat", "pgfault 1\nallocstall 5\n")])));
    assert_eq!(reading(&sample, 108), Some(5));
    assert_eq!(present(&sample), [100, 108]);
}

/// procfs reads the same out of this machine's file.
#[test]
fn procfs_agrees() {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap();
    let oracle = procfs::VmStat::from_buf_read(text.as_bytes()).unwrap().0;
    let sample = read(&mut source(&tree(&[("vmstat", &text)])));
    for key in KEYS.iter().filter(|key| !key.prefix) {
        let name = std::str::from_utf8(key.text).unwrap();
        if let Some(&value) = oracle.get(name) {
            assert_eq!(reading(&sample, key.series), u64::try_from(value).ok(), "{name}");
        }
    }
    let stalls: i64 =
        oracle.iter().filter(|(key, _)| key.starts_with("allocstall")).map(|(_, n)| n).sum();
    assert_eq!(reading(&sample, 108), u64::try_from(stalls).ok());
}

#[test]
fn noise_does_no_harm() {
    survives_noise(OLD, "vmstat", |root| Box::new(Vmstat::new(&layout(), root)));
}

/// Numbers grow and shrink, lines trade places, come and go: a source that has learnt where its
/// lines are reads what a new one reads.
#[test]
fn what_was_learnt_never_changes_what_is_read() {
    let tree = tree(&[("vmstat", OLD)]);
    let mut learnt = source(&tree);
    let mut lines: Vec<(String, u64)> = OLD
        .lines()
        .map(|line| line.split_once(' ').map(|(key, _)| (key.to_owned(), 1)).unwrap())
        .collect();
    let whole = lines.clone();
    let mut dice = 1_u64;
    let mut below = |end: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % end
    };
    for round in 0..3000 {
        for _ in 0..below(4) {
            let index = below(lines.len());
            lines[index].1 = u64::MAX >> below(64);
        }
        match below(20) {
            0 => {
                let (one, other) = (below(lines.len()), below(lines.len()));
                lines.swap(one, other);
            }
            1 if lines.len() > 3 => drop(lines.remove(below(lines.len()))),
            2 => lines.clone_from(&whole),
            _ => {}
        }
        let mut text = String::new();
        for (key, value) in &lines {
            writeln!(text, "{key} {value}").unwrap();
        }
        put(tree.path(), "vmstat", text.as_bytes());
        let (one, other) = (read(&mut learnt), read(&mut source(&tree)));
        let all = present(&other);
        assert_eq!(present(&one), all, "round {round}: {text}");
        for series in all {
            assert_eq!(reading(&one, series), reading(&other, series), "round {round}: {text}");
        }
    }
}
