//! What one look of the census costs with few and with many processes, beside the same reads.
//!
//! `bench_census [COUNT...]` (300 1000 3000 if nothing is asked for) starts as many sleeping
//! processes as are missing to each count, and ends them. The *floor* opens, reads and closes the
//! `stat` of as many processes as a look does in turn, through the same open folder, and parses
//! nothing. Rounds of looks and of the floor alternate; CPU time of the process, which has one thread.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a tool for developers"
)]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command};

use flightrec_recorder::census::{Census, SLICE};
use flightrec_recorder::report;
use flightrec_recorder::sample::{Layout, Sample};
use flightrec_recorder::sources::{MACHINE, RANKS, Roots, Source};
use flightrec_recorder::sys;

/// Looks in a round.
const LOOKS: u32 = 100;
/// Rounds.
const ROUNDS: usize = 11;

/// Processes that do nothing; ended when dropped.
struct Crowd(Vec<Child>);

impl Crowd {
    fn grow_to(&mut self, count: usize) {
        while processes().len() < count {
            self.0.push(Command::new("sleep").arg("3600").spawn().unwrap());
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn processes() -> Vec<u32> {
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

struct Bench {
    census: Census,
    sources: Vec<Box<dyn Source + Send>>,
    sample: Sample,
    now_ns: u64,
    proc: File,
    paths: Vec<String>,
    next: usize,
    text: [u8; 2048],
}

impl Bench {
    fn new() -> Self {
        let layout = Layout::new(MACHINE, RANKS);
        let (sender, _) = report::channel();
        let (census, sources, _) = Census::new(&layout, Roots::real(), 1_000_000_000, sender);
        Self {
            census,
            sources,
            sample: Sample::new(&layout),
            now_ns: sys::boottime_ns(),
            proc: File::open("/proc").unwrap(),
            paths: processes().into_iter().map(|pid| format!("{pid}/stat")).collect(),
            next: 0,
            text: [0; 2048],
        }
    }

    fn look(&mut self) {
        self.now_ns += 1_000_000_000;
        self.census.look(self.now_ns);
    }

    /// The sampler's side: who has arrived is seated.
    fn sample(&mut self) {
        self.sample.clear();
        for source in &mut self.sources {
            source.read(&mut self.sample).unwrap_or_default();
        }
    }

    fn floor(&mut self) {
        for _ in 0..SLICE {
            let path = &self.paths[self.next % self.paths.len()];
            self.next += 1;
            if let Ok(file) = sys::open_at(&self.proc, path.as_bytes()) {
                black_box(file.read_at(&mut self.text, 0).unwrap_or(0));
            }
        }
    }

    /// Microseconds of CPU time each.
    fn round(&mut self, mut once: impl FnMut(&mut Self)) -> f64 {
        let start_ns = sys::process_cpu_ns();
        for _ in 0..LOOKS {
            once(self);
        }
        (sys::process_cpu_ns() - start_ns) as f64 / f64::from(LOOKS) / 1000.0
    }
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (median, least) = (values[values.len() / 2], values[0]);
    format!("{median:7.1} us ({least:.1}, {:.1})", values[values.len() - 1])
}

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let counts = if asked.is_empty() { vec![300, 1000, 3000] } else { asked };
    assert!(Path::new("/proc/self/stat").exists());
    let mut crowd = Crowd(Vec::new());
    println!("{ROUNDS} rounds of {LOOKS}, CPU time each: median (least, greatest)");
    for count in counts {
        crowd.grow_to(count);
        let mut bench = Bench::new();
        // Two rounds through /proc, so that all are known and the seats are taken.
        for _ in 0..2 * count / SLICE + 30 {
            bench.look();
            bench.sample();
        }
        let mut costs = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            costs[0].push(bench.round(Bench::floor));
            costs[1].push(bench.round(Bench::look));
            costs[2].push(bench.round(Bench::sample));
        }
        for (what, costs) in ["floor", "look", "seats"].iter().zip(costs) {
            println!("{count:5} processes {what:>6}: {}", spread(costs));
        }
    }
}
