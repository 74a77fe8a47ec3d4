//! `/proc/pressure`: for how long somebody, or everybody, stood and waited.
//!
//! Many board kernels are built without it, and some only tell when they were booted with `psi=1`
//! (EOPNOTSUPP until then).

use std::path::Path;

use super::{Source, column};
use crate::procfile::{ProcFile, lines, number};
use crate::sample::{Layout, Sample};

/// One of series 120 to 125, in pairs.
#[derive(Debug)]
pub struct Pressure {
    name: &'static str,
    file: ProcFile,
    some: usize,
    full: usize,
}

impl Pressure {
    /// The three of them, read below `proc_root`.
    #[must_use]
    pub fn all(layout: &Layout, proc_root: &Path) -> [Self; 3] {
        [
            ("/proc/pressure/cpu", "pressure/cpu", 120),
            ("/proc/pressure/memory", "pressure/memory", 122),
            ("/proc/pressure/io", "pressure/io", 124),
        ]
        .map(|(name, path, some)| Self {
            name,
            file: ProcFile::open(&proc_root.join(path)),
            some: column(layout, some),
            full: column(layout, some + 1),
        })
    }
}

impl Source for Pressure {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        for line in lines(self.file.read()?) {
            let column = match line.get(..5) {
                Some(b"some ") => self.some,
                Some(b"full ") => self.full,
                _ => continue,
            };
            // The last field of all kernels; the averages before it are not looked at.
            let sign = memchr::memrchr(b'=', line).unwrap_or(0);
            if let Some((key, total)) = line.split_at_checked(sign)
                && key.ends_with(b" total")
                && let Some(total_us) = total.get(1..).and_then(number)
            {
                sample.set(column, total_us / 1000);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
