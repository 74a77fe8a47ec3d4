//! Odd lines: what kernels and containers have been seen to say, or may, and what stopped other
//! recorders. One odd line costs its own readings and nothing else.
//!
//! Of cgroups, whose lines below died of, the recorder reads nothing yet: there is no such line here.

use flightrec_recorder::config::Config;
use flightrec_recorder::sample::SeriesNumber;
use flightrec_recorder::{facts, place};

use super::assert_agreed;
use super::oracle::Oracle;
use super::tree::{Eyes, Readings, Tree, assert_same};

/// What procfs makes of the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Procfs {
    Agrees,
    /// The line costs it the whole file.
    Refuses,
    /// It does not read this file.
    Ignores,
}
use Procfs::{Agrees, Ignores, Refuses};

/// A series of an entity, and its value in the odd tree.
type Change = (&'static str, SeriesNumber, Option<u64>);
/// What is odd; the file, a text in it, and another in its place; what changes.
type Odd = (&'static str, [&'static str; 3], Procfs, &'static [Change]);

#[rustfmt::skip]
const ODD: &[Odd] = &[
    ("a key without a value", ["proc/meminfo", "Dirty:", "Odd:\nDirty:"], Refuses, &[]),
    ("a value that is no number", ["proc/meminfo", "Mapped:  ", "Mapped: x"], Refuses, &[("", 65, None)]),
    ("a blank line", ["proc/meminfo", "Dirty:", "\nDirty:"], Agrees, &[]),
    ("a key that is gone", ["proc/meminfo", "VmallocChunk:          0 kB\n", ""], Refuses, &[]),
    ("a key that is new", ["proc/meminfo", "Dirty:", "Dirtier: 5 kB\nDirty:"], Agrees, &[]),
    ("a sum below zero", ["proc/vmstat", "nr_free_cma ", "nr_free_cma 18446744073709551615\nodd "], Refuses, &[]),
    ("a key alone", ["proc/vmstat", "nr_unstable 0", "nr_unstable"], Refuses, &[]),
    ("two keys change places", ["proc/vmstat", "allocstall_dma 0\nallocstall_dma32 0\n", "odd 5\nallocstall_dma32 0\nallocstall_dma 0\n"], Agrees, &[]),
    ("a container without a boot time", ["proc/stat", "btime", "odd"], Refuses, &[]),
    ("a core that is switched off", ["proc/stat", "cpu0", "odd"], Agrees, &[("", 30, Some(1))]),
    ("more than 32 bits", ["proc/stat", "procs_blocked 0", "procs_blocked 4294967296"], Refuses, &[("", 34, Some(1 << 32))]),
    ("a sign", ["proc/stat", "procs_blocked 0", "procs_blocked -1"], Refuses, &[("", 34, None)]),
    ("Linux before 5.13", ["proc/pressure/cpu", "full", "odd"], Refuses, &[("", 121, None)]),
    ("a line without its total", ["proc/pressure/io", "some avg10=", "some total\nodd="], Refuses, &[("", 124, None)]),
    ("no room for a blank", ["proc/net/dev", "  eth0:     ", "  eth0:"], Refuses, &[]),
    ("a line without counters", ["proc/net/dev", "  eth0:", "  odd0:\n  eth0:"], Refuses, &[]),
    ("no line of TCP", ["proc/net/sockstat", "TCP:", "odd:"], Ignores, &[("", 265, None), ("", 266, None), ("", 267, None), ("", 268, None)]),
    ("a key at the end", ["proc/net/sockstat", "UDP: inuse 0 mem 0", "UDP: mem 0 inuse"], Ignores, &[("", 269, None)]),
    ("names without a value", ["proc/net/snmp", "Tcp: 1 200", "Tcp: 1 200\nTcp: 1 200"], Refuses, &[("", 270, None)]),
    ("no message yet", ["proc/net/snmp", "IcmpMsg: InType0 OutType8\nIcmpMsg: 3 3", "IcmpMsg:\nIcmpMsg:"], Agrees, &[]),
    ("loads and no more", ["proc/loadavg", " 1/", "\n"], Refuses, &[("", 39, None)]),
    ("Linux before 4.18", ["sys/block/sda/stat", " 0        0        0        0        0        0\n", "\n"], Ignores, &[("sda", 148, None), ("sda", 149, None), ("sda", 150, None)]),
    ("a neighbour that is silent", ["proc/net/arp", "0x2  ", "0x0  "], Agrees, &[("", 287, Some(1))]),
    ("a flag that is no number", ["proc/net/arp", "0x2  ", "0xZ  "], Refuses, &[("", 287, Some(0))]),
];

const TREE: &str = "debian12-arm64";

#[test]
fn an_odd_line_costs_its_own_readings_alone() {
    let plain = Tree::captured(TREE);
    let readings = assert_agreed(&plain).values;
    for (what, [path, text, instead], procfs, changes) in ODD {
        let before = plain.text(path);
        assert!(before.contains(text), "{what}: {path} does not have {text:?}");
        let folder = plain.clone().with(path, &before.replacen(text, instead, 1)).unpack();
        let mut expected = readings.clone();
        for (name, series, value) in *changes {
            let key = ((*name).to_owned(), *series);
            let old = expected.remove(&key);
            assert_ne!(old, *value, "{what}: {series} does not change");
            expected.extend(value.map(|value| (key, value)));
        }
        let oracle = Oracle::of(folder.path());
        let refused = if *procfs == Refuses { vec![*path] } else { Vec::new() };
        assert_eq!(oracle.refused, refused, "{what}");
        let mut eyes = Eyes::on(folder.path());
        for _ in 0..2 {
            let read = eyes.read();
            assert_same(&read.values, &expected, what);
            assert!(read.failed.is_empty(), "{what}: {:?}", read.failed);
        }
        if *procfs == Agrees {
            assert_same(&oracle.values, &expected, what);
        }
    }
}

/// The interface of an alias, and a swap whose file was deleted.
#[test]
fn names_are_what_the_kernel_says() {
    let is_there = |values: &Readings, name: &str| values.keys().any(|(entity, _)| entity == name);
    for (path, name, odd) in [
        ("proc/net/dev", "dummy0", "dummy0:1"),
        ("proc/swaps", "/mnt/file", "/mnt/file\\040(deleted)"),
    ] {
        let tree = Tree::captured(TREE).with_lines(path, |line| line.replace(name, odd));
        let values = assert_agreed(&tree).values;
        assert!(is_there(&values, odd) && !is_there(&values, name), "{odd}: {values:?}");
    }
}

/// A file that is empty, holds a zero byte or cannot be read costs its own readings.
#[test]
fn a_file_that_says_nothing_costs_its_own_readings() {
    let plain = Tree::captured("debian12-pi3");
    let readings = assert_agreed(&plain).values;
    for path in plain.below("") {
        let read = [
            plain.clone().with(&path, "").read().values,
            plain.clone().with(&path, "\0\n").read().values,
            plain.clone().with_unreadable(&path).read().values,
        ];
        for read in read {
            let is_kept = |key| read.get(key) == readings.get(key);
            let new: Vec<_> = read.keys().filter(|key| !is_kept(*key)).collect();
            let lost = readings.keys().filter(|key| !read.contains_key(*key)).count();
            // A sensor that has no name goes by its number.
            assert!(new.iter().all(|(_, series)| *series == 260), "{path}: {new:?}");
            assert!(lost <= 23, "{path}: {lost} readings are lost");
        }
    }
}

/// A mount that nobody can parse costs the facts of a run no other mount.
#[test]
fn an_odd_mount_is_passed_over() {
    let plain = Tree::captured("debian12-pi3");
    let mounts = |tree: &Tree| {
        let folder = tree.unpack();
        let place = place::inspect(folder.path()).unwrap();
        let facts = facts::gather(&Config::default(), &place, 0, folder.path());
        facts.facts.into_iter().find(|(name, _)| name == "mounts").map(|(_, value)| value)
    };
    let path = "proc/self/mountinfo";
    let odd = format!("odd\n\n1 2 x / / rw\n{}1 1 0:2 / /\n", plain.text(path));
    assert_eq!(mounts(&plain).as_deref(), Some("/mnt ext4"));
    assert_eq!(mounts(&plain.clone().with(path, &odd)), mounts(&plain));
}
