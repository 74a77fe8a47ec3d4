//! `flightrec snapshot`: a window kept as a file of its own, before newer samples overwrite it.
//!
//! The file is a recording with holes: same geometry, same places, and byte for byte the frames that
//! the window touches, so that every command reads it with the same code. A note behind its
//! superblocks says what it was made of: outside of that nothing is missing, but left out.
//!
//! A recorder may be at work meanwhile. What it could take away first is copied first
//! ([`frozen`]), and each frame is looked at once more when it is written out.

use std::path::Path;

use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::snapshot::{Note, Place};
use flightrec_format::superblock::{Superblock, flag};

use crate::Output;
use crate::args::Snapshot;
use crate::dump::{gone_in, typing_zone};
use crate::gap::Gap;
use crate::medium;
use crate::out;
use crate::outcome::{Outcome, Trouble};
use crate::play::{Item, Part, Seen, play};
use crate::progress::Tell;
use crate::recording::Recording;
use crate::scan::{Depth, Scan};
use crate::snapshot::folder::Target;
use crate::snapshot::frozen::Frozen;
use crate::snapshot::keep::Kept;
use crate::timeline::Timeline;
use crate::units;
use crate::views::text::escape;
use crate::window::Window;
use crate::zone::{Zone, now_ms};

pub mod folder;
pub mod frozen;
pub mod keep;
mod write;

/// Takes a snapshot.
pub fn run(wish: &Snapshot, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let target = Target::of(wish)?;
    if let Some(out) = &wish.output {
        out::check(out, &wish.file, "recording", wish.force)?;
    }
    let (scan, mut timeline) = open(&wish.file, output)?;
    let Some(superblock) = timeline.recover.recording().superblock else {
        return Err(headless(&wish.file));
    };
    let zone = typing_zone(&mut timeline, &wish.zone);
    let window = Window::find(&mut timeline, &wish.window, zone)?;
    let shown = Shown::of(&mut timeline, &window.parts)?;
    let gone = gone_in(&timeline, &window.parts, &shown.seen);
    let Some((first, last)) = shown.ends else {
        let lost =
            if gone > 0 { format!("; {gone} samples of it are gone") } else { String::new() };
        return Err(Trouble::new(
            Outcome::Nothing,
            format!(
                "nothing is left of this window ({}){lost}: no snapshot was made.\n\
                 `flightrec boots` lists what there is.",
                window.chosen
            ),
        ));
    };
    let mut asked = bounds(&timeline, &window.parts, (&first, &last));
    if window.parts.first().is_some_and(|part| part.dates.is_some()) {
        asked = with_gaps(&mut timeline, asked, &shown.gaps);
    }
    let (from, to) = asked;
    let kept = Kept::of(&scan, &mut timeline, from, to);
    let made = Made { superblock, note: note(&scan, &timeline, from, to), kept };
    let size = timeline.recover.recording().slots() * crate::recording::SLOT_SIZE_U64;
    let path = target.file(&first, zone, made.kept.bytes(), size)?;
    write::write(timeline.recover.recording(), made, &path, wish.force, output)?;
    tell(&path, (&first, &last), &shown.seen, zone, output)?;
    if gone == 0 {
        return Ok(Outcome::Whole);
    }
    writeln!(
        output.remarks,
        "flightrec: {gone} samples that were once durable are gone inside this window; what can be \
         read of it is in the snapshot"
    )
    .unwrap_or_default();
    Ok(Outcome::Gone)
}

/// Opens a recording with what its recorder could take away first already copied.
fn open(path: &Path, output: &mut Output<'_>) -> Result<(Scan, Timeline), Trouble> {
    let open = |tell: &mut Tell<'_>| {
        let recording = Recording::open(path, tell)?;
        match recording.superblock.and_then(|own| frozen::range(&own.geometry)) {
            None => Ok(recording),
            Some(range) => {
                let (file, len) = medium::open(path)?;
                let frozen = Frozen::of(Box::new(file), range);
                Recording::on(Box::new(frozen), len, path, tell)
            }
        }
    };
    crate::open_by(open, Depth::Headers, output)
}

/// What will be written.
struct Made {
    superblock: Superblock,
    note: Note,
    kept: Kept,
}

impl Made {
    /// The slot of a copy of the superblock, with the note in it.
    fn slot(&self, copy: u16) -> [u8; SLOT_SIZE] {
        let mut superblock = self.superblock;
        superblock.compatible_flags |= flag::SNAPSHOT;
        let mut slot = superblock.slot(copy);
        self.note.write(&mut slot);
        slot
    }
}

/// A record of the window: where it stands, and when it was, ms since 1970.
pub struct Edge {
    /// Indices of boot and run.
    pub at: (usize, usize),
    /// Ordinal of its boot.
    pub ordinal: u32,
    /// Its tick.
    pub tick: u64,
    /// Boot time.
    pub time_ns: u128,
    /// Real time.
    pub time_ms: Option<i128>,
}

/// What a window holds, as `dump` would show it.
struct Shown {
    ends: Option<(Edge, Edge)>,
    /// The gap that it begins with, and the one that it ends with.
    gaps: (Option<Gap>, Option<Gap>),
    seen: Seen,
}

impl Shown {
    fn of(timeline: &mut Timeline, parts: &[Part]) -> Result<Self, Trouble> {
        let mut ends: Option<(Edge, Edge)> = None;
        let mut gaps: (Option<Gap>, Option<Gap>) = (None, None);
        let seen = play(timeline, parts, &mut |timeline, item| {
            let (at, tick, time_ns, time_ms) = match item {
                Item::Gap(gap) => {
                    if ends.is_none() {
                        gaps.0 = gaps.0.or(Some(*gap));
                    } else {
                        gaps.1 = Some(*gap);
                    }
                    return Ok(());
                }
                Item::Sample(sample) => {
                    let own = &sample.stand.sample;
                    (sample.stand.at, own.tick, own.time_ns, sample.time_ms())
                }
                Item::Event(event) => {
                    let time_ns = event.told.time_ns();
                    (event.at, event.told.event.tick, time_ns, event.dated.at(time_ns))
                }
                // It stands in the frames of the samples around it.
                Item::Message(_) => return Ok(()),
            };
            let ordinal = timeline.boots.get(at.0).map_or(0, |boot| boot.ordinal);
            let edge = || Edge { at, ordinal, tick, time_ns, time_ms };
            gaps.1 = None;
            match &mut ends {
                Some((_, last)) => *last = edge(),
                None => ends = Some((edge(), edge())),
            }
            Ok(())
        })?;
        Ok(Self { ends, gaps, seen })
    }
}

fn place(timeline: &Timeline, (boot, run): (usize, usize), tick: u64) -> Place {
    let ordinal = timeline.boots.get(boot).map_or(0, |boot| boot.ordinal);
    let interval_ns = timeline.run(boot, run).map_or(1, |run| run.interval_ns);
    (ordinal, tick.saturating_mul(interval_ns))
}

/// The window as places in the order of the recording: what was asked for by ticks and boots as it
/// was asked for, what was asked for by dates as it was found.
fn bounds(timeline: &Timeline, parts: &[Part], (first, last): (&Edge, &Edge)) -> (Place, Place) {
    let place = |boot: usize, run: usize, tick: u64| place(timeline, (boot, run), tick);
    let from = match parts.first() {
        Some(part) if part.dates.is_none() => match (part.from, part.run) {
            (0, 0) => place(part.boot, 0, 0),
            (0, run) => {
                let frames = timeline.run(part.boot, run).map(|run| run.frames.as_slice());
                let begins = frames.unwrap_or_default().first().map_or(0, |frame| frame.first_tick);
                place(part.boot, run, begins)
            }
            (from, run) => place(part.boot, run, from),
        },
        _ => place(first.at.0, first.at.1, first.tick),
    };
    let to = match parts.last() {
        Some(part) if part.dates.is_none() && part.to == u64::MAX => {
            (place(part.boot, part.run, 0).0, u64::MAX)
        }
        Some(part) if part.dates.is_none() => place(part.boot, part.run, part.to),
        _ => place(last.at.0, last.at.1, last.tick),
    };
    (from, to)
}

/// A window of dates may begin or end with a gap: the samples on its far side belong to it, in
/// whatever boot they stand.
fn with_gaps(
    timeline: &mut Timeline,
    (mut from, mut to): (Place, Place),
    gaps: &(Option<Gap>, Option<Gap>),
) -> (Place, Place) {
    let ordinal =
        |timeline: &Timeline, boot: usize| timeline.boots.get(boot).map_or(0, |boot| boot.ordinal);
    let ns = |time_ns: u128| u64::try_from(time_ns).unwrap_or(u64::MAX);
    if let Some((gap, from_ns)) = gaps.0.and_then(|gap| Some((gap, gap.from_ns?))) {
        from = from.min((ordinal(timeline, gap.boot), ns(from_ns)));
    }
    match gaps.1 {
        Some(Gap { boot, to_ns: Some(to_ns), .. }) => {
            to = to.max((ordinal(timeline, boot), ns(to_ns)));
        }
        Some(Gap { boot, to_ns: None, .. }) => {
            let after = boot + 1..timeline.boots.len();
            let next =
                after.into_iter().find_map(|boot| Some((boot, timeline.first_sample(boot)?)));
            if let Some((boot, (run, sample))) = next {
                to = to.max(place(timeline, (boot, run), sample.tick));
            }
        }
        None => {}
    }
    (from, to)
}

/// Says of the machine what it is now; of a snapshot of a snapshot, what it was then.
fn note(scan: &Scan, timeline: &Timeline, from: Place, to: Place) -> Note {
    let boot_id = timeline.current.and_then(|boot| timeline.boots.get(boot));
    let history_end = u64::try_from(scan.history_end).unwrap_or(u64::MAX);
    let now = Note {
        recorder_at_work: timeline.running.is_some(),
        taken_realtime_ns: i64::try_from(now_ms().saturating_mul(1_000_000)).unwrap_or(0),
        taken_boot_id: boot_id.map_or([0; 16], |boot| boot.boot_id),
        history_end,
        from,
        to,
    };
    match timeline.recover.recording().snapshot {
        None => now,
        Some(then) => Note {
            history_end: history_end.max(then.history_end),
            from: from.max(then.from),
            to: to.min(then.to),
            ..then
        },
    }
}

fn headless(path: &Path) -> Trouble {
    let shown = escape(&path.to_string_lossy());
    Trouble::new(
        Outcome::Failed,
        format!(
            "{shown} has lost its superblocks: where frames belong is not known, and no snapshot \
             can be made.\nKeep all of it: `cp --sparse=always {shown} OUT`."
        ),
    )
}

fn tell(
    path: &Path,
    (first, last): (&Edge, &Edge),
    seen: &Seen,
    zone: Zone,
    output: &mut Output<'_>,
) -> Result<(), Trouble> {
    let shown = escape(&path.to_string_lossy());
    let when = |edge: &Edge| {
        let time = edge.time_ms.and_then(|time| zone.show(time));
        time.map_or_else(
            || units::since_boot(edge.time_ns),
            |time| time.format("%Y-%m-%d %H:%M:%S").to_string(),
        )
    };
    let boots = if first.ordinal == last.ordinal {
        format!("boot {}", first.ordinal)
    } else {
        format!("boots {} to {}", first.ordinal, last.ordinal)
    };
    let samples = seen.samples;
    let out = &mut output.data;
    writeln!(out, "{shown}: {samples} samples of {boots}")?;
    writeln!(out, "from {} to {}; to see them: flightrec dump {shown}", when(first), when(last))?;
    writeln!(
        out,
        "Host name, disks, networks, processes and messages are named in it; only its\nowner may \
         read it."
    )?;
    Ok(())
}
