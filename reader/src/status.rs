//! `flightrec status`: does the recorder work, what is kept, what does it cost, and what would be
//! lost if power went now?
//!
//! Everything is read from the recording, and from the kernel: the time since boot, and what the
//! recorder's process uses. The recorder is not asked, so that one that hangs is seen as such.

#[cfg(target_os = "linux")]
use std::path::Path;

use flightrec_format::facts::RunFacts;
use flightrec_format::place::Area;

use crate::Output;
use crate::args::{ShortFormat, Status as Wish};
use crate::export::json;
use crate::holder::process::Process;
use crate::merge::Joined;
use crate::outcome::{Outcome, Trouble};
use crate::scan::{Depth, Scan};
use crate::timeline::{Run, Timeline};
use crate::views::header::age_bound_s;
use crate::views::text::escape;
use crate::wear::Below;
use crate::zone;

pub mod limits;
mod lost;
mod mirror;

use limits::Limits;
pub use lost::Lost;
pub use mirror::Mirror;

/// What a run of the recorder has come to.
#[derive(Clone, Debug)]
pub struct Status {
    /// Bytes of the recording.
    pub size_bytes: u64,
    /// Whether a recorder is at work on it.
    pub running: bool,
    /// Its process, if it may be looked at.
    pub process: Option<Process>,
    /// Ordinal of the newest boot.
    pub boot: u32,
    /// Its facts.
    pub facts: Option<RunFacts>,
    /// Time between samples, ms.
    pub interval_ms: u64,
    /// Age of the newest durable sample, s; `None` if it is of another boot than the present one.
    pub newest_age_s: Option<u64>,
    /// How much newer than the newest durable sample others may be at a cut, s: never less than
    /// its age.
    pub at_most_lost_s: Option<u64>,
    /// For how long a commit has been overdue, s: the disk is stuck, or the recorder is.
    pub overdue_s: Option<u64>,
    /// Recorded time that is kept, s.
    pub kept_s: u64,
    /// The same when the history comes round, if it has not yet: extrapolated.
    pub kept_later_s: Option<u64>,
    /// Time of the newest run from which the rates follow, s.
    pub measured_s: u64,
    /// Bytes a day that the recorder writes.
    pub ours_per_day: Option<u64>,
    /// Bytes a day that reach the device, the file system's share included: estimated.
    pub device_per_day: Option<u64>,
    /// What the recorder allows itself, and what it uses of that.
    pub limits: Limits,
    /// Readings of the recorder about itself: name, value.
    pub own: Vec<(&'static str, u64)>,
    /// Sources that stopped answering in the newest run, and why.
    pub lost_sources: Vec<Lost>,
    /// The second recording, if there is to be one.
    pub mirror: Option<Mirror>,
}

const DAY_S: u64 = 86_400;
const DAY_NS: u64 = DAY_S * 1_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;
/// A commit that is due is given so much time to land before it is called overdue, s.
const GRACE_S: u64 = 2;

/// The recorder's series that are shown, and their names here.
const OWN: [(u16, &str); 9] = [
    (5, "missed_ticks"),
    (17, "dropped_samples"),
    (8, "commit_last_ms"),
    (9, "commit_worst_ms"),
    (10, "commit_stuck_ms"),
    (11, "commit_errors"),
    (13, "rss_bytes"),
    (15, "major_faults"),
    (293, "slow_age_s"),
];
const COMMITS: u16 = 7;
const WRITTEN: u16 = 16;

/// Shows it.
pub fn run(wish: &Wish, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    // Before the recording is read: what lands meanwhile makes the newest sample younger, not a
    // commit overdue.
    let now_ms = zone::boottime_ms();
    let (scan, mut timeline) = crate::open(&wish.file, Depth::Headers, output)?;
    if timeline.recover.recording().snapshot.is_some() {
        let shown = escape(&wish.file.to_string_lossy());
        return Err(Trouble::new(
            Outcome::NoRecording,
            format!(
                "{shown} is a snapshot: nobody records into it, so it has no status.\n\
                 `flightrec boots {shown}` says what is in it."
            ),
        ));
    }
    let status = Status::of(&scan, &mut timeline, now_ms).ok_or_else(|| timeline.nothing())?;
    if wish.json || wish.format == ShortFormat::Json {
        writeln!(output.data, "{}", status.json())?;
    } else {
        for line in crate::views::status::lines(&status, &wish.file) {
            writeln!(output.data, "{line}")?;
        }
    }
    Ok(Outcome::Whole)
}

impl Status {
    /// Looks at the newest boot and its newest run, at boot time `now_ms` of this machine; `None`:
    /// nothing was recorded yet. Of everything else only headers are read.
    pub fn of(scan: &Scan, timeline: &mut Timeline, now_ms: Option<u64>) -> Option<Self> {
        let (boot, (run, last)) = (0..timeline.boots.len())
            .rev()
            .find_map(|boot| timeline.last_sample(boot).map(|newest| (boot, newest)))?;
        let facts = timeline.facts(boot);
        let running = timeline.running == Some(boot);
        let rates = Rates::of(timeline, (boot, run), &last)?;
        let kept_s = kept_s(timeline);
        let now_ms = now_ms.filter(|_| timeline.current == Some(boot));
        let newest_age_s =
            now_ms.map(|now| seconds((u128::from(now) * 1_000_000).saturating_sub(last.time_ns)));
        let doubtful_commits = timeline.run(boot, run)?.doubtful_commits;
        let bound_s = facts.as_ref().map(|facts| age_bound_s(&last, facts, doubtful_commits));
        let late_s = newest_age_s.zip(bound_s).map(|(age, bound)| age.saturating_sub(bound));
        let device = facts.as_ref().map(Below::of_facts).and_then(|below| {
            let extra = below.extra_per_day(rates.commits_per_day?)?;
            Some(rates.bytes_per_day?.saturating_add(extra))
        });
        let minute = MINUTE_NS / last.interval_ns.max(1);
        let from = last.tick.saturating_sub(minute);
        let minute_before = timeline.first_in_run((boot, run), from, |_| true);
        let process = process(timeline).filter(|_| running);
        let age_s = process.as_ref().map_or(u64::MAX, |process| process.age_s);
        Some(Self {
            size_bytes: timeline.recover.recording().len(),
            running,
            process,
            boot: timeline.boots.get(boot)?.ordinal,
            interval_ms: last.interval_ns / 1_000_000,
            newest_age_s,
            at_most_lost_s: bound_s.map(|bound| bound.max(newest_age_s.unwrap_or(0))),
            // A recorder that has just begun has none that was due.
            overdue_s: late_s.filter(|late| running && *late > GRACE_S && *late < age_s),
            kept_s,
            kept_later_s: later(scan, timeline, kept_s),
            measured_s: rates.measured_s,
            ours_per_day: rates.bytes_per_day,
            device_per_day: device,
            limits: Limits::of(facts.as_ref(), &last, minute_before.as_ref()),
            own: OWN
                .iter()
                .filter_map(|(series, name)| {
                    let scale = if *series == 13 { 4096 } else { 1 };
                    Some((*name, last.machine(*series)?.saturating_mul(scale)))
                })
                .collect(),
            lost_sources: lost::sources(timeline, (boot, run), facts.as_ref()),
            mirror: facts.as_ref().and_then(|facts| Mirror::of(facts, now_ms)),
            facts,
        })
    }

    /// What cannot be measured there.
    pub fn absent(&self) -> impl Iterator<Item = &str> {
        self.of_fact("absent").flat_map(|text| text.split(", "))
    }

    /// What an owner wants to know.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if !self.running {
            parts.push("Nobody records here".to_owned());
        } else if let Some(age_s) = self.newest_age_s {
            let bound = self.at_most_lost_s.map(|bound| format!(", at most {bound} s lost"));
            let overdue = self.overdue_s.map(|late| format!(", a commit is {late} s overdue"));
            parts.push(format!(
                "If power went now: newest durable sample {age_s} s old{}{}",
                overdue.unwrap_or_default(),
                bound.unwrap_or_default()
            ));
        }
        parts.push(format!("{} kept", days(self.kept_s)));
        if let Some(ours) = self.ours_per_day {
            let device =
                self.device_per_day.map(|device| format!(", {} on the device", mb(device)));
            parts.push(format!("{} MB/day ours{}", mb(ours), device.unwrap_or_default()));
        }
        if let Some(percent) = self.limits.budget_percent() {
            parts.push(format!("budget {percent} %"));
        }
        parts.join("; ") + "."
    }

    fn json(&self) -> String {
        let mut out = String::new();
        put!(
            &mut out,
            "{{\"schema\":1,\"running\":{},\"boot\":{},\"size_bytes\":{}",
            self.running,
            self.boot,
            self.size_bytes
        );
        for (name, value) in [
            ("newest_age_s", self.newest_age_s),
            ("at_most_lost_s", self.at_most_lost_s),
            ("overdue_s", self.overdue_s),
            ("interval_ms", Some(self.interval_ms)),
            ("commit_ms", self.facts.as_ref().map(|facts| facts.commit_ns / 1_000_000)),
            ("kept_s", Some(self.kept_s)),
            ("kept_later_s", self.kept_later_s),
            ("measured_s", Some(self.measured_s)),
            ("ours_bytes_per_day", self.ours_per_day),
            ("device_bytes_per_day", self.device_per_day),
            ("budget_percent", self.limits.budget_percent()),
        ] {
            let value = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
            put!(&mut out, ",\"{name}\":{value}");
        }
        out.push_str(",\"recorder\":{");
        let own: Vec<String> =
            self.own.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        out.push_str(&own.join(","));
        out.push('}');
        if let Some(process) = &self.process {
            put!(
                &mut out,
                ",\"process\":{{\"pid\":{},\"age_s\":{},\"cpu_ms\":{},\"resident_bytes\":{},\
                 \"locked_bytes\":{},\"locked_limit_bytes\":{},\"threads\":{},\"nice\":{},\
                 \"oom_score_adj\":{}}}",
                process.pid,
                process.age_s,
                process.cpu_ms,
                process.resident_bytes,
                process.locked_bytes,
                process.locked_limit_bytes.map_or_else(|| "null".to_owned(), |b| b.to_string()),
                process.threads,
                process.nice,
                process.oom_score_adj
            );
        }
        self.limits.put_json(&mut out);
        if let Some(mirror) = &self.mirror {
            out.push_str(",\"mirror\":{\"path\":");
            json::quote(&mut out, &mirror.path);
            let age_s = mirror.newest_age_s.as_ref().ok();
            put!(
                &mut out,
                ",\"newest_age_s\":{}}}",
                age_s.map_or_else(|| "null".to_owned(), ToString::to_string)
            );
        }
        let lost = self.lost_sources.iter().map(|lost| lost.source.as_str());
        texts(&mut out, "missing", self.of_fact("missing"));
        texts(&mut out, "absent", self.absent());
        texts(&mut out, "lost_sources", lost);
        out.push_str(",\"sentence\":");
        json::quote(&mut out, &self.sentence());
        out.push('}');
        out
    }

    /// The values of a fact, which may repeat.
    pub fn of_fact<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let facts = self.facts.iter().flat_map(|facts| &facts.facts);
        facts.filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn texts<'a>(out: &mut String, name: &str, texts: impl Iterator<Item = &'a str>) {
    put!(out, ",\"{name}\":[");
    for (number, text) in texts.enumerate() {
        if number > 0 {
            out.push(',');
        }
        json::quote(out, text);
    }
    out.push(']');
}

/// What the history will hold when it comes round, if it has not: as dense as now.
fn later(scan: &Scan, timeline: &Timeline, kept_s: u64) -> Option<u64> {
    let superblock = timeline.recover.recording().superblock?;
    let slots = u128::from(superblock.geometry.history_slots);
    let used = scan.history_end;
    // Behind the first few slots it is a guess; before them it is none.
    (used > 8 && used < slots)
        .then(|| u64::try_from(u128::from(kept_s) * slots / used).unwrap_or(u64::MAX))
}

/// What the newest run writes.
struct Rates {
    measured_s: u64,
    bytes_per_day: Option<u64>,
    commits_per_day: Option<u64>,
}

impl Rates {
    /// From two samples of one run, a day apart at most: what was overwritten since does not count.
    fn of(timeline: &mut Timeline, at: (usize, usize), last: &Joined) -> Option<Self> {
        let from = last.tick.saturating_sub(DAY_NS / last.interval_ns.max(1));
        let first = timeline.first_in_run(at, from, |_| true)?;
        let measured_s = seconds(last.time_ns.saturating_sub(first.time_ns));
        let per_day = |series: u16, scale: u64| {
            let grown = last.machine(series)?.checked_sub(first.machine(series)?)?;
            let day = u128::from(grown) * u128::from(scale) * u128::from(DAY_S);
            let day = day.checked_div(u128::from(measured_s))?;
            Some(u64::try_from(day).unwrap_or(u64::MAX))
        };
        let (bytes_per_day, commits_per_day) = (per_day(WRITTEN, 4096), per_day(COMMITS, 1));
        Some(Self { measured_s, bytes_per_day, commits_per_day })
    }
}

/// Recorded time in all runs, as the headers of their frames tell.
fn kept_s(timeline: &Timeline) -> u64 {
    let of_run = |run: &Run| {
        let frames = run.frames.iter().filter(|frame| frame.area != Area::Archive);
        let (first, last) = frames.fold((u64::MAX, 0), |(first, last), frame| {
            (first.min(frame.first_tick), last.max(frame.last_tick))
        });
        u128::from(last.saturating_sub(first)).saturating_mul(u128::from(run.interval_ns))
    };
    let runs = timeline.boots.iter().flat_map(|boot| &boot.runs);
    seconds(runs.map(of_run).fold(0, u128::saturating_add))
}

#[cfg(target_os = "linux")]
fn process(timeline: &Timeline) -> Option<Process> {
    let pid = crate::holder::pid_of_holder(timeline.recover.recording())?;
    Process::of(Path::new("/proc"), pid)
}

#[cfg(not(target_os = "linux"))]
fn process(_: &Timeline) -> Option<Process> {
    None
}

fn seconds(ns: u128) -> u64 {
    u64::try_from(ns / 1_000_000_000).unwrap_or(u64::MAX)
}

/// `5.2 days`, `3.1 hours`, `40 s`.
#[must_use]
pub fn days(s: u64) -> String {
    let tenths = |unit: u64, name: &str| format!("{}.{} {name}", s / unit, s % unit * 10 / unit);
    if s < 600 {
        format!("{s} s")
    } else if s < DAY_S {
        tenths(3600, "hours")
    } else {
        tenths(DAY_S, "days")
    }
}

/// Whole megabytes, one at least if there is anything.
#[must_use]
pub fn mb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests;
