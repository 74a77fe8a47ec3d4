//! What the recorder itself costs: CPU time, memory, page faults.

use std::path::Path;

use super::{Source, column};
use crate::procfile::{ProcFile, fields, number};
use crate::sample::{Layout, Sample};
use crate::sys;

/// Series 12 to 15.
#[derive(Debug)]
pub struct Own {
    statm: ProcFile,
    page_size: u64,
    cpu_ms: usize,
    rss: usize,
    minor_faults: usize,
    major_faults: usize,
}

const RSS_UNIT: u64 = 4096;

impl Own {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        Self {
            statm: ProcFile::open(&proc_root.join("self/statm")),
            page_size: u64::from(sys::page_size()),
            cpu_ms: column(layout, 12),
            rss: column(layout, 13),
            minor_faults: column(layout, 14),
            major_faults: column(layout, 15),
        }
    }
}

impl Source for Own {
    fn name(&self) -> &'static str {
        "/proc/self/statm"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let (minor, major) = sys::faults();
        sample.set(self.cpu_ms, sys::process_cpu_ns() / 1_000_000);
        sample.set(self.minor_faults, minor);
        sample.set(self.major_faults, major);
        if let Some(pages) = fields(self.statm.read()?).nth(1).and_then(number) {
            sample.set(self.rss, pages.saturating_mul(self.page_size) / RSS_UNIT);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
