//! Which boot, which window: one rule for every command (design 7).

use std::time::Duration;

use flightrec_format::snapshot::{Note, Place};

use crate::args::WindowChoice;
use crate::date::Dater;
use crate::moment::Moment;
use crate::outcome::{Outcome, Trouble};
use crate::play::Part;
use crate::timeline::{End, Timeline};
use crate::zone::{Zone, now_ms};

/// What `dump` shows if nothing is asked for.
const LAST_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// A bad end older than this is no news on the machine itself.
const NEWS_MAX_MS: i128 = 14 * 86_400_000;
/// `--at` shows so much on both sides, ms.
const AROUND_MS: i128 = 120_000;
/// Clocks that were stepped or slewed stay within this of what the headers say, ms.
const DRIFT_MAX_MS: i128 = 3_600_000;

/// What will be shown.
#[derive(Clone, Debug)]
pub struct Window {
    /// Parts of runs, in order.
    pub parts: Vec<Part>,
    /// The rule that chose them, for people.
    pub chosen: String,
}

/// The default boot: its index, and why that one.
pub fn default_boot(timeline: &mut Timeline) -> Option<(usize, &'static str)> {
    let newest = timeline.boots.len().checked_sub(1)?;
    let here = timeline.current.is_some();
    for boot in (0..=newest).rev() {
        let passed_by = Some(boot) == timeline.current || !is_offered(timeline, boot);
        if passed_by || timeline.end_of(boot) != End::Cut {
            continue;
        }
        let Some((run, sample)) = timeline.last_sample(boot) else { continue };
        let time_ms = Dater::default().date(timeline, (boot, run), &sample).at(sample.time_ns);
        let old = time_ms.is_some_and(|time| now_ms() - time > NEWS_MAX_MS);
        if here && old {
            break;
        }
        return Some((boot, "the newest boot that ended badly"));
    }
    let offered = (0..=newest).rev().filter(|boot| is_offered(timeline, *boot));
    let offered: Vec<usize> = offered.collect();
    let newest = offered.into_iter().find(|boot| timeline.last_sample(*boot).is_some())?;
    Some(if timeline.current == Some(newest) {
        (newest, "the current one; no bad end in 14 days")
    } else {
        (newest, "the newest boot; none ended badly")
    })
}

/// Whether a boot is more than a witness: a snapshot may hold a frame or two of others than those
/// that it was taken for.
fn is_offered(timeline: &Timeline, boot: usize) -> bool {
    let ordinal = timeline.boots.get(boot).map_or(0, |boot| boot.ordinal);
    let window = readable_note(timeline);
    window.is_none_or(|note| (note.from.0..=note.to.0).contains(&ordinal))
}

/// What a snapshot was taken for; nobody knows, if its note is damaged.
fn readable_note(timeline: &Timeline) -> Option<Note> {
    timeline.recover.recording().snapshot.filter(|note| *note != Note::UNREADABLE)
}

impl Window {
    /// Finds what is wished for.
    pub fn find(timeline: &mut Timeline, wish: &WindowChoice, zone: Zone) -> Result<Self, Trouble> {
        if wish.at.is_some() || wish.since.is_some() || wish.until.is_some() {
            return Self::by_date(timeline, wish, zone);
        }
        if let Some(note) = readable_note(timeline).filter(|_| wish.is_none()) {
            let parts = of_places(timeline, note.from, note.to);
            return Ok(Self { parts, chosen: "what this snapshot was taken for".to_owned() });
        }
        let (boot, why) = match wish.boot.as_deref() {
            Some("all") => {
                let parts = match wish.last {
                    None => whole(timeline, 0..timeline.boots.len()),
                    Some(_) => {
                        return Err(Trouble::usage("--boot all and --last do not go together"));
                    }
                };
                return Ok(Self { parts, chosen: "the whole recording".to_owned() });
            }
            Some(name) => (named_boot(timeline, name)?, None),
            None => {
                let (boot, why) = default_boot(timeline).ok_or_else(|| timeline.nothing())?;
                (boot, Some(why))
            }
        };
        let ordinal = timeline.boots.get(boot).map_or(0, |boot| boot.ordinal);
        let why = why.map(|why| format!(", {why}")).unwrap_or_default();
        if wish.boot.is_some() && wish.last.is_none() {
            let parts = whole(timeline, boot..boot + 1);
            return Ok(Self { parts, chosen: format!("boot {ordinal}, all of it") });
        }
        let last = wish.last.unwrap_or(LAST_DEFAULT);
        let parts = last_of(timeline, boot, last, wish.boot.is_none())?;
        let length = crate::units::duration(last.as_nanos());
        Ok(Self { parts, chosen: format!("the last {length} of boot {ordinal}{why}") })
    }

    fn by_date(timeline: &mut Timeline, wish: &WindowChoice, zone: Zone) -> Result<Self, Trouble> {
        let boots = match wish.boot.as_deref() {
            None | Some("all") => 0..timeline.boots.len(),
            Some(name) => {
                let boot = named_boot(timeline, name)?;
                boot..boot + 1
            }
        };
        let newest_ms = newest_ms(timeline, boots.clone());
        let resolve = |moment: &Option<Moment>| match moment {
            None => Ok(None),
            Some(moment) => resolve(moment, zone, newest_ms).map(Some),
        };
        let (since, until, at) = (resolve(&wish.since)?, resolve(&wish.until)?, resolve(&wish.at)?);
        let (from, to) = match (at, wish.last) {
            (Some(at), _) => (at - AROUND_MS, at + AROUND_MS),
            (None, Some(last)) => {
                let to = until.unwrap_or(i128::MAX);
                let length = i128::try_from(last.as_millis()).unwrap_or(i128::MAX);
                (to.saturating_sub(length), to)
            }
            (None, None) => (since.unwrap_or(i128::MIN), until.unwrap_or(i128::MAX)),
        };
        if from > to {
            return Err(Trouble::usage(
                "the window ends before it begins; swap --since and --until",
            ));
        }
        let mut parts = Vec::new();
        for boot in boots {
            for part in whole(timeline, boot..boot + 1) {
                parts.extend(narrow(timeline, part, from, to));
            }
        }
        let bound = |ms: i128| {
            let shown = zone.show(ms).map(|time| time.format("%Y-%m-%d %H:%M:%S %:z").to_string());
            shown.unwrap_or_else(|| "the edge of the recording".to_owned())
        };
        Ok(Self { parts, chosen: format!("from {} to {}", bound(from), bound(to)) })
    }

    /// Recorded time that it may hold at most, nanoseconds.
    pub fn length_ns(&self, timeline: &mut Timeline) -> u128 {
        let mut length = 0;
        for part in &self.parts {
            let at = (part.boot, part.run);
            let first = timeline.first_in_run(at, part.from, |_| true);
            let last = timeline.last_in_run(at, part.to.checked_add(1), |_| true);
            if let (Some(first), Some(last)) = (first, last) {
                length += last.time_ns.saturating_sub(first.time_ns) + u128::from(last.interval_ns);
            }
        }
        let bounds = self.parts.first().and_then(|part| part.dates);
        let most = bounds.and_then(|(from, to)| u128::try_from(to.checked_sub(from)?).ok());
        most.map_or(length, |ms| length.min(ms.saturating_mul(1_000_000)))
    }
}

/// The moment meant, ms since 1970.
pub fn moment_ms(
    timeline: &mut Timeline,
    moment: &Moment,
    boot: Option<&str>,
    zone: Zone,
) -> Result<i128, Trouble> {
    let boots = match boot {
        None | Some("all") => 0..timeline.boots.len(),
        Some(name) => {
            let boot = named_boot(timeline, name)?;
            boot..boot + 1
        }
    };
    let newest_ms = newest_ms(timeline, boots);
    resolve(moment, zone, newest_ms)
}

fn resolve(moment: &Moment, zone: Zone, newest_ms: Option<i128>) -> Result<i128, Trouble> {
    moment
        .resolve(zone, now_ms(), newest_ms)
        .ok_or_else(|| Trouble::usage("a time that no calendar has"))
}

/// Real time of the newest sample of these boots, ms since 1970.
fn newest_ms(timeline: &mut Timeline, boots: std::ops::Range<usize>) -> Option<i128> {
    boots.rev().find_map(|boot| {
        let (run, sample) = timeline.last_sample(boot)?;
        Dater::default().date(timeline, (boot, run), &sample).at(sample.time_ns)
    })
}

fn whole(timeline: &Timeline, boots: std::ops::Range<usize>) -> Vec<Part> {
    boots
        .flat_map(|boot| {
            let runs = timeline.boots.get(boot).map_or(0, |boot| boot.runs.len());
            (0..runs).map(move |run| Part::whole(boot, run))
        })
        .collect()
}

/// Everything between two places in the order of the recording.
#[must_use]
pub fn of_places(timeline: &Timeline, from: Place, to: Place) -> Vec<Part> {
    let mut parts = whole(timeline, 0..timeline.boots.len());
    parts.retain_mut(|part| {
        let Some(boot) = timeline.boots.get(part.boot) else { return false };
        let Some(run) = boot.runs.get(part.run) else { return false };
        let interval_ns = run.interval_ns.max(1);
        if boot.ordinal == from.0 {
            part.from = from.1.div_ceil(interval_ns);
        }
        if boot.ordinal == to.0 && to.1 != u64::MAX {
            part.to = to.1 / interval_ns;
        }
        let begins = run.frames.first().map_or(0, |frame| frame.first_tick);
        let ends = run.frames.iter().map(|frame| frame.last_tick).max().unwrap_or(0);
        let inside = (from.0..=to.0).contains(&boot.ordinal)
            && part.from <= ends
            && begins <= part.to
            && part.from <= part.to;
        // A run that began inside is shown from its first event on.
        if part.from <= begins {
            part.from = 0;
        }
        inside
    });
    parts
}

/// The boot called `name`: its number, its id, or -1 for the one before the newest.
fn named_boot(timeline: &Timeline, name: &str) -> Result<usize, Trouble> {
    let missing = || {
        Trouble::new(
            Outcome::Nothing,
            format!(
                "no boot {} in this recording; `flightrec boots` lists them",
                crate::views::text::escape(name)
            ),
        )
    };
    let count = timeline.boots.len();
    if let Some(back) = name.strip_prefix('-') {
        let back: usize = back.parse().map_err(|_| {
            Trouble::usage("--boot takes a number, a boot id, -1 (the one before) or all")
        })?;
        return count.checked_sub(back.saturating_add(1)).ok_or_else(missing);
    }
    if let Ok(number) = name.parse::<u32>() {
        if number == 0 {
            return count.checked_sub(1).ok_or_else(missing);
        }
        if let Some(boot) = timeline.boots.iter().rposition(|boot| boot.ordinal == number) {
            return Ok(boot);
        }
    }
    let digits: String = name.chars().filter(|letter| *letter != '-').collect();
    let looks_like_id = digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = digits.to_ascii_lowercase();
    timeline
        .boots
        .iter()
        .rposition(|boot| {
            looks_like_id && crate::export::json::hex(&boot.boot_id).starts_with(&digits)
        })
        .ok_or_else(missing)
}

/// So much recorded time, back from the last sample of `boot`, and across the badly ended short
/// boots before it: a board in a reboot loop has its story spread over many.
fn last_of(
    timeline: &mut Timeline,
    boot: usize,
    last: Duration,
    reach_back: bool,
) -> Result<Vec<Part>, Trouble> {
    let mut wanted_ns = last.as_nanos();
    let mut parts = Vec::new();
    for boot in (0..=boot).rev() {
        let bounds = (timeline.first_sample(boot), timeline.last_sample(boot));
        let (Some((_, first)), Some((_, newest))) = bounds else {
            if parts.is_empty() {
                return Err(timeline.nothing());
            }
            continue;
        };
        let from_ns = newest.time_ns.saturating_sub(wanted_ns);
        let covered = newest.time_ns.saturating_sub(first.time_ns);
        let mut own = Vec::new();
        for mut part in whole(timeline, boot..boot + 1) {
            let Some(run) = timeline.run(boot, part.run) else { continue };
            if newest.time_ns >= wanted_ns {
                let from = from_ns / u128::from(run.interval_ns.max(1)) + 1;
                part.from = u64::try_from(from).unwrap_or(u64::MAX);
            }
            if run.frames.iter().any(|frame| frame.last_tick >= part.from) {
                // A run that began inside the window is shown from its first event on.
                let first_tick = run.frames.first().map_or(0, |frame| frame.first_tick);
                if part.from <= first_tick {
                    part.from = 0;
                }
                own.push(part);
            }
        }
        own.append(&mut parts);
        parts = own;
        wanted_ns = wanted_ns.saturating_sub(covered);
        let short = wanted_ns > 0 && reach_back;
        let before_ended_badly = boot.checked_sub(1).is_some_and(|before| {
            is_offered(timeline, before) && timeline.end_of(before) == End::Cut
        });
        if !short || !before_ended_badly {
            break;
        }
    }
    Ok(parts)
}

/// Narrows a part to the ticks that real time bounds can reach, so that not all of a recording is
/// decoded; what counts in the end is each sample's own date.
fn narrow(timeline: &Timeline, mut part: Part, from_ms: i128, to_ms: i128) -> Option<Part> {
    let boot = timeline.boots.get(part.boot)?;
    let frames = || boot.runs.iter().flat_map(|run| &run.frames);
    let any_synced = frames().any(|frame| frame.synced);
    let offsets = || frames().filter(|frame| frame.synced == any_synced).map(|f| f.offset_ms);
    let (least, most) = (i128::from(offsets().min()?), i128::from(offsets().max()?));
    let interval_ns = i128::from(boot.runs.get(part.run)?.interval_ns.max(1));
    let tick = |ms: i128| ms.checked_mul(1_000_000).map(|ns| ns / interval_ns);
    if let Some(first) = from_ms.checked_sub(most + DRIFT_MAX_MS).and_then(tick) {
        part.from = u64::try_from(first.max(0)).unwrap_or(u64::MAX);
    }
    if let Some(last) = to_ms.checked_sub(least - DRIFT_MAX_MS).and_then(tick) {
        part.to = u64::try_from(last).unwrap_or(if last < 0 { 0 } else { u64::MAX });
    }
    part.dates = Some((from_ms, to_ms));
    // Also if no frame lies inside: it may be just the one that is gone.
    let frames = &boot.runs.get(part.run)?.frames;
    let begins = frames.first()?.first_tick;
    let ends = frames.iter().map(|frame| frame.last_tick).max()?;
    (ends >= part.from && begins <= part.to).then_some(part)
}
