//! The status, for people: a line for each thing, and the sentence at the end.

use std::path::Path;

use crate::status::{Status, days, mb};
use crate::views::text::{WIDTH, escape, wrap};

/// A protection that may be missing, and what gives it.
const REMEDIES: [(&str, &str); 4] = [
    ("lock_memory", "the unit's LimitMEMLOCK=infinity, or run as root"),
    ("priority", "CAP_SYS_NICE, or run as root"),
    ("oom_score_adj", "the unit's OOMScoreAdjust=, or run as root"),
    ("io_flusher", "CAP_SYS_RESOURCE and Linux 5.6"),
];

/// All lines.
#[must_use]
pub fn lines(status: &Status, file: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |head: &str, text: &str| {
        lines.extend(wrap(&format!("{head:<10} {text}"), WIDTH, 11));
    };
    let fact = |name| status.of_fact(name).next().map(escape).unwrap_or_default();
    let own =
        |name: &str| status.own.iter().find(|(own, _)| *own == name).map_or(0, |(_, value)| *value);
    tell(
        "recording",
        &format!(
            "{}, {} MiB, {} {}",
            escape(&file.to_string_lossy()),
            status.size_bytes >> 20,
            fact("file_system"),
            fact("storage")
        ),
    );
    let program = fact("program");
    tell(
        "recorder",
        &if status.running {
            format!("at work, {program}, boot {}", status.boot)
        } else {
            format!(
                "nobody records here; the newest samples are of boot {} ({program}). \
                 Start it: systemctl start flightrec",
                status.boot
            )
        },
    );
    if let Some(age_s) = status.newest_age_s {
        tell("newest", &format!("durable sample {age_s} s old"));
    }
    tell(
        "samples",
        &format!("{} ticks missed, {} dropped", own("missed_ticks"), own("dropped_samples")),
    );
    let stuck = match own("commit_stuck_ms") {
        0 => String::new(),
        ms => format!("; one is stuck for {} s", ms / 1000),
    };
    tell(
        "commits",
        &format!(
            "last {} ms, worst {} ms, {} failed{stuck}",
            own("commit_last_ms"),
            own("commit_worst_ms"),
            own("commit_errors")
        ),
    );
    let later = status.kept_later_s.map(|s| format!(" so far; about {} when full", days(s)));
    tell("kept", &format!("{}{}", days(status.kept_s), later.unwrap_or_default()));
    if let Some(ours) = status.ours_per_day {
        let of = if status.measured_s < 86_400 {
            format!(" (from {})", days(status.measured_s))
        } else {
            String::new()
        };
        let device = status.device_per_day.map_or_else(
            || "on the device unknown for this file system".to_owned(),
            |device| format!("about {} on the device with the journal", mb(device)),
        );
        tell("written", &format!("{} MB/day ours{of}, {device}", mb(ours)));
    }
    let kib = own("rss_bytes") >> 10;
    tell("memory", &format!("{kib} KiB resident, {} major faults", own("major_faults")));
    for missing in status.of_fact("missing") {
        let remedy = REMEDIES.iter().find(|(name, _)| missing.starts_with(name));
        let remedy = remedy.map(|(_, remedy)| format!(" (needs {remedy})"));
        tell("missing", &format!("{}{}", escape(missing), remedy.unwrap_or_default()));
    }
    for bad in status.of_fact("config_default") {
        tell("default", &format!("{} (see flightrecd check-config)", escape(bad)));
    }
    for source in &status.lost_sources {
        let slow = match own("slow_age_s") {
            0 => String::new(),
            age_s => format!("; the slow thread hangs for {age_s} s"),
        };
        tell("lost", &format!("{}: does not answer any more{slow}", escape(source)));
    }
    if let Some(absent) = status.of_fact("absent").next() {
        tell("absent", &format!("{}: not measurable here", escape(absent)));
    }
    lines.push(String::new());
    lines.extend(wrap(&status.sentence(), WIDTH, 2));
    lines
}
