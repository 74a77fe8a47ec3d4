//! The mirror: a second recording, on another disk, for the day on which the card itself dies.
//!
//! It shares nothing with the first but what is sampled. Rows, events, frames and the thread that
//! waits for the disk are its own: neither disk waits for the other, and each recording is whole.

use flightrec_format::event::EventKind;
use flightrec_format::superblock::Superblock;

use crate::alert::Grade;
use crate::budget::{Allowance, Budget};
use crate::clock::Clock;
use crate::committer::Committer;
use crate::events::Events;
use crate::frames::{Compressor, FrameMaker, Stamp};
use crate::recorder::{
    COLUMNS_MAX, COMMIT_APART_NS, EVENT_COUNT, Plan, ROW_BYTES, ROW_COUNT, STUCK_MS, retry_ns,
    thinned,
};
use crate::resume::Resume;
use crate::rows::Rows;
use crate::sample::{Layout, Sample};
use crate::sampler::Pain;
use crate::words::Word;
use crate::writer::Writer;

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// It takes nothing: an errno.
    Lost(i32),
    /// It does again.
    Found,
}

/// The errno of a commit that does not come back.
pub const STUCK: i32 = 110;

/// When the next commit is to be.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Boot time now.
    pub now_ns: u64,
    /// Time between samples.
    pub sample_ns: u64,
    /// How bad it is.
    pub grade: Grade,
    /// Time between commits at that grade.
    pub wanted_ns: u64,
}

/// What a commit costs the device: nobody asks what lies below.
const COMMIT_BYTES: u64 = 4096;

/// The second recording.
pub struct Mirror<C> {
    rows: Rows,
    events: Events,
    writer: Writer,
    committer: Option<Committer<C>>,
    maker: Option<FrameMaker<C>>,
    /// Its own: it is another device that wears.
    budget: Budget,
    calm_ns: u64,
    pain: Pain,
    first_tick: Option<u64>,
    sent_ns: u64,
    last_commit_ns: Option<u64>,
    failures: u32,
    retry_at_ns: u64,
    commit_now: bool,
    salvage_turn: bool,
    /// What is wrong, once it was told.
    told: Option<i32>,
}

impl<C: Compressor> Mirror<C> {
    /// Its writer has been started, and opens the recording. `calm_ns` is between commits while all
    /// is calm.
    pub fn new(
        layout: &Layout,
        writer: Writer,
        compressor: C,
        (calm_ns, now_ns): (u64, u64),
        allowed: Allowance,
    ) -> Self {
        Self {
            rows: Rows::new(layout, ROW_BYTES, ROW_COUNT),
            events: Events::new(EVENT_COUNT),
            writer,
            committer: None,
            maker: Some(FrameMaker::new(layout, COLUMNS_MAX, compressor)),
            budget: Budget::new(allowed, calm_ns, now_ns),
            calm_ns,
            pain: Pain::default(),
            first_tick: None,
            sent_ns: 0,
            last_commit_ns: None,
            failures: 0,
            retry_at_ns: 0,
            commit_now: false,
            salvage_turn: false,
            told: None,
        }
    }

    /// What its samples say of the recorder: of the first recording nothing.
    pub fn pain(&self, first: &Pain, now_ns: u64) -> Pain {
        let age_ms = self.age_ms(now_ns);
        Pain {
            samples: first.samples,
            missed_ticks: first.missed_ticks,
            late_ms: first.late_ms,
            alert: first.alert,
            commit_stuck_ms: if age_ms >= 1000 { age_ms } else { 0 },
            budget_kib: Some(u64::from(self.budget.level_kib())),
            lines: first.lines,
            looks_put_off: first.looks_put_off,
            limits: first.limits,
            ..self.pain
        }
    }

    /// Puts a sample into memory, if it is its turn.
    pub fn keep(&mut self, sample: &Sample) {
        let needed = self.committer.as_ref().map_or(0, Committer::needed_row);
        let takes_none = self.committer.is_none() || self.writer.is_busy() || self.failures > 0;
        let every = if takes_none { thinned(self.rows.bytes_from(needed)) } else { 1 };
        if sample.tick.is_multiple_of(every) && self.rows.push(sample, needed) {
            self.first_tick.get_or_insert(sample.tick);
        } else {
            self.pain.dropped_samples += 1;
        }
    }

    /// Adds an event. Its sample may be sealed here already; then it goes to the newest one.
    pub fn event(
        &mut self,
        kind: EventKind,
        (tick, at_ns, interval_ns): (u64, u64, u64),
        arguments: &[i64],
        text: &[u8],
    ) {
        let Some(newest) = self.rows.tick(self.rows.next().saturating_sub(1)) else { return };
        let open = self.committer.as_ref().map_or(0, Committer::open_row).max(self.rows.first());
        let is_open = self.rows.tick(open).is_none_or(|open| open <= tick) && tick <= newest;
        let tick = if is_open { tick } else { newest };
        let offset_ms = at_ns.saturating_sub(tick.saturating_mul(interval_ns)) / 1_000_000;
        self.events.push(kind, (tick, offset_ms), arguments, text, self.sealed_tick());
    }

    /// Commits at the next chance.
    pub fn hurry(&mut self) {
        self.commit_now = true;
    }

    /// Keeps a message of a log.
    pub fn word(&mut self, tick: u64, word: &Word) {
        let sealed = self.sealed_tick();
        self.events.words.put(tick, word, sealed);
    }

    /// Whether a commit is under way.
    pub fn is_busy(&self) -> bool {
        self.committer.is_some() && self.writer.is_busy()
    }

    /// Takes what its writer has, without waiting; says what is new.
    pub fn poll(&mut self, plan: &Plan, now_ns: u64) -> Option<Told> {
        let Some(committer) = &mut self.committer else {
            return match self.writer.started()? {
                Ok(begun) => {
                    let (superblock, resume) = *begun;
                    self.begin(plan, &superblock, resume);
                    None
                }
                // Its thread has ended, and says no more.
                Err(_) if self.told.is_some() => None,
                Err(error) => self.lost(error.raw_os_error().unwrap_or(5)),
            };
        };
        let Some(job) = self.writer.finished() else {
            let is_stuck = self.age_ms(now_ns) >= STUCK_MS;
            return if is_stuck && self.told.is_none() { self.lost(STUCK) } else { None };
        };
        let landed = committer.landed(&self.rows, job);
        let (outcome, done_ns) = (job.outcome, job.done_ns);
        self.pain.written_bytes += job.written_bytes;
        if let Err(errno) = outcome {
            self.pain.commit_errors += 1;
            self.failures += 1;
            self.retry_at_ns = done_ns.saturating_add(retry_ns(self.failures));
            return self.lost(errno);
        }
        self.failures = 0;
        if landed.commit {
            let took_ms = done_ns.saturating_sub(self.sent_ns) / 1_000_000;
            self.pain.commits += 1;
            self.pain.commit_last_ms = took_ms;
            self.pain.commit_worst_ms = self.pain.commit_worst_ms.max(took_ms);
        }
        self.told.take().map(|_| Told::Found)
    }

    /// Commits when it is time, and nothing is under way.
    pub fn commit_if_due(&mut self, layout: &Layout, clock: &dyn Clock, pace: Pace) {
        let Some(committer) = &mut self.committer else { return };
        if self.writer.is_busy() || pace.now_ns < self.retry_at_ns {
            return;
        }
        let since_ns = self.last_commit_ns.map(|last| pace.now_ns.saturating_sub(last));
        let commit_ns = self.budget.commit_ns(pace.grade, pace.wanted_ns, pace.now_ns);
        let due = since_ns.is_none_or(|since| since + pace.sample_ns / 2 >= commit_ns);
        let hurry = (self.commit_now || committer.has_backlog(&self.rows))
            && since_ns.is_none_or(|since| since >= COMMIT_APART_NS - COMMIT_APART_NS / 20);
        let due = due || hurry || committer.fills_half(&self.rows);
        let fresh = self.rows.next() > committer.unacked_row() || self.commit_now;
        // Salvage takes turns with commits, as in the first recording.
        if std::mem::take(&mut self.salvage_turn) && self.salvage(pace.now_ns) {
            return;
        }
        if fresh && due && self.commit(layout, clock, pace, false) {
            self.salvage_turn = true;
            return;
        }
        self.salvage(pace.now_ns);
    }

    /// Commits now, if nothing is under way. With `last` everything is sealed and archived too.
    pub fn commit(&mut self, layout: &Layout, clock: &dyn Clock, pace: Pace, last: bool) -> bool {
        let Some(committer) = &mut self.committer else { return false };
        let Some(mut job) = self.writer.take() else { return false };
        let since_ns = self.last_commit_ns.map_or(self.calm_ns, |last| pace.now_ns - last);
        self.budget.spend(COMMIT_BYTES, since_ns, pace.now_ns);
        committer.stamp().tell_time(clock, pace.now_ns, self.budget.level_kib());
        if !committer.prepare((layout, &self.rows, &self.events), last, &mut job) {
            self.writer.put_back(job);
            return false;
        }
        self.commit_now = false;
        self.last_commit_ns = Some(pace.now_ns);
        self.sent_ns = pace.now_ns;
        self.writer.submit(job);
        true
    }

    /// Ends its thread.
    pub fn end(self) {
        self.writer.end();
    }

    fn begin(&mut self, plan: &Plan, superblock: &Superblock, resume: Resume) {
        let Some(maker) = self.maker.take() else { return };
        if let Some(kib) = resume.budget_kib {
            self.budget.restore(u64::from(kib) * 1024);
        }
        let stamp = Stamp::of_run(plan, superblock.recording_id, resume.boot_ordinal);
        let first_tick = self.first_tick.unwrap_or(u64::MAX);
        self.committer = Some(Committer::new(maker, stamp, &plan.facts, resume, first_tick));
        self.commit_now = true;
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

    fn lost(&mut self, errno: i32) -> Option<Told> {
        (self.told.replace(errno) != Some(errno)).then_some(Told::Lost(errno))
    }

    fn sealed_tick(&self) -> Option<u64> {
        self.committer.as_ref().and_then(Committer::sealed_tick)
    }

    fn age_ms(&self, now_ns: u64) -> u64 {
        if self.is_busy() { now_ns.saturating_sub(self.sent_ns) / 1_000_000 } else { 0 }
    }
}
