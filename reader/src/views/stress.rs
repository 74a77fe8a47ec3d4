//! The table that shows how a machine died: processor, memory, swap, disks, and our own commits.

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

/// One row in the making: the worst of every column.
#[derive(Clone, Debug, Default)]
pub struct Row {
    cells: [Option<f64>; COLUMNS],
    /// Time of the newest sample in it.
    pub time_ns: u128,
    /// Its date.
    pub dated: Dated,
    /// Samples in it.
    pub count: u64,
}

impl Row {
    /// Takes the next sample's figures into the row.
    pub fn add(&mut self, figures: &[Option<f64>; COLUMNS], sample: &Sample) {
        for (column, (cell, new)) in self.cells.iter_mut().zip(figures).enumerate() {
            *cell = match (*cell, *new) {
                (Some(old), Some(new)) if column == AVAILABLE => Some(old.min(new)),
                (Some(old), Some(new)) => Some(old.max(new)),
                (old, new) => old.or(new),
            };
        }
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
        for (column, (cell, width)) in self.cells.iter().zip(WIDTHS).enumerate() {
            let text = match cell {
                None => "-".to_owned(),
                Some(value) => match column {
                    0 | 1 => units::percent(*value),
                    2..=7 => units::bytes(*value),
                    8 => load(*value),
                    _ => units::count(*value),
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

/// What one sample says, summed over disks.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    time_ns: u128,
    boot: usize,
    cpu: Option<f64>,
    idle: Option<f64>,
    iowait: Option<f64>,
    swap_in: Option<f64>,
    swap_out: Option<f64>,
    read: Option<f64>,
    write: Option<f64>,
}

/// Turns samples into figures; remembers the sample before, for rates.
#[derive(Default)]
pub struct Figures {
    before: Option<Point>,
    /// Page size of the kernel: swap is counted in pages.
    pub page_size: u64,
}

impl Figures {
    /// Figures of a sample, in the order of the columns.
    pub fn next(&mut self, timeline: &Timeline, sample: &Sample) -> [Option<f64>; COLUMNS] {
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
                let add = |sum: &mut Option<f64>| *sum = Some(sum.unwrap_or(0.0) + value);
                match reading.series {
                    series::DISK_READ if is_real_disk(timeline, reading.entity) => {
                        add(&mut now.read);
                    }
                    series::DISK_WRITE if is_real_disk(timeline, reading.entity) => {
                        add(&mut now.write);
                    }
                    _ => {}
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
        let before = self.before.replace(now).filter(|before| before.boot == now.boot);
        let grown = |pick: fn(&Point) -> Option<f64>| {
            let grown = pick(&now)? - pick(before.as_ref()?)?;
            (grown >= 0.0).then_some(grown)
        };
        let elapsed = before.map_or(0, |before| now.time_ns.saturating_sub(before.time_ns));
        let seconds = wide(u64::try_from(elapsed).unwrap_or(u64::MAX)) / 1e9;
        let per_second = |pick| grown(pick).filter(|_| elapsed > 0).map(|grown| grown / seconds);
        let share = |part: Option<f64>| {
            let all = grown(|point| point.cpu).filter(|all| *all > 0.0)?;
            Some((100.0 * part? / all).min(100.0))
        };
        let idle = grown(|point| point.idle);
        let iowait = grown(|point| point.iowait);
        let busy = share(idle.zip(iowait).map(|(idle, iowait)| idle + iowait));
        let pages = wide(self.page_size);
        let used = swap_total.zip(swap_free).map(|(total, free)| f64::max(total - free, 0.0));
        [
            busy.map(|idle| 100.0 - idle),
            share(iowait),
            available,
            used,
            per_second(|point| point.swap_in).map(|rate| rate * pages),
            per_second(|point| point.swap_out).map(|rate| rate * pages),
            per_second(|point| point.read),
            per_second(|point| point.write),
            load,
            blocked,
            commit.map(|commit| f64::max(commit, stuck.unwrap_or(0.0))),
        ]
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
