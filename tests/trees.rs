//! Captured kernels: `/proc` and `/sys` of real machines, and trees that differ from them in a
//! stated way. Our sources, which hold files open and parse without allocating, must read out of
//! each what the procfs crate reads.

mod odd;
mod oracle;
mod tree;
mod wraps;

use std::collections::BTreeSet;

use flightrec_recorder::config::Config;
use flightrec_recorder::{facts, place};
use flightrec_tests::dead_fs::RefusingFile;
use procfs::{FromBufReadSI, KernelStats, LocalSystemInfo};

use oracle::Oracle;
use tree::{Eyes, Read, Tree, assert_same};

/// Every captured tree; `fixtures/README.md` says how each was made.
const CAPTURED: [&str; 5] =
    ["debian12-arm64", "debian12-arm64-psi0", "debian12-armhf", "debian12-pi3", "x86-64"];

const PRESSURE: [&str; 3] = ["/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory"];
const ENOENT: i32 = 2;
const EOPNOTSUPP: i32 = 95;

/// Holds our readings of a tree against those of procfs, both ways; what we read.
fn assert_agreed(tree: &Tree) -> Read {
    let folder = tree.unpack();
    let oracle = Oracle::of(folder.path());
    assert_eq!(oracle.refused, [""; 0], "procfs refuses a file: nothing to compare with");
    let read = Eyes::on(folder.path()).read();
    assert_same(&read.values, &oracle.values, tree.text("proc/sys/kernel/osrelease").trim());
    read
}

/// Whether the reading is one of pressure.
fn is_pressure(series: u16) -> bool {
    (120..=125).contains(&series)
}

#[test]
fn procfs_agrees_on_every_captured_kernel() {
    for name in CAPTURED {
        let tree = Tree::captured(name);
        let read = assert_agreed(&tree);
        println!(
            "{name}: {}, {} readings",
            tree.text("proc/sys/kernel/osrelease").trim(),
            read.values.len()
        );
        assert!(read.values.len() >= 80, "{name}: {read:?}");
        let failed: Vec<&str> = read.failed.into_keys().collect();
        let lost = if name.ends_with("psi0") { PRESSURE.as_slice() } else { &[] };
        assert_eq!(failed, lost, "{name}");
    }
}

/// Figures of a machine that has run for long, and proof that each of ours comes out of its file: all
/// numbers get four digits more, and no reading of a number stays what it was.
#[test]
fn procfs_agrees_on_larger_figures_and_every_reading_follows_its_file() {
    let files = [
        "proc/stat",
        "proc/loadavg",
        "proc/meminfo",
        "proc/vmstat",
        "proc/diskstats",
        "proc/swaps",
        "proc/pressure/cpu",
        "proc/pressure/memory",
        "proc/pressure/io",
        "proc/net/dev",
        "proc/net/sockstat",
        "proc/sys/fs/file-nr",
    ];
    for name in CAPTURED.into_iter().filter(|name| !name.ends_with("psi0")) {
        let small = Tree::captured(name);
        let mut large = small.clone();
        let stats = small.below("sys/block/").into_iter().filter(|path| path.ends_with("/stat"));
        let has_lines =
            |path: &String| small.text(path).lines().any(|line| with_more_digits(line) != line);
        for path in files.into_iter().map(str::to_owned).chain(stats).filter(has_lines) {
            large = large.with_lines(&path, with_more_digits);
        }
        // The first of a Tcp line is no figure but a name.
        large = large.with_lines("proc/net/snmp", |line| match line.strip_prefix("Tcp: 1 ") {
            Some(rest) => format!("Tcp: 1 {}", with_more_digits(rest)),
            None => line.to_owned(),
        });
        let before = small.read();
        let after = assert_agreed(&large);
        for ((entity, series), value) in &after.values {
            // Averages have a point, cores are counted, kinds are kinds; the others have their own files.
            let may_stay = matches!(series, 30 | 36..=38 | 260 | 273 | 283..=287 | 289);
            let old = before.values[&(entity.clone(), *series)];
            assert!(*value > old || may_stay, "{name}: {entity} {series}: {old}, {value}");
        }
    }
}

/// `12` becomes `127777`, `total=5` becomes `total=57777`; what has a point, a sign or letters stays.
fn with_more_digits(line: &str) -> String {
    let bytes = line.as_bytes();
    let mut out = String::new();
    for (at, c) in line.char_indices() {
        out.push(c);
        let is_last = c.is_ascii_digit() && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace);
        let word = line[..=at].rsplit([' ', '\t', '=', '/', ':']).next().unwrap();
        if is_last && word.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str("7777");
        }
    }
    out
}

#[test]
fn a_kernel_without_pressure_lacks_six_readings_and_says_so() {
    let with = Tree::captured("debian12-arm64").read();
    let without = Tree::captured("debian12-arm64").without("proc/pressure");
    let read = assert_agreed(&without);
    let mut expected = with.values;
    expected.retain(|(_, series), _| !is_pressure(*series));
    assert_same(&read.values, &expected, "no pressure");
    assert_eq!(read.failed, PRESSURE.map(|path| (path, ENOENT)).into());
    for (tree, is_absent) in [
        (without, true),
        (Tree::captured("debian12-arm64-psi0"), true),
        (Tree::captured("debian12-arm64"), false),
    ] {
        let folder = tree.unpack();
        let place = place::inspect(folder.path()).unwrap();
        let facts = facts::gather(&Config::default(), &place, 0, folder.path());
        let absent = facts.facts.into_iter().find(|(name, _)| name == "absent").unwrap().1;
        let absent: Vec<&str> = absent.split(", ").collect();
        assert_eq!(absent.contains(&"pressure"), is_absent, "{absent:?}");
        // No tree has one: a board whose firmware says `cgroup_disable=memory`.
        assert!(absent.contains(&"memory controller"), "{absent:?}");
    }
}

/// Pressure that is built in and switched off: the files are there, and can be opened.
#[test]
fn pressure_that_is_not_supported_costs_its_readings_alone() {
    let tree = Tree::captured("debian12-arm64");
    let folder = tree.unpack();
    let mut refusing = Vec::new();
    for path in PRESSURE {
        match RefusingFile::mount(&folder.path().join(&path[1..]), EOPNOTSUPP) {
            Ok(mounted) => refusing.push(mounted),
            Err(reason) => return println!("skipped: {reason}"),
        }
    }
    let answer = std::fs::read(folder.path().join(&PRESSURE[0][1..])).unwrap_err();
    assert_eq!(answer.raw_os_error(), Some(EOPNOTSUPP));
    let mut eyes = Eyes::on(folder.path());
    let mut expected = tree.read().values;
    expected.retain(|(_, series), _| !is_pressure(*series));
    for _ in 0..3 {
        let read = eyes.read();
        assert_same(&read.values, &expected, "without pressure");
        assert_same(&read.values, &Oracle::of(folder.path()).values, "procfs");
        assert_eq!(read.failed, PRESSURE.map(|path| (path, EOPNOTSUPP)).into());
    }
    drop(eyes);
    drop(refusing);
}

/// Only a core's growth tells which was the busiest, so it takes two readings.
#[test]
fn the_busiest_core_is_the_one_that_procfs_saw_idle_least() {
    for name in CAPTURED {
        let before = Tree::captured(name);
        let after = before.clone().with_lines("proc/stat", |line| match line.split_once(' ') {
            Some((core, rest)) if core.starts_with("cpu") && core != "cpu" => {
                let times = rest.split(' ').map(|time| time.parse().unwrap());
                let mut times: Vec<u64> = times.collect();
                // user, softirq and idle
                let grown = if core == "cpu1" { [87, 3, 10] } else { [4, 1, 95] };
                for (at, grown) in [0, 6, 3].into_iter().zip(grown) {
                    times[at] += grown;
                }
                format!("{core} {}", words(&times))
            }
            _ => line.to_owned(),
        });
        let folder = before.unpack();
        let mut eyes = Eyes::on(folder.path());
        assert_eq!(eyes.read().busiest, None, "{name}");
        let cores = |tree: &Tree| {
            let text = tree.text("proc/stat");
            let stat = KernelStats::from_buf_read(text.as_bytes(), &LocalSystemInfo).unwrap();
            stat.cpu_time.into_iter().map(|core| core.idle + core.iowait.unwrap())
        };
        let grown = cores(&before).zip(cores(&after)).map(|(before, after)| after - before);
        let (_, core) = (0..).zip(grown).map(|(core, idle)| (idle, core)).min().unwrap();
        after.unpack_into(folder.path());
        assert_eq!(eyes.read().busiest, Some((core, 90)), "{name}");
    }
}

/// A disk enclosure. There are eight seats; who sits has its own figures, and who does not costs
/// nobody anything.
#[test]
fn of_64_disks_eight_are_recorded_and_procfs_agrees_on_each() {
    let one = Tree::captured("debian12-armhf");
    let line = one.text("proc/diskstats").lines().find(|line| line.contains(" vda ")).unwrap();
    let captured: Vec<u64> =
        line.split_whitespace().skip(3).map(|word| word.parse().unwrap()).collect();
    let mut many = one.clone().without("sys/block/");
    let mut stats = String::new();
    for number in 0..64_u64 {
        let name = format!("sd{}{}", letter(number / 26), letter(number % 26));
        let figures: Vec<u64> = captured.iter().map(|figure| figure + 8 * number).collect();
        let figures = words(&figures);
        stats.extend(["   8 ", &(number * 16).to_string(), " ", &name, " ", &figures, "\n"]);
        many = many
            .with(&format!("sys/block/{name}/stat"), &format!("{figures}\n"))
            .with(&format!("sys/block/{name}/size"), "7814037168\n");
    }
    let folder = many.with("proc/diskstats", &stats).unpack();
    let mut expected = Oracle::of(folder.path()).values;
    let disks = |values: &tree::Readings| {
        let of_disks = values.keys().filter(|(_, series)| (140..=150).contains(series));
        of_disks.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(disks(&expected).len(), 64);
    let read = Eyes::on(folder.path()).read();
    let seated = disks(&read.values);
    assert_eq!(seated.len(), 8);
    expected.retain(|(name, series), _| seated.contains(name) || !(140..=150).contains(series));
    assert_same(&read.values, &expected, "64 disks");
    assert!(read.failed.is_empty());
}

fn words(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

fn letter(number: u64) -> char {
    char::from(b'a' + u8::try_from(number).unwrap())
}
