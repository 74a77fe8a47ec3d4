//! What the whole recorder costs in a second: sampler, census, logs, slow thread and writer, commits
//! included; calm, and in an alert with a commit each second.
//!
//! `bench_second [SECONDS [PROCESSES...]]`, as root: for so many seconds each (60), among so many
//! processes (300 1000 3000), which sleep in 40 units, beside a real journald of our own that takes 5
//! lines a second. The alert is one of `flightrecd` as it is: in its mount namespace a file of ours
//! lies over `/proc/meminfo`, and says after a while that hardly any memory is available. The *floor* is a
//! thread that reads what the recorder holds open, once a second, and nothing else: once a second
//! everything costs far more than in a loop, for others have used the caches meanwhile. Where there is
//! an `atop`, one records beside: with it the figure can be compared with those of other machines.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a tool for developers"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flightrec_recorder::census::SLICE_IDLE;
use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_tests::apart::{Running, find};
use flightrec_tests::journald::{Journald, Stream};
use flightrec_tests::programs::{flightrecd, say, wait_until};

/// Units among which the processes are shared out.
const UNITS: usize = 40;
/// Seconds in which a figure is taken.
const WINDOW_S: u64 = 10;
/// The thread that only reads.
const FLOOR: &str = "floor";
/// Another recorder, to compare with: all processes once a second.
const PEER: &str = "atop";

/// Processes that sleep, in cgroups of their own.
struct Crowd {
    children: Vec<Child>,
    cgroups: Vec<PathBuf>,
}

impl Crowd {
    fn new() -> Self {
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists());
        let name = |number| format!("flightrec-bench-{number}.service");
        let folders = (0..UNITS).filter_map(|number| Some(root?.join(name(number))));
        let cgroups: Vec<_> = folders.filter(|folder| fs::create_dir(folder).is_ok()).collect();
        println!("{} units", cgroups.len());
        Self { children: Vec::new(), cgroups }
    }

    fn grow_to(&mut self, count: usize) {
        while processes() < count {
            let child = Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn().unwrap();
            if !self.cgroups.is_empty() {
                let own = &self.cgroups[self.children.len() % self.cgroups.len()];
                fs::write(own.join("cgroup.procs"), child.id().to_string()).unwrap();
            }
            self.children.push(child);
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for folder in &self.cgroups {
            assert!(wait_until(|| fs::remove_dir(folder).is_ok()), "{}", folder.display());
        }
    }
}

fn pause_ms(ms: u64) {
    SystemClock.wait(SystemClock.boottime_ns() + ms * 1_000_000);
}

fn processes() -> usize {
    let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok())).count()
}

/// The recorder in a mount namespace, with the logs of `journald`, and memory as a file of ours says.
fn record(folder: &Path, journald: &Journald) -> Running {
    let recording = folder.join("recording.frec");
    let recording = recording.to_str().unwrap();
    let made = say(flightrecd(), ["create", recording]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let script = "set -e; mkdir -p /run/log/journal
        mount --bind \"$1/log\" /var/log; mount --bind \"$2\" /var/log/journal
        mount --bind \"$3\" /run/log/journal; mount --bind \"$1/meminfo\" /proc/meminfo
        exec \"$4\" run --recording \"$5\"";
    fs::create_dir_all(folder.join("log/journal")).unwrap();
    let child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([folder, &journald.var(), &journald.run_log(), flightrecd(), Path::new(recording)])
        .env("RUNTIME_DIRECTORY", folder.join("run"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stderr(fs::File::create(folder.join("stderr")).unwrap())
        .spawn()
        .unwrap();
    Running(child)
}

/// Memory as it is, or all but gone. The file stays the one that is mounted.
fn tell_memory(folder: &Path, available: Option<u64>) {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let lines = text.lines().map(|line| match available {
        Some(kib) if line.starts_with("MemAvailable:") => format!("MemAvailable:   {kib:8} kB\n"),
        _ => format!("{line}\n"),
    });
    let text: String = lines.collect();
    fs::write(folder.join("meminfo"), text).unwrap();
}

/// What a process has used so far: nanoseconds by thread, bytes given to the disk.
fn used(pid: u32) -> (BTreeMap<String, u64>, u64) {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap().trim().to_owned();
        let told = fs::read_to_string(task.join("schedstat")).unwrap();
        let ns: u64 = told.split(' ').next().unwrap().parse().unwrap();
        *threads.entry(name).or_default() += ns;
    }
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    (threads, written.parse().unwrap())
}

fn floor_ns() -> u64 {
    used(std::process::id()).0.get(FLOOR).copied().unwrap_or(0)
}

/// The peer, at work into a file of `folder`, if it is installed.
fn start_peer(folder: &Path) -> Option<Running> {
    let mut command = Command::new(find(PEER)?);
    command.arg("-w").arg(folder.join(PEER)).arg("1").stdin(Stdio::null()).stdout(Stdio::null());
    Some(Running(command.spawn().ok()?))
}

/// What a process, the floor and the peer took, by ten seconds.
fn measure(name: &str, pid: u32, peer: Option<&Running>, seconds: u64) {
    let mut taken: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let (_, written_before) = used(pid);
    let peer_ns = || peer.map(|peer| used(peer.0.id()).0.values().sum::<u64>());
    for _ in 0..seconds.div_ceil(WINDOW_S) {
        let before = used(pid).0;
        let floor_before = floor_ns();
        let peer_before = peer_ns();
        pause_ms(WINDOW_S * 1000);
        if let (Some(before), Some(after)) = (peer_before, peer_ns()) {
            taken.entry(PEER.into()).or_default().push((after - before) / WINDOW_S / 1000);
        }
        let after = used(pid).0;
        let mut all = 0;
        for (thread, ns) in &after {
            let us = (ns - before.get(thread).unwrap_or(&0)) / WINDOW_S / 1000;
            taken.entry(thread.clone()).or_default().push(us);
            all += us;
        }
        let floor_us = (floor_ns() - floor_before) / WINDOW_S / 1000;
        taken.entry(FLOOR.into()).or_default().push(floor_us);
        taken.entry("all of it".into()).or_default().push(all);
    }
    let bytes = (used(pid).1 - written_before) / seconds;
    println!("{name}: {bytes} bytes/s to the disk, and in us/s, median (least, greatest):");
    for (thread, mut us) in taken {
        us.sort_unstable();
        println!("{thread:>16} {:5} ({}, {})", us[us.len() / 2], us[0], us[us.len() - 1]);
    }
}

/// Reads, once a second, the kernel files that `pid` holds open, as long as it lives.
fn start_floor(pid: u32) {
    let held = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let paths = held.filter_map(|held| fs::read_link(held.unwrap().path()).ok());
    let kernel = |path: &PathBuf| path.starts_with("/proc") || path.starts_with("/sys");
    let files = paths.filter(kernel).filter(|path| path.is_file());
    let files: Vec<_> = files.filter_map(|path| fs::File::open(path).ok()).collect();
    println!("the floor reads {} files", files.len());
    let read = move || {
        let mut text = vec![0; 65536];
        while Path::new(&format!("/proc/{pid}/stat")).exists() {
            for file in &files {
                let mut filled = 0;
                while let Ok(len @ 1..) = file.read_at(&mut text[filled..], filled as u64) {
                    filled += len;
                }
            }
            pause_ms(1000);
        }
    };
    std::thread::Builder::new().name(FLOOR.into()).spawn(read).unwrap();
}

/// Five lines a second, for ever.
fn log(mut stream: Stream) {
    for number in 0_u64.. {
        writeln!(stream, "<3>cannot send record {number}: 401 Unauthorized").unwrap();
        pause_ms(200);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>().unwrap());
    let seconds = arguments.next().unwrap_or(60);
    let counts: Vec<usize> = arguments.map(|count| usize::try_from(count).unwrap()).collect();
    let counts = if counts.is_empty() { vec![300, 1000, 3000] } else { counts };
    let settings = "RateLimitBurst=0\nReadKMsg=no\nStorage=persistent";
    let journald = match Journald::start(settings, &[]) {
        Ok(journald) => journald,
        Err(reason) => return println!("skipped: {reason}"),
    };
    journald.signal("USR1");
    for number in 0..UNITS {
        let mut stream = journald.stream("unit", &format!("unit-{number}.service"));
        writeln!(stream, "<6>started").unwrap();
    }
    let stream = journald.stream("vector", "vector.service");
    std::thread::spawn(|| log(stream));
    let mut crowd = Crowd::new();
    for count in counts {
        crowd.grow_to(count);
        // Not in memory: its commits are to reach a disk.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        tell_memory(folder.path(), None);
        let recorder = record(folder.path(), &journald);
        // Once round the processes, a slice a second.
        let round_s = u64::try_from(count.div_ceil(SLICE_IDLE)).unwrap();
        pause_ms((20 + round_s) * 1000);
        let pid = recorder.0.id();
        start_floor(pid);
        let peer = start_peer(folder.path());
        pause_ms(2000);
        measure(&format!("{count} processes, calm"), pid, peer.as_ref(), seconds);
        tell_memory(folder.path(), Some(1024));
        pause_ms(10_000);
        measure(&format!("{count} processes, dying"), pid, peer.as_ref(), seconds);
        drop((recorder, peer));
        print!("{}", fs::read_to_string(folder.path().join("stderr")).unwrap());
    }
}
