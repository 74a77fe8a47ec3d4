//! `flightrec events`: what happened, line by line, over a whole boot or more.

use glob::Pattern;

use crate::Output;
use crate::args::{Events, ListFormat, WindowChoice};
use crate::boots::zone_of;
use crate::export::json;
use crate::outcome::{Outcome, Trouble};
use crate::play::{EventItem, Item, play};
use crate::scan::Depth;
use crate::timeline::Timeline;
use crate::views::events::{is_grave, row};
use crate::views::header::BootSummary;
use crate::views::stress::row_clock;
use crate::views::text::{WIDTH, wrap};
use crate::window::{Window, default_boot};
use crate::zone::Zone;

/// Lists events.
pub fn run(wish: &Events, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let wanted = Wanted::new(wish)?;
    let (_, mut timeline) = crate::open(&wish.file, Depth::Headers, output)?;
    let zone = crate::dump::typing_zone(&mut timeline, &wish.zone);
    let choice = choice(wish, &mut timeline)?;
    let window = Window::find(&mut timeline, &choice, zone)?;
    let mut shown = 0_u64;
    let format = if wish.json { ListFormat::Json } else { wish.format };
    let mut list = List {
        zone: wish.zone.asked(),
        format,
        command_lines: wish.command_lines,
        boot: None,
        day: None,
        board: Zone::UTC,
    };
    if format == ListFormat::Json {
        write!(output.data, "{{\"schema\":1,\"events\":[")?;
    }
    let parts = window.parts.clone();
    let summaries: Vec<(usize, BootSummary)> = crate::dump::boots_of(&parts)
        .into_iter()
        .filter_map(|boot| Some((boot, BootSummary::of(&mut timeline, boot)?)))
        .collect();
    play(&mut timeline, &parts, &mut |timeline, item| {
        if let Item::Event(event) = item
            && wanted.takes(event)
        {
            list.show(timeline, &summaries, event, shown == 0, output)?;
            shown += 1;
        }
        Ok(())
    })?;
    if format == ListFormat::Json {
        writeln!(output.data, "\n]}}")?;
    }
    if shown == 0 {
        return Err(Trouble::new(
            Outcome::Nothing,
            format!(
                "no such event in this window ({}).\n\
                 `flightrec events --boot all` looks through the whole recording.",
                window.chosen
            ),
        ));
    }
    if format == ListFormat::Text {
        writeln!(output.data)?;
        for line in wrap(&format!("shown: {}", window.chosen), WIDTH, 2) {
            writeln!(output.data, "{line}")?;
        }
    }
    Ok(Outcome::Whole)
}

/// Unless a window is asked for: all of the boot that every command shows first.
fn choice(wish: &Events, timeline: &mut Timeline) -> Result<WindowChoice, Trouble> {
    let mut choice = wish.window.clone();
    let WindowChoice { last: None, since: None, until: None, at: None, boot: None } = &choice
    else {
        return Ok(choice);
    };
    let (boot, _) = default_boot(timeline).ok_or_else(|| timeline.nothing())?;
    choice.boot = timeline.boots.get(boot).map(|boot| json::hex(&boot.boot_id));
    Ok(choice)
}

/// Which events are asked for.
struct Wanted {
    kinds: Vec<Pattern>,
    grave: bool,
}

impl Wanted {
    fn new(wish: &Events) -> Result<Self, Trouble> {
        let kinds = wish.kind.iter().map(|glob| {
            Pattern::new(glob).map_err(|why| Trouble::usage(format!("--kind {glob}: {why}")))
        });
        Ok(Self { kinds: kinds.collect::<Result<_, _>>()?, grave: wish.grave })
    }

    fn takes(&self, event: &EventItem) -> bool {
        let name = event.told.event.kind.name();
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.matches(&name)))
            && (!self.grave || is_grave(&event.told))
    }
}

/// How they are shown.
struct List {
    zone: Option<Zone>,
    format: ListFormat,
    command_lines: bool,
    boot: Option<usize>,
    day: Option<String>,
    board: Zone,
}

impl List {
    fn show(
        &mut self,
        timeline: &Timeline,
        summaries: &[(usize, BootSummary)],
        event: &EventItem,
        first: bool,
        output: &mut Output<'_>,
    ) -> Result<(), Trouble> {
        if self.format != ListFormat::Text {
            let mut line = String::new();
            json::write_event(&mut line, timeline, event, self.command_lines);
            let before = match (self.format, first) {
                (ListFormat::Json, true) => "\n",
                (ListFormat::Json, false) => ",\n",
                _ => "",
            };
            let behind = if self.format == ListFormat::Jsonl { "\n" } else { "" };
            write!(output.data, "{before}{line}{behind}")?;
            return Ok(());
        }
        let boot = event.at.0;
        if self.boot != Some(boot) {
            let summary = summaries.iter().find(|(own, _)| *own == boot).map(|(_, own)| own);
            self.board = zone_of(self.zone, summary);
            let ordinal = timeline.boots.get(boot).map_or(0, |boot| boot.ordinal);
            let gap = if self.boot.is_some() { "\n" } else { "" };
            writeln!(output.data, "{gap}boot {ordinal}")?;
            (self.boot, self.day) = (Some(boot), None);
        }
        let time_ns = event.told.time_ns();
        let date = event.dated.at(time_ns).and_then(|time| self.board.show(time));
        let day = date.map(|date| date.format("%a %Y-%m-%d (%:z)").to_string());
        if day.is_some() && self.day != day {
            writeln!(output.data, "{}", day.as_deref().unwrap_or_default())?;
            self.day = day;
        }
        let line = row(&row_clock(&event.dated, time_ns, self.board), &event.told);
        if is_grave(&event.told) && output.color {
            writeln!(output.data, "\x1b[31m{}\x1b[0m", line.trim_end())?;
        } else {
            writeln!(output.data, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
