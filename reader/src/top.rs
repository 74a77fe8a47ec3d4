//! `flightrec top`: who used the machine at one moment.

use flightrec_format::entity::EntityKind;

use crate::Output;
use crate::args::{ShortFormat, Top, WindowChoice};
use crate::boots::zone_of;
use crate::export::json;
use crate::outcome::{Outcome, Trouble};
use crate::play::{Item, Part, play};
use crate::scan::Depth;
use crate::timeline::Timeline;
use crate::usage::{Usage, Used};
use crate::views::header::BootSummary;
use crate::views::stress::{Figures, Row, TITLES};
use crate::views::usage::{Span, lines};
use crate::window::{Window, moment_ms};
use crate::zone::{Zone, rfc3339};

/// Rates are those over so much time before the moment: longer than the kernel's tick of 10 ms, so
/// that they mean something, and short enough to be the moment's.
const OVER_NS: u128 = 10_000_000_000;

/// What was found at the moment.
struct Found {
    usage: Usage,
    row: Row,
    at: (usize, usize),
    over_ns: u128,
}

/// Shows the processes and units at a moment.
pub fn run(wish: &Top, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let (_, mut timeline) = crate::open(&wish.file, Depth::Headers, output)?;
    let typed = crate::dump::typing_zone(&mut timeline, &wish.zone);
    let choice = WindowChoice {
        at: wish.at.clone(),
        boot: wish.boot.clone(),
        last: last(wish),
        ..WindowChoice::default()
    };
    let window = Window::find(&mut timeline, &choice, typed)?;
    let until_ms = match &wish.at {
        Some(at) => Some(moment_ms(&mut timeline, at, wish.boot.as_deref(), typed)?),
        None => None,
    };
    let found = find(&mut timeline, &window.parts, until_ms)?.ok_or_else(|| {
        Trouble::new(
            Outcome::Nothing,
            "no sample in the two minutes before that moment.\n\
             `flightrec boots` lists what there is, `flightrec dump --at TIME` what is around it.",
        )
    })?;
    let summary = BootSummary::of(&mut timeline, found.at.0);
    let zone = zone_of(wish.zone.asked(), summary.as_ref());
    if wish.json || wish.format == ShortFormat::Json {
        return document(wish, &timeline, &found, output);
    }
    text(wish, &timeline, (&found, summary.as_ref(), zone), output)
}

/// Without a moment: the end of the boot.
fn last(wish: &Top) -> Option<std::time::Duration> {
    wish.at.is_none().then(|| std::time::Duration::from_secs(120))
}

/// The newest sample that is not after the moment, and what was used before it.
fn find(
    timeline: &mut Timeline,
    parts: &[Part],
    until_ms: Option<i128>,
) -> Result<Option<Found>, Trouble> {
    let is_late = |time_ms: Option<i128>| {
        until_ms.is_some_and(|until| time_ms.is_none_or(|time| time > until))
    };
    let mut newest = None;
    play(timeline, parts, &mut |_, item| {
        if let Item::Sample(sample) = item
            && !is_late(sample.time_ms())
        {
            newest = Some((sample.stand.at, sample.stand.sample.time_ns));
        }
        Ok(())
    })?;
    let Some((at, time_ns)) = newest else { return Ok(None) };
    let mut usage = Usage::default();
    let mut figures = Figures::new(0);
    let mut row = Row::default();
    let mut first_ns = time_ns;
    play(timeline, parts, &mut |timeline, item| {
        if let Item::Sample(sample) = item
            && sample.stand.at == at
            && (time_ns.saturating_sub(OVER_NS)..=time_ns).contains(&sample.stand.sample.time_ns)
        {
            first_ns = first_ns.min(sample.stand.sample.time_ns);
            usage.take(timeline, sample);
            row = Row::default();
            row.add(&figures.next(timeline, sample), sample);
        }
        Ok(())
    })?;
    Ok(Some(Found { usage, row, at, over_ns: time_ns - first_ns }))
}

fn text(
    wish: &Top,
    timeline: &Timeline,
    (found, summary, zone): (&Found, Option<&BootSummary>, Zone),
    output: &mut Output<'_>,
) -> Result<Outcome, Trouble> {
    let time = found.row.dated.at(found.row.time_ns).and_then(|time| zone.show(time));
    let time = time.map_or_else(
        || crate::units::since_boot(found.row.time_ns) + " after boot",
        |time| time.format("%a %Y-%m-%d %H:%M:%S %:z").to_string(),
    );
    let ordinal = summary.map_or(0, |summary| summary.ordinal);
    let out = &mut *output.data;
    writeln!(out, "{time}, boot {ordinal}")?;
    writeln!(out)?;
    for title in TITLES {
        writeln!(out, "{title}")?;
    }
    writeln!(out, "{}", found.row.line(zone).trim_end())?;
    writeln!(out)?;
    let table = lines(&found.usage, timeline, wish.count, Span::Moment);
    for line in &table {
        writeln!(out, "{}", line.trim_end())?;
    }
    if table.is_empty() {
        writeln!(out, "no processes were recorded then")?;
        return Ok(Outcome::Whole);
    }
    let over = crate::units::duration(found.over_ns);
    writeln!(out)?;
    writeln!(out, "cpu% of one core, rd/s and wr/s: the mean of the last {over}")?;
    writeln!(out, "K, M, G: KiB, MiB, GiB; max, restart: memory.max and Restart= of the unit")?;
    Ok(Outcome::Whole)
}

fn document(
    wish: &Top,
    timeline: &Timeline,
    found: &Found,
    output: &mut Output<'_>,
) -> Result<Outcome, Trouble> {
    let mut out = String::from("{\"schema\":1,\"time\":");
    match found.row.dated.at(found.row.time_ns).and_then(rfc3339) {
        Some(time) => json::quote(&mut out, &time),
        None => out.push_str("null"),
    }
    let boot = timeline.boots.get(found.at.0).map_or(0, |boot| boot.ordinal);
    put!(&mut out, ",\"clock\":\"{}\",\"boot\":{boot}", found.row.dated.clock.name());
    out.push_str(",\"boottime_s\":");
    json::seconds(&mut out, found.row.time_ns);
    out.push_str(",\"over_s\":");
    json::seconds(&mut out, found.over_ns);
    for (name, kind) in [("processes", EntityKind::PROCESS), ("units", EntityKind::UNIT)] {
        put!(&mut out, ",\"{name}\":[");
        for (place, used) in found.usage.top(timeline, kind, wish.count).into_iter().enumerate() {
            out.push_str(if place == 0 { "{" } else { ",{" });
            member(&mut out, timeline, used);
            out.push('}');
        }
        out.push(']');
    }
    out.push('}');
    writeln!(output.data, "{out}")?;
    Ok(Outcome::Whole)
}

fn member(out: &mut String, timeline: &Timeline, used: &Used) {
    let Some(entity) = timeline.recover.entities.get(used.entity) else { return };
    out.push_str("\"name\":");
    json::quote(out, &entity.name);
    if entity.kind == EntityKind::PROCESS {
        json::number_or_null(out, "pid", entity.pid);
        json::text_or_null(out, "unit", entity.unit.as_deref());
        json::text_or_null(out, "state", used.state.map(String::from).as_deref());
    } else {
        json::unit_attributes(out, entity);
    }
    let rate = |amount: f64| used.per_second(amount);
    for (name, value) in [
        ("cpu_percent", rate(used.cpu_s * 100.0)),
        ("memory_bytes", used.memory),
        ("swap_bytes", used.swap),
        ("read_bytes_per_s", rate(used.read)),
        ("write_bytes_per_s", rate(used.written)),
        ("tasks", used.tasks),
    ] {
        put!(out, ",\"{name}\":{}", json::rate_text(value));
    }
}
