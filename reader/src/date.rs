//! Real time for samples (V5): a boot's synchronised samples date the others, backwards too.
//!
//! Boards without a clock of their own boot in the past. The offset that a later synchronised
//! sample knows holds for all of the boot, because boot time itself never jumps.

use crate::merge::Joined;
use crate::timeline::Timeline;

/// First real time that an unsynchronised clock is believed to mean, ms since 1970: 2024-01-01.
const DATED_FROM_MS: i128 = 1_704_067_200_000;

/// Where a date comes from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Clock {
    /// The kernel called real time synchronised.
    Synced,
    /// Dated from other samples of the boot that were synchronised.
    Redated,
    /// Nothing in the boot ever was: the clock's own word.
    #[default]
    Unsynced,
}

impl Clock {
    /// Its name in the spec.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Redated => "redated",
            Self::Unsynced => "unsynced",
        }
    }
}

/// What turns the boot time of one sample, and of the events after it, into real time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dated {
    /// Real time minus boot time.
    pub offset_ms: Option<i128>,
    /// Where it comes from.
    pub clock: Clock,
}

impl Dated {
    /// Real time of a boot time, ms since 1970, rounded down.
    #[must_use]
    pub fn at(&self, time_ns: u128) -> Option<i128> {
        let boottime_ms = i128::try_from(time_ns / 1_000_000).ok()?;
        let dated = boottime_ms.checked_add(self.offset_ms?)?;
        (self.clock != Clock::Unsynced || dated >= DATED_FROM_MS).then_some(dated)
    }
}

/// A synchronised sample: boot time and offset.
type Anchor = (u128, i64);

/// Dates samples that come in order. The neighbours it needs are looked up once and kept.
#[derive(Default)]
pub struct Dater {
    boot: Option<usize>,
    before: Neighbour,
    after: Neighbour,
}

/// The synchronised sample next to those that are none.
#[derive(Clone, Copy, Default)]
enum Neighbour {
    /// Not looked up yet.
    #[default]
    Unasked,
    /// There is none.
    Missing,
    /// This one.
    Found(Anchor),
}

impl Neighbour {
    /// What is known, or what `look` finds out.
    fn get(&mut self, look: impl FnOnce() -> Option<Anchor>) -> Option<Anchor> {
        if matches!(self, Self::Unasked) {
            *self = look().map_or(Self::Missing, Self::Found);
        }
        match *self {
            Self::Found(anchor) => Some(anchor),
            Self::Unasked | Self::Missing => None,
        }
    }
}

impl Dater {
    /// Dates a sample of run `run` of boot `boot`.
    pub fn date(
        &mut self,
        timeline: &mut Timeline,
        (boot, run): (usize, usize),
        sample: &Joined,
    ) -> Dated {
        if self.boot != Some(boot) {
            *self = Self { boot: Some(boot), ..Self::default() };
        }
        if let Some(anchor) = anchor(sample) {
            self.before = Neighbour::Found(anchor);
            // The one after may be this one; a later one is found when it is asked for.
            if !matches!(self.after, Neighbour::Missing) {
                self.after = Neighbour::Unasked;
            }
            return Dated { offset_ms: Some(i128::from(anchor.1)), clock: Clock::Synced };
        }
        let before = self.before.get(|| anchor_before(timeline, (boot, run), sample.tick));
        let after = self.after.get(|| anchor_after(timeline, (boot, run), sample.tick));
        let (offset_ms, clock) = match (before, after) {
            (None, None) => (sample.vitals.offset_ms.map(i128::from), Clock::Unsynced),
            (Some(anchor), None) | (None, Some(anchor)) => {
                (Some(i128::from(anchor.1)), Clock::Redated)
            }
            (Some(a), Some(b)) => (Some(between(a, b, sample.time_ns)), Clock::Redated),
        };
        Dated { offset_ms, clock }
    }
}

fn anchor(sample: &Joined) -> Option<Anchor> {
    sample.vitals.offset_ms.filter(|_| sample.vitals.synced).map(|offset| (sample.time_ns, offset))
}

/// The offset at boot time `t`, on the line from `a` to `b`, rounded down.
fn between(a: Anchor, b: Anchor, t: u128) -> i128 {
    let signed = |time: u128| i128::try_from(time).unwrap_or(i128::MAX);
    let (a_time, b_time, t) = (signed(a.0), signed(b.0), signed(t));
    let (a_offset, b_offset) = (i128::from(a.1), i128::from(b.1));
    let step = (b_offset - a_offset)
        .checked_mul(t.saturating_sub(a_time))
        .filter(|_| b_time > a_time)
        .map_or(0, |product| product.div_euclid(b_time - a_time));
    a_offset.saturating_add(step)
}

fn anchor_before(timeline: &mut Timeline, at: (usize, usize), tick: u64) -> Option<Anchor> {
    synced_before(timeline, at, tick).as_ref().and_then(|(_, sample)| anchor(sample))
}

fn anchor_after(timeline: &mut Timeline, at: (usize, usize), tick: u64) -> Option<Anchor> {
    synced_after(timeline, at, tick).as_ref().and_then(|(_, sample)| anchor(sample))
}

/// The last synced sample of the boot before a tick, and its run.
pub fn synced_before(
    timeline: &mut Timeline,
    (boot, run): (usize, usize),
    tick: u64,
) -> Option<(usize, Joined)> {
    let fits = |sample: &Joined| anchor(sample).is_some();
    let mut last = |run, before| Some((run, timeline.last_in_run((boot, run), before, fits)?));
    last(run, Some(tick)).or_else(|| (0..run).rev().find_map(|run| last(run, None)))
}

/// The first synced sample of the boot after a tick, and its run.
pub fn synced_after(
    timeline: &mut Timeline,
    (boot, run): (usize, usize),
    tick: u64,
) -> Option<(usize, Joined)> {
    let fits = |sample: &Joined| anchor(sample).is_some();
    let count = timeline.boots.get(boot)?.runs.len();
    let next = tick.checked_add(1);
    let mut first = |run, from| Some((run, timeline.first_in_run((boot, run), from, fits)?));
    next.and_then(|next| first(run, next))
        .or_else(|| (run + 1..count).find_map(|run| first(run, 0)))
}
