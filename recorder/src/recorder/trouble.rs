//! The disk in trouble, as data: when it began, who had written much, when it was over.

use flightrec_format::event::EventKind;

use super::{Recorder, signed};
use crate::frames::Compressor;
use crate::mirror::STUCK;
use crate::words::Text;

/// After a failed commit the next try waits this long, doubled each time.
const RETRY_NS: u64 = 1_000_000_000;

/// No try waits longer, so a disk that came back is used a minute later at most.
const RETRY_MAX_NS: u64 = 60 * RETRY_NS;

/// Of so many seconds before it is told who wrote.
const BEFORE_NS: u64 = 10_000_000_000;

/// From the first commit that did not come back in time, or failed, to the next that went through.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Boot time at which that commit was sent.
    since_ns: u64,
    /// Who wrote in the seconds before.
    writers: Text,
    told_stuck: bool,
    /// The error that was told last; 0: none yet.
    told_errno: i32,
}

impl<C: Compressor> Recorder<C> {
    /// A commit is stuck: told once.
    pub(super) fn tell_stuck(&mut self, tick: u64, age_ms: u64) {
        let trouble = self.trouble();
        if std::mem::replace(&mut trouble.told_stuck, true) {
            return;
        }
        let (since_ns, writers) = (trouble.since_ns, trouble.writers);
        let arguments = [signed(age_ms), signed(since_ns / 1_000_000)];
        self.event(EventKind::COMMIT_STUCK, tick, &arguments, writers.as_bytes());
    }

    /// A commit has failed: each error is told once, and the next try waits.
    pub(super) fn tell_failed(&mut self, tick: Option<u64>, done_ns: u64, errno: i32) {
        self.failures += 1;
        self.retry_at_ns = done_ns.saturating_add(retry_ns(self.failures));
        let trouble = self.trouble();
        let Some(tick) = tick.filter(|_| trouble.told_errno != errno) else { return };
        trouble.told_errno = errno;
        self.event(EventKind::COMMIT_ERROR, tick, &[i64::from(errno)], meaning(errno).as_bytes());
    }

    /// A commit went through.
    pub(super) fn tell_recovered(&mut self, tick: Option<u64>, done_ns: u64) {
        self.failures = 0;
        let Some((trouble, tick)) = self.trouble.take().zip(tick) else { return };
        let stuck_ms = done_ns.saturating_sub(trouble.since_ns) / 1_000_000;
        let arguments = [signed(stuck_ms), signed(trouble.since_ns / 1_000_000)];
        self.event(EventKind::COMMIT_RECOVERED, tick, &arguments, trouble.writers.as_bytes());
    }

    /// The trouble that there is; now it begins, if there was none.
    fn trouble(&mut self) -> &mut Trouble {
        let (since_ns, interval_ns) = (self.sent_ns, self.plan.interval_ns);
        let ticks = (since_ns.saturating_sub(BEFORE_NS) / interval_ns, since_ns / interval_ns);
        let (rows, committer) = (&self.rows, &mut self.committer);
        self.trouble.get_or_insert_with(|| Trouble {
            since_ns,
            writers: committer.as_mut().map_or_else(Text::default, |own| own.writers(rows, ticks)),
            told_stuck: false,
            told_errno: 0,
        })
    }
}

/// How long to wait after so many failures in a row.
#[must_use]
pub fn retry_ns(failures: u32) -> u64 {
    (RETRY_NS.saturating_mul(1 << failures.min(8)) / 2).min(RETRY_MAX_NS)
}

/// An error of a write or sync, in words.
pub(super) fn meaning(errno: i32) -> &'static str {
    match errno {
        5 => "the disk reports an error",
        6 | 19 | 103 | 107 | 108 | 123 => "the device is gone",
        16 => "somebody else has it open",
        28 => "no room is left",
        STUCK => "a commit is stuck",
        30 => "the file system is read-only",
        116 => "what is there now is not our recording any more",
        _ => "write or sync",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_a_minute_apart_at_most() {
        let waits = [1, 2, 3, 4, 5, 6, 7, 8, 99].map(|failures| retry_ns(failures) / RETRY_NS);
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
