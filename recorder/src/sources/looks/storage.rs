//! How worn an eMMC says that it is.

use std::path::Path;

use flightrec_format::entity::EntityKind;

use super::{Folder, hexadecimal, open};
use crate::procfile::{ProcFile, fields};
use crate::sample::{Layout, SeriesNumber};
use crate::sources::sheet::{Look, Page, Posted, page};

/// Life time of both kinds of cells, and what is left of the reserve.
pub(in super::super) const SERIES: &[SeriesNumber] = &[290, 291, 292];

/// Series 290 to 292, in steps of ten percent, as JEDEC JESD84-B51 7.4 numbers them.
#[derive(Debug)]
pub(in super::super) struct Storage {
    disks: Folder,
    worn: Vec<(String, ProcFile, Option<ProcFile>)>,
    page: Page,
}

impl Storage {
    pub(in super::super) fn new(layout: &Layout, sys: &Path, stale: u32) -> (Self, Posted) {
        let (page, posted) = page("eMMC life time", layout, EntityKind::DISK, SERIES, stale);
        (Self { disks: Folder::new(sys.join("block")), worn: Vec::new(), page }, posted)
    }
}

impl Look for Storage {
    fn look(&mut self) {
        if self.disks.has_changed() {
            let folder = self.disks.path();
            let worn = self.disks.names().into_iter().filter_map(|name| {
                let device = folder.join(&name).join("device");
                Some((name, open(&device.join("life_time"))?, open(&device.join("pre_eol_info"))))
            });
            self.worn = worn.collect();
        }
        self.page.begin();
        for (name, life, reserve) in &mut self.worn {
            let mut words = fields(life.read().unwrap_or_default()).map(hexadecimal);
            self.page.put(name.as_bytes(), 0, words.next().flatten());
            self.page.put(name.as_bytes(), 1, words.next().flatten());
            let reserve = reserve.as_mut().and_then(super::word).and_then(hexadecimal);
            self.page.put(name.as_bytes(), 2, reserve);
        }
        self.page.post();
    }
}
