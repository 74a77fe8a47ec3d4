//! `flightrec verify`: what every slot is, where damage lies, and whether anything is gone. It
//! repairs nothing: a recording is evidence.

use std::collections::HashSet;

use crate::Output;
use crate::args::{ShortFormat, Verify};
use crate::gap;
use crate::outcome::{Outcome, Trouble};
use crate::play::{Part, Seen, play};
use crate::recording::offset_of;
use crate::scan::{Depth, Frame, Place, Scan, Verdict};
use crate::timeline::Timeline;
use crate::views::text::{WIDTH, wrap};
use crate::zone::Zone;
use flightrec_format::limits::FRAME_SLOTS_MAX;
use flightrec_format::place::Area;
use flightrec_format::snapshot::Note;

/// Places of damage told one by one.
const PLACES_MAX: usize = 20;

/// What was found.
struct Findings {
    scan: Scan,
    seen: Seen,
    gone: u64,
    /// Slots that a power cut leaves behind (V2).
    ordinary: Vec<u64>,
    /// Slots behind the last one of a history frame.
    ends: Vec<u64>,
    /// Slots of frames that the history was written on over.
    lapped: HashSet<u64>,
    notes: Vec<String>,
    /// Whether a run may have lost commits to damage (V7).
    doubtful: bool,
}

/// Checks everything.
pub fn run(wish: &Verify, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let (scan, mut timeline) = crate::open(&wish.file, Depth::Whole, output)?;
    let parts: Vec<Part> = (0..timeline.boots.len())
        .flat_map(|boot| {
            let runs = timeline.boots.get(boot).map_or(0, |boot| boot.runs.len());
            (0..runs).map(move |run| Part::whole(boot, run))
        })
        .collect();
    let seen = play(&mut timeline, &parts, &mut |_, _| Ok(()))?;
    let gone = crate::dump::gone_in(&timeline, &parts, &seen);
    let ordinary = ordinary_slots(&scan, &timeline);
    let notes = notes(&timeline);
    let ends = ends(&scan);
    let lapped = lapped(&scan, timeline.passed);
    let mut runs = timeline.boots.iter().flat_map(|boot| &boot.runs);
    let doubtful = runs.any(|run| run.doubtful_commits > 0);
    let findings = Findings { scan, seen, gone, ordinary, ends, lapped, notes, doubtful };
    if wish.json || wish.format == ShortFormat::Json {
        findings.json(&timeline, output)?;
    } else {
        findings.text(&timeline, output)?;
    }
    let whole =
        findings.gone == 0 && findings.seen.differing == 0 && !findings.nothing_is_readable();
    Ok(if whole { Outcome::Whole } else { Outcome::Gone })
}

/// The slot that was being written when a run ended: torn or noise, at the place of the seq that
/// follows the newest live one of the run (V2). It was never acknowledged.
fn ordinary_slots(scan: &Scan, timeline: &Timeline) -> Vec<u64> {
    let mut slots = Vec::new();
    let geometry =
        timeline.recover.recording().superblock.as_ref().map(|superblock| superblock.geometry);
    for run in timeline.boots.iter().flat_map(|boot| &boot.runs) {
        let in_tail = run.frames.iter().filter(|frame| frame.area == Area::Tail);
        let Some(newest) = in_tail.map(|frame| frame.seq).max() else { continue };
        let Some(next) = newest.checked_add(1) else { continue };
        slots.extend(run.torn.iter().filter(|frame| frame.seq == next).map(|frame| frame.slot));
        if let Some(geometry) = geometry {
            let offset = geometry.offset_of(Area::Tail, geometry.slot_of(Area::Tail, next));
            let slot = offset / crate::recording::SLOT_SIZE_U64;
            let damaged = |place: &&Place| {
                place.verdict == Verdict::Damaged
                    && (place.slot..place.slot + place.count).contains(&slot)
            };
            slots.extend(scan.places.iter().find(damaged).map(|_| slot));
        }
    }
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// Where frames of the history end. What follows may be the rest of a longer, older frame that
/// was begun to be written over.
fn ends(scan: &Scan) -> Vec<u64> {
    let in_history = scan.frames.iter().filter(|frame| frame.area == Area::History);
    in_history.map(|frame| frame.slot + u64::from(frame.slots)).collect()
}

/// Slots of torn frames of the history that begin behind the lap (V6): what tore them was the
/// writer on its next round.
fn lapped(scan: &Scan, passed: Option<i128>) -> HashSet<u64> {
    let behind = |frame: &&Frame| {
        let (seq, _) = frame.rank;
        seq > 0 && passed.is_some_and(|passed| i128::from(seq) < passed)
    };
    let torn = scan.torn.iter().filter(behind);
    torn.flat_map(|frame| frame.slot..frame.slot + u64::from(frame.slots)).collect()
}

fn notes(timeline: &Timeline) -> Vec<String> {
    let recording = timeline.recover.recording();
    let mut notes = Vec::new();
    match &recording.superblock {
        None => notes.push(
            "no superblock is readable: frames were found by their checksums, and their places \
             could not be checked"
                .to_owned(),
        ),
        Some(superblock) => {
            let size = superblock.geometry.size;
            if recording.len() > size {
                notes.push(format!(
                    "the file is longer than the recording ({} bytes, of which {size} count)",
                    recording.len()
                ));
            } else if recording.len() < size {
                notes.push(format!(
                    "the file is cut short: {} of {size} bytes are there",
                    recording.len()
                ));
            }
        }
    }
    if let Some(note) = &recording.snapshot {
        notes.push(snapshot_in_words(note));
    }
    if recording.superblocks_differ {
        notes.push("the copies of the superblock differ; the first good one was used".to_owned());
    }
    for ordinal in &timeline.shared_ordinals {
        notes.push(format!("two boots are numbered {ordinal}; was the recording copied?"));
    }
    for run in timeline.boots.iter().flat_map(|boot| &boot.runs) {
        let gone = gap::gone_at_end(run);
        let id = crate::export::json::hex(&run.run_id);
        if run.doubtful_commits > 0 {
            notes.push(format!(
                "run {id}: behind its newest frame nothing can be read; up to {} commits that were \
                 durable may be gone",
                run.doubtful_commits
            ));
        }
        if gone > 0 {
            notes.push(format!("run {id}: its last {gone} samples were durable and are gone"));
        }
    }
    notes
}

/// What a snapshot is, and what it was made of.
#[must_use]
pub fn snapshot_in_words(note: &Note) -> String {
    if *note == Note::UNREADABLE {
        return "this is a snapshot whose note is damaged: what is missing may be damaged or left \
                out, and nobody can tell which"
            .to_owned();
    }
    let time = Zone::UTC.show(i128::from(note.taken_realtime_ns / 1_000_000));
    let time =
        time.map_or_else(String::new, |time| time.format(" %Y-%m-%d %H:%M:%S UTC").to_string());
    let (from, to) = (note.from.0, note.to.0);
    let of = if from == to { format!("boot {from}") } else { format!("boots {from} to {to}") };
    format!(
        "this is a snapshot (taken{time}): a window of {of}, and how each boot in it began and \
         ended; other samples were left out, and are no damage"
    )
}

impl Findings {
    fn is_ordinary(&self, place: &Place) -> bool {
        self.is_last_write(place) || self.is_left_over(place)
    }

    fn is_last_write(&self, place: &Place) -> bool {
        place.count == 1 && self.ordinary.contains(&place.slot)
    }

    /// The rest of an older frame whose first slots were written over. Said only where nothing is
    /// gone: a destroyed frame can look the same.
    fn is_left_over(&self, place: &Place) -> bool {
        let mut slots = place.slot..place.slot + place.count;
        if slots.all(|slot| self.lapped.contains(&slot)) {
            return true;
        }
        place.verdict == Verdict::Damaged
            && place.count < u64::from(FRAME_SLOTS_MAX)
            && self.gone == 0
            && self.ends.contains(&place.slot)
    }

    /// Slots of which nothing can be known.
    fn missing(&self) -> u64 {
        self.scan.count_of(Verdict::Absent) + self.scan.count_of(Verdict::Unreadable)
    }

    /// Whether there are frames, and none is live. What a first commit leaves when it is cut is
    /// one torn slot, and no loss.
    fn nothing_is_readable(&self) -> bool {
        let bad = self.scan.count_of(Verdict::Damaged) + self.scan.count_of(Verdict::Torn);
        self.scan.count_of(Verdict::Live) == 0 && bad > 1
    }

    fn verdict(&self) -> String {
        let Seen { gone_gaps, differing, .. } = self.seen;
        if self.gone > 0 {
            return format!(
                "DAMAGED: {} samples that were once durable are gone, in {gone_gaps} gaps",
                self.gone
            );
        }
        if differing > 0 {
            return format!(
                "DAMAGED: {differing} readings differ between two copies of one sample, so one of \
                 the two is wrong; the one from the history is shown"
            );
        }
        if self.nothing_is_readable() {
            return "DAMAGED: no frame in it is whole, so nothing of what was recorded is left"
                .to_owned();
        }
        let missing = self.missing();
        if missing > 0 {
            return format!(
                "incomplete: {missing} slots are absent or cannot be read, and what they held \
                 cannot be told; in the others nothing is missing"
            );
        }
        if self.doubtful {
            return "sound, as far as anybody can know: every sample that is known to have been \
                    durable is there, but damage lies where newer ones may have been"
                .to_owned();
        }
        let harmless = self.scan.places.iter().filter(|place| !self.is_ordinary(place)).count();
        if harmless > 0 {
            return "sound: every sample that was once durable is there; the damage below hit \
                    nothing, or only what has a copy elsewhere"
                .to_owned();
        }
        "sound: every sample that was once durable is there".to_owned()
    }

    fn text(&self, timeline: &Timeline, output: &mut Output<'_>) -> Result<(), Trouble> {
        let mut lines = wrap(&self.verdict(), WIDTH, 2);
        let recording = timeline.recover.recording();
        lines.push(String::new());
        lines.push(format!("{:>9}  slots of 4096 bytes, {} in all", "", recording.slots()));
        for verdict in Verdict::ALL {
            let count = self.scan.count_of(verdict);
            if count > 0 {
                lines.push(format!("{count:>9}  {:<10}  {}", verdict.name(), meaning(verdict)));
            }
        }
        lines.push(format!("{:>9}  samples in {} boots", self.seen.samples, timeline.boots.len()));
        if !self.scan.places.is_empty() {
            lines.push(String::new());
        }
        let left_over = |place: &&Place| !self.is_last_write(place) && self.is_left_over(place);
        let (rests, mut places): (Vec<&Place>, Vec<&Place>) =
            self.scan.places.iter().partition(left_over);
        places.sort_by_key(|place| self.is_ordinary(place));
        for place in places.iter().take(PLACES_MAX) {
            let offset = offset_of(place.slot);
            let what = if self.is_last_write(place) {
                "being written when power was lost: ordinary after a cut"
            } else {
                place.verdict.name()
            };
            let slots = if place.count == 1 { "slot" } else { "slots" };
            lines.push(format!("at {offset:#010x} ({offset}): {} {slots}, {what}", place.count));
        }
        if places.len() > PLACES_MAX {
            lines.push(format!(
                "and {} places more; --format json lists them all",
                places.len() - PLACES_MAX
            ));
        }
        if !rests.is_empty() {
            let slots: u64 = rests.iter().map(|place| place.count).sum();
            let what = if slots == 1 { "slot is the rest" } else { "slots are the rest" };
            lines.push(format!("{slots} {what} of older frames, written over: ordinary"));
        }
        for note in &self.notes {
            lines.extend(wrap(&format!("note: {note}"), WIDTH, 2));
        }
        for line in lines {
            writeln!(output.data, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn json(&self, timeline: &Timeline, output: &mut Output<'_>) -> Result<(), Trouble> {
        let counts: serde_json::Map<String, serde_json::Value> = Verdict::ALL
            .iter()
            .map(|verdict| (verdict.name().to_owned(), self.scan.count_of(*verdict).into()))
            .collect();
        let places: Vec<serde_json::Value> = self
            .scan
            .places
            .iter()
            .map(|place| {
                serde_json::json!({
                    "offset": offset_of(place.slot),
                    "slots": place.count,
                    "verdict": place.verdict.name(),
                    "ordinary": self.is_ordinary(place),
                })
            })
            .collect();
        let document = serde_json::json!({
            "schema": 1,
            "sound": self.verdict().starts_with("sound"),
            "verdict": self.verdict(),
            "slots": timeline.recover.recording().slots(),
            "counts": counts,
            "boots": timeline.boots.len(),
            "samples": self.seen.samples,
            "gone_samples": self.gone,
            "damaged_gaps": self.seen.gone_gaps,
            "differing_readings": self.seen.differing,
            "places": places,
            "notes": self.notes,
        });
        writeln!(output.data, "{document}")?;
        Ok(())
    }
}

/// What a verdict means, for people.
const fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unreadable => "the medium refuses to give them",
        Verdict::Absent => "the file ends before them",
        Verdict::Inner => "later slots of whole frames",
        Verdict::Blank => "never written",
        Verdict::Damaged => "not what any recorder wrote",
        Verdict::Newer => "written by a newer version than this program knows",
        Verdict::Foreign => "of another recording that lay here before",
        Verdict::Misplaced => "whole, but not in their own place",
        Verdict::Torn => "half written, or half overwritten",
        Verdict::Live => "whole frames",
        Verdict::Outside => "superblocks, and what lies between areas",
    }
}
