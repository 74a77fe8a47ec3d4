//! What the recorder itself costs: CPU time, memory, page faults, threads.

use std::path::Path;

use super::{Source, column};
use crate::procfile::{ProcFile, fields, lines, number};
use crate::sample::{Layout, Sample};
use crate::sys;

/// Series 12 to 15, 297 and 298.
#[derive(Debug)]
pub struct Own {
    statm: ProcFile,
    /// Costs ten times as much to tell: read each tenth time.
    status: ProcFile,
    reads: u32,
    locked_and_threads: [Option<u64>; 2],
    page_size: u64,
    cpu_ms: usize,
    rss: usize,
    minor_faults: usize,
    major_faults: usize,
    status_columns: [usize; 2],
}

const RSS_UNIT: u64 = 4096;
const STATUS_EACH: u32 = 10;

impl Own {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        Self {
            statm: ProcFile::open(&proc_root.join("self/statm")),
            status: ProcFile::open(&proc_root.join("self/status")),
            reads: 0,
            locked_and_threads: [None; 2],
            page_size: u64::from(sys::page_size()),
            cpu_ms: column(layout, 12),
            rss: column(layout, 13),
            minor_faults: column(layout, 14),
            major_faults: column(layout, 15),
            status_columns: [297, 298].map(|series| column(layout, series)),
        }
    }

    fn read_status(&mut self) {
        if self.reads.is_multiple_of(STATUS_EACH) {
            let text = self.status.read().unwrap_or_default();
            let of = |name: &[u8]| {
                let rest = lines(text).find_map(|line| line.strip_prefix(name))?;
                fields(rest).next().and_then(number)
            };
            let locked = of(b"VmLck:").map(|kib| kib.saturating_mul(1024) / RSS_UNIT);
            self.locked_and_threads = [locked, of(b"Threads:")];
        }
        self.reads = self.reads.wrapping_add(1);
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
        self.read_status();
        for (column, value) in self.status_columns.into_iter().zip(self.locked_and_threads) {
            if let Some(value) = value {
                sample.set(column, value);
            }
        }
        if let Some(pages) = fields(self.statm.read()?).nth(1).and_then(number) {
            sample.set(self.rss, pages.saturating_mul(self.page_size) / RSS_UNIT);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
