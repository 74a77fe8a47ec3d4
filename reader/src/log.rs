//! `flightrec log`: what logs said last, and how much each of them said.

use glob::Pattern;

use crate::Output;
use crate::args::{ListFormat, Log, SEVERITIES};
use crate::boots::zone_of;
use crate::export::json;
use crate::outcome::{Outcome, Trouble};
use crate::play::{Item, MessageItem, play};
use crate::scan::Depth;
use crate::timeline::Timeline;
use crate::views::header::BootSummary;
use crate::views::stress::row_clock;
use crate::views::text::{WIDTH, escape, fit, wrap};
use crate::window::Window;
use crate::zone::Zone;

mod rates;

pub use rates::Rates;

/// Severity from which on a message is bad news: err.
const BAD: u8 = 3;

/// Shows messages and rates.
pub fn run(wish: &Log, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let wanted = Wanted::new(wish)?;
    let (_, mut timeline) = crate::open(&wish.file, Depth::Headers, output)?;
    let zone = crate::dump::typing_zone(&mut timeline, &wish.zone);
    let window = Window::find(&mut timeline, &wish.window, zone)?;
    let format = if wish.json { ListFormat::Json } else { wish.format };
    let parts = window.parts.clone();
    let summaries: Vec<(usize, BootSummary)> = crate::dump::boots_of(&parts)
        .into_iter()
        .filter_map(|boot| Some((boot, BootSummary::of(&mut timeline, boot)?)))
        .collect();
    let mut list = List { asked: wish.zone.asked(), summaries, boot: None, shown: 0 };
    let mut rates = Rates::default();
    if format == ListFormat::Json {
        write!(output.data, "{{\"schema\":1,\"messages\":[")?;
    }
    play(&mut timeline, &parts, &mut |timeline, item| {
        match item {
            Item::Sample(sample) => {
                rates.take(timeline, sample, |name| wanted.is_source(name));
            }
            Item::Message(message) if wanted.takes(timeline, message) => {
                list.show(timeline, message, format, output)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    if format == ListFormat::Json {
        writeln!(output.data, "\n],\"sources\":[{}]}}", rates.json())?;
    }
    if list.shown == 0 && rates.is_empty() {
        return Err(Trouble::new(
            Outcome::Nothing,
            format!("no log said anything in this window ({}).", window.chosen),
        ));
    }
    if format == ListFormat::Text {
        writeln!(output.data)?;
        for line in rates.lines(usize::MAX) {
            writeln!(output.data, "{line}")?;
        }
        writeln!(output.data)?;
        for line in wrap(&format!("shown: {}", window.chosen), WIDTH, 2) {
            writeln!(output.data, "{line}")?;
        }
    }
    Ok(Outcome::Whole)
}

/// Which messages are asked for.
struct Wanted {
    sources: Vec<Pattern>,
    severity: u8,
}

impl Wanted {
    fn new(wish: &Log) -> Result<Self, Trouble> {
        let sources = wish.source.iter().map(|glob| {
            Pattern::new(glob).map_err(|why| Trouble::usage(format!("--source {glob}: {why}")))
        });
        let severity = wish.priority.unwrap_or(u8::MAX);
        Ok(Self { sources: sources.collect::<Result<_, _>>()?, severity })
    }

    fn is_source(&self, name: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|own| own.matches(name))
    }

    fn takes(&self, timeline: &Timeline, item: &MessageItem) -> bool {
        item.told.message.severity <= self.severity && self.is_source(source(timeline, item))
    }
}

/// The name of the log that said it.
fn source<'a>(timeline: &'a Timeline, item: &MessageItem) -> &'a str {
    let number = item.told.message.source;
    timeline.recover.entities.get(number).map_or("", |entity| &entity.name)
}

/// The messages, one by one.
struct List {
    asked: Option<Zone>,
    summaries: Vec<(usize, BootSummary)>,
    boot: Option<usize>,
    shown: u64,
}

impl List {
    fn show(
        &mut self,
        timeline: &Timeline,
        item: &MessageItem,
        format: ListFormat,
        output: &mut Output<'_>,
    ) -> Result<(), Trouble> {
        self.shown += 1;
        if format != ListFormat::Text {
            let mut line = String::new();
            json::write_message(&mut line, timeline, item);
            match (format, self.shown) {
                (ListFormat::Json, 1) => write!(output.data, "\n{line}")?,
                (ListFormat::Json, _) => write!(output.data, ",\n{line}")?,
                _ => writeln!(output.data, "{line}")?,
            }
            return Ok(());
        }
        let boot = item.at.0;
        let summary = self.summaries.iter().find(|(own, _)| *own == boot).map(|(_, own)| own);
        let zone = zone_of(self.asked, summary);
        if self.boot.replace(boot) != Some(boot) {
            let ordinal = timeline.boots.get(boot).map_or(0, |boot| boot.ordinal);
            let day = item.dated.at(item.told.time_ns()).and_then(|time| zone.show(time));
            let day = day.map(|day| day.format("  %a %Y-%m-%d (%:z)").to_string());
            writeln!(output.data, "boot {ordinal}{}", day.unwrap_or_default())?;
        }
        let message = &item.told.message;
        let time = row_clock(&item.dated, item.told.time_ns(), zone);
        let severity = SEVERITIES.get(usize::from(message.severity)).copied().unwrap_or("?");
        let count = if message.count > 1 { format!(" x{}", message.count) } else { String::new() };
        let head =
            format!("{time}  {severity:<7} {}{count}", fit(&escape(source(timeline, item)), 40));
        let bad = message.severity <= BAD && output.color;
        let (on, off) = if bad { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        writeln!(output.data, "{on}{head}{off}")?;
        for line in wrap(&format!("  {}", escape(&message.text)), WIDTH, 4) {
            // A word longer than a line stays whole: it may be what somebody looks for.
            writeln!(output.data, "{line}")?;
        }
        Ok(())
    }
}
