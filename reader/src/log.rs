//! `flightrec log`: what logs said last, and how much each of them said.

use std::collections::BTreeMap;

use flightrec_format::entity::EntityKind;
use glob::Pattern;

use crate::Output;
use crate::args::{ListFormat, Log, SEVERITIES};
use crate::boots::zone_of;
use crate::export::json;
use crate::outcome::{Outcome, Trouble};
use crate::play::{Item, MessageItem, Sample, play};
use crate::scan::Depth;
use crate::timeline::Timeline;
use crate::units;
use crate::values::wide;
use crate::views::header::BootSummary;
use crate::views::stress::row_clock;
use crate::views::text::{WIDTH, escape, fit, wrap};
use crate::window::Window;
use crate::zone::Zone;

/// Severity from which on a message is bad news: err.
const BAD: u8 = 3;

/// Series of a log: lines, those of severity err or worse, and lines that were suppressed.
const LINES: u16 = 240;
const ERRORS: u16 = 241;
const SUPPRESSED: u16 = 243;

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
            Item::Sample(sample) => rates.take(timeline, sample, &wanted),
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
    if list.shown == 0 && rates.sources.is_empty() {
        return Err(Trouble::new(
            Outcome::Nothing,
            format!("no log said anything in this window ({}).", window.chosen),
        ));
    }
    if format == ListFormat::Text {
        for line in rates.lines() {
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

/// How much one log said.
#[derive(Clone, Copy, Default)]
struct Said {
    lines: f64,
    errors: Option<f64>,
    suppressed: f64,
    /// Most lines in a second.
    most: f64,
    first_ns: u128,
    last_ns: u128,
    before: Option<(u128, [Option<u64>; 3])>,
}

/// The same of all of them, by their names.
#[derive(Default)]
struct Rates {
    sources: BTreeMap<String, Said>,
    run: Option<(usize, usize)>,
}

impl Rates {
    fn take(&mut self, timeline: &Timeline, sample: &Sample, wanted: &Wanted) {
        let time_ns = sample.stand.sample.time_ns;
        // Counted from the start of a run.
        if self.run.replace(sample.stand.at) != Some(sample.stand.at) {
            self.sources.values_mut().for_each(|said| said.before = None);
        }
        let mut now: BTreeMap<&str, [Option<u64>; 3]> = BTreeMap::new();
        for reading in &sample.readings {
            let Some(entity) = timeline.recover.entities.get(reading.entity) else { continue };
            if entity.kind != EntityKind::LOG || !wanted.is_source(&entity.name) {
                continue;
            }
            let place = [LINES, ERRORS, SUPPRESSED].iter().position(|own| *own == reading.series);
            if let Some(cell) =
                place.and_then(|at| now.entry(&entity.name).or_default().get_mut(at))
            {
                *cell = Some(reading.stored);
            }
        }
        for (name, counts) in now {
            let said = self.sources.entry(name.to_owned()).or_default();
            said.go_on(time_ns, counts);
        }
    }

    /// Those that said most first.
    fn ranked(&self) -> Vec<(&String, &Said)> {
        let mut ranked: Vec<_> = self.sources.iter().collect();
        ranked.sort_by(|(_, one), (_, other)| other.lines.total_cmp(&one.lines));
        ranked
    }

    fn lines(&self) -> Vec<String> {
        if self.sources.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![
            String::new(),
            format!(
                "{:<44} {:>7} {:>7} {:>7} {:>7}",
                "log", "lines", "lines/s", "most/s", "errors"
            ),
        ];
        for (name, said) in self.ranked() {
            let rate = said.per_second().map_or_else(|| "-".to_owned(), rate);
            let errors = said.errors.map_or_else(|| "-".to_owned(), units::count);
            let mut line = format!(
                "{:<44} {:>7} {rate:>7} {:>7} {errors:>7}",
                fit(&escape(name), 44),
                units::count(said.lines),
                self::rate(said.most),
            );
            if said.suppressed > 0.0 {
                put!(&mut line, "  +{} lost", units::count(said.suppressed));
            }
            lines.push(fit(&line, WIDTH));
        }
        lines
    }

    fn json(&self) -> String {
        let mut out = String::new();
        for (place, (name, said)) in self.ranked().into_iter().enumerate() {
            out.push_str(if place == 0 { "{\"name\":" } else { ",{\"name\":" });
            json::quote(&mut out, name);
            for (key, value) in [
                ("lines", Some(said.lines)),
                ("errors", said.errors),
                ("suppressed", Some(said.suppressed)),
                ("lines_per_s", said.per_second()),
                ("most_lines_per_s", Some(said.most)),
            ] {
                put!(&mut out, ",\"{key}\":{}", json::rate_text(value));
            }
            out.push('}');
        }
        out
    }
}

/// At most five characters, with a decimal where it tells something.
fn rate(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { units::count(value) }
}

impl Said {
    fn go_on(&mut self, time_ns: u128, counts: [Option<u64>; 3]) {
        let Some((before_ns, before)) = self.before.replace((time_ns, counts)) else {
            if self.last_ns == 0 {
                self.first_ns = time_ns;
            }
            self.last_ns = time_ns;
            return;
        };
        let grown = |at: usize| {
            let now = counts.get(at).copied().flatten();
            let grown = now?.checked_sub(before.get(at).copied().flatten()?)?;
            Some(wide(grown))
        };
        let seconds =
            wide(u64::try_from(time_ns.saturating_sub(before_ns)).unwrap_or(u64::MAX)) / 1e9;
        let lines = grown(0).unwrap_or(0.0);
        self.lines += lines;
        if seconds > 0.0 {
            self.most = self.most.max(lines / seconds);
        }
        if let Some(errors) = grown(1) {
            self.errors = Some(self.errors.unwrap_or(0.0) + errors);
        }
        self.suppressed += grown(2).unwrap_or(0.0);
        self.last_ns = time_ns;
    }

    fn per_second(&self) -> Option<f64> {
        let watched = u64::try_from(self.last_ns.saturating_sub(self.first_ns)).ok()?;
        (watched > 0).then(|| self.lines / (wide(watched) / 1e9))
    }
}
