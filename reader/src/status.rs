//! `flightrec status`: does the recorder work, what is kept, what does it cost, and what would be
//! lost if power went now?
//!
//! Everything is read from the recording, and the time since boot from the kernel: the recorder is
//! not asked, so that one that hangs is seen as such.

use flightrec_format::facts::RunFacts;

use crate::Output;
use crate::args::{ShortFormat, Status as Wish};
use crate::export::json;
use crate::outcome::{Outcome, Trouble};
use crate::scan::{Depth, Scan};
use crate::timeline::Timeline;
use crate::views::header::BootSummary;
use crate::zone;

/// What a run of the recorder has come to.
#[derive(Clone, Debug)]
pub struct Status {
    /// Bytes of the recording.
    pub size_bytes: u64,
    /// Whether a recorder is at work on it.
    pub running: bool,
    /// Ordinal of the newest boot.
    pub boot: u32,
    /// Its facts.
    pub facts: Option<RunFacts>,
    /// Age of the newest durable sample, s; `None` if it is of another boot than the present one.
    pub newest_age_s: Option<u64>,
    /// How much newer than the newest durable sample others may be at a cut, s.
    pub at_most_lost_s: Option<u64>,
    /// Recorded time that is kept, s.
    pub kept_s: u64,
    /// The same when the history comes round, if it has not yet: extrapolated.
    pub kept_later_s: Option<u64>,
    /// Time of the newest run from which the rates follow, s.
    pub measured_s: u64,
    /// Bytes a day that the recorder writes.
    pub ours_per_day: Option<u64>,
    /// Bytes a day that reach the device, the journal's share included: estimated.
    pub device_per_day: Option<u64>,
    /// Level of the write budget, percent.
    pub budget_percent: Option<u64>,
    /// Readings of the recorder about itself: name, value.
    pub own: Vec<(&'static str, u64)>,
    /// Sources that stopped answering in the newest run.
    pub lost_sources: Vec<String>,
}

/// What the budget holds when full, KiB (design: 350 MB).
const BUDGET_KIB: u64 = 350_000_000 / 1024;
/// A journal commit of ext4 because of our file's time stamp, bytes: measured.
const JOURNAL_COMMIT_BYTES: u64 = 12 << 10;
/// How often ext4 commits if `commit=` is not given, s.
const JOURNAL_COMMIT_S: u64 = 5;
const DAY_S: u64 = 86_400;

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

/// Shows it.
pub fn run(wish: &Wish, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let (scan, mut timeline) = crate::open(&wish.file, Depth::Headers, output)?;
    let status = Status::of(&scan, &mut timeline).ok_or_else(|| timeline.nothing())?;
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
    /// Looks at the newest boot and its newest run; `None`: nothing was recorded yet.
    pub fn of(scan: &Scan, timeline: &mut Timeline) -> Option<Self> {
        let boots = 0..timeline.boots.len();
        let summaries: Vec<BootSummary> =
            boots.filter_map(|boot| BootSummary::of(timeline, boot)).collect();
        let newest = summaries.iter().rfind(|summary| summary.bounds.is_some())?;
        let (run, last) = timeline.last_sample(newest.index)?;
        let first = timeline.first_in_run((newest.index, run), 0, |_| true)?;
        let own = |series| last.machine(series);
        let measured_s = seconds(last.time_ns.saturating_sub(first.time_ns));
        let per_day = |bytes: u64| {
            let day = u128::from(bytes) * u128::from(DAY_S) / u128::from(measured_s);
            u64::try_from(day).unwrap_or(u64::MAX)
        };
        let written = own(16).map(|units| units.saturating_mul(4096));
        let ours_per_day = written.filter(|_| measured_s > 0).map(per_day);
        let facts = newest.facts.clone();
        let kept_s: u64 = summaries.iter().map(|boot| seconds(boot.recorded_ns())).sum();
        let now_ms = newest.current.then(zone::boottime_ms).flatten();
        Some(Self {
            size_bytes: timeline.recover.recording().len(),
            running: timeline.running == Some(newest.index),
            boot: newest.ordinal,
            newest_age_s: now_ms
                .map(|now| seconds((u128::from(now) * 1_000_000).saturating_sub(last.time_ns))),
            at_most_lost_s: newest.age_bound_s(),
            kept_s,
            kept_later_s: later(scan, timeline, kept_s),
            measured_s,
            ours_per_day,
            device_per_day: ours_per_day.zip(journal_per_day(facts.as_ref())).map(|(a, b)| a + b),
            budget_percent: last.budget_kib().map(|kib| u64::from(kib) * 100 / BUDGET_KIB),
            own: OWN
                .iter()
                .filter_map(|(series, name)| {
                    let scale = if *series == 13 { 4096 } else { 1 };
                    Some((*name, own(*series)?.saturating_mul(scale)))
                })
                .collect(),
            lost_sources: lost_sources(timeline, newest.index, run),
            facts,
        })
    }

    /// What an owner wants to know.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if !self.running {
            parts.push("Nobody records here".to_owned());
        } else if let Some(age_s) = self.newest_age_s {
            let bound = self.at_most_lost_s.map(|bound| format!(", at most {bound} s lost"));
            parts.push(format!(
                "If power went now: newest durable sample {age_s} s old{}",
                bound.unwrap_or_default()
            ));
        }
        parts.push(format!("{} kept", days(self.kept_s)));
        if let Some(ours) = self.ours_per_day {
            let device =
                self.device_per_day.map(|device| format!(", about {} on the device", mb(device)));
            parts.push(format!("{} MB/day ours{}", mb(ours), device.unwrap_or_default()));
        }
        if let Some(percent) = self.budget_percent {
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
            ("kept_s", Some(self.kept_s)),
            ("kept_later_s", self.kept_later_s),
            ("measured_s", Some(self.measured_s)),
            ("ours_bytes_per_day", self.ours_per_day),
            ("device_bytes_per_day", self.device_per_day),
            ("budget_percent", self.budget_percent),
        ] {
            let value = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
            put!(&mut out, ",\"{name}\":{value}");
        }
        out.push_str(",\"recorder\":{");
        let own: Vec<String> =
            self.own.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        out.push_str(&own.join(","));
        out.push('}');
        let lost = self.lost_sources.iter().map(String::as_str);
        texts(&mut out, "missing", self.of_fact("missing"));
        texts(&mut out, "absent", self.of_fact("absent").flat_map(|text| text.split(", ")));
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

/// Bytes a day that the file system's journal adds; `None` where nobody has measured it.
fn journal_per_day(facts: Option<&RunFacts>) -> Option<u64> {
    let facts = facts?;
    match facts.get("file_system") {
        None | Some("") => Some(0),
        Some("ext4") => {
            let interval_s = facts.get("commit_s").and_then(|text| text.parse().ok());
            let interval_s: u64 = interval_s.filter(|s| *s > 0).unwrap_or(JOURNAL_COMMIT_S);
            let interval_s = interval_s.max(facts.commit_ns / 1_000_000_000);
            Some(DAY_S / interval_s.max(1) * JOURNAL_COMMIT_BYTES)
        }
        Some(_) => None,
    }
}

fn lost_sources(timeline: &mut Timeline, boot: usize, run: usize) -> Vec<String> {
    use flightrec_format::event::EventKind;
    let mut lost = Vec::new();
    for told in timeline.events_from(boot, run, 0) {
        lost.retain(|source| *source != told.event.text);
        if told.event.kind == EventKind::SOURCE_LOST {
            lost.push(told.event.text);
        }
    }
    lost
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
