//! `/proc/meminfo`: where the memory is.
//!
//! The kernel tells kB; we keep units of 16 KiB, in which idle noise mostly vanishes.

use std::path::Path;

use super::Source;
use super::keyed::{Key, KeyedLines};
use crate::procfile::ProcFile;
use crate::sample::{Layout, Sample};

const KEYS: &[Key] = &[
    Key::new(b"MemTotal", 50),
    Key::new(b"MemFree", 51),
    Key::new(b"MemAvailable", 52),
    Key::new(b"Buffers", 53),
    Key::new(b"Cached", 54),
    Key::new(b"SwapCached", 55),
    Key::new(b"Active(file)", 56),
    Key::new(b"Unevictable", 57),
    Key::new(b"SwapTotal", 58),
    Key::new(b"SwapFree", 59),
    Key::new(b"Zswap", 60),
    Key::new(b"Zswapped", 61),
    Key::new(b"Dirty", 62),
    Key::new(b"Writeback", 63),
    Key::new(b"AnonPages", 64),
    Key::new(b"Mapped", 65),
    Key::new(b"Shmem", 66),
    Key::new(b"SReclaimable", 67),
    Key::new(b"SUnreclaim", 68),
    Key::new(b"KernelStack", 69),
    Key::new(b"PageTables", 70),
    Key::new(b"Committed_AS", 71),
    Key::new(b"CmaFree", 72),
];
const UNIT_KIB: u64 = 16;

/// Series 50 to 72.
#[derive(Debug)]
pub struct Meminfo {
    file: ProcFile,
    lines: KeyedLines,
}

impl Meminfo {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        let file = ProcFile::open(&proc_root.join("meminfo"));
        Self { file, lines: KeyedLines::new(layout, KEYS) }
    }
}

impl Source for Meminfo {
    fn name(&self) -> &'static str {
        "/proc/meminfo"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        self.lines.read(self.file.read()?, UNIT_KIB, sample);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
