//! `/sys/block/X/stat`: what the disks did.
//!
//! One file per disk is cheaper than `/proc/diskstats`, and one that is pulled out costs only its
//! own columns. Finding disks is work for the slow thread ([`Discovery`]); a disk and its open
//! file come through a [`Mailbox`] that the sampler never waits for.

use std::path::Path;
use std::sync::Arc;

use flightrec_format::entity::EntityKind;

use super::discovery::Discovery;
use super::sheet::Look;
use super::told::Told;
use super::{Columns, Source, rank_columns};
use crate::mailbox::{Mailbox, Seat};
use crate::procfile::{ProcFile, numbers};
use crate::sample::{Layout, Sample, SeriesNumber};

/// Field of the file (from 1, as the kernel counts them), series, and divisor of the value.
/// Kernels before 4.18 have 11 fields, before 5.5 they have 15.
const FIELDS: [(usize, SeriesNumber, u64); 11] = [
    (1, 140, 1),
    (3, 141, SECTORS_PER_UNIT),
    (4, 142, 1),
    (5, 143, 1),
    (7, 144, SECTORS_PER_UNIT),
    (8, 145, 1),
    (9, 146, 1),
    (10, 147, 1),
    (14, 150, SECTORS_PER_UNIT),
    (16, 148, 1),
    (17, 149, 1),
];
/// A sector is 512 bytes here, whatever the disk says; we keep units of 4 KiB.
const SECTORS_PER_UNIT: u64 = 8;

/// Series 140 to 150.
#[derive(Debug)]
pub struct Disk {
    mailbox: Arc<Mailbox<ProcFile>>,
    seats: Box<[Place]>,
}

#[derive(Debug)]
struct Place {
    columns: Columns,
    seat: Seat<ProcFile>,
    counters: Told<[Option<u64>; FIELDS.len()]>,
}

impl Disk {
    /// Reads below `sys_root`. Disks present now are in the first sample; for later ones somebody
    /// has to call [`Discovery::look`] now and then.
    #[must_use]
    pub fn new(layout: &Layout, sys_root: &Path) -> (Self, Discovery) {
        let seats: Box<[_]> = rank_columns(layout, EntityKind::DISK)
            .map(|columns| Place { columns, seat: Seat::default(), counters: Told::new() })
            .collect();
        let mailbox = Mailbox::new(seats.len());
        let mut discovery = Discovery::new(sys_root, Arc::clone(&mailbox));
        discovery.look();
        (Self { mailbox, seats }, discovery)
    }

    /// Takes in new disks and hands back the files of those that are gone, unless the other side
    /// is at the mailbox just now.
    fn exchange(&mut self, sample: &mut Sample) {
        let Some(mut places) = self.mailbox.try_open() else { return };
        for (own, place) in self.seats.iter_mut().zip(places.iter_mut()) {
            let Place { columns, seat, .. } = own;
            seat.exchange(place, |occupant| sample.seat(columns.slot, occupant));
        }
    }
}

impl Source for Disk {
    fn name(&self) -> &'static str {
        "/sys/block"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        self.exchange(sample);
        for Place { columns, seat, counters } in &mut self.seats {
            let Some(file) = seat.present() else { continue };
            if let Ok(text) = file.read() {
                let values = counters.by(text, |text| Some(wanted(text)));
                for ((_, series, _), value) in FIELDS.iter().zip(values.unwrap_or_default()) {
                    if let Some(value) = value {
                        sample.set(columns.of(*series), value);
                    }
                }
            } else {
                // ENODEV: it was pulled out. Should it still be there, it will be found again.
                seat.gone = true;
                sample.seat(columns.slot, None);
            }
        }
        Ok(())
    }
}

/// What stands in [`FIELDS`], in our units.
fn wanted(text: &[u8]) -> [Option<u64>; FIELDS.len()] {
    let mut values = [None; FIELDS.len()];
    let mut places = FIELDS.iter().zip(&mut values).peekable();
    for (index, value) in numbers(text).enumerate() {
        if let Some(((_, _, unit), place)) = places.next_if(|((field, ..), _)| *field == index + 1)
        {
            *place = value.map(|value| value / unit);
        }
    }
    values
}

#[cfg(test)]
mod tests;
