//! What the frames of a commit cost to make: tail frames and seals, of samples that were recorded.
//!
//! `bench_commit FILE [ROUNDS]` takes the samples out of the history of a recording and feeds them
//! to rows and frames as the recorder does: ten samples to a commit, sealed when a history frame
//! may be full. The CPU time of each kind of step is printed, and how often it was taken.
//! `bench_commit FILE only STEPS` does so once, for a profiler; STEPS is `rows`, `tails` or `all`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a tool for developers"
)]

mod recorded;

use flightrec_format::limits::SLOT_SIZE;
use flightrec_recorder::events::Events;
use flightrec_recorder::frames::{Berth, FrameMaker};
use flightrec_recorder::recorder::{COLUMNS_MAX, EVENT_COUNT, ROW_BYTES, ROW_COUNT};
use flightrec_recorder::rows::Rows;
use flightrec_recorder::sample::{Layout, Sample};
use flightrec_recorder::sources::{MACHINE, RANKS};
use flightrec_recorder::sys::{self, StaticCompressor};

/// How often a step was taken, CPU time in all, and bytes that came of it.
#[derive(Clone, Copy, Default)]
struct Step {
    count: u64,
    ns: u64,
    bytes: u64,
}

impl Step {
    fn time<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let start_ns = sys::process_cpu_ns();
        let outcome = step();
        self.ns += sys::process_cpu_ns() - start_ns;
        self.count += 1;
        outcome
    }
}

/// Rows, tail frames, and seals.
#[derive(Clone, Copy, Default)]
struct Steps([Step; 3]);

fn replay(layout: &Layout, samples: &[Sample], what: &str) -> Steps {
    let stamp = recorded::stamp();
    let berth = Berth { seq: 1, slot: 0 };
    let mut rows = Rows::new(layout, ROW_BYTES, ROW_COUNT);
    let events = Events::new(EVENT_COUNT);
    let zstd = StaticCompressor::new().unwrap();
    let mut maker = FrameMaker::new(layout, COLUMNS_MAX, zstd);
    let (mut tail, mut history) = (vec![0; SLOT_SIZE], vec![0; 16 * SLOT_SIZE]);
    let mut steps = Steps::default();
    let Steps([row, tails, seals]) = &mut steps;
    let mut committed = [0, 0];
    for sample in samples {
        let needed = if what == "all" { maker.needed_row() } else { u64::MAX };
        assert!(row.time(|| rows.push(sample, needed)));
        row.bytes += u64::try_from(rows.row_len(rows.next() - 1)).unwrap();
        let due = rows.next() - committed[1] >= 10
            || rows.next() == u64::try_from(samples.len()).unwrap()
            || maker.fills_half(&rows, committed[1]);
        if what == "rows" || !due {
            continue;
        }
        let all = (layout, &rows, &events);
        let must = (committed[0], committed[1]);
        let made = tails.time(|| maker.tail(all, must, None, (&stamp, berth), &mut tail));
        committed = [committed[1], rows.next()];
        tails.bytes += made.unwrap().end_row - made.unwrap().first_row;
        // The last samples are sealed too, as at a stop.
        let last = rows.next() == u64::try_from(samples.len()).unwrap();
        if what == "all" && (last || maker.may_be_full(&rows)) {
            let wanted = (rows.next(), !last);
            let made = seals.time(|| {
                let pending = maker.history(all, wanted, None, &mut history)?;
                let made = maker.finish_history(&pending, false, (&stamp, berth), &mut history);
                maker.pass(&rows, made.end_row);
                Some(made)
            });
            seals.bytes += made.map_or(0, |made| made.end_row - made.first_row);
        }
    }
    steps
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let layout = Layout::new(MACHINE, RANKS);
    let path = arguments.first().expect("bench_commit FILE [ROUNDS]");
    let samples = recorded::samples(path, &layout);
    if let Some(what) = arguments.get(2) {
        let [rows, tails, seals] = replay(&layout, &samples, what).0.map(|step| step.count);
        println!("{rows} rows, {tails} tail frames, {seals} seals or tries");
        return;
    }
    let rounds = arguments.get(1).map_or(9, |text| text.parse().unwrap());
    let rounds: Vec<Steps> = (0..rounds).map(|_| replay(&layout, &samples, "all")).collect();
    println!(
        "{} samples; CPU time each: median (least, greatest) of {}",
        samples.len(),
        rounds.len()
    );
    let names = [("row", "bytes"), ("tail frame", "samples"), ("seal or try", "samples")];
    for (at, (name, unit)) in names.into_iter().enumerate() {
        let step = rounds[0].0[at];
        if step.count == 0 {
            continue;
        }
        let each = |round: &Steps| round.0[at].ns as f64 / 1000.0 / round.0[at].count as f64;
        let mut costs: Vec<f64> = rounds.iter().map(each).collect();
        costs.sort_by(f64::total_cmp);
        println!(
            "{name:>12}: {:8.2} us ({:.2}, {:.2}), {} of them, {:.1} {unit} each",
            costs[costs.len() / 2],
            costs[0],
            costs[costs.len() - 1],
            step.count,
            step.bytes as f64 / step.count as f64,
        );
    }
}
