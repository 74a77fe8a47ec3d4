//! The timeline, played in order: gaps, samples, events, messages, each dated (spec 9.6).
//!
//! One walk serves every view and export, so that none of them can see another order.

use crate::date::{Dated, Dater};
use crate::gap::{self, Gap, Stand};
use crate::merge::{EventAt, Merge, MessageAt};
use crate::outcome::Trouble;
use crate::recover::Reading;
use crate::timeline::Timeline;

/// The part of a run that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// Index of the boot.
    pub boot: usize,
    /// Index of the run in it.
    pub run: usize,
    /// First tick.
    pub from: u64,
    /// Last tick.
    pub to: u64,
    /// Real times to stay within, ms since 1970; no bound and no date needed if absent.
    pub dates: Option<(i128, i128)>,
}

/// A sample, dated.
#[derive(Debug)]
pub struct Sample {
    /// Where it stands, and its copies.
    pub stand: Stand,
    /// Its date.
    pub dated: Dated,
    /// All readings that a copy holds.
    pub readings: Vec<Reading>,
}

impl Sample {
    /// Real time, ms since 1970.
    #[must_use]
    pub fn time_ms(&self) -> Option<i128> {
        self.dated.at(self.stand.sample.time_ns)
    }
}

/// An event, dated.
#[derive(Debug)]
pub struct EventItem {
    /// Indices of boot and run.
    pub at: (usize, usize),
    /// The event.
    pub told: EventAt,
    /// The date of the sample that dates it.
    pub dated: Dated,
}

/// A message, dated.
#[derive(Debug)]
pub struct MessageItem {
    /// Indices of boot and run.
    pub at: (usize, usize),
    /// The message.
    pub told: MessageAt,
    /// The date of the sample that dates it.
    pub dated: Dated,
}

/// What is met on the way.
#[derive(Debug)]
pub enum Item<'a> {
    /// Time without samples.
    Gap(&'a Gap),
    /// A sample.
    Sample(&'a Sample),
    /// An event.
    Event(&'a EventItem),
    /// A message.
    Message(&'a MessageItem),
}

/// What the walk saw besides.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Samples shown.
    pub samples: u64,
    /// Events shown.
    pub events: u64,
    /// Gaps whose samples were once durable.
    pub gone_gaps: u64,
    /// Samples that those gaps swallowed.
    pub gone_samples: u64,
    /// Readings that differ between copies of one sample (V3).
    pub differing: u64,
}

/// Plays `parts` of the timeline, in order.
pub fn play(
    timeline: &mut Timeline,
    parts: &[Part],
    visit: &mut dyn FnMut(&Timeline, Item<'_>) -> Result<(), Trouble>,
) -> Result<Seen, Trouble> {
    let mut player = Player {
        timeline,
        visit,
        dater: Dater::default(),
        before: None,
        seen: Seen::default(),
        readings: Vec::new(),
    };
    let mut last_boot = None;
    for part in parts {
        player.part(part, last_boot.is_none())?;
        last_boot = Some(part.boot);
    }
    Ok(player.seen)
}

struct Player<'a> {
    timeline: &'a mut Timeline,
    visit: &'a mut dyn FnMut(&Timeline, Item<'_>) -> Result<(), Trouble>,
    dater: Dater,
    /// The last sample met, and its real time.
    before: Option<(Stand, Option<i128>)>,
    seen: Seen,
    /// Kept between samples, to spare the allocator.
    readings: Vec<Reading>,
}

impl Player<'_> {
    fn part(&mut self, part: &Part, first: bool) -> Result<(), Trouble> {
        let at = (part.boot, part.run);
        let mut merge = self.timeline.merge(part.boot, part.run, part.from, part.to);
        // What dates the next event: none yet means that the first sample to come will.
        let mut dated: Option<Dated> = None;
        if part.from > 0 {
            if let Some(sample) = self.timeline.last_in_run(at, Some(part.from), |_| true) {
                let date = self.dater.date(self.timeline, at, &sample);
                dated = Some(date);
                let time_ms = date.at(sample.time_ns);
                self.before = Some((Stand { at, sample }, time_ms));
            }
        } else if first {
            self.before = self.timeline.last_before(at).map(|stand| {
                let date = Dater::default().date(self.timeline, stand.at, &stand.sample);
                let time_ms = date.at(stand.sample.time_ns);
                (stand, time_ms)
            });
        }
        // What lies between this boot and the one before is no part of this one.
        let mut begun =
            !first || self.before.as_ref().is_none_or(|(before, _)| before.at.0 == part.boot);
        let mut waiting: Vec<Told> = Vec::new();
        while let Some(sample) = merge.next(&mut self.timeline.recover) {
            let tick = sample.tick;
            let date = self.dater.date(self.timeline, at, &sample);
            let stand = Stand { at, sample };
            // Events of ticks before this sample, told where their tick belongs.
            if let Some(before) = tick.checked_sub(1) {
                waiting.extend(told_until(&mut merge, before));
            }
            for told in waiting.drain(..) {
                self.tell(part, at, told, dated.unwrap_or(date))?;
            }
            dated = Some(date);
            let time_ms = date.at(stand.sample.time_ns);
            let before_ms = self.before.as_ref().and_then(|(_, time_ms)| *time_ms);
            if part.touches(before_ms, time_ms) {
                self.gaps(&stand, begun)?;
            }
            if part.holds(time_ms) {
                self.sample(stand.clone(), date)?;
            }
            self.before = Some((stand, time_ms));
            begun = true;
            for told in told_until(&mut merge, tick) {
                self.tell(part, at, told, date)?;
            }
        }
        for told in told_until(&mut merge, u64::MAX) {
            self.tell(part, at, told, dated.unwrap_or_default())?;
        }
        // The window may end inside a gap, and what that gap swallowed was asked for too.
        if let Some(next) = part.to.checked_add(1)
            && self.before.as_ref().is_some_and(|(before, _)| before.at == at)
            && let Some(sample) = self.timeline.first_in_run(at, next, |_| true)
        {
            let time_ms = self.dater.date(self.timeline, at, &sample).at(sample.time_ns);
            let before_ms = self.before.as_ref().and_then(|(_, time_ms)| *time_ms);
            if part.touches(before_ms, time_ms) {
                self.gaps(&Stand { at, sample }, true)?;
            }
        }
        Ok(())
    }

    /// The gaps before a sample: behind the one before it, if that is asked for, and between the
    /// begin of its run and it.
    fn gaps(&mut self, stand: &Stand, behind: bool) -> Result<(), Trouble> {
        let before = self.before.as_ref().map(|(before, _)| before);
        let taken = |stand: &Stand| stand.sample.vitals.samples.unwrap_or(0);
        let same_run = before.filter(|before| before.at == stand.at);
        let begins = same_run.is_none();
        let gone = taken(stand).saturating_sub(same_run.map_or(0, taken)).saturating_sub(1);
        let between = before.filter(|_| behind);
        let between = between.and_then(|before| gap::between(self.timeline, before, stand));
        let beginning = if begins { gap::beginning(self.timeline, stand) } else { None };
        for gap in between.into_iter().chain(beginning) {
            if gap.cause == gap::Cause::Damaged {
                self.seen.gone_gaps += 1;
                self.seen.gone_samples += gone;
            }
            (self.visit)(self.timeline, Item::Gap(&gap))?;
        }
        Ok(())
    }

    fn sample(&mut self, stand: Stand, dated: Dated) -> Result<(), Trouble> {
        let mut readings = std::mem::take(&mut self.readings);
        let entities = &self.timeline.recover.entities;
        self.seen.differing += stand.sample.readings(entities, &mut readings);
        self.seen.samples += 1;
        let sample = Sample { stand, dated, readings };
        (self.visit)(self.timeline, Item::Sample(&sample))?;
        self.readings = sample.readings;
        Ok(())
    }

    fn tell(
        &mut self,
        part: &Part,
        at: (usize, usize),
        told: Told,
        dated: Dated,
    ) -> Result<(), Trouble> {
        let told = match told {
            Told::Event(told) => told,
            Told::Message(told) => {
                let item = MessageItem { at, told, dated };
                if part.holds(item.dated.at(item.told.time_ns())) {
                    (self.visit)(self.timeline, Item::Message(&item))?;
                }
                return Ok(());
            }
        };
        let item = EventItem { at, told, dated };
        if !part.holds(item.dated.at(item.told.time_ns())) {
            return Ok(());
        }
        self.seen.events += 1;
        (self.visit)(self.timeline, Item::Event(&item))
    }
}

/// What is told beside the samples.
enum Told {
    Event(EventAt),
    Message(MessageAt),
}

/// Events and messages up to and with `tick`; of one tick the events first.
fn told_until(merge: &mut Merge, tick: u64) -> Vec<Told> {
    let events = merge.events_until(tick).into_iter().map(Told::Event);
    let mut told: Vec<Told> = events.collect();
    told.extend(merge.messages_until(tick).into_iter().map(Told::Message));
    told.sort_by_key(|told| match told {
        Told::Event(told) => told.event.tick,
        Told::Message(told) => told.message.tick,
    });
    told
}

impl Part {
    /// All of a run.
    #[must_use]
    pub const fn whole(boot: usize, run: usize) -> Self {
        Self { boot, run, from: 0, to: u64::MAX, dates: None }
    }

    /// Whether real time bounds let this in.
    fn holds(&self, time_ms: Option<i128>) -> bool {
        self.dates.is_none_or(|(from, to)| time_ms.is_some_and(|time| from <= time && time <= to))
    }

    /// Whether real time bounds let anything in of what lies between two samples.
    fn touches(&self, before_ms: Option<i128>, after_ms: Option<i128>) -> bool {
        self.dates.is_none_or(|(from, to)| {
            before_ms.is_none_or(|before| before <= to)
                && after_ms.is_some_and(|after| from <= after)
        })
    }
}
