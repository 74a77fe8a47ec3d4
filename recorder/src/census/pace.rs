//! How many processes a look takes in turn: fewer while the machine is idle, for then none of them
//! does much, and who begins to makes it busy.

use std::path::Path;

use super::{SLICE, SLICE_IDLE};
use crate::procfile::ProcFile;
use crate::sys;

/// The machine is idle if it works for less than this part of one core's time.
const BUSY_PART: u64 = 4;

/// Reads how much the machine works.
#[derive(Debug)]
pub(super) struct Pace {
    uptime: ProcFile,
    core_count: u64,
    /// Time since the boot and idle time of all cores at the last look, 1/100 s.
    last: Option<(u64, u64)>,
}

impl Pace {
    pub(super) fn new(proc_root: &Path) -> Self {
        let uptime = ProcFile::open(&proc_root.join("uptime"));
        Self { uptime, core_count: sys::core_count(), last: None }
    }

    /// Processes to take; as many as ever where the kernel does not say how it works.
    pub(super) fn slice(&mut self) -> usize {
        let now = self.uptime.read().ok().and_then(parse);
        let (Some((up, idle)), Some((old_up, old_idle))) = (now, self.last) else {
            self.last = now;
            return SLICE;
        };
        self.last = now;
        let elapsed = up.saturating_sub(old_up);
        // Time that was waited for a disk is not idle here.
        let worked = (elapsed * self.core_count).saturating_sub(idle.saturating_sub(old_idle));
        if worked * BUSY_PART < elapsed { SLICE_IDLE } else { SLICE }
    }
}

/// `12345.67 45678.90`, in 1/100.
fn parse(text: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace().map(|word| {
        let (seconds, parts) = word.split_once('.')?;
        let parts: u64 = Some(parts).filter(|parts| parts.len() == 2)?.parse().ok()?;
        seconds.parse::<u64>().ok()?.checked_mul(100)?.checked_add(parts)
    });
    words.next()?.zip(words.next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_works_is_looked_through_three_times_as_fast() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("uptime");
        std::fs::write(&file, "100.00 390.00\n").unwrap();
        let mut pace = Pace { core_count: 4, ..Pace::new(root.path()) };
        let mut slice = |text: &str| {
            std::fs::write(&file, text).unwrap();
            pace.slice()
        };
        assert_eq!(slice("100.00 390.00\n"), SLICE, "nothing is known yet");
        assert_eq!(slice("101.00 393.90\n"), SLICE_IDLE, "0.1 of a core");
        assert_eq!(slice("102.00 397.60\n"), SLICE, "0.3 of a core");
        assert_eq!(slice("103.00 400.60\n"), SLICE, "one core");
        assert_eq!(slice("104.00 404.60\n"), SLICE_IDLE);
        assert_eq!(slice("104.00 404.60\n"), SLICE, "no time has passed");
        assert_eq!(slice("105.00 400.00\n"), SLICE, "it fell");
        assert_eq!(slice("junk\n"), SLICE);
        assert_eq!(slice("18446744073709551615.99 1.00\n"), SLICE);
    }
}
