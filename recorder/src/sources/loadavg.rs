//! `/proc/loadavg`: how many tasks run or wait, on average.

use std::path::Path;

use super::{Source, column};
use crate::procfile::{ProcFile, fields, hundredths, number};
use crate::sample::{Layout, Sample};

/// Series 36 to 39.
#[derive(Debug)]
pub struct Loadavg {
    file: ProcFile,
    averages: [usize; 3],
    tasks: usize,
}

impl Loadavg {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        Self {
            file: ProcFile::open(&proc_root.join("loadavg")),
            averages: [36, 37, 38].map(|series| column(layout, series)),
            tasks: column(layout, 39),
        }
    }
}

impl Source for Loadavg {
    fn name(&self) -> &'static str {
        "/proc/loadavg"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let mut words = fields(self.file.read()?);
        for (column, word) in self.averages.iter().zip(&mut words) {
            if let Some(load) = hundredths(word) {
                sample.set(*column, load);
            }
        }
        let tasks = words.next().and_then(|word| word.split(|&byte| byte == b'/').nth(1));
        if let Some(tasks) = tasks.and_then(number) {
            sample.set(self.tasks, tasks);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
