//! The properties: what must hold of everything that a cut leaves.
//!
//! - every acknowledged sample outside the damage is recovered, exactly as it was made;
//! - nothing is invented, altered or in a wrong order;
//! - what is gone is named; where nothing is gone, no alarm is raised;
//! - the reader's work is bounded;
//! - the newest durable sample is never older than the age bound, by a clock outside.

use std::collections::BTreeSet;
use std::fmt;

use flightrec_format::event::EventKind;
use flightrec_format::frame::Header;
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_reader::gap::Cause;
use flightrec_reader::scan::Verdict;
use flightrec_recorder::sample::SeriesNumber;

use crate::cut::HONEST;
use crate::kernel::{Made, marker};
use crate::ledger::{Key, Ledger};
use crate::observed::{Entry, Observed, Sample};
use crate::physics::{Fault, Wreck};
use crate::trace::{Moment, Op, Trace};
use crate::world::Tale;

/// A property that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Violation {
    /// The reader refused a recording.
    Refused(String),
    /// A sample that was never taken.
    Invented(Key),
    /// A sample with another reading than it had.
    Altered(Key, SeriesNumber),
    /// A sample out of its order.
    Misordered(Key),
    /// A sample that stands in a frame that is whole, and was not found.
    Overlooked(Key),
    /// An event that a sample came with is not there, or one that no sample came with is.
    Events(Key),
    /// More is gone than this fault may cost.
    Lost(Vec<Key>),
    /// What is gone is not named.
    Unnamed(Key),
    /// Nothing is gone, and the reader says that something is.
    FalseAlarm(String),
    /// The reader read the medium more often than it may.
    Unbounded(String),
    /// The newest durable sample is too old.
    Old(String),
    /// The recorder did not go on.
    Stopped(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

/// What a fault cost.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Samples that were acknowledged, are not overwritten, and are gone.
    pub lost: Vec<Key>,
    /// How many commits of the run under way had acknowledged some of them.
    pub lost_commits: usize,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

/// Times that a reader may read a medium; once to scan, a little more to decode.
const TIMES_READ_MAX: u64 = 8;

/// Looks at a wreck as the reader sees it.
#[must_use]
pub fn judge(
    ledger: &Ledger,
    moment: &Moment,
    fault: Fault,
    wreck: &Wreck,
) -> (Report, Option<Observed>) {
    let mut report = Report::default();
    let observed = match Observed::of(&wreck.image, wreck.unreadable.clone()) {
        Ok(observed) => observed,
        Err(trouble) => {
            report.violations.push(Violation::Refused(trouble.message));
            return (report, None);
        }
    };
    check_truth(ledger, &observed, &mut report);
    check_events(ledger, &observed, &mut report);
    let found: BTreeSet<Key> = observed.keys().collect();
    for key in ledger.in_whole_frames(&wreck.image, &wreck.unreadable) {
        if !found.contains(&key) {
            report.violations.push(Violation::Overlooked(key));
        }
    }
    let gone: Vec<Key> = ledger.due.keys().filter(|key| !found.contains(key)).copied().collect();
    let lost = gone.iter().filter(|key| !ledger.is_lapped(ledger.due[key]));
    let lost = lost.filter(|key| !is_left_to_its_fate(ledger, &observed, key.0));
    report.lost = lost.copied().collect();
    report.lost_commits = commits_of(ledger, &report.lost);
    let since_ns = may_cost(fault, moment);
    let beyond = report.lost.iter().filter(|key| {
        !is_since(ledger, **key, since_ns) && !is_in_last_seals(fault, moment, **key)
    });
    let beyond: Vec<Key> = beyond.copied().collect();
    if !beyond.is_empty() {
        report.violations.push(Violation::Lost(beyond));
    }
    check_names(ledger, &observed, &gone, fault, &mut report);
    if observed.read_bytes > TIMES_READ_MAX * ledger.geometry.size {
        let bytes = format!("{} bytes were read", observed.read_bytes);
        report.violations.push(Violation::Unbounded(bytes));
    }
    (report, Some(observed))
}

/// Commits of the newest run that had acknowledged any of these.
fn commits_of(ledger: &Ledger, lost: &[Key]) -> usize {
    let Some(tale) = ledger.tales.last() else { return 0 };
    let is_lost = |tick: u64| lost.contains(&(tale.run.number, tick));
    let commits = tale.acks.iter().filter(|ack| is_lost(ack.tick)).map(|ack| ack.ops);
    commits.collect::<BTreeSet<_>>().len()
}

/// Samples acknowledged from this boot time of the present run on may be gone; `None`: none may.
fn may_cost(fault: Fault, moment: &Moment) -> Option<u64> {
    let acked = |back: usize| moment.recent.get(back).map(|arrived| arrived.acked_ns);
    match fault {
        Fault::Dropped | Fault::Sectors | Fault::Torn(_) | Fault::Reordered | Fault::Page(_) => {
            None
        }
        Fault::Late => Some(moment.from_ns.saturating_sub(700_000_000)),
        Fault::RolledBack => acked(0),
        Fault::LastWrites(k) | Fault::Stuck(k) => acked(k - 1),
        // What is in the unit, or in the slots, is gone; that all else is found is checked anyway.
        Fault::EraseUnit(_) | Fault::Unreadable(_) => Some(0),
    }
}

/// Whether a run was too short to be salvaged once there were many such (W10), and a later run says
/// that it left some.
fn is_left_to_its_fate(ledger: &Ledger, observed: &Observed, run: u64) -> bool {
    let Some(tale) = ledger.tale(run) else { return false };
    // As long as what was left of it when it was dead.
    let ticks = || ledger.due.range((run, 0)..=(run, u64::MAX)).map(|((_, tick), _)| *tick);
    let length_ns =
        ticks().next_back().zip(ticks().next()).map_or(0, |(b, a)| (b - a) * tale.run.interval_ns);
    let is_short = length_ns < 60_000_000_000;
    let says_so = |entry: &Entry| match entry {
        Entry::Event(later, _, EventKind::SALVAGED, arguments) => {
            *later > run && arguments.get(1).is_some_and(|skipped| *skipped > 0)
        }
        _ => false,
    };
    is_short && observed.entries.iter().any(says_so)
}

/// Whether one of the writes that became noise sealed or salvaged the sample: its other copies may
/// have been written over meanwhile.
fn is_in_last_seals(fault: Fault, moment: &Moment, (run, tick): Key) -> bool {
    let Fault::LastWrites(k) = fault else { return false };
    let frames = moment.recent.iter().take(k).filter_map(|arrived| {
        let slot = arrived.patch.parts().next()?;
        let header = Header::read(slot).ok()?;
        let sealed = header.area == Area::History || Mark::read(slot).is_some();
        sealed.then_some(header)
    });
    let mut runs = frames.filter(|header| u64::from_le_bytes(header.run_id) == run);
    runs.any(|header| (header.first_tick..=header.last_tick).contains(&tick))
}

fn is_since(ledger: &Ledger, (run, tick): Key, since_ns: Option<u64>) -> bool {
    let Some(since_ns) = since_ns else { return false };
    if since_ns == 0 {
        return true;
    }
    let Some(tale) = ledger.tales.last().filter(|tale| tale.run.number == run) else {
        return false;
    };
    tale.acks.iter().any(|ack| ack.tick == tick && ack.at_ns >= since_ns)
}

fn check_truth(ledger: &Ledger, observed: &Observed, report: &mut Report) {
    let mut before: Option<(usize, u32, u64)> = None;
    for sample in observed.samples() {
        let key = (sample.run, sample.tick);
        let Some((at, made)) = ledger.made(key) else {
            report.violations.push(Violation::Invented(key));
            continue;
        };
        if let Some(series) = altered(ledger, at, sample, made) {
            report.violations.push(Violation::Altered(key, series));
        }
        let here = (at, sample.ordinal, sample.tick);
        if !ledger.blind && before.is_some_and(|before| !follows(ledger, before, here)) {
            report.violations.push(Violation::Misordered(key));
        }
        before = Some(here);
    }
    if !ledger.blind && !observed.shared_ordinals.is_empty() {
        let ordinals = format!("boots share the ordinals {:?}", observed.shared_ordinals);
        report.violations.push(Violation::FalseAlarm(ordinals));
    }
    if observed.differing > 0 {
        let readings = format!("{} readings differ between copies", observed.differing);
        report.violations.push(Violation::FalseAlarm(readings));
    }
}

/// F4: a frame that holds a sample holds the events of its tick. The first sample of a run comes with
/// its start, and one at which the kernel has killed with that.
fn check_events(ledger: &Ledger, observed: &Observed, report: &mut Report) {
    let events = observed.entries.iter().filter_map(|entry| match entry {
        Entry::Event(run, tick, kind, _) => Some((*kind, (*run, *tick))),
        _ => None,
    });
    let told: BTreeSet<(EventKind, Key)> = events.collect();
    for kind in [EventKind::RUN_START, EventKind::OOM_KILL] {
        let kills = |key: Key| ledger.tale(key.0).is_some_and(|t| t.run.oom_kills.contains(&key.1));
        let first = |tale: &Tale| tale.made.first().map(|made| made.tick);
        let starts = |key: Key| ledger.tale(key.0).and_then(|t| first(t)) == Some(key.1);
        let is_due = |key: Key| match kind {
            EventKind::RUN_START => starts(key),
            _ => kills(key) && !starts(key),
        };
        let silent = observed.keys().find(|key| is_due(*key) && !told.contains(&(kind, *key)));
        let strange = told.iter().find(|(own, key)| *own == kind && !is_due(*key));
        let wrong = silent.or(strange.map(|(_, key)| *key));
        report.violations.extend(wrong.map(Violation::Events));
    }
}

/// Later in the same run; or in a later run of the same boot or of one with a greater ordinal.
fn follows(ledger: &Ledger, before: (usize, u32, u64), here: (usize, u32, u64)) -> bool {
    if before.0 == here.0 {
        return before.1 == here.1 && before.2 < here.2;
    }
    let boot = |at: usize| ledger.tales[at].run.boot;
    let ordinals =
        if boot(before.0) == boot(here.0) { before.1 == here.1 } else { before.1 < here.1 };
    before.0 < here.0 && ordinals
}

/// The first series that does not say what was made.
fn altered(ledger: &Ledger, at: usize, sample: &Sample, made: &Made) -> Option<SeriesNumber> {
    if made.readings.is_empty() {
        let user = sample.readings.iter().find(|(series, _)| *series == 20);
        let told = marker(ledger.tales[at].run.number, made.tick);
        return (user.map(|(_, value)| *value) != Some(told)).then_some(20);
    }
    let read = sample.readings.iter().filter(|(series, _)| *series > 18);
    if read.clone().eq(&made.readings) {
        return None;
    }
    // Entities may have been cut by rank (W6), and copies may name their readings in any order.
    let wrong = read.clone().find(|reading| !made.readings.contains(reading));
    let machine = made.readings.iter().filter(|(series, _)| *series < 140);
    let missing = || machine.clone().find(|own| !sample.readings.contains(own));
    wrong.or_else(missing).map(|(series, _)| *series)
}

/// What is gone is named by a gap at its place; where nothing is, there is no alarm.
fn check_names(
    ledger: &Ledger,
    observed: &Observed,
    gone: &[Key],
    fault: Fault,
    report: &mut Report,
) {
    // What an honest medium may lose is about to be written over, and no damage.
    let honest = HONEST.contains(&fault) || gone.is_empty();
    if report.lost.is_empty() && honest && !ledger.scarred {
        let damaged = observed.entries.iter().any(|e| matches!(e, Entry::Gap(Cause::Damaged)));
        if observed.gone > 0 || damaged {
            let alarm = format!("{} samples are said to be gone", observed.gone);
            report.violations.push(Violation::FalseAlarm(alarm));
        }
    }
    // What a card never had, or took back, leaves no trace.
    if matches!(fault, Fault::Late | Fault::Stuck(_)) {
        return;
    }
    for key in gone {
        // A run that was left to its fate is told by the run that left it.
        let named = names(observed, *key)
            || ends_before(ledger, observed, *key)
            || is_left_to_its_fate(ledger, observed, key.0);
        if !named {
            report.violations.push(Violation::Unnamed(*key));
            return;
        }
    }
}

/// Whether a gap stands where the sample is missing.
fn names(observed: &Observed, (run, tick): Key) -> bool {
    let mut gap = None;
    let mut last_of_run = None;
    for entry in &observed.entries {
        match entry {
            Entry::Gap(cause) => gap = Some(*cause),
            Entry::Sample(sample) if sample.run == run && sample.tick > tick => {
                return gap.is_some_and(|cause| {
                    matches!(cause, Cause::Damaged | Cause::Overwritten | Cause::NotDurable)
                });
            }
            Entry::Sample(sample) => {
                gap = None;
                if sample.run == run {
                    last_of_run = Some(sample.tick);
                }
            }
            Entry::Event(..) | Entry::Message(..) => {}
        }
    }
    // At the end of a run what is gone has no gap; the reader counts it (V7).
    last_of_run.is_some() && observed.gone > 0
}

/// Whether a run's last sample that was found is so near that the age bound covers the loss, or
/// nothing of the run is there and nothing says that it ever was; else `verify` must show more
/// damage than the write that was in flight.
fn ends_before(ledger: &Ledger, observed: &Observed, (run, tick): Key) -> bool {
    let last = observed.samples().filter(|sample| sample.run == run).map(|s| s.tick).max();
    let Some(tale) = ledger.tale(run) else { return false };
    // What cannot be read is never taken for the write that was in flight.
    let unreadable = || observed.damage.iter().any(|place| place.verdict == Verdict::Unreadable);
    let is_shown =
        || observed.damage.iter().map(|place| place.count).sum::<u64>() > 1 || unreadable();
    match last {
        Some(last) if last < tick => {
            let commits = 1 + observed.doubtful_commits.get(&run).copied().unwrap_or(0);
            let bound_ns = commits * tale.run.commit_ns + 2 * tale.run.interval_ns;
            // One commit that is gone looks like one that never came, however much it held.
            let acks = tale.acks.iter().filter(|ack| (last + 1..=tick).contains(&ack.tick));
            let gone: BTreeSet<usize> = acks.map(|ack| ack.ops).collect();
            (tick - last) * tale.run.interval_ns <= bound_ns
                || u64::try_from(gone.len()).is_ok_and(|gone| gone <= commits)
                // An island is left of a run whose end the history was written on over.
                || ledger.due.get(&(run, tick)).is_some_and(|at| ledger.is_lapped(*at))
                || is_shown()
        }
        Some(_) => false,
        // A first commit that is gone looks like one that never came.
        None => {
            let first = tale.made.first().map_or(tick, |made| made.tick);
            (tick - first) * tale.run.interval_ns <= tale.run.commit_ns + tale.run.interval_ns
                || ledger.due.get(&(run, tick)).is_none_or(|at| ledger.is_lapped(*at))
                || is_shown()
        }
    }
}

/// The age bound at every moment of a run, and at its end.
#[must_use]
pub fn check_age(tale: &Tale, trace: &Trace) -> Vec<Violation> {
    let run = &tale.run;
    let mut violations = Vec::new();
    let Some(first) = tale.made.first() else { return violations };
    let mut newest_tick = None;
    let mut previous_ns = 0;
    let mut check = |at_ns: u64, begun_ns: Option<u64>, newest: Option<u64>, previous_ns: u64| {
        let in_flight_ns = begun_ns.map_or(0, |begun| at_ns.saturating_sub(begun));
        // An alert takes a few samples to be raised.
        let dying = run.dying_from_ns.is_some_and(|from| at_ns > from + 10 * run.interval_ns);
        let commit_ns = if dying { run.commit_dying_ns() } else { run.commit_ns };
        let bound_ns = commit_ns.max(previous_ns) + in_flight_ns + run.interval_ns;
        // Before the first commit the age counts from the first sample.
        let since_ns = newest.unwrap_or(first.tick) * run.interval_ns;
        let age_ns = at_ns.saturating_sub(since_ns);
        if age_ns > bound_ns + 1_000_000 {
            violations.push(Violation::Old(format!(
                "at {at_ns} ns: {age_ns} ns, more than {bound_ns} ns"
            )));
        }
    };
    for acks in tale.acks.chunk_by(|a, b| a.ops == b.ops) {
        let Some(ack) = acks.iter().max_by_key(|ack| ack.tick) else { continue };
        let begun_ns = job_begun_ns(trace, ack.ops);
        check(ack.at_ns, begun_ns, newest_tick, previous_ns);
        previous_ns = ack.at_ns.saturating_sub(begun_ns.unwrap_or(ack.at_ns));
        newest_tick = newest_tick.max(Some(ack.tick));
    }
    let open_ns = trace.ops.iter().rev().find(|op| op.begun_ns() <= tale.ended_ns);
    let open_ns = open_ns.filter(|op| match op {
        Op::Write(_) => true,
        Op::Sync { to_ns, .. } => *to_ns > tale.ended_ns,
    });
    check(tale.ended_ns, open_ns.map(Op::begun_ns), newest_tick, previous_ns);
    violations
}

/// When the first write before a sync was begun, back to the sync before it.
fn job_begun_ns(trace: &Trace, ops: usize) -> Option<u64> {
    let job = trace.ops.get(..ops.checked_sub(1)?)?;
    let writes = job.iter().rev().map_while(|op| match op {
        Op::Write(write) => Some(write.at_ns),
        Op::Sync { .. } => None,
    });
    writes.last()
}
