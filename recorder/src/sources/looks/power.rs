//! Undervoltage by every way that a board may tell of it, and the watchdog.

use std::path::Path;

use flightrec_format::entity::EntityKind;

use super::{Folder, hexadecimal, open, value, word};
use crate::procfile::ProcFile;
use crate::sample::{Layout, SeriesNumber};
use crate::sources::sheet::{Look, Page, Posted, page};

/// Alarm, flags of the firmware, watchdog. What the kernel says of it is counted in `kmsg`.
const SERIES: &[SeriesNumber] = &[277, 278, 289];

/// Where Raspberry Pis tell what their firmware throttles.
const THROTTLED: &str = "devices/platform/soc/soc:firmware/get_throttled";

/// Series 277, 278 and 289.
#[derive(Debug)]
pub(in super::super) struct Power {
    chips: Folder,
    watchdogs: Folder,
    alarms: Vec<ProcFile>,
    throttled: Option<ProcFile>,
    watchdog: Option<ProcFile>,
    page: Page,
}

impl Power {
    pub(in super::super) fn new(layout: &Layout, sys: &Path, stale: u32) -> (Self, Posted) {
        let (page, posted) = page("power and watchdog", layout, EntityKind::MACHINE, SERIES, stale);
        let own = Self {
            chips: Folder::new(sys.join("class/hwmon")),
            watchdogs: Folder::new(sys.join("class/watchdog")),
            alarms: Vec::new(),
            throttled: open(&sys.join(THROTTLED)),
            watchdog: None,
            page,
        };
        (own, posted)
    }

    fn find_alarms(&mut self) {
        self.alarms.clear();
        for chip in self.chips.names() {
            let folder = self.chips.path().join(chip);
            for name in Folder::new(folder.clone()).names() {
                let is_voltage = name.starts_with("in") && !name.ends_with("_input");
                if is_voltage && (name.ends_with("_lcrit_alarm") || name.ends_with("_min_alarm")) {
                    self.alarms.extend(open(&folder.join(name)));
                }
            }
        }
    }
}

impl Look for Power {
    fn look(&mut self) {
        if self.chips.has_changed() {
            self.find_alarms();
        }
        if self.watchdogs.has_changed() {
            self.watchdog = open(&self.watchdogs.path().join("watchdog0/state"));
        }
        let alarm = self.alarms.iter_mut().filter_map(value).max();
        let throttled = self.throttled.as_mut().and_then(word).and_then(hexadecimal);
        let active = self.watchdog.as_mut().and_then(word).map(|word| u64::from(word == b"active"));
        self.page.begin();
        for (number, value) in [alarm, throttled, active].into_iter().enumerate() {
            self.page.put(b"", number, value);
        }
        self.page.post();
    }
}
