//! `flightrec dump`: the samples of a window, as a table or for machines.

use std::io::Write;

use crate::Output;
use crate::args::{Dump, Format, Show, ZoneChoice};
use crate::boots::{summary_json, zone_of};
use crate::export::csv::Rows;
use crate::export::json::Objects;
use crate::gap;
use crate::outcome::{Outcome, Trouble};
use crate::play::{Item, Part, Sample, Seen, play};
use crate::scan::{Depth, Scan, Verdict};
use crate::timeline::Timeline;
use crate::values::Names;
use crate::views::header::BootSummary;
use crate::views::text::escape;
use crate::window::{Window, default_boot};
use crate::zone::Zone;

mod table;

/// Shows samples.
pub fn run(wish: &Dump, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let format = if wish.json { Format::Json } else { wish.format };
    let names = names(&wish.show)?;
    let (scan, timeline) = crate::open(&wish.file, Depth::Headers, output)?;
    if timeline.recover.recording().superblock.is_none() {
        writeln!(
            output.remarks,
            "flightrec: this recording has no superblock; if it is a card, or an image of one, look \
             inside:\n`flightrec carve {}`",
            escape(&wish.file.to_string_lossy())
        )
        .unwrap_or_default();
    }
    show(&wish.show, format, names, (&scan, timeline), output)
}

/// The series asked for.
pub fn names(wish: &Show) -> Result<Names, Trouble> {
    Names::new(&wish.series, wish.rates).map_err(Trouble::usage)
}

/// Shows samples of a recording that is in order already, wherever it was found.
pub fn show(
    wish: &Show,
    format: Format,
    names: Names,
    (scan, mut timeline): (&Scan, Timeline),
    output: &mut Output<'_>,
) -> Result<Outcome, Trouble> {
    let zone = typing_zone(&mut timeline, &wish.zone);
    let mut window = Window::find(&mut timeline, &wish.window, zone)?;
    keep_what_is_dated(&mut timeline, &mut window);
    let seen = match format {
        Format::Text => table::show(wish, names, scan, &mut timeline, &window, output)?,
        Format::Jsonl => json_lines(wish, names, &mut timeline, &window.parts, output.data)?,
        Format::Json => document(wish, names, &mut timeline, &window.parts, output.data)?,
        Format::Csv => csv(wish, names, &mut timeline, &window.parts, output.data)?,
    };
    let gone = gone_in(&timeline, &window.parts, &seen);
    if seen.samples == 0 && seen.events == 0 && gone == 0 {
        return Err(Trouble::new(
            Outcome::Nothing,
            format!(
                "nothing was recorded in this window ({}).\n\
                 `flightrec boots` lists what there is.",
                window.chosen
            ),
        ));
    }
    if format != Format::Text {
        // A table says it in its last lines.
        for loss in losses(scan) {
            writeln!(output.remarks, "flightrec: {loss}").unwrap_or_default();
        }
    }
    if gone > 0 && format != Format::Text {
        writeln!(
            output.remarks,
            "flightrec: {gone} samples that were once durable are gone inside this window; \
             `flightrec verify` says where the damage lies"
        )
        .unwrap_or_default();
    }
    Ok(if gone > 0 { Outcome::Gone } else { Outcome::Whole })
}

/// Samples once durable that are gone inside the window: damaged gaps, and torn frames at the ends
/// of runs whose end was asked for (V7).
#[must_use]
pub fn gone_in(timeline: &Timeline, parts: &[Part], seen: &Seen) -> u64 {
    let at_end = parts.iter().filter(|part| part.to == u64::MAX && part.dates.is_none());
    let at_end: u64 =
        at_end.filter_map(|part| timeline.run(part.boot, part.run)).map(gap::gone_at_end).sum();
    seen.gone_samples.max(seen.gone_gaps).saturating_add(at_end)
}

/// In which zone `--since` and its like are read: that in which times are shown.
pub fn typing_zone(timeline: &mut Timeline, choice: &ZoneChoice) -> Zone {
    if let Some(zone) = choice.asked() {
        return zone;
    }
    let boot = default_boot(timeline).map(|(boot, _)| boot);
    let facts = boot.and_then(|boot| timeline.facts(boot));
    Zone::of_board(facts.as_ref())
}

/// Parts without a frame left would only cost time.
fn keep_what_is_dated(timeline: &mut Timeline, window: &mut Window) {
    window
        .parts
        .retain(|part| timeline.run(part.boot, part.run).is_some_and(|run| !run.frames.is_empty()));
}

/// Passes one sample of each step of `--every`, and everything that is no sample.
#[derive(Default)]
struct Every {
    step_ns: u128,
    last: Option<(usize, u128)>,
}

impl Every {
    fn new(wish: &Show) -> Self {
        Self { step_ns: wish.every.map_or(0, |every| every.as_nanos()), last: None }
    }

    fn passes(&mut self, item: &Item<'_>) -> bool {
        let Item::Sample(sample) = item else { return true };
        let Some(step) = sample.stand.sample.time_ns.checked_div(self.step_ns) else { return true };
        let now = Some((sample.stand.at.0, step));
        now != std::mem::replace(&mut self.last, now)
    }
}

fn json_lines(
    wish: &Show,
    names: Names,
    timeline: &mut Timeline,
    parts: &[Part],
    out: &mut dyn Write,
) -> Result<Seen, Trouble> {
    let mut objects = Objects::new(names, wish.rates, wish.command_lines);
    let mut every = Every::new(wish);
    let mut line = String::new();
    play(timeline, parts, &mut |timeline, item| {
        if every.passes(&item) {
            line.clear();
            objects.write(&mut line, timeline, &item);
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    })
}

fn document(
    wish: &Show,
    names: Names,
    timeline: &mut Timeline,
    parts: &[Part],
    out: &mut dyn Write,
) -> Result<Seen, Trouble> {
    let boots: Vec<String> = boots_of(parts)
        .into_iter()
        .filter_map(|boot| BootSummary::of(timeline, boot).as_ref().map(summary_json))
        .collect();
    write!(out, "{{\"schema\":1,\"boots\":[{}],\"timeline\":[", boots.join(","))?;
    let mut objects = Objects::new(names, wish.rates, wish.command_lines);
    let mut every = Every::new(wish);
    let mut text = String::new();
    let mut first = true;
    let seen = play(timeline, parts, &mut |timeline, item| {
        if every.passes(&item) {
            text.clear();
            text.push_str(if std::mem::take(&mut first) { "\n" } else { ",\n" });
            objects.write(&mut text, timeline, &item);
            out.write_all(text.as_bytes())?;
        }
        Ok(())
    })?;
    writeln!(out, "\n]}}")?;
    Ok(seen)
}

fn csv(
    wish: &Show,
    names: Names,
    timeline: &mut Timeline,
    parts: &[Part],
    out: &mut dyn Write,
) -> Result<Seen, Trouble> {
    let mut rows = Rows::new(names, wish.rates);
    play(timeline, parts, &mut |timeline, item| {
        if let Item::Sample(sample) = item {
            rows.learn(timeline, sample);
        }
        Ok(())
    })?;
    let mut every = Every::new(wish);
    let mut line = String::new();
    rows.header(&mut line);
    out.write_all(line.as_bytes())?;
    play(timeline, parts, &mut |timeline, item| {
        if let Item::Sample(sample) = &item
            && every.passes(&item)
        {
            line.clear();
            rows.row(&mut line, timeline, sample);
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    })
}

/// Indices of the boots that a window touches, in order.
#[must_use]
pub fn boots_of(parts: &[Part]) -> Vec<usize> {
    let mut boots: Vec<usize> = parts.iter().map(|part| part.boot).collect();
    boots.dedup();
    boots
}

/// What a scan says about slots, for the last lines of a table: ordinary things are called so.
#[must_use]
pub fn losses(scan: &Scan) -> Vec<String> {
    let mut lines = Vec::new();
    let unreadable = scan.count_of(Verdict::Unreadable);
    if unreadable > 0 {
        lines.push(format!("{unreadable} slots cannot be read from the medium"));
    }
    let absent = scan.count_of(Verdict::Absent);
    if absent > 0 {
        lines.push(format!("the file is short: {absent} of its slots are missing"));
    }
    lines
}

/// The zone and summary of each boot of a window.
fn introductions(
    timeline: &mut Timeline,
    wish: &Show,
    parts: &[Part],
) -> Vec<(usize, BootSummary, Zone)> {
    boots_of(parts)
        .into_iter()
        .filter_map(|boot| {
            let summary = BootSummary::of(timeline, boot)?;
            let zone = zone_of(wish.zone.asked(), Some(&summary));
            Some((boot, summary, zone))
        })
        .collect()
}

/// Samples only.
fn as_sample<'a>(item: &Item<'a>) -> Option<&'a Sample> {
    if let Item::Sample(sample) = item { Some(sample) } else { None }
}
