//! What a sample costs, beside what the kernel alone costs for it.
//!
//! The *floor* reads the same files through descriptors that are kept open, with as many `pread`
//! calls into as large buffers, the empty one at the end included where we make it, and parses
//! nothing. Rounds of
//! samples and of the floor alternate in one thread of one process, so that the CPU time of the
//! process is that of the thread. A third kind of round asks the clocks too, as a sample does.
//!
//! `bench_sampling [ROUNDS [SAMPLES]]` prints medians and spread; `bench_sampling only KIND COUNT`
//! does one thing only, for a profiler: `take`, `floor`, `tick` (a sample and its row), `look` (what
//! the slow thread does every five seconds), `its files` (those of them that are held open) or `none`;
//! `bench_sampling only KIND COUNT ROOT` does so on files below ROOT (`proc`, `sys`), which stay the same.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a tool for developers"
)]

use std::ffi::OsString;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use flightrec_recorder::census::Census;
use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::recorder::{ROW_BYTES, ROW_COUNT};
use flightrec_recorder::report;
use flightrec_recorder::rows::Rows;
use flightrec_recorder::sample::{Layout, Sample};
use flightrec_recorder::sampler::{Pain, Sampler};
use flightrec_recorder::sources::{self, Lookout, MACHINE, RANKS, Roots};
use flightrec_recorder::sys;

/// The files of the sources, read and not looked at.
struct Floor(Vec<(File, Vec<u8>, bool)>);

impl Floor {
    /// Every kernel file that this process holds open, which are those of the sources, but for
    /// those under the descriptors `but`.
    fn of_open_files(but: &[OsString]) -> Self {
        // All of them before one is opened here, which would be found too.
        let names = descriptors().into_iter().filter(|name| !but.contains(name));
        let paths = names.filter_map(|name| std::fs::read_link(fd(&name)).ok());
        let paths: Vec<_> = paths.collect();
        let of_kernel = |path: &PathBuf| {
            // `status` of a process is read only where something is swapped.
            (path.starts_with("/proc") || path.starts_with("/sys"))
                && path.is_file()
                && !path.ends_with("status")
        };
        let mut files = Vec::new();
        for path in paths.into_iter().filter(of_kernel) {
            let text = std::fs::read(&path).unwrap();
            let room = (2 * text.len()).clamp(256, 256 << 10);
            println!("{:6} bytes  {}", text.len(), path.display());
            // Those of processes and cgroups are short, and read by one call.
            let once = path.starts_with("/sys/fs/cgroup")
                || path.parent().is_some_and(|folder| folder.join("wchan").exists());
            let room = if once { 2048 } else { room };
            files.push((File::open(&path).unwrap(), vec![0; room], once));
        }
        Self(files)
    }

    fn read(&mut self) {
        for (file, buffer, once) in &mut self.0 {
            let mut filled = 0;
            loop {
                let got = file.read_at(&mut buffer[filled..], u64::try_from(filled).unwrap());
                match got {
                    // A process that has ended, as any may.
                    Ok(0) | Err(_) => break,
                    Ok(len) => filled += len,
                }
                if *once {
                    break;
                }
            }
            black_box(&buffer[..filled]);
        }
    }
}

/// The names of all descriptors.
fn descriptors() -> Vec<OsString> {
    std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn fd(name: &OsString) -> PathBuf {
    PathBuf::from("/proc/self/fd").join(name)
}

/// What a sample asks beside the files.
fn ask_clocks() {
    black_box((sys::boottime_ns(), sys::boottime_ns(), sys::monotonic_ns(), sys::realtime_ns()));
    black_box((sys::clock_synced(), sys::faults(), sys::process_cpu_ns()));
}

struct Bench {
    sampler: Sampler,
    rows: Rows,
    floor: Floor,
    lookout: Lookout,
    look_floor: Floor,
    tick: u64,
}

impl Bench {
    fn new(roots: Roots<'_>) -> Self {
        let layout = Layout::new(MACHINE, RANKS);
        // What the slow thread has posted once is believed for ever: the samples are whole.
        let interval_ns = 1;
        let before = descriptors();
        let (others, mut lookout) = sources::all(&layout, roots, interval_ns);
        lookout.look();
        drop(others);
        println!("the slow thread holds open:");
        let look_floor = Floor::of_open_files(&before);
        let mut not_ours = descriptors();
        let (mut sources, mut other) = sources::all(&layout, roots, interval_ns);
        other.look();
        drop(other);
        let (sender, _) = report::channel();
        let before_census = descriptors();
        let (mut census, own, _) = Census::new(&layout, roots, interval_ns, sender);
        let of_census = descriptors().into_iter().filter(|own| !before_census.contains(own));
        not_ours.extend(of_census);
        sources.extend(own);
        // Two rounds through the processes, until the seats are taken.
        let mut sample = Sample::new(&layout);
        for second in 0..200 {
            census.look(SystemClock.boottime_ns() + second * 1_000_000_000);
            for source in &mut sources {
                source.read(&mut sample).unwrap_or_default();
            }
        }
        println!("the sampler holds open:");
        let floor = Floor::of_open_files(&not_ours);
        let rows = Rows::new(&layout, ROW_BYTES, ROW_COUNT);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self {
            sampler: Sampler::new(layout, sources, 0, clock),
            rows,
            floor,
            lookout,
            look_floor,
            tick: 0,
        }
    }

    fn once(&mut self, kind: &str) {
        match kind {
            "take" => self.take(),
            "tick" => {
                self.take();
                assert!(self.rows.push(self.sampler.sample(), u64::MAX));
            }
            "floor" => self.floor.read(),
            "floor and clocks" => {
                self.floor.read();
                ask_clocks();
            }
            "look" => self.lookout.look(),
            "its files" => self.look_floor.read(),
            "none" => {}
            _ => panic!("no kind {kind}"),
        }
    }

    fn take(&mut self) {
        self.tick += 1;
        self.sampler.take(self.tick, &Pain { samples: self.tick, ..Pain::default() });
    }

    /// Nanoseconds of CPU time each.
    fn round(&mut self, kind: &str, count: u32) -> f64 {
        let start_ns = sys::process_cpu_ns();
        for _ in 0..count {
            self.once(kind);
        }
        (sys::process_cpu_ns() - start_ns) as f64 / f64::from(count)
    }
}

/// What is compared, in turn.
const KINDS: [&str; 6] = ["floor", "take", "floor and clocks", "tick", "look", "its files"];

/// Median, least and greatest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = PathBuf::from(arguments.get(3).map_or("/", String::as_str));
    let [proc, sys] = ["proc", "sys"].map(|name| root.join(name));
    let mut bench = Bench::new(Roots { proc: &proc, sys: &sys });
    if let ["only", kind, count, ..] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        for _ in 0..count.parse::<u32>().unwrap() {
            bench.once(kind);
        }
        return;
    }
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().unwrap());
    let (rounds, count) = (number(0, 11), number(1, 2000));
    for kind in KINDS {
        bench.round(kind, count / 4);
    }
    let mut costs = [const { Vec::new() }; 6];
    for _ in 0..rounds {
        for (kind, costs) in KINDS.iter().zip(&mut costs) {
            costs.push(bench.round(kind, count));
        }
    }
    println!("{rounds} rounds of {count}, CPU time each: median (least, greatest)");
    for (kind, costs) in KINDS.iter().zip(&costs) {
        let (median, least, greatest) = spread(costs.clone());
        let [median, least, greatest] = [median, least, greatest].map(|ns| ns / 1000.0);
        println!("{kind:>16}: {median:6.2} us ({least:.2}, {greatest:.2})");
    }
    for (what, over) in [("take / floor", 0), ("take / floor and clocks", 2)] {
        let ratios = costs[1].iter().zip(&costs[over]).map(|(take, floor)| take / floor);
        let (median, least, greatest) = spread(ratios.collect());
        println!("{what}: {median:.3} ({least:.3}, {greatest:.3})");
    }
}
