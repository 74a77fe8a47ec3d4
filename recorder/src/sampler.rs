//! One sample: every source, the clocks, and the recorder's own pain.
//!
//! Also notices what two samples tell side by side: a clock that stepped, a kernel that killed,
//! a source that went or came back.

use std::sync::Arc;

use flightrec_format::entity::EntityName;
use flightrec_format::event::EventKind;

use crate::alert::Vitals;
use crate::clock::Clock;
use crate::precision::Precision;
use crate::sample::{Layout, Sample, SeriesNumber};
use crate::sources::Source;
use crate::sys;
use crate::trends::Trends;

mod watched;

use watched::Watched;

/// What the recorder says of itself in each sample (series 4 – 11, 16 – 18 and 299 – 303).
#[derive(Clone, Copy, Debug, Default)]
pub struct Pain {
    /// Samples taken by this run, this one included.
    pub samples: u64,
    /// Ticks without a sample.
    pub missed_ticks: u64,
    /// Begun after the due time, milliseconds.
    pub late_ms: u64,
    /// Acknowledged commits.
    pub commits: u64,
    /// Duration of the last finished commit, milliseconds.
    pub commit_last_ms: u64,
    /// Longest commit, milliseconds.
    pub commit_worst_ms: u64,
    /// Age of the unfinished commit, milliseconds; 0 below 1000.
    pub commit_stuck_ms: u64,
    /// Failed commits.
    pub commit_errors: u64,
    /// Bytes given to the disk.
    pub written_bytes: u64,
    /// Samples taken, then dropped unwritten.
    pub dropped_samples: u64,
    /// Grade of alert.
    pub alert: u64,
    /// What is left of the write budget, KiB, once it is known.
    pub budget_kib: Option<u64>,
    /// Lines said to the log of the system, and not said.
    pub lines: [u64; 2],
    /// Looks of other threads that waited.
    pub looks_put_off: u64,
    /// The limits of its own that are reached, as bits.
    pub limits: u64,
}

impl Pain {
    /// In the stored units, ascending by series.
    fn stored(&self) -> [Option<u64>; 16] {
        let [lines, unsaid] = self.lines;
        [
            Some(self.samples),
            Some(self.missed_ticks),
            Some(self.late_ms),
            Some(self.commits),
            Some(self.commit_last_ms),
            Some(self.commit_worst_ms),
            Some(self.commit_stuck_ms),
            Some(self.commit_errors),
            Some(self.written_bytes / 4096),
            Some(self.dropped_samples),
            Some(self.alert),
            self.budget_kib,
            Some(lines),
            Some(unsaid),
            Some(self.looks_put_off),
            Some(self.limits),
        ]
    }
}

/// Something that a sample showed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Notice {
    /// What.
    pub kind: EventKind,
    /// Its number.
    pub argument: Option<i64>,
    /// What it is about.
    pub text: Text,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Text {
    /// A source of ours, or nothing.
    Ours(&'static str),
    /// An entity.
    Of(EntityName),
}

impl Text {
    /// The words.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ours(text) => text.as_bytes(),
            Self::Of(name) => name.as_bytes(),
        }
    }
}

/// A jump of real time by this much is a step, not slew.
const CLOCK_STEP_MS: i64 = 500;

/// Takes samples.
pub struct Sampler {
    layout: Layout,
    sources: Vec<Box<dyn Source + Send>>,
    lost: Box<[bool]>,
    precision: Precision,
    sample: Sample,
    clock: Arc<dyn Clock>,
    columns: Columns,
    before: Option<Before>,
    notices: Vec<Notice>,
    vitals: Vitals,
    watched: Watched,
    trends: Trends,
    /// A page of the kernel, in [`Vitals::swapped_pages`].
    page_units: u64,
}

/// Readings of the last sample that the next one is compared with, before any rounding.
#[derive(Clone, Copy, Debug)]
struct Before {
    boottime_ns: u64,
    offset_ms: i64,
    swapped: u64,
    stalls: u64,
    iowait: u64,
    oom_kills: u64,
}

/// Columns that the sampler looks up or writes itself.
#[derive(Clone, Copy, Debug)]
struct Columns {
    clocks: [usize; 3],
    pain: [usize; 16],
    vitals: [usize; 8],
}

impl Columns {
    fn new(layout: &Layout) -> Self {
        let column = |series: SeriesNumber| layout.machine_column(series).unwrap_or(usize::MAX);
        Self {
            clocks: [1, 2, 3].map(column),
            pain: [4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 299, 300, 301, 302, 303].map(column),
            vitals: [24, 34, 50, 52, 102, 103, 108, 109].map(column),
        }
    }
}

impl Sampler {
    /// Takes samples of `sources`, rounded to `precision_bits` of each change.
    #[must_use]
    pub fn new(
        layout: Layout,
        sources: Vec<Box<dyn Source + Send>>,
        precision_bits: u32,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let sample = Sample::new(&layout);
        let precision = Precision::new(&layout, precision_bits);
        let columns = Columns::new(&layout);
        let lost = vec![false; sources.len()].into_boxed_slice();
        let (watched, trends) = (Watched::new(&layout), Trends::new(&layout));
        let notices = Vec::with_capacity(sources.len() + watched.len() + 4);
        let (before, vitals) = (None, Vitals::default());
        Self {
            layout,
            sources,
            lost,
            precision,
            sample,
            clock,
            columns,
            before,
            notices,
            vitals,
            watched,
            trends,
            page_units: u64::from(sys::page_size()) / 4096,
        }
    }

    /// Which column holds what.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The sample that was taken last.
    #[must_use]
    pub fn sample(&self) -> &Sample {
        &self.sample
    }

    /// What it showed.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// How the machine does.
    #[must_use]
    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Takes the sample of `tick`.
    pub fn take(&mut self, tick: u64, pain: &Pain) {
        self.sample.clear();
        self.sample.tick = tick;
        self.notices.clear();
        let boottime_ns = self.clock.boottime_ns();
        for (source, lost) in self.sources.iter_mut().zip(self.lost.iter_mut()) {
            let outcome = source.read(&mut self.sample);
            let notice =
                |kind, argument| Notice { kind, argument, text: Text::Ours(source.name()) };
            match outcome {
                Err(errno) if !*lost => {
                    self.notices.push(notice(EventKind::SOURCE_LOST, Some(i64::from(errno))));
                }
                Ok(()) if *lost => self.notices.push(notice(EventKind::SOURCE_FOUND, None)),
                _ => {}
            }
            *lost = outcome.is_err();
        }
        let offset_ms = self.read_clocks();
        self.say(pain);
        self.compare(boottime_ns, offset_ms, pain);
        let Self { watched, sample, notices, .. } = self;
        watched.look(sample, |kind, name, value| {
            let argument = i64::try_from(value).ok();
            notices.push(Notice { kind, argument, text: Text::Of(name) });
        });
        self.precision.apply(&self.layout, &mut self.sample);
    }

    /// What the sample says of the recorder.
    pub fn say(&mut self, pain: &Pain) {
        for (column, value) in self.columns.pain.into_iter().zip(pain.stored()) {
            if let Some(value) = value {
                self.sample.set(column, value);
            }
        }
    }

    /// Reads the clocks close together; returns real time minus boot time.
    fn read_clocks(&mut self) -> i64 {
        let boottime_ns = self.clock.boottime_ns();
        let monotonic_ns = self.clock.monotonic_ns();
        let realtime_ns = self.clock.realtime_ns();
        let boottime = i64::try_from(boottime_ns).unwrap_or(i64::MAX);
        // Rounded, or the microseconds between two calls would show as a change now and then.
        let offset_ms = round_to_ms(realtime_ns.saturating_sub(boottime));
        let offset_ms = match self.before {
            // A difference of one is the rounding, unless it lasts.
            Some(before) if offset_ms.abs_diff(before.offset_ms) <= 1 => before.offset_ms,
            _ => offset_ms,
        };
        let suspended_ms =
            boottime_ns.saturating_sub(monotonic_ns).saturating_add(500_000) / 1_000_000;
        let [offset, suspended, synced] = self.columns.clocks;
        self.sample.set(offset, offset_ms.cast_unsigned());
        self.sample.set(suspended, suspended_ms);
        self.sample.set(synced, u64::from(self.clock.synced()));
        offset_ms
    }

    fn compare(&mut self, boottime_ns: u64, offset_ms: i64, pain: &Pain) {
        let [iowait, blocked, total, available, swap_in, swap_out, stalls, kills] =
            self.columns.vitals.map(|column| self.sample.get(column).unwrap_or(0));
        let now = Before {
            boottime_ns,
            offset_ms,
            swapped: swap_in.saturating_add(swap_out).saturating_mul(self.page_units),
            stalls,
            iowait,
            oom_kills: kills,
        };
        let before = self.before.replace(now).unwrap_or(now);
        let elapsed_ms = boottime_ns.saturating_sub(before.boottime_ns) / 1_000_000;
        // Counters of the kernel are in 10 ms; one core waiting all the time is 100 %.
        let iowait_ms = now.iowait.saturating_sub(before.iowait).saturating_mul(10);
        self.vitals = Vitals {
            elapsed_ms,
            swapped_pages: now.swapped.saturating_sub(before.swapped),
            allocation_stalls: now.stalls.saturating_sub(before.stalls),
            available,
            total,
            procs_blocked: blocked,
            iowait_percent: iowait_ms.saturating_mul(100) / elapsed_ms.max(1),
            commit_stuck_ms: pain.commit_stuck_ms,
            trend: self.trends.observe(&self.sample, elapsed_ms),
        };
        let step_ms = now.offset_ms.saturating_sub(before.offset_ms);
        if step_ms.saturating_abs() >= CLOCK_STEP_MS {
            let argument = Some(step_ms);
            self.notices.push(Notice {
                kind: EventKind::CLOCK_STEP,
                argument,
                text: Text::Ours(""),
            });
        }
        if now.oom_kills > before.oom_kills {
            let argument = i64::try_from(now.oom_kills - before.oom_kills).ok();
            self.notices.push(Notice { kind: EventKind::OOM_KILL, argument, text: Text::Ours("") });
        }
    }
}

fn round_to_ms(ns: i64) -> i64 {
    ns.saturating_add(500_000).div_euclid(1_000_000)
}
