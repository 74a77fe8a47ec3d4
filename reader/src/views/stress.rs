//! The table that shows how a machine died: processor, memory, swap, disks, and our own commits.

use std::collections::HashMap;

use flightrec_format::entity::EntityKind;

use crate::date::{Clock, Dated};
use crate::play::Sample;
use crate::timeline::Timeline;
use crate::units;
use crate::values::{value_of, wide};
use crate::zone::Zone;

/// Numbers of the series that the table shows (spec 7).
mod series {
    pub(super) const CPU: std::ops::RangeInclusive<u16> = 20..=27;
    pub(super) const CPU_IDLE: u16 = 23;
    pub(super) const CPU_IOWAIT: u16 = 24;
    pub(super) const PROCS_BLOCKED: u16 = 34;
    pub(super) const LOAD_1M: u16 = 36;
    pub(super) const MEM_AVAILABLE: u16 = 52;
    pub(super) const SWAP_TOTAL: u16 = 58;
    pub(super) const SWAP_FREE: u16 = 59;
    pub(super) const SWAP_IN: u16 = 102;
    pub(super) const SWAP_OUT: u16 = 103;
    pub(super) const DISK_READ: u16 = 141;
    pub(super) const DISK_WRITE: u16 = 144;
    pub(super) const COMMIT_LAST: u16 = 8;
    pub(super) const COMMIT_STUCK: u16 = 10;
}

/// Columns of figures.
const COLUMNS: usize = 11;

/// The two lines above the table.
pub const TITLES: [&str; 2] = [
    "           cpu   io-   mem  swap  swap  swap  disk  disk        blk  commit",
    "time         % wait% avail  used  in/s out/s  rd/s  wr/s  load tasks    ms",
];

/// Memory is bad when low; everything else is bad when high.
const AVAILABLE: usize = 2;

/// The columns that are growth per second: swap and disks, in and out.
const FLOWS: std::ops::Range<usize> = 4..8;

/// The shortest time over which a share of the processor means something: in a tick of 10 ms the
/// kernel counts one unit, so that the share would be all or nothing. A little below a second,
/// because ticks of a second are not all of one length.
const SHARE_NS: u128 = 900_000_000;

/// Growth, and the time that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Flow {
    grown: f64,
    elapsed_ns: u128,
}

/// What one sample adds to a row.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    worst: [Option<f64>; COLUMNS],
    flows: [Flow; FLOWS.end - FLOWS.start],
}

impl Figure {
    fn add(&mut self, new: &Self) {
        for (column, (cell, new)) in self.worst.iter_mut().zip(&new.worst).enumerate() {
            *cell = match (*cell, *new) {
                (Some(old), Some(new)) if column == AVAILABLE => Some(old.min(new)),
                (Some(old), Some(new)) => Some(old.max(new)),
                (old, new) => old.or(new),
            };
        }
        for (flow, new) in self.flows.iter_mut().zip(&new.flows) {
            flow.grown += new.grown;
            flow.elapsed_ns += new.elapsed_ns;
        }
    }

    fn cell(&self, column: usize) -> Option<f64> {
        if !FLOWS.contains(&column) {
            return *self.worst.get(column)?;
        }
        let flow = self.flows.get(column - FLOWS.start)?;
        let seconds = wide(u64::try_from(flow.elapsed_ns).unwrap_or(u64::MAX)) / 1e9;
        (flow.elapsed_ns > 0).then(|| flow.grown / seconds)
    }
}

/// One row in the making: the worst of every column, but of what flows the mean. The worst of
/// that would be told by the shortest time between two samples, not by the machine.
#[derive(Clone, Debug, Default)]
pub struct Row {
    figure: Figure,
    /// Time of the newest sample in it.
    pub time_ns: u128,
    /// Its date.
    pub dated: Dated,
    /// Samples in it.
    pub count: u64,
}

impl Row {
    /// Takes the next sample's figure into the row.
    pub fn add(&mut self, figure: &Figure, sample: &Sample) {
        self.figure.add(figure);
        self.time_ns = sample.stand.sample.time_ns;
        self.dated = sample.dated;
        self.count += 1;
    }

    /// The row as a line.
    #[must_use]
    pub fn line(&self, zone: Zone) -> String {
        const WIDTHS: [usize; COLUMNS] = [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6];
        let time = row_clock(&self.dated, self.time_ns, zone);
        let mut line = format!("{time:<9}");
        for (column, width) in WIDTHS.into_iter().enumerate() {
            let text = match self.figure.cell(column) {
                None => "-".to_owned(),
                Some(value) => match column {
                    0 | 1 => units::percent(value),
                    2..=7 => units::bytes(value),
                    8 => load(value),
                    _ => units::count(value),
                },
            };
            put!(&mut line, " {text:>width$}");
        }
        line
    }
}

fn load(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { units::count(value) }
}

/// Time of day in a row: `07:38:41`, `~07:38:41` if nobody vouches for it, else since boot.
#[must_use]
pub fn row_clock(dated: &Dated, time_ns: u128, zone: Zone) -> String {
    match dated.at(time_ns).and_then(|time| zone.show(time)) {
        Some(time) if dated.clock == Clock::Unsynced => time.format("~%H:%M:%S").to_string(),
        Some(time) => time.format("%H:%M:%S").to_string(),
        None => units::since_boot(time_ns),
    }
}

/// What one sample says of counters.
#[derive(Clone, Debug, Default)]
struct Point {
    time_ns: u128,
    boot: usize,
    cpu: Option<f64>,
    idle: Option<f64>,
    iowait: Option<f64>,
    swap_in: Option<f64>,
    swap_out: Option<f64>,
    /// Read and written, by entity: a disk that comes or goes must not look like a flood.
    disks: [HashMap<usize, f64>; 2],
}

/// Growth of one counter; none if it went backwards or is new.
fn growth(before: Option<f64>, now: Option<f64>) -> Option<f64> {
    let grown = now? - before?;
    (grown >= 0.0).then_some(grown)
}

/// Turns samples into figures; remembers the sample before, for what grows.
#[derive(Default)]
pub struct Figures {
    before: Option<Point>,
    /// Where the share of the processor is counted from.
    share_from: Option<Point>,
    /// Page size of the kernel: swap is counted in pages.
    pub page_size: u64,
    step_ns: u128,
}

impl Figures {
    /// For rows of this length; 0: every sample has its own.
    #[must_use]
    pub fn new(step_ns: u128) -> Self {
        Self { step_ns, ..Self::default() }
    }

    /// The figure of a sample.
    pub fn next(&mut self, timeline: &Timeline, sample: &Sample) -> Figure {
        let mut now = Point {
            time_ns: sample.stand.sample.time_ns,
            boot: sample.stand.at.0,
            ..Point::default()
        };
        let (mut available, mut swap_total, mut swap_free) = (None, None, None);
        let (mut load, mut blocked, mut commit, mut stuck) = (None, None, None, None);
        for reading in &sample.readings {
            let value = value_of(reading.series, reading.stored);
            if reading.entity != 0 {
                let [read, write] = &mut now.disks;
                let flow = match reading.series {
                    series::DISK_READ => read,
                    series::DISK_WRITE => write,
                    _ => continue,
                };
                if is_real_disk(timeline, reading.entity) {
                    flow.insert(reading.entity, value);
                }
                continue;
            }
            if series::CPU.contains(&reading.series) {
                now.cpu = Some(now.cpu.unwrap_or(0.0) + value);
            }
            let place = match reading.series {
                series::CPU_IDLE => &mut now.idle,
                series::CPU_IOWAIT => &mut now.iowait,
                series::SWAP_IN => &mut now.swap_in,
                series::SWAP_OUT => &mut now.swap_out,
                series::MEM_AVAILABLE => &mut available,
                series::SWAP_TOTAL => &mut swap_total,
                series::SWAP_FREE => &mut swap_free,
                series::LOAD_1M => &mut load,
                series::PROCS_BLOCKED => &mut blocked,
                series::COMMIT_LAST => &mut commit,
                series::COMMIT_STUCK => &mut stuck,
                _ => continue,
            };
            *place = Some(value);
        }
        let (busy, waiting) = self.shares(&now);
        let flows = self.flows(&now);
        let used = swap_total.zip(swap_free).map(|(total, free)| f64::max(total - free, 0.0));
        let commit = commit.map(|commit| f64::max(commit, stuck.unwrap_or(0.0)));
        self.before = Some(now);
        let worst = [busy, waiting, available, used, None, None, None, None, load, blocked, commit];
        Figure { worst, flows }
    }

    /// Swapped in and out, read and written since the sample before.
    fn flows(&self, now: &Point) -> [Flow; FLOWS.end - FLOWS.start] {
        let Some(before) = self.before.as_ref().filter(|before| before.boot == now.boot) else {
            return Default::default();
        };
        let pages = wide(self.page_size);
        let swapped = |before, now| growth(before, now).map(|grown| grown * pages);
        // Without the growth of one that was there before, nothing is known of their sum.
        let on_disks = |before: &HashMap<usize, f64>, now: &HashMap<usize, f64>| {
            let both = now.iter().filter_map(|(disk, now)| Some((*before.get(disk)?, *now)));
            both.map(|(before, now)| growth(Some(before), Some(now)))
                .reduce(|sum, grown| Some(sum? + grown?))
                .flatten()
        };
        let ([read_before, written_before], [read, written]) = (&before.disks, &now.disks);
        let elapsed_ns = now.time_ns.saturating_sub(before.time_ns);
        [
            swapped(before.swap_in, now.swap_in),
            swapped(before.swap_out, now.swap_out),
            on_disks(read_before, read),
            on_disks(written_before, written),
        ]
        .map(|grown| grown.map_or_else(Flow::default, |grown| Flow { grown, elapsed_ns }))
    }

    /// Shares of the processor's time that were not idle, and that waited for disks, per cent.
    fn shares(&mut self, now: &Point) -> (Option<f64>, Option<f64>) {
        let Some(from) = self.share_from.as_ref().filter(|from| from.boot == now.boot) else {
            self.share_from = Some(now.clone());
            return (None, None);
        };
        if now.time_ns.saturating_sub(from.time_ns) < SHARE_NS.min(self.step_ns) {
            return (None, None);
        }
        let all = growth(from.cpu, now.cpu).filter(|all| *all > 0.0);
        let share = |part: Option<f64>| Some((100.0 * part? / all?).min(100.0));
        let (idle, iowait) = (growth(from.idle, now.idle), growth(from.iowait, now.iowait));
        let shares = (
            share(idle.zip(iowait).map(|(idle, iowait)| idle + iowait)).map(|idle| 100.0 - idle),
            share(iowait),
        );
        self.share_from = Some(now.clone());
        shares
    }
}

/// Mappers and arrays repeat what the disks below them do, and so do partitions and loops.
fn is_real_disk(timeline: &Timeline, entity: usize) -> bool {
    timeline.recover.entities.get(entity).is_some_and(|entity| {
        let layered = ["dm-", "md", "loop", "zram", "ram"];
        entity.kind == EntityKind::DISK
            && !layered.iter().any(|layer| entity.name.starts_with(layer))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A MiB within 10 ms is 100 MiB a second for as long, and one MiB a second over the row.
    #[test]
    fn a_row_shows_the_mean_of_rates_and_the_worst_of_all_else() {
        let figure = |grown: f64, elapsed_ms: u128, load: f64, available: f64| {
            let mut figure = Figure::default();
            figure.flows[2] = Flow { grown, elapsed_ns: elapsed_ms * 1_000_000 };
            (figure.worst[8], figure.worst[AVAILABLE]) = (Some(load), Some(available));
            figure
        };
        let mut row = figure(1_048_576.0, 10, 3.0, 50.0);
        row.add(&figure(0.0, 990, 1.0, 70.0));
        assert_eq!(row.cell(6).map(units::bytes).as_deref(), Some("1.0M"));
        assert_eq!((row.cell(8), row.cell(AVAILABLE)), (Some(3.0), Some(50.0)));
        assert_eq!(row.cell(7), None, "no counter, no rate");
    }

    #[test]
    fn a_counter_that_went_back_or_is_new_did_not_grow() {
        assert_eq!(growth(Some(5.0), Some(4.0)), None);
        assert_eq!(growth(None, Some(4.0)), None);
        assert_eq!(growth(Some(1.0), Some(4.0)), Some(3.0));
    }
}
