//! The kernel interfaces that a sample is read from, one file each.
//!
//! A source keeps its descriptors open, reads with `pread` into a fixed buffer and writes raw
//! counters into its columns. What is absent stays absent: a source that cannot read leaves its
//! columns unset and costs nobody else anything.
//!
//! | source | reads | series |
//! |--------|-------|--------|
//! | [`Own`] | itself | 12 – 15, 297, 298 |
//! | [`Stat`] | `/proc/stat` | 20 – 34 |
//! | [`Loadavg`] | `/proc/loadavg` | 36 – 39 |
//! | [`Meminfo`], [`Vmstat`] | `/proc/meminfo`, `/proc/vmstat` | 50 – 112 |
//! | [`Pressure`] | `/proc/pressure/*` | 120 – 125 |
//! | [`Disk`] | `/sys/block/X/stat` | 140 – 150 |
//! | [`Net`] | `/proc/net/dev` | 160 – 167 |
//! | [`Files`], [`Sockets`], [`Retransmits`] | `/proc/sys/fs/file-nr`, `/proc/net/{sockstat,snmp}` | 263 – 270, 288 |
//! | [`Swap`] | `/proc/swaps` | 271 – 273 |
//! | [`Processes`], [`Units`] | `/proc/PID`, `/sys/fs/cgroup`, where the census points | 200 – 231 |
//!
//! All of them are files that neither block nor page. What may hang is read on the slow thread, by
//! the room `looks`, and posted for the sampler on a `sheet`:
//!
//! | look | reads | series |
//! |------|-------|--------|
//! | `Discovery` | `/sys/block` | |
//! | `Links` | `/sys/class/net/X`, `/proc/net/{wireless,route,arp}` | 283 – 287 |
//! | `Thermal` | `/sys/class/{thermal,hwmon}` | 260, 276 |
//! | `Frequency` | `/sys/devices/system/cpu` | 261, 274, 275 |
//! | `Power` | hwmon alarms, firmware flags, the watchdog | 277, 278, 289 |
//! | `Storage` | `/sys/block/X/device` | 290 – 292 |
//! | `Mounts` | `statvfs` of local file systems | 262, 280 – 282 |
//!
//! Logs have threads and a room of their own (`logs`): 240 – 243 and 279.

mod discovery;
mod disk;
mod keyed;
mod loadavg;
mod looks;
mod meminfo;
mod net;
mod own;
mod pressure;
mod processes;
mod sheet;
mod sockets;
mod stat;
mod swap;
mod told;
mod units;
mod vmstat;

pub use discovery::Discovery;
pub use disk::Disk;
pub use loadavg::Loadavg;
pub use meminfo::Meminfo;
pub use net::Net;
pub use own::Own;
pub use pressure::Pressure;
pub use processes::{ProcessFiles, Processes};
pub use sheet::Look;
pub(crate) use sheet::{Page, page};
pub use sockets::{Files, Retransmits, Sockets};
pub use stat::Stat;
pub use swap::Swap;
pub use units::{UnitFiles, Units};
pub use vmstat::Vmstat;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flightrec_format::entity::EntityKind;

use crate::limits::turns::Turn;
use crate::sample::{Layout, Rank, Sample, SeriesNumber};

/// Something that fills its columns of a sample.
pub trait Source {
    /// What it reads, as the owner knows it: `/proc/stat`.
    fn name(&self) -> &'static str;

    /// Reads once. On an error (an errno) its columns are absent from this sample.
    fn read(&mut self, sample: &mut Sample) -> Result<(), i32>;
}

/// Every series of the machine that is recorded today, ascending.
#[rustfmt::skip]
pub const MACHINE: &[SeriesNumber] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
    20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
    36, 37, 38, 39,
    50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72,
    100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
    120, 121, 122, 123, 124, 125,
    263, 264, 265, 266, 267, 268, 269, 270, 276, 277, 278, 279, 287, 288, 289, 293,
    294, 295, 296, 297, 298, 299, 300, 301, 302, 303,
];

/// The entities that are recorded today. Boards have one or two disks and interfaces; eight leave
/// room for a disk enclosure and for the bridges of containers.
pub const RANKS: &[Rank] = &[
    Rank { kind: EntityKind::DISK, slots: 8, series: DISK_SERIES },
    Rank { kind: EntityKind::NET, slots: 8, series: NET_SERIES },
    Rank { kind: EntityKind::THERMAL, slots: 8, series: looks::thermal::SERIES },
    Rank { kind: EntityKind::CORE, slots: 8, series: looks::frequency::SERIES },
    Rank { kind: EntityKind::FS, slots: 8, series: looks::mounts::SERIES },
    Rank { kind: EntityKind::SWAP, slots: 4, series: swap::SERIES },
    Rank { kind: EntityKind::LOG, slots: 8, series: crate::logs::SERIES },
    // Behind all others, and the first to be cut where a sample is too large (W6).
    Rank { kind: EntityKind::UNIT, slots: 8, series: units::SERIES },
    Rank { kind: EntityKind::PROCESS, slots: 12, series: processes::SERIES },
];

/// What [`Disk`] reads, then what `Storage` does.
#[rustfmt::skip]
const DISK_SERIES: &[SeriesNumber] =
    &[140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150, 290, 291, 292];
/// What [`Net`] reads, then what `Links` does.
const NET_SERIES: &[SeriesNumber] = &[160, 161, 162, 163, 164, 165, 166, 167, 283, 284, 285, 286];

/// Where the kernel shows itself: `/proc` and `/sys` but for tests.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    /// `/proc`.
    pub proc: &'a Path,
    /// `/sys`.
    pub sys: &'a Path,
}

impl Roots<'static> {
    /// Those of this machine.
    #[must_use]
    pub fn real() -> Self {
        Self { proc: Path::new("/proc"), sys: Path::new("/sys") }
    }
}

/// All sources, and the part of them that belongs on the slow thread. `interval_ns` is the time
/// between two samples: what was not looked at again for a while is left out.
#[must_use]
pub fn all(
    layout: &Layout,
    roots: Roots<'_>,
    interval_ns: u64,
) -> (Vec<Box<dyn Source + Send>>, Lookout) {
    let Roots { proc, sys } = roots;
    let stale = stale_reads(interval_ns);
    let (disk, discovery) = Disk::new(layout, sys);
    let (links, links_posted) = looks::links::Links::new(layout, proc, sys, stale);
    let (thermal, thermal_posted) = looks::thermal::Thermal::new(layout, sys, stale);
    let (frequency, frequency_posted) = looks::frequency::Frequency::new(layout, sys, stale);
    let (power, power_posted) = looks::power::Power::new(layout, sys, stale);
    let (storage, storage_posted) = looks::storage::Storage::new(layout, sys, stale);
    let (mounts, mounts_posted) = looks::mounts::Mounts::new(layout, proc, stale);
    let rounds = Arc::new(AtomicU32::new(0));
    let age = Age::new(layout, interval_ns, Arc::clone(&rounds));
    let mut sources: Vec<Box<dyn Source + Send>> = vec![
        Box::new(Stat::new(layout, proc)),
        Box::new(Meminfo::new(layout, proc)),
        Box::new(Vmstat::new(layout, proc)),
        Box::new(Loadavg::new(layout, proc)),
        Box::new(disk),
        Box::new(Net::new(layout, proc)),
        Box::new(Own::new(layout, proc)),
        Box::new(Swap::new(layout, proc)),
        Box::new(Files::new(layout, proc)),
        Box::new(Sockets::new(layout, proc)),
        Box::new(Retransmits::new(layout, proc)),
        Box::new(age),
    ];
    for pressure in Pressure::all(layout, proc) {
        sources.push(Box::new(pressure));
    }
    // Behind those that seat the disks and interfaces.
    for posted in links_posted.into_iter().chain(thermal_posted).chain([
        frequency_posted,
        power_posted,
        storage_posted,
        mounts_posted,
    ]) {
        sources.push(Box::new(posted));
    }
    // What hangs keeps those behind it waiting: a file system is the likeliest.
    let looks: Vec<Box<dyn Look>> = vec![
        Box::new(discovery),
        Box::new(links),
        Box::new(power),
        Box::new(thermal),
        Box::new(frequency),
        Box::new(storage),
        Box::new(mounts),
    ];
    (sources, Lookout { looks, rounds, turn: None })
}

/// Readings of the slow thread that are older than this are left out.
const STALE_NS: u64 = 30_000_000_000;

/// After how many reads without news a page is not believed any more.
pub(crate) fn stale_reads(interval_ns: u64) -> u32 {
    u32::try_from(STALE_NS / interval_ns.max(1)).unwrap_or(u32::MAX).max(1)
}

/// Everything that is looked at on the slow thread.
pub struct Lookout {
    looks: Vec<Box<dyn Look>>,
    rounds: Arc<AtomicU32>,
    turn: Option<Turn>,
}

impl std::fmt::Debug for Lookout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookout").field("looks", &self.looks.len()).finish_non_exhaustive()
    }
}

impl Lookout {
    /// One more, behind all others.
    pub fn add(&mut self, look: Box<dyn Look>) {
        self.looks.push(look);
    }

    /// One more, in front of all others: what hangs does not keep it waiting.
    pub fn add_first(&mut self, look: Box<dyn Look>) {
        self.looks.insert(0, look);
    }

    /// Looks only when its turn comes.
    pub fn take_turns(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Looks at everything once, if it need not wait. May block.
    pub fn look(&mut self) {
        if self.turn.as_mut().is_some_and(|turn| !turn.comes()) {
            return;
        }
        for look in &mut self.looks {
            look.look();
        }
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// Series 293: for how long the slow thread has not come round; 0 while it does.
#[derive(Debug)]
struct Age {
    rounds: Arc<AtomicU32>,
    seen: u32,
    reads: u64,
    interval_ns: u64,
    column: usize,
}

impl Age {
    /// It looks every five seconds; what takes three times as long is worth a reading.
    const SHOWN_NS: u64 = 15_000_000_000;

    fn new(layout: &Layout, interval_ns: u64, rounds: Arc<AtomicU32>) -> Self {
        Self { rounds, seen: 0, reads: 0, interval_ns, column: column(layout, 293) }
    }
}

impl Source for Age {
    fn name(&self) -> &'static str {
        "slow thread"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.reads = if rounds == self.seen { self.reads.saturating_add(1) } else { 0 };
        self.seen = rounds;
        let age_ns = self.reads.saturating_mul(self.interval_ns);
        let shown_ns = if age_ns < Self::SHOWN_NS { 0 } else { age_ns };
        sample.set(self.column, shown_ns / 1_000_000_000);
        Ok(())
    }
}

/// Column of a series that a layout may lack; `Sample::set` passes over this one.
fn column(layout: &Layout, series: SeriesNumber) -> usize {
    layout.machine_column(series).unwrap_or(usize::MAX)
}

/// The columns of one entity's slot.
#[derive(Clone, Copy, Debug)]
struct Columns {
    slot: usize,
    first: usize,
    series: &'static [SeriesNumber],
}

impl Columns {
    fn of(&self, series: SeriesNumber) -> usize {
        self.series.iter().position(|&own| own == series).map_or(usize::MAX, |at| self.first + at)
    }
}

/// The columns of every slot for a kind of entity.
fn rank_columns(layout: &Layout, kind: EntityKind) -> impl Iterator<Item = Columns> {
    let slots = layout.slots_of(kind);
    slots.filter_map(move |slot| {
        let place = layout.slots().get(slot)?;
        Some(Columns { slot, first: place.first_column, series: place.series })
    })
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
