//! Gaps: time without samples, each with its one cause (V6), and what is gone for good (V7).

use flightrec_format::event::stop_reason;
use flightrec_format::place::Area;

use crate::merge::Joined;
use crate::timeline::{Run, Timeline};

/// Why there are no samples.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// Between a stop of the recorder and its next start.
    RecorderStopped,
    /// Between two boots.
    PowerOff,
    /// The recorder died and came back.
    RecorderOff,
    /// Taken, and never written.
    NotDurable,
    /// Written, and no longer readable.
    Damaged,
    /// The machine slept.
    Suspended,
    /// The recorder was not let run.
    SamplerLate,
    /// Older than what the recording holds.
    Overwritten,
    /// In the recording, and not in this snapshot of it.
    LeftOut,
}

impl Cause {
    /// Its name in the spec.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecorderStopped => "recorder stopped",
            Self::PowerOff => "power off",
            Self::RecorderOff => "recorder off",
            Self::NotDurable => "not durable",
            Self::Damaged => "damaged",
            Self::Suspended => "suspended",
            Self::SamplerLate => "sampler late",
            Self::Overwritten => "overwritten",
            Self::LeftOut => "left out",
        }
    }
}

/// Time without samples.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// Boot time of the sample before it.
    pub from_ns: Option<u128>,
    /// Boot time of the sample after it; unknown between boots.
    pub to_ns: Option<u128>,
    /// Index of the boot in which it begins.
    pub boot: usize,
    /// Why.
    pub cause: Cause,
}

/// A sample, and where it stands.
#[derive(Clone, Debug)]
pub struct Stand {
    /// Indices of boot and run.
    pub at: (usize, usize),
    /// The sample.
    pub sample: Joined,
}

/// Slots of the history within which the frame before another one began: 16 of its own, and what
/// the writer may have skipped behind it.
const REACH_SLOTS: i128 = 96;

/// What lies so near behind the lap may have gone with the flash page that was being written, and
/// would have been written over next: a page, and a frame that left no trace (V6).
pub const LAP_EDGE_SLOTS: i128 = 32;

/// The gap between the begin of a run and `b`, the first sample of it that is left.
#[must_use]
pub fn beginning(timeline: &Timeline, b: &Stand) -> Option<Gap> {
    let taken = b.sample.vitals.samples.unwrap_or(0);
    if taken <= 1 {
        return None;
    }
    let inside_the_lap = b.sample.history_end.zip(timeline.passed).is_some_and(|(end, passed)| {
        i128::try_from(end).unwrap_or(i128::MAX) > passed.saturating_add(REACH_SLOTS)
    });
    let cause = if b.sample.vitals.dropped == Some(taken - 1) {
        Cause::NotDurable
    } else if inside_the_lap {
        Cause::Damaged
    } else {
        Cause::Overwritten
    };
    Some(Gap { from_ns: None, to_ns: Some(b.sample.time_ns), boot: b.at.0, cause })
}

/// The gap between `a` and the next sample `b`, if there is one.
pub fn between(timeline: &mut Timeline, a: &Stand, b: &Stand) -> Option<Gap> {
    let to_ns = Some(b.sample.time_ns);
    let from_ns = Some(a.sample.time_ns);
    let boot = a.at.0;
    let left_out = is_left_out(timeline, a, b);
    if a.at != b.at && left_out {
        let to_ns = to_ns.filter(|_| boot == b.at.0);
        return Some(Gap { from_ns, to_ns, boot, cause: Cause::LeftOut });
    }
    if boot != b.at.0 {
        let stop = timeline.stop_of_boot(boot);
        let stopped = stop.is_some_and(|stop| {
            stop.event.arguments.first() != Some(&stop_reason::MACHINE_SHUTDOWN)
        });
        let cause = if stopped { Cause::RecorderStopped } else { Cause::PowerOff };
        return Some(Gap { from_ns, to_ns: None, boot, cause });
    }
    if a.at.1 != b.at.1 {
        let stopped = timeline.stop_of(boot, a.at.1).is_some();
        let cause = if stopped { Cause::RecorderStopped } else { Cause::RecorderOff };
        return Some(Gap { from_ns, to_ns, boot, cause });
    }
    // Only where ticks are missing: it takes a look at all frames of the run.
    let missing = a.sample.tick.checked_add(1).is_some_and(|next| next < b.sample.tick);
    let newest = if missing { timeline.newest_tail_seqs(b.at) } else { None };
    let newest = newest.map(|(first, _)| first);
    let cause = within(&a.sample, &b.sample, timeline.passed, newest, left_out)?;
    Some(Gap { from_ns, to_ns, boot, cause })
}

/// Whether what lies between two samples lies outside of what a snapshot was made of (B5).
fn is_left_out(timeline: &Timeline, a: &Stand, b: &Stand) -> bool {
    let Some(note) = timeline.recover.recording().snapshot else { return false };
    let place = |stand: &Stand| {
        let ordinal = timeline.boots.get(stand.at.0).map_or(0, |boot| boot.ordinal);
        (ordinal, stand.sample.tick.saturating_mul(stand.sample.interval_ns))
    };
    let (a_place, b_place) = (place(a), place(b));
    let inside = |ordinal: u32| (note.from.0..=note.to.0).contains(&ordinal);
    b_place < note.from
        || a_place > note.to
        || (a.at.0 != b.at.0 && !(inside(a_place.0) && inside(b_place.0)))
}

/// The cause of missing ticks within one run; `passed` as in [`Timeline`], `newest` the first seq of
/// the run's newest tail frames: what they brought along after a stall may never have been durable.
/// `left_out`: outside of what a snapshot was made of.
fn within(
    a: &Joined,
    b: &Joined,
    passed: Option<i128>,
    newest: Option<u64>,
    left_out: bool,
) -> Option<Cause> {
    if a.tick.checked_add(1).is_none_or(|next| next >= b.tick) {
        return None;
    }
    let grew = |before: Option<u64>, after: Option<u64>| match (before, after) {
        (Some(before), Some(after)) => i128::from(after) - i128::from(before),
        _ => 0,
    };
    let taken = grew(a.vitals.samples, b.vitals.samples);
    let dropped = grew(a.vitals.dropped, b.vitals.dropped);
    // The copy of `a` may stand in the archive; what was sealed before `b` went before `b`.
    let behind_the_lap = || {
        let ends = [a, b].into_iter().filter_map(|sample| i128::try_from(sample.history_end?).ok());
        let first = ends.min().zip(passed);
        first.is_some_and(|(end, passed)| end <= passed.saturating_add(LAP_EDGE_SLOTS))
    };
    let suspended_ns = grew(a.vitals.suspended_ms, b.vitals.suspended_ms) * 1_000_000;
    let unacknowledged = taken > 1 && newest.is_some_and(|seq| b.stands_only_from(seq));
    Some(if dropped > 0 && dropped == taken - 1 {
        Cause::NotDurable
    } else if taken > 1 && left_out {
        Cause::LeftOut
    } else if unacknowledged {
        Cause::NotDurable
    } else if taken > 1 && behind_the_lap() {
        Cause::Overwritten
    } else if taken > 1 {
        Cause::Damaged
    } else if 2 * suspended_ns >= i128::from(b.interval_ns) {
        Cause::Suspended
    } else {
        Cause::SamplerLate
    })
}

/// Ticks at the end of a run that were acknowledged and are in no live frame (V7): a torn frame
/// behind the newest live one, though the run went on to write another after it.
#[must_use]
pub fn gone_at_end(run: &Run) -> u64 {
    let newest_tick = run.frames.iter().map(|frame| frame.last_tick).max().unwrap_or(0);
    let tail = |frame: &&crate::scan::Frame| frame.area == Area::Tail;
    let newest_seq = run.torn.iter().chain(&run.frames).filter(tail).map(|frame| frame.seq).max();
    let gone = run.torn.iter().filter(tail).filter(|frame| {
        frame.last_tick > newest_tick && newest_seq.is_some_and(|newest| newest > frame.seq)
    });
    gone.map(|frame| frame.last_tick - newest_tick.max(frame.first_tick.saturating_sub(1)))
        .max()
        .unwrap_or(0)
}
