//! `/proc/vmstat`: what the memory manager had to do.

use std::path::Path;

use super::Source;
use super::keyed::{Key, KeyedLines};
use crate::procfile::ProcFile;
use crate::sample::{Layout, Sample};

const KEYS: &[Key] = &[
    Key::new(b"pgfault", 100),
    Key::new(b"pgmajfault", 101),
    Key::new(b"pswpin", 102),
    Key::new(b"pswpout", 103),
    Key::new(b"pgscan_kswapd", 104),
    Key::new(b"pgscan_direct", 105),
    Key::new(b"pgsteal_kswapd", 106),
    Key::new(b"pgsteal_direct", 107),
    // One key per zone since 4.10, a single one before.
    Key { text: b"allocstall", prefix: true, series: 108 },
    Key::new(b"oom_kill", 109),
    Key::new(b"workingset_refault_anon", 110),
    Key::new(b"workingset_refault_file", 111),
    // Before 5.9, when only file pages were counted.
    Key::new(b"workingset_refault", 111),
    Key::new(b"compact_stall", 112),
];

/// Series 100 to 112.
#[derive(Debug)]
pub struct Vmstat {
    file: ProcFile,
    lines: KeyedLines,
}

impl Vmstat {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        let file = ProcFile::open(&proc_root.join("vmstat"));
        Self { file, lines: KeyedLines::new(layout, KEYS) }
    }
}

impl Source for Vmstat {
    fn name(&self) -> &'static str {
        "/proc/vmstat"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        self.lines.read(self.file.read()?, 1, sample);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
