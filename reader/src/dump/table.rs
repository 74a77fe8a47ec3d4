//! The text form of `dump`: a header for each boot, rows, events between them, and what was lost.

use crate::Output;
use crate::args::Show;
use crate::date::Dated;
use crate::dump::{as_sample, gone_in, introductions, losses};
use crate::gap::{Cause, Gap};
use crate::log::Rates;
use crate::outcome::Trouble;
use crate::play::{Item, Sample, Seen, play};
use crate::scan::Scan;
use crate::timeline::Timeline;
use crate::units;
use crate::usage::Usage;
use crate::values::Names;
use crate::views::events::{gap_row, is_grave, row};
use crate::views::header::BootSummary;
use crate::views::series::SeriesTable;
use crate::views::stress::{Figures, Row, TITLES, row_clock};
use crate::views::text::{WIDTH, wrap};
use crate::views::thin::step_for;
use crate::views::usage::{self, Span};
use crate::window::Window;
use crate::zone::Zone;

/// Events between rows that a thinned table has room for.
const EVENTS_MAX: u64 = 60;

/// Shows the table.
pub(super) fn show(
    wish: &Show,
    names: Names,
    scan: &Scan,
    timeline: &mut Timeline,
    window: &Window,
    output: &mut Output<'_>,
) -> Result<Seen, Trouble> {
    let introductions = introductions(timeline, wish, &window.parts);
    let interval_ns = introductions.last().map_or(1_000_000_000, |(_, summary, _)| {
        summary.bounds.as_ref().map_or(1_000_000_000, |(_, last)| last.sample.interval_ns)
    });
    let step_ns = match wish.every {
        Some(every) => every.as_nanos(),
        None => step_for(window.length_ns(timeline), u128::from(interval_ns)),
    };
    let body = if wish.series.is_empty() {
        Body::Stress(Row::default(), Box::new(Figures::new(step_ns)))
    } else {
        let mut table = SeriesTable::new(names, wish.rates);
        play(timeline, &window.parts, &mut |timeline, item| {
            if let Some(sample) = as_sample(&item) {
                table.learn(timeline, sample);
            }
            Ok(())
        })?;
        table.restart();
        if table.is_empty() {
            return Err(Trouble::new(
                crate::outcome::Outcome::Nothing,
                "no series of that name in this window; `flightrec dump --format jsonl | head -1` \
                 shows the names",
            ));
        }
        Body::Series(table)
    };
    let mut table = Table {
        output,
        introductions,
        body,
        step_ns,
        asked_step: wish.every.is_some(),
        boot: None,
        step: None,
        dated: Dated::default(),
        events: 0,
        hidden_events: 0,
        hidden_gaps: Vec::new(),
        titled: false,
        usage: Usage::default(),
        rates: Rates::default(),
        top: if wish.series.is_empty() { wish.top } else { 0 },
    };
    let seen = play(timeline, &window.parts, &mut |timeline, item| table.item(timeline, &item))?;
    table.flush()?;
    table.who(timeline)?;
    if seen.samples > 0 || seen.events > 0 {
        let gone = gone_in(timeline, &window.parts, &seen);
        table.footer(scan, window, &seen, gone)?;
    }
    Ok(seen)
}

/// What the rows show.
enum Body {
    /// How a machine dies.
    Stress(Row, Box<Figures>),
    /// Chosen series.
    Series(SeriesTable),
}

struct Table<'a, 'b> {
    output: &'a mut Output<'b>,
    introductions: Vec<(usize, BootSummary, Zone)>,
    body: Body,
    step_ns: u128,
    asked_step: bool,
    boot: Option<usize>,
    step: Option<u128>,
    /// Of the last sample; dates the gaps.
    dated: Dated,
    events: u64,
    hidden_events: u64,
    /// Gaps too short to be seen between thinned rows.
    hidden_gaps: Vec<Cause>,
    titled: bool,
    usage: Usage,
    rates: Rates,
    /// Processes, units and logs that are named below the table.
    top: usize,
}

impl Table<'_, '_> {
    fn item(&mut self, timeline: &Timeline, item: &Item<'_>) -> Result<(), Trouble> {
        match item {
            Item::Sample(sample) => {
                self.enter(sample.stand.at.0)?;
                if self.top > 0 {
                    self.usage.take(timeline, sample);
                    self.rates.take(timeline, sample, |_| true);
                }
                self.sample(timeline, sample)
            }
            Item::Event(event) => {
                self.enter(event.at.0)?;
                let hide = self.step_ns > 0 && !self.asked_step && self.events >= EVENTS_MAX;
                if hide && !is_grave(&event.told) {
                    self.hidden_events += 1;
                    return Ok(());
                }
                self.titles()?;
                self.events += 1;
                let time_ns = event.told.time_ns();
                let zone = self.zone(event.at.0);
                let time = row_clock(&event.dated, time_ns, zone);
                let line = row(&time, &event.told);
                self.print(&line, if is_grave(&event.told) { "31" } else { "" })
            }
            Item::Gap(gap) => self.gap(gap),
            // What logs said has no place between figures.
            Item::Message(_) => Ok(()),
        }
    }

    fn sample(&mut self, timeline: &Timeline, sample: &Sample) -> Result<(), Trouble> {
        let time_ns = sample.stand.sample.time_ns;
        let step = time_ns.checked_div(self.step_ns);
        let same_row = step.is_some() && self.step == step;
        let zone = self.zone(sample.stand.at.0);
        if !same_row {
            self.flush()?;
        }
        self.titles()?;
        self.step = step;
        self.dated = sample.dated;
        let line = match &mut self.body {
            Body::Stress(row, figures) => {
                row.add(&figures.next(timeline, sample), sample);
                None
            }
            Body::Series(table) if !same_row => Some(table.row(timeline, sample, zone)),
            Body::Series(_) => None,
        };
        match line {
            Some(line) => self.print(&line, ""),
            None if self.step_ns == 0 => self.flush(),
            None => Ok(()),
        }
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), Trouble> {
        let length = gap.from_ns.zip(gap.to_ns).map(|(from, to)| to.saturating_sub(from));
        if length.is_some_and(|length| length < self.step_ns) {
            self.hidden_gaps.push(gap.cause);
            return Ok(());
        }
        self.flush()?;
        self.enter(gap.boot)?;
        self.titles()?;
        let line = gap_row(gap, &self.dated, self.zone(gap.boot));
        self.print(&line, if gap.cause == Cause::Damaged { "31" } else { "" })
    }

    /// The header of a boot, when its first item comes.
    fn enter(&mut self, boot: usize) -> Result<(), Trouble> {
        if self.boot == Some(boot) {
            return Ok(());
        }
        self.flush()?;
        if self.boot.is_some() {
            self.print("", "")?;
        }
        self.boot = Some(boot);
        self.titled = false;
        self.step = None;
        let Some((_, summary, zone)) = self.introductions.iter().find(|(own, ..)| *own == boot)
        else {
            return Ok(());
        };
        let page_size = summary.facts.as_ref().map_or(4096, |facts| u64::from(facts.page_size));
        let lines = summary.lines(*zone);
        if let Body::Stress(_, figures) = &mut self.body {
            figures.page_size = page_size;
        }
        for (place, line) in lines.iter().enumerate() {
            self.print(line, if place == 0 { "1" } else { "" })?;
        }
        self.print("", "")
    }

    fn titles(&mut self) -> Result<(), Trouble> {
        if std::mem::replace(&mut self.titled, true) {
            return Ok(());
        }
        match &self.body {
            Body::Stress(..) => TITLES.iter().try_for_each(|title| self.print(title, "2")),
            Body::Series(table) => {
                let title = table.title();
                self.print(&title, "2")
            }
        }
    }

    /// Prints the row in the making.
    fn flush(&mut self) -> Result<(), Trouble> {
        let zone = self.boot.map_or(Zone::UTC, |boot| self.zone(boot));
        if let Body::Stress(row, _) = &mut self.body {
            let row = std::mem::take(row);
            if row.count > 0 {
                let line = row.line(zone);
                return self.print(&line, "");
            }
        }
        Ok(())
    }

    /// Who used most in the window.
    fn who(&mut self, timeline: &Timeline) -> Result<(), Trouble> {
        let mut lines = usage::lines(&self.usage, timeline, self.top, Span::Stretch);
        lines.extend(self.rates.lines(self.top));
        if lines.is_empty() {
            return Ok(());
        }
        self.print("", "")?;
        self.print("who used and said most, while among the busiest (cpu% of one core)", "1")?;
        lines.iter().try_for_each(|line| self.print(line, ""))
    }

    fn zone(&self, boot: usize) -> Zone {
        let own = self.introductions.iter().find(|(own, ..)| *own == boot);
        own.map_or(Zone::UTC, |(_, _, zone)| *zone)
    }

    fn print(&mut self, line: &str, style: &str) -> Result<(), Trouble> {
        if style.is_empty() || !self.output.color {
            writeln!(self.output.data, "{}", line.trim_end())?;
        } else {
            writeln!(self.output.data, "\x1b[{style}m{}\x1b[0m", line.trim_end())?;
        }
        Ok(())
    }

    fn footer(
        &mut self,
        scan: &Scan,
        window: &Window,
        seen: &Seen,
        gone: u64,
    ) -> Result<(), Trouble> {
        let mut lines = vec![String::new(), format!("shown: {}", window.chosen)];
        if self.step_ns > 0 {
            let what = match self.body {
                Body::Stress(..) => "the worst value, of rates the mean",
                Body::Series(_) => "its first sample",
            };
            let length = units::duration(self.step_ns);
            lines.push(format!("each row: {length}: {what}; --every 1s shows every second"));
        }
        if matches!(self.body, Body::Stress(..)) {
            lines.push("K, M, G: KiB, MiB, GiB; commit: how long our own last write took".into());
        }
        if self.hidden_events > 0 {
            lines.push(format!("{} more events are not shown", self.hidden_events));
        }
        if !self.hidden_gaps.is_empty() {
            lines.push(hidden_gaps(&mut self.hidden_gaps));
        }
        lines.push(lost(seen, gone));
        lines.extend(losses(scan).into_iter().map(|loss| format!("lost: {loss}")));
        for line in lines {
            for line in wrap(&line, WIDTH, 2) {
                self.print(&line, "")?;
            }
        }
        Ok(())
    }
}

/// What is gone, or that nothing is.
fn lost(seen: &Seen, gone: u64) -> String {
    if gone > 0 {
        return format!(
            "lost: {gone} samples that were once durable; `flightrec verify` says where"
        );
    }
    if seen.differing > 0 {
        return format!(
            "damage: {} readings differ between copies of one sample; `flightrec verify` tells more",
            seen.differing
        );
    }
    "lost: nothing that was once durable".to_owned()
}

fn hidden_gaps(gaps: &mut [Cause]) -> String {
    gaps.sort_unstable();
    let kinds: Vec<String> = gaps
        .chunk_by(|one, other| one == other)
        .filter_map(|same| Some(format!("{} x {}", same.len(), same.first()?.name())))
        .collect();
    format!("gaps shorter than a row: {}", kinds.join(", "))
}
