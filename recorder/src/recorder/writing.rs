//! The recorder's side of the disk: what it sends to the writer, when, and what came of it.

use flightrec_format::event::{EventKind, stop_reason};
use flightrec_format::superblock::Superblock;

use super::{Ended, Recorder, signed};
use crate::alert::Grade;
use crate::committer::Committer;
use crate::frames::{Compressor, Stamp};
use crate::pstore::LastWords;
use crate::resume::Resume;

/// At most one commit in this time, whatever happens.
pub(crate) const COMMIT_APART_NS: u64 = 1_000_000_000;

/// How long an orderly end waits for the disk.
const STOP_WAIT_NS: u64 = 8_000_000_000;

impl<C: Compressor> Recorder<C> {
    /// Takes what the writer has for us, without waiting.
    pub(super) fn poll_writer(&mut self) -> std::io::Result<()> {
        if self.committer.is_none() {
            if let Some(started) = self.writer.started() {
                let (superblock, resume) = *started?;
                self.begin(&superblock, resume);
            }
            return Ok(());
        }
        let sent_ns = self.sent_ns;
        let Some(job) = self.writer.finished() else { return Ok(()) };
        let Some(committer) = &mut self.committer else { return Ok(()) };
        let landed = committer.landed(&self.rows, job);
        let (outcome, done_ns, written) = (job.outcome, job.done_ns, job.written_bytes);
        self.pain.written_bytes += written;
        let took_ms = done_ns.saturating_sub(sent_ns) / 1_000_000;
        let tick = self.rows.tick(self.rows.next().saturating_sub(1));
        match outcome {
            Ok(()) => {
                if landed.commit {
                    self.pain.commits += 1;
                    self.pain.commit_last_ms = took_ms;
                    self.pain.commit_worst_ms = self.pain.commit_worst_ms.max(took_ms);
                }
                self.tell_recovered(tick, done_ns);
            }
            Err(errno) => {
                self.pain.commit_errors += 1;
                self.tell_failed(tick, done_ns, errno);
            }
        }
        if landed.salvaged {
            self.tell_salvage(true);
        }
        Ok(())
    }

    /// What was left to its fate is told in the first commit, which may write over it; what was
    /// copied, when it is durable.
    pub(super) fn tell_salvage(&mut self, done: bool) {
        let Some(committer) = &mut self.committer else { return };
        let (copies, skipped) =
            (if done { committer.salvage_count() } else { 0 }, committer.take_skipped());
        let tick = self.rows.tick(self.rows.next().saturating_sub(1));
        if let Some(tick) = tick.filter(|_| copies > 0 || skipped > 0) {
            let copies = i64::try_from(copies).unwrap_or(i64::MAX);
            self.event(EventKind::SALVAGED, tick, &[copies, signed(skipped)], b"");
        }
    }

    /// The start scan has ended: now there is somewhere to write to.
    fn begin(&mut self, superblock: &Superblock, resume: Resume) {
        let Some(maker) = self.maker.take() else { return };
        if let Some(kib) = resume.budget_kib {
            self.budget.restore(u64::from(kib) * 1024);
        }
        let stamp = Stamp::of_run(&self.plan, superblock.recording_id, resume.boot_ordinal);
        if resume.boot_known {
            // An earlier run of this boot has told them.
            self.plan.last_words = LastWords::default();
        }
        let first_tick = self.first_tick.unwrap_or(u64::MAX);
        self.committer = Some(Committer::new(maker, stamp, &self.plan.facts, resume, first_tick));
        self.commit_now = true;
    }

    /// Commits when the interval has passed, half a frame is full, or something grave happened.
    pub(super) fn commit_if_due(&mut self) {
        let now_ns = self.clock.boottime_ns();
        if self.writer.is_busy() || now_ns < self.retry_at_ns {
            self.send_elsewhere(now_ns);
            return;
        }
        let since_ns = self.last_commit_ns.map(|last| now_ns.saturating_sub(last));
        let wanted_ns = self.wanted_ns();
        let interval_ns = self.budget.commit_ns(self.alert.grade(), wanted_ns, now_ns);
        let Some(committer) = &mut self.committer else { return };
        let fresh = self.rows.next() > committer.unacked_row() || self.commit_now;
        // Half a tick early is on time: the next chance is a whole tick later.
        let due = since_ns.is_none_or(|since| since + self.plan.interval_ns / 2 >= interval_ns);
        let urgent = (self.commit_now || committer.has_backlog(&self.rows))
            && since_ns.is_none_or(|since| since >= COMMIT_APART_NS - COMMIT_APART_NS / 20);
        let due = due || urgent || committer.fills_half(&self.rows);
        // Where each tick brings a commit, salvage takes turns with them: while it waits, what a
        // dead run left takes up the tail.
        if std::mem::take(&mut self.salvage_turn) && self.salvage(now_ns) {
            return;
        }
        if fresh && due && self.commit(false) {
            self.salvage_turn = true;
            self.tell_cadence(wanted_ns, interval_ns);
            return;
        }
        self.salvage(now_ns);
    }

    /// Time between commits, by how bad it is.
    pub(super) fn wanted_ns(&self) -> u64 {
        match self.alert.grade() {
            Grade::Dying => self.plan.commit_dying_ns,
            Grade::Calm | Grade::Warn => self.plan.commit_ns,
        }
    }

    /// While the disk takes nothing the beacon still gets a frame as often as the disk would.
    fn send_elsewhere(&mut self, now_ns: u64) {
        let due_ns = self.beacon_ns.saturating_add(self.wanted_ns());
        // Half a tick early is on time.
        if now_ns.saturating_add(self.plan.interval_ns / 2) < due_ns {
            return;
        }
        let Some((beacon, committer)) = self.beacon.as_mut().zip(self.committer.as_mut()) else {
            return;
        };
        committer.stamp().tell_time(&*self.clock, now_ns, self.budget.level_kib());
        let records = (self.sampler.layout(), &self.rows, &self.events);
        self.beacon_ns = now_ns;
        beacon.send(|frame| committer.frame_elsewhere(records, frame));
    }

    fn salvage(&mut self, now_ns: u64) -> bool {
        let Some(committer) = &mut self.committer else { return false };
        let Some(mut job) = self.writer.take() else { return false };
        let some = committer.prepare_salvage(&mut job);
        if some {
            self.sent_ns = now_ns;
            self.writer.submit(job);
        } else {
            self.writer.put_back(job);
        }
        some
    }

    fn commit(&mut self, last: bool) -> bool {
        let now_ns = self.clock.boottime_ns();
        let Some(committer) = &mut self.committer else { return false };
        let Some(mut job) = self.writer.take() else { return false };
        let since_ns = self.last_commit_ns.map_or(self.plan.commit_ns, |last| now_ns - last);
        self.budget.spend(self.plan.commit_bytes, since_ns, now_ns);
        committer.stamp().tell_time(&*self.clock, now_ns, self.budget.level_kib());
        let records = (self.sampler.layout(), &self.rows, &self.events);
        if !committer.prepare(records, last, &mut job) {
            self.writer.put_back(job);
            return false;
        }
        self.commit_now = false;
        self.last_commit_ns = Some(now_ns);
        self.sent_ns = now_ns;
        if let Some(beacon) = self.beacon.as_mut().filter(|_| job.tail_at.is_some()) {
            self.beacon_ns = now_ns;
            beacon.send(|frame| {
                frame.copy_from_slice(&job.tail);
                true
            });
        }
        self.writer.submit(job);
        true
    }

    fn tell_cadence(&mut self, wanted_ns: u64, interval_ns: u64) {
        if interval_ns == self.commit_interval_ns {
            return;
        }
        self.commit_interval_ns = interval_ns;
        let why: &[u8] =
            if interval_ns > wanted_ns { b"the write budget is used up" } else { b"alert" };
        if let Some(tick) = self.rows.tick(self.rows.next().saturating_sub(1)) {
            let level = i64::from(self.budget.level_kib());
            self.event(EventKind::CADENCE, tick, &[signed(interval_ns / 1_000_000), level], why);
            self.commit_now = false;
        }
    }

    /// An orderly end: the stop record as the last of the run, in two commits, one per lane (W11).
    pub(super) fn stop(mut self, reason: i64) -> Ended {
        let deadline_ns = self.clock.boottime_ns().saturating_add(STOP_WAIT_NS);
        self.tick();
        self.settle(deadline_ns);
        if let Some(tick) = self.rows.tick(self.rows.next().saturating_sub(1)) {
            let words: &[u8] = match reason {
                stop_reason::MACHINE_SHUTDOWN => b"machine shutdown",
                stop_reason::SERVICE_STOP => b"service stopped",
                stop_reason::SIGNAL => b"signal",
                stop_reason::TIME_OVER => b"time asked for is over",
                _ => b"error",
            };
            self.event(EventKind::STOP, tick, &[reason], words);
        }
        let before = self.pain.commits;
        for last in [false, true] {
            self.commit(last);
            self.commit_mirror(Some(last));
            self.settle(deadline_ns);
        }
        let ended = Ended {
            reason,
            samples: self.pain.samples,
            commits: self.pain.commits,
            durable: self.pain.commits >= before + 2,
        };
        self.writer.end();
        if let Some(mirror) = self.mirror {
            mirror.end();
        }
        ended
    }

    /// Waits for the job that is out, and for the start scan, but not beyond the deadline.
    fn settle(&mut self, deadline_ns: u64) {
        let is_busy = |own: &Self| {
            own.writer.is_busy()
                || own.committer.is_none()
                || own.mirror.as_ref().is_some_and(|mirror| mirror.is_busy())
        };
        while is_busy(self) {
            if self.poll_writer().is_err() {
                return;
            }
            self.poll_mirror();
            let now_ns = self.clock.boottime_ns();
            if now_ns >= deadline_ns {
                return;
            }
            // A second signal changes nothing: the end is near.
            self.clock.wait(now_ns + 2_000_000);
        }
    }
}
