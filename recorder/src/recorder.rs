//! The story: wait for the tick, take the sample, keep it, commit when it is time.
//!
//! Everything here runs on the sampler's thread, which waits for nothing but its clock. The disk
//! belongs to the writer's thread; what it is doing shows in [`Pain`].

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bincode::{Decode, Encode};
use flightrec_format::event::{EventKind, stop_reason};

use crate::alert::Alert;
use crate::beacon::Beacon;
use crate::budget::Budget;
use crate::clock::{Clock, Signal};
use crate::committer::Committer;
use crate::events::Events;
use crate::frames::{Compressor, FrameMaker};
use crate::limits::Limits;
use crate::limits::ration::Ration;
use crate::marks::Mark;
use crate::mirror::Mirror;
use crate::pstore::LastWords;
use crate::report::Report;
use crate::rows::Rows;
use crate::sampler::{Pain, Sampler};
use crate::words::Word;
use crate::writer::Writer;

mod hearing;
mod limiting;
mod mirroring;
mod trouble;
mod writing;

use limiting::Limiting;
use trouble::Trouble;
pub use trouble::retry_ns;
pub(crate) use writing::COMMIT_APART_NS;

/// How to record, once all is open.
#[derive(Clone, Debug, Decode, Encode)]
pub struct Plan {
    /// Time between samples.
    pub interval_ns: u64,
    /// Time between commits while calm.
    pub commit_ns: u64,
    /// What a commit costs the device, bytes.
    pub commit_bytes: u64,
    /// Why a calm machine is committed less often than elsewhere, if it is.
    pub slowed: Option<String>,
    /// Time between commits while dying.
    pub commit_dying_ns: u64,
    /// Boot time at which to end by itself.
    pub until_ns: Option<u64>,
    /// Of the kernel.
    pub boot_id: [u8; 16],
    /// Of this run.
    pub run_id: [u8; 8],
    /// Run facts, encoded.
    pub facts: Vec<u8>,
    /// Complaints about the configuration, each an event.
    pub complaints: Vec<String>,
    /// Whether the recording came from another machine.
    pub copied: bool,
    /// What the kernel of an earlier boot left behind as it died.
    pub last_words: LastWords,
    /// What the recorder allows itself.
    pub limits: Limits,
    /// What is left of this hour's lines to the log of the system.
    pub ration: Ration,
}

/// Bytes of rows kept in memory: 20 minutes of samples at least, a day when thinned in a stall.
pub const ROW_BYTES: usize = 512 << 10;

/// In a stall memory fills. Up to so many sixteenths of it every sample is kept, then every tenth,
/// and so on: the whole of a night fits, with what began it second by second.
const THINNING: [(usize, u64); 5] = [(8, 1), (10, 10), (12, 60), (14, 300), (16, 1800)];

/// Rows kept in memory.
pub const ROW_COUNT: usize = 4096;

/// Events kept in memory.
pub const EVENT_COUNT: usize = 128;

/// Columns of one frame, over all groups.
pub const COLUMNS_MAX: usize = 2048;

/// Reports of other threads taken in one tick.
const REPORTS_PER_TICK: usize = 4;

/// Events that are no reason to commit at once: they come with every cron job, or with a loose cable.
const QUIET: [EventKind; 8] = [
    EventKind::UNIT_START,
    EventKind::UNIT_END,
    EventKind::PROCESS,
    EventKind::LINK,
    EventKind::UNIT_FAILED,
    EventKind::UNIT_RESTART,
    EventKind::UNIT_OOM,
    EventKind::LIMIT,
];

/// What the kernel said before we came, and while it found its disks, is told, and is no alarm.
const SETTLED_AFTER_NS: u64 = 10_000_000_000;

/// A commit that takes longer is told as stuck.
pub(crate) const STUCK_MS: u64 = 5000;

/// Why a run ended, and what it has seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ended {
    /// One of [`stop_reason`].
    pub reason: i64,
    /// Samples taken.
    pub samples: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Whether the stop record is durable.
    pub durable: bool,
}

/// One run.
pub struct Recorder<C> {
    plan: Plan,
    clock: Arc<dyn Clock>,
    sampler: Sampler,
    rows: Rows,
    events: Events,
    writer: Writer,
    /// Until the start scan ends there is nowhere to write to.
    committer: Option<Committer<C>>,
    maker: Option<FrameMaker<C>>,
    alert: Alert,
    budget: Budget,
    limiting: Limiting,
    pain: Pain,
    first_tick: Option<u64>,
    last_tick: Option<u64>,
    /// Boot time at which the job that is out was sent.
    sent_ns: u64,
    /// Boot time of the last commit that was sent.
    last_commit_ns: Option<u64>,
    trouble: Option<Trouble>,
    failures: u32,
    retry_at_ns: u64,
    commit_now: bool,
    salvage_turn: bool,
    told_dropped: u64,
    commit_interval_ns: u64,
    marks: Option<Receiver<Mark>>,
    reports: Option<Receiver<Report>>,
    words: Option<Receiver<Word>>,
    beacon: Option<Beacon>,
    /// Boot time of its last frame.
    beacon_ns: u64,
    mirror: Option<Box<Mirror<C>>>,
    /// Boot time from which on an error of the kernel is an alarm.
    settled_ns: u64,
}

impl<C: Compressor> Recorder<C> {
    /// Puts a run together. The writer has been started, and looks at the recording.
    pub fn new(
        plan: Plan,
        clock: Arc<dyn Clock>,
        sampler: Sampler,
        writer: Writer,
        compressor: C,
    ) -> Self {
        let layout = sampler.layout();
        let rows = Rows::new(layout, ROW_BYTES, ROW_COUNT);
        let maker = FrameMaker::new(layout, COLUMNS_MAX, compressor);
        let budget = Budget::new(plan.limits.writes, plan.commit_ns, clock.boottime_ns());
        let limiting = Limiting::new(&plan, layout);
        let commit_interval_ns = plan.commit_ns;
        let settled_ns = clock.boottime_ns().saturating_add(SETTLED_AFTER_NS);
        Self {
            plan,
            clock,
            sampler,
            rows,
            events: Events::new(EVENT_COUNT),
            writer,
            committer: None,
            maker: Some(maker),
            alert: Alert::default(),
            budget,
            limiting,
            pain: Pain::default(),
            first_tick: None,
            last_tick: None,
            sent_ns: 0,
            last_commit_ns: None,
            trouble: None,
            failures: 0,
            retry_at_ns: 0,
            commit_now: false,
            salvage_turn: false,
            told_dropped: 0,
            commit_interval_ns,
            marks: None,
            reports: None,
            words: None,
            beacon: None,
            beacon_ns: 0,
            mirror: None,
            settled_ns,
        }
    }

    /// Takes the owner's marks from here.
    #[must_use]
    pub fn with_marks(mut self, marks: Option<Receiver<Mark>>) -> Self {
        self.marks = marks;
        self
    }

    /// Takes what other threads saw from here.
    #[must_use]
    pub fn with_reports(mut self, reports: Receiver<Report>) -> Self {
        self.reports = Some(reports);
        self
    }

    /// Takes what logs say from here.
    #[must_use]
    pub fn with_words(mut self, words: Receiver<Word>) -> Self {
        self.words = Some(words);
        self
    }

    /// Records there too.
    #[must_use]
    pub fn with_mirror(mut self, mirror: Option<Mirror<C>>) -> Self {
        self.mirror = mirror.map(Box::new);
        self
    }

    /// Sends the newest frame there too.
    #[must_use]
    pub fn with_beacon(mut self, beacon: Option<Beacon>) -> Self {
        self.beacon = beacon;
        self
    }

    /// Records until told to end. `stop_reason_of` says what a termination means: only the service
    /// manager knows whether the machine goes down.
    pub fn run(mut self, stop_reason_of: impl Fn(Signal) -> i64) -> std::io::Result<Ended> {
        let reason = loop {
            let signal = self.wait_for_tick();
            // First: a commit that has ended while we slept is not stuck.
            self.poll_writer()?;
            self.poll_mirror();
            match signal {
                Some(Signal::Commit) => {
                    self.commit_now = true;
                    self.mirror.iter_mut().for_each(|mirror| mirror.hurry());
                }
                Some(Signal::Hangup) => {}
                Some(signal) => break stop_reason_of(signal),
                None => self.tick(),
            }
            self.commit_if_due();
            self.commit_mirror(None);
            let now_ns = self.clock.boottime_ns();
            if self.plan.until_ns.is_some_and(|until| now_ns >= until) {
                break stop_reason::TIME_OVER;
            }
        };
        Ok(self.stop(reason))
    }

    fn wait_for_tick(&self) -> Option<Signal> {
        let now_ns = self.clock.boottime_ns();
        let next = match self.last_tick {
            Some(last) => (last + 1).max(now_ns / self.plan.interval_ns),
            None => now_ns / self.plan.interval_ns + 1,
        };
        self.clock.wait(next * self.plan.interval_ns)
    }

    /// Takes and keeps one sample.
    fn tick(&mut self) {
        let now_ns = self.clock.boottime_ns();
        let tick = now_ns / self.plan.interval_ns;
        let Some(missed) = tick.checked_sub(self.last_tick.map_or(tick, |last| last + 1)) else {
            return;
        };
        self.pain.samples += 1;
        self.pain.missed_ticks += missed;
        self.pain.late_ms = now_ns % self.plan.interval_ns / 1_000_000;
        let age_ms = self.commit_age_ms(now_ns);
        self.pain.commit_stuck_ms = if age_ms >= 1000 { age_ms } else { 0 };
        self.sampler.take(tick, &self.pain);
        self.keep(tick);
        self.tell(tick, age_ms);
    }

    /// Puts the sample into memory; in a stall, if it is its turn.
    fn keep(&mut self, tick: u64) {
        self.keep_in_mirror();
        let needed = self.committer.as_ref().map_or(0, Committer::needed_row);
        // The newest one belongs to the first frame after a stall, whoever's turn it is.
        let takes_none = self.writer.is_busy() || self.failures > 0;
        let every = if takes_none { thinned(self.rows.bytes_from(needed)) } else { 1 };
        if tick.is_multiple_of(every) && self.rows.push(self.sampler.sample(), needed) {
            self.last_tick = Some(tick);
            if self.first_tick.is_none() {
                self.first_tick = Some(tick);
                self.tell_start(tick);
            }
        } else {
            self.last_tick = Some(tick);
            self.pain.dropped_samples += 1;
        }
    }

    fn tell_start(&mut self, tick: u64) {
        let crc = i64::from(flightrec_format::facts::facts_crc(&self.plan.facts));
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        self.event(EventKind::RUN_START, tick, &[crc], version);
        for complaint in std::mem::take(&mut self.plan.complaints) {
            self.event(EventKind::CONFIG_DEFAULT, tick, &[], complaint.as_bytes());
        }
        if let Some(why) = self.plan.slowed.take() {
            let arguments =
                [signed(self.plan.commit_ns / 1_000_000), i64::from(self.budget.level_kib())];
            self.event(EventKind::CADENCE, tick, &arguments, why.as_bytes());
        }
        if self.plan.copied {
            self.event(EventKind::COPIED, tick, &[], b"");
        }
    }

    /// Events that this tick shows.
    fn tell(&mut self, tick: u64, age_ms: u64) {
        // An event belongs to a sample that is kept.
        let Some(tick) =
            self.rows.tick(self.rows.next().saturating_sub(1)).filter(|kept| *kept <= tick)
        else {
            return;
        };
        for index in 0..self.sampler.notices().len() {
            let Some(notice) = self.sampler.notices().get(index).copied() else { break };
            let argument = notice.argument;
            self.event(notice.kind, tick, argument.as_slice(), notice.text.as_bytes());
        }
        self.tell_salvage(false);
        if self.committer.is_some() {
            let words = std::mem::take(&mut self.plan.last_words);
            for (number, line) in (1..).zip(&words.lines) {
                let count = i64::try_from(words.lines.len()).unwrap_or(i64::MAX);
                let arguments = [number, count, words.realtime_s];
                self.event(EventKind::PSTORE, tick, &arguments, line.as_bytes());
            }
        }
        self.tell_mark();
        for _ in 0..REPORTS_PER_TICK {
            let Some(report) = self.reports.as_ref().and_then(|from| from.try_recv().ok()) else {
                break;
            };
            self.event_at(
                report.kind,
                (tick, report.boottime_ns),
                report.arguments(),
                report.text(),
            );
        }
        self.tell_words(tick);
        self.tell_limits(tick);
        if age_ms >= STUCK_MS {
            self.tell_stuck(tick, age_ms);
        }
        if let Some(change) = self.alert.observe(self.sampler.vitals()) {
            let grades = [change.from, change.to].map(|grade| i64::from(grade.number()));
            self.event(EventKind::ALERT, tick, &grades, change.why.as_bytes());
            self.pain.alert = u64::from(change.to.number());
        }
        let dropped = self.pain.dropped_samples;
        if dropped > self.told_dropped && !self.writer.is_busy() {
            let counts = [signed(dropped - self.told_dropped), signed(self.events.dropped())];
            self.told_dropped = dropped;
            self.event(
                EventKind::DROPPED,
                tick,
                &counts,
                b"memory was full while the disk was stuck",
            );
        }
    }

    fn event(&mut self, kind: EventKind, tick: u64, arguments: &[i64], text: &[u8]) {
        self.event_at(kind, (tick, self.clock.boottime_ns()), arguments, text);
    }

    fn event_at(
        &mut self,
        kind: EventKind,
        (tick, at_ns): (u64, u64),
        arguments: &[i64],
        text: &[u8],
    ) {
        let due_ns = tick.saturating_mul(self.plan.interval_ns);
        let offset_ms = at_ns.saturating_sub(due_ns) / 1_000_000;
        let sealed = self.committer.as_ref().and_then(Committer::sealed_tick);
        self.events.push(kind, (tick, offset_ms), arguments, text, sealed);
        self.limiting.voice.tell(at_ns, kind, arguments, text);
        self.commit_now |= !QUIET.contains(&kind);
        if let Some(mirror) = &mut self.mirror {
            mirror.event(kind, (tick, at_ns, self.plan.interval_ns), arguments, text);
            if !QUIET.contains(&kind) {
                mirror.hurry();
            }
        }
    }

    fn commit_age_ms(&self, now_ns: u64) -> u64 {
        if self.writer.is_busy() { now_ns.saturating_sub(self.sent_ns) / 1_000_000 } else { 0 }
    }
}

/// One in so many samples is kept while memory holds so many bytes that are needed.
pub(crate) fn thinned(held: usize) -> u64 {
    let stage = THINNING.iter().find(|(sixteenths, _)| held <= ROW_BYTES / 16 * sixteenths);
    stage.map_or(1800, |(_, every)| *every)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Design 4: at least eight hours of a stall, on a machine so busy that a sample takes a KiB.
    #[test]
    fn a_night_fits_into_memory_where_samples_are_large_too() {
        let (mut held, mut seconds) = (0, 0);
        while held + 1024 <= ROW_BYTES {
            seconds += thinned(held);
            held += 1024;
        }
        assert!(seconds > 24 * 3600, "{seconds}");
        assert_eq!(thinned(ROW_BYTES / 2), 1, "less than that is waiting to be sealed");
    }
}
