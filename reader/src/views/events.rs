//! Events and gaps, each in one line.

use flightrec_format::event::EventKind;

use crate::date::Dated;
use crate::export::json::named_arguments;
use crate::gap::{Cause, Gap};
use crate::merge::EventAt;
use crate::units;
use crate::views::text::{WIDTH, escape, fit};

/// Whether an event is bad news.
#[must_use]
pub fn is_grave(event: &EventAt) -> bool {
    match event.event.kind {
        EventKind::ALERT => event.event.arguments.get(1).is_some_and(|to| *to > 0),
        EventKind::PSTORE | EventKind::REMOUNT => event.event.arguments.first() == Some(&1),
        kind => matches!(
            kind,
            EventKind::COMMIT_ERROR
                | EventKind::COMMIT_STUCK
                | EventKind::KERNEL
                | EventKind::OOM_KILL
                | EventKind::DROPPED
                | EventKind::BLOCKED
                | EventKind::UNIT_FAILED
                | EventKind::UNIT_OOM
        ),
    }
}

/// An event in one line, without its time.
#[must_use]
pub fn line(told: &EventAt) -> String {
    let event = &told.event;
    if let (EventKind::SALVAGED, [frames, left, ..]) = (event.kind, event.arguments.as_slice()) {
        let of = if *frames == 1 { "frame of the dead run" } else { "frames of dead runs" };
        let left = if *left > 0 { format!(", {left} left out") } else { String::new() };
        return format!("salvaged {frames} {of}{left}");
    }
    if let (EventKind::BLOCKED, [pid, blocked_ms]) = (event.kind, event.arguments.as_slice()) {
        // Short, so that what it waits in has room.
        return format!("blocked {} s, pid {pid}: {}", blocked_ms / 1000, escape(&event.text));
    }
    if let (EventKind::COMMIT_STUCK | EventKind::COMMIT_RECOVERED, [ms, _, ..]) =
        (event.kind, event.arguments.as_slice())
    {
        // Short, so that who wrote has room.
        let length = units::duration(u128::from(ms.unsigned_abs()) * 1_000_000);
        let word = if event.kind == EventKind::COMMIT_STUCK { "for" } else { "after" };
        let name = event.kind.name();
        let before = if event.text.is_empty() { "" } else { "; 10 s before: " };
        return format!("{name} {word} {length}{before}{}", escape(&event.text));
    }
    let mut line = event.kind.name();
    let grade = |grade: i64| match grade {
        0 => "calm".to_owned(),
        1 => "warn".to_owned(),
        2 => "dying".to_owned(),
        other => other.to_string(),
    };
    let arguments: Vec<String> = match (event.kind, event.arguments.as_slice()) {
        (EventKind::ALERT, [from, to]) => vec![format!("{} -> {}", grade(*from), grade(*to))],
        (EventKind::RUN_START | EventKind::STOP, _) => Vec::new(),
        (EventKind::LIMIT, [reached, ..]) => {
            vec![if *reached == 1 { "reached" } else { "over" }.to_owned()]
        }
        (EventKind::PSTORE, [part, parts, ..]) => vec![format!("{part}/{parts}")],
        _ => named_arguments(event).map(|(name, value)| format!("{name} {value}")).collect(),
    };
    for argument in arguments {
        line.push(' ');
        line.push_str(&argument);
    }
    if !event.text.is_empty() {
        line.push_str(": ");
        line.push_str(&escape(&event.text));
    }
    line
}

/// An event behind its time.
#[must_use]
pub fn row(time: &str, told: &EventAt) -> String {
    let sign = if is_grave(told) { '!' } else { '-' };
    fit(&format!("{time}  {sign} {}", line(told)), WIDTH)
}

/// A gap in one line.
#[must_use]
pub fn gap_row(gap: &Gap, dated: &Dated, zone: crate::zone::Zone) -> String {
    let length = match (gap.from_ns, gap.to_ns) {
        (Some(from), Some(to)) => {
            format!("{} without samples: ", units::duration(to - from.min(to)))
        }
        _ => String::new(),
    };
    let meaning = match gap.cause {
        Cause::RecorderStopped => "the recorder was stopped",
        Cause::PowerOff => "power off, or booting",
        Cause::RecorderOff => "the recorder was not running",
        Cause::NotDurable => "taken, but the disk never took them (not durable)",
        Cause::Damaged => "were recorded, no longer readable (damaged)",
        Cause::Suspended => "the machine slept (suspended)",
        Cause::SamplerLate => "the recorder was not let run (sampler late)",
        Cause::Overwritten if gap.from_ns.is_some() => "overwritten by newer samples",
        Cause::Overwritten => "what came before was overwritten by newer samples",
        Cause::LeftOut => "not in this snapshot (left out)",
    };
    let time = gap.from_ns.map_or_else(
        || "        ".to_owned(),
        |from| crate::views::stress::row_clock(dated, from, zone),
    );
    fit(&format!("{time}  . {length}{meaning}"), WIDTH)
}
