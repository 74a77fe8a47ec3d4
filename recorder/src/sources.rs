//! The kernel interfaces that a sample is read from, one file each.
//!
//! A source keeps its descriptors open, reads with `pread` into a fixed buffer and writes raw
//! counters into its columns. What is absent stays absent: a source that cannot read leaves its
//! columns unset and costs nobody else anything.
//!
//! | source | reads | series |
//! |--------|-------|--------|
//! | [`Own`] | itself | 12 – 15 |
//! | [`Stat`] | `/proc/stat` | 20 – 34 |
//! | [`Loadavg`] | `/proc/loadavg` | 36 – 39 |
//! | [`Meminfo`], [`Vmstat`] | `/proc/meminfo`, `/proc/vmstat` | 50 – 112 |
//! | [`Pressure`] | `/proc/pressure/*` | 120 – 125 |
//! | [`Disk`] | `/sys/block/X/stat` | 140 – 150 |
//! | [`Net`] | `/proc/net/dev` | 160 – 167 |
//!
//! All of them are files that neither block nor page; what may hang is for another thread.

mod discovery;
mod disk;
mod keyed;
mod loadavg;
mod meminfo;
mod net;
mod own;
mod pressure;
mod stat;
mod vmstat;

pub use discovery::Discovery;
pub use disk::Disk;
pub use loadavg::Loadavg;
pub use meminfo::Meminfo;
pub use net::Net;
pub use own::Own;
pub use pressure::Pressure;
pub use stat::Stat;
pub use vmstat::Vmstat;

use std::path::Path;

use flightrec_format::entity::EntityKind;

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
];

/// The entities that are recorded today. Boards have one or two of each; eight leave room for
/// a disk enclosure and for the bridges of containers.
pub const RANKS: &[Rank] = &[
    Rank { kind: EntityKind::DISK, slots: 8, series: disk::SERIES },
    Rank { kind: EntityKind::NET, slots: 8, series: net::SERIES },
];

/// All sources, and the part of them that belongs on the slow thread. `proc_root` and `sys_root`
/// are `/proc` and `/sys` but for tests.
#[must_use]
pub fn all(
    layout: &Layout,
    proc_root: &Path,
    sys_root: &Path,
) -> (Vec<Box<dyn Source + Send>>, Discovery) {
    let (disk, discovery) = Disk::new(layout, sys_root);
    let mut sources: Vec<Box<dyn Source + Send>> = vec![
        Box::new(Stat::new(layout, proc_root)),
        Box::new(Meminfo::new(layout, proc_root)),
        Box::new(Vmstat::new(layout, proc_root)),
        Box::new(Loadavg::new(layout, proc_root)),
        Box::new(disk),
        Box::new(Net::new(layout, proc_root)),
        Box::new(Own::new(layout, proc_root)),
    ];
    for pressure in Pressure::all(layout, proc_root) {
        sources.push(Box::new(pressure));
    }
    (sources, discovery)
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
