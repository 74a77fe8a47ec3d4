//! `flightrec boots`: every boot in the recording, and how each ended.

use flightrec_format::snapshot::Note;

use crate::Output;
use crate::args::{Boots, ShortFormat};
use crate::export::json;
use crate::outcome::{Outcome, Trouble};
use crate::scan::Depth;
use crate::timeline::Timeline;
use crate::verify::snapshot_in_words;
use crate::views::header::BootSummary;
use crate::views::text::{WIDTH, wrap};
use crate::zone::{Zone, rfc3339};

/// Lists the boots.
pub fn run(wish: &Boots, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let (_, mut timeline) = crate::open(&wish.file, Depth::Headers, output)?;
    let summaries: Vec<BootSummary> =
        (0..timeline.boots.len()).filter_map(|boot| BootSummary::of(&mut timeline, boot)).collect();
    if summaries.is_empty() {
        return Err(timeline.nothing());
    }
    if wish.json || wish.format == ShortFormat::Json {
        let boots: Vec<String> = summaries.iter().map(summary_json).collect();
        let snapshot = timeline.recover.recording().snapshot.as_ref().map(snapshot_json);
        let snapshot = snapshot.unwrap_or_default();
        writeln!(output.data, "{{\"schema\":1,{snapshot}\"boots\":[{}]}}", boots.join(","))?;
        return Ok(Outcome::Whole);
    }
    let zone = wish.zone.asked();
    for line in crate::views::boots::lines(&summaries, zone) {
        writeln!(output.data, "{line}")?;
    }
    if let Some(note) = &timeline.recover.recording().snapshot {
        let words = format!("note: {}", snapshot_in_words(note));
        for line in wrap(&words, WIDTH, 2) {
            writeln!(output.data, "{line}")?;
        }
    }
    for ordinal in &timeline.shared_ordinals {
        writeln!(
            output.data,
            "note: two boots are numbered {ordinal}; their order is that of their newest frames"
        )?;
    }
    Ok(Outcome::Whole)
}

/// What a snapshot says of itself, as a member of a JSON object.
fn snapshot_json(note: &Note) -> String {
    let taken = rfc3339(i128::from(note.taken_realtime_ns / 1_000_000));
    let taken = taken.map_or_else(|| "null".to_owned(), |time| format!("\"{time}\""));
    let at_work = note.recorder_at_work;
    format!("\"snapshot\":{{\"taken\":{taken},\"recorder_at_work\":{at_work}}},")
}

/// A boot as a JSON object.
#[must_use]
pub fn summary_json(summary: &BootSummary) -> String {
    let mut out = String::new();
    put!(
        &mut out,
        "{{\"boot\":{},\"boot_id\":\"{}\",\"end\":\"{}\",\"runs\":{}",
        summary.ordinal,
        json::boot_id(&summary.boot_id),
        summary.end.name(),
        summary.run_count
    );
    for (name, mark) in [
        ("first", summary.bounds.as_ref().map(|(first, _)| first)),
        ("last", summary.bounds.as_ref().map(|(_, last)| last)),
    ] {
        put!(&mut out, ",\"{name}\":");
        let Some(mark) = mark else {
            out.push_str("null");
            continue;
        };
        let time = mark.time_ms().and_then(rfc3339);
        let time = time.map_or_else(|| "null".to_owned(), |time| format!("\"{time}\""));
        put!(
            &mut out,
            "{{\"time\":{time},\"clock\":\"{}\",\"tick\":{},\"boottime_s\":",
            mark.dated.clock.name(),
            mark.sample.tick
        );
        json::seconds(&mut out, mark.sample.time_ns);
        out.push('}');
    }
    out.push_str(",\"recorded_s\":");
    json::seconds(&mut out, summary.recorded_ns());
    let bound = summary.age_bound_s().map_or_else(|| "null".to_owned(), |bound| bound.to_string());
    put!(&mut out, ",\"age_bound_s\":{bound},\"facts\":{{");
    let facts = summary.facts.as_ref().map(|facts| facts.facts.as_slice()).unwrap_or_default();
    let mut told: Vec<&str> = Vec::new();
    for (name, value) in facts {
        // A name may repeat; JSON objects would lose one of the two, so later ones are counted.
        let times = told.iter().filter(|own| *own == name).count();
        let comma = if told.is_empty() { "" } else { "," };
        out.push_str(comma);
        let shown = if times == 0 { name.clone() } else { format!("{name}.{}", times + 1) };
        json::quote(&mut out, &shown);
        out.push(':');
        json::quote(&mut out, value);
        told.push(name);
    }
    out.push_str("}}");
    out
}

/// In which zone a boot is shown: the one asked for, else its board's.
#[must_use]
pub fn zone_of(asked: Option<Zone>, summary: Option<&BootSummary>) -> Zone {
    asked.unwrap_or_else(|| Zone::of_board(summary.and_then(|summary| summary.facts.as_ref())))
}

/// Looks at a boot for its header.
pub fn summary(timeline: &mut Timeline, boot: usize) -> Option<BootSummary> {
    BootSummary::of(timeline, boot)
}
