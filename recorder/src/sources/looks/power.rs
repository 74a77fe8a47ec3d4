//! Undervoltage by every way that a board may tell of it, and the watchdog.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flightrec_format::entity::EntityKind;

use super::{Folder, hexadecimal, open, value, word};
use crate::procfile::ProcFile;
use crate::sample::{Layout, SeriesNumber};
use crate::sources::sheet::{Look, Page, Posted, page};

/// Alarm, flags of the firmware, lines of the kernel, watchdog.
const SERIES: &[SeriesNumber] = &[277, 278, 279, 289];

/// Where Raspberry Pis tell what their firmware throttles.
const THROTTLED: &str = "devices/platform/soc/soc:firmware/get_throttled";

/// Longest record of `/dev/kmsg`, and how many are looked at in one go: a storm must not keep the
/// slow thread; what the kernel has overwritten meanwhile is passed over.
const RECORD_LEN: usize = 8192;
const RECORDS: usize = 4096;

/// Series 277 to 279 and 289.
#[derive(Debug)]
pub(in super::super) struct Power {
    chips: Folder,
    watchdogs: Folder,
    alarms: Vec<ProcFile>,
    throttled: Option<ProcFile>,
    watchdog: Option<ProcFile>,
    kmsg: Option<File>,
    record: Box<[u8]>,
    lines: u64,
    page: Page,
}

impl Power {
    pub(in super::super) fn new(
        layout: &Layout,
        sys: &Path,
        dev: &Path,
        stale: u32,
    ) -> (Self, Posted) {
        let (page, posted) = page("power and watchdog", layout, EntityKind::MACHINE, SERIES, stale);
        let mut kmsg = OpenOptions::new();
        let kmsg = kmsg.read(true).custom_flags(libc::O_NONBLOCK).open(dev.join("kmsg"));
        let own = Self {
            chips: Folder::new(sys.join("class/hwmon")),
            watchdogs: Folder::new(sys.join("class/watchdog")),
            alarms: Vec::new(),
            throttled: open(&sys.join(THROTTLED)),
            watchdog: None,
            kmsg: kmsg.ok(),
            record: vec![0; RECORD_LEN].into_boxed_slice(),
            lines: 0,
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

    /// Counts the kernel's complaints, from the oldest that it still holds.
    fn count_lines(&mut self) {
        let Some(kmsg) = &mut self.kmsg else { return };
        for _ in 0..RECORDS {
            match kmsg.read(&mut self.record) {
                Ok(0) => return,
                Ok(len) => {
                    let record = self.record.get(..len).unwrap_or_default();
                    self.lines += u64::from(is_undervoltage(record));
                }
                // The oldest records were overwritten: go on with those that are there.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// `hwmon hwmon1: Undervoltage detected!`, `Under-voltage detected! (0x00050005)`.
fn is_undervoltage(record: &[u8]) -> bool {
    let has = |needle: &[u8]| record.windows(needle.len()).any(|part| part == needle);
    let from_the_kernel = record.iter().take_while(|byte| **byte != b',').all(u8::is_ascii_digit)
        && record.split(|&byte| byte == b',').next().and_then(crate::procfile::number) < Some(8);
    from_the_kernel && (has(b"ndervoltage detected") || has(b"nder-voltage detected"))
}

impl Look for Power {
    fn look(&mut self) {
        if self.chips.has_changed() {
            self.find_alarms();
        }
        if self.watchdogs.has_changed() {
            self.watchdog = open(&self.watchdogs.path().join("watchdog0/state"));
        }
        self.count_lines();
        let alarm = self.alarms.iter_mut().filter_map(value).max();
        let throttled = self.throttled.as_mut().and_then(word).and_then(hexadecimal);
        let active = self.watchdog.as_mut().and_then(word).map(|word| u64::from(word == b"active"));
        let lines = self.kmsg.as_ref().map(|_| self.lines);
        self.page.begin();
        for (number, value) in [alarm, throttled, lines, active].into_iter().enumerate() {
            self.page.put(b"", number, value);
        }
        self.page.post();
    }
}
