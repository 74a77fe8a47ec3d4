//! `/proc/swaps`: how full each swap is, and whether it lies in memory or on a card.

use std::path::Path;

use flightrec_format::entity::{EntityKind, EntityName};

use super::{Columns, Source, rank_columns};
use crate::procfile::{ProcFile, fields, lines, number};
use crate::sample::{Layout, Occupant, Sample, SeriesNumber};

/// Used, size, kind.
pub(super) const SERIES: &[SeriesNumber] = &[271, 272, 273];
/// The kernel tells KiB; we keep units of 16 KiB.
const UNIT_KIB: u64 = 16;

/// Values of `swap.{}.kind` (spec section 7).
mod kind {
    pub(super) const PARTITION: u64 = 1;
    pub(super) const FILE: u64 = 2;
    pub(super) const ZRAM: u64 = 3;
}

/// Series 271 to 273.
#[derive(Debug)]
pub struct Swap {
    file: ProcFile,
    seats: Box<[Columns]>,
}

impl Swap {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        let seats = rank_columns(layout, EntityKind::SWAP).collect();
        Self { file: ProcFile::open(&proc_root.join("swaps")), seats }
    }
}

impl Source for Swap {
    fn name(&self) -> &'static str {
        "/proc/swaps"
    }

    /// Lines keep their order while nobody adds a swap, so the line is the seat.
    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let text = self.file.read()?;
        let mut rest = lines(text).skip(1).filter_map(Line::of);
        for seat in &self.seats {
            let line = rest.next();
            let name = line.as_ref().map(|line| EntityName::new(line.device));
            if sample.occupant(seat.slot).map(|seated| seated.name) != name {
                sample.seat(seat.slot, name.map(|name| Occupant::named(name.as_bytes())));
            }
            if let Some(line) = line {
                sample.set(seat.of(271), line.used_kib / UNIT_KIB);
                sample.set(seat.of(272), line.size_kib / UNIT_KIB);
                sample.set(seat.of(273), line.kind);
            }
        }
        Ok(())
    }
}

struct Line<'a> {
    device: &'a [u8],
    kind: u64,
    size_kib: u64,
    used_kib: u64,
}

impl<'a> Line<'a> {
    /// A device that is gone has " (deleted)", with the blank as `\040`, behind its name.
    fn of(line: &'a [u8]) -> Option<Self> {
        let mut words = fields(line);
        let path = words.next()?;
        let word = words.next()?;
        let size_kib = number(words.next()?)?;
        let used_kib = number(words.next()?)?;
        let device = path.strip_prefix(b"/dev/").unwrap_or(path);
        let kind = match word {
            _ if device.starts_with(b"zram") => kind::ZRAM,
            b"file" => kind::FILE,
            _ => kind::PARTITION,
        };
        Some(Self { device, kind, size_kib, used_kib })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entity_reading, layout, put, read, seated, survives_noise, tree};
    use super::*;

    const TEXT: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
        /dev/zram0                              partition\t1011712\t\t52224\t\t5\n\
        /swapfile                               file\t\t2097148\t\t16\t\t-2\n";

    #[test]
    fn each_swap_has_its_use_its_size_and_its_kind() {
        let tree = tree(&[("swaps", TEXT)]);
        let mut source = Swap::new(&layout(), tree.path());
        let sample = read(&mut source);
        assert_eq!(entity_reading(&sample, "zram0", 271), Some(52_224 / 16));
        assert_eq!(entity_reading(&sample, "zram0", 272), Some(1_011_712 / 16));
        assert_eq!(entity_reading(&sample, "zram0", 273), Some(3));
        assert_eq!(entity_reading(&sample, "/swapfile", 271), Some(1));
        assert_eq!(entity_reading(&sample, "/swapfile", 273), Some(2));
        put(tree.path(), "swaps", b"Filename Type Size Used Priority\n");
        assert!(seated(&read(&mut source)).is_empty());
    }

    #[test]
    fn noise_is_survived() {
        survives_noise(TEXT, "swaps", |root| Box::new(Swap::new(&layout(), root)));
    }
}
