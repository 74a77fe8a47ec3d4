//! Tables of who used most, in 80 columns.

use flightrec_format::entity::EntityKind;

use crate::recover::EntityKey;
use crate::timeline::Timeline;
use crate::units;
use crate::usage::{Usage, Used};
use crate::values::wide;
use crate::views::text::{WIDTH, escape, fit};

/// Whether a table tells of a stretch of time or of a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Span {
    /// Bytes in all, and how memory grew.
    Stretch,
    /// Bytes a second, and the state.
    Moment,
}

/// The table of the `count` processes and as many units; nothing if there are none.
#[must_use]
pub fn lines(usage: &Usage, timeline: &Timeline, count: usize, span: Span) -> Vec<String> {
    let mut lines = Vec::new();
    let [third, read, wrote] = match span {
        Span::Stretch => ["grown", "read", "wrote"],
        Span::Moment => ["state", "rd/s", "wr/s"],
    };
    for (kind, title) in [(EntityKind::PROCESS, "process"), (EntityKind::UNIT, "unit")] {
        let is_process = kind == EntityKind::PROCESS;
        let top = usage.top(timeline, kind, count);
        if top.is_empty() {
            continue;
        }
        let name =
            if is_process { format!("{title:<16} {:>7}", "pid") } else { format!("{title:<24}") };
        let (third, last) = match span {
            _ if is_process => (third, "unit"),
            Span::Stretch => (third, "tasks   max"),
            Span::Moment => ("max", "tasks restart"),
        };
        lines.push(format!(
            "{name} {:>5} {:>5} {third:>6} {:>5} {read:>5} {wrote:>5}  {last}",
            "cpu%", "mem", "swap"
        ));
        lines.extend(top.into_iter().map(|used| line(used, timeline, span)));
    }
    lines
}

fn line(used: &Used, timeline: &Timeline, span: Span) -> String {
    let entity = timeline.recover.entities.get(used.entity);
    let own = entity.map(|entity| escape(&entity.name)).unwrap_or_default();
    let is_process = entity.is_some_and(|entity| entity.kind == EntityKind::PROCESS);
    let name = if is_process {
        let pid = entity.and_then(|entity| entity.pid);
        let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        format!("{:<16} {pid:>7}", fit(&own, 16))
    } else {
        format!("{:<24}", fit(&own, 24))
    };
    let bytes = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), units::bytes);
    let flow = |amount: f64| match span {
        Span::Stretch => units::bytes(amount),
        Span::Moment => bytes(used.per_second(amount)),
    };
    let max = bytes(entity.and_then(|unit| unit.memory_max_bytes).map(wide));
    let third = match span {
        Span::Stretch => used.memory_grown().map_or_else(|| "-".to_owned(), signed),
        Span::Moment if is_process => used.state.map_or_else(|| "-".to_owned(), String::from),
        Span::Moment => max.clone(),
    };
    let cpu = used.per_second(used.cpu_s * 100.0);
    let last = if is_process {
        let unit = entity.and_then(|entity| entity.unit.as_deref());
        unit.map_or_else(|| "-".to_owned(), escape)
    } else {
        let tasks = used.tasks.map_or_else(|| "-".to_owned(), units::count);
        let restart = entity.and_then(EntityKey::restart_word).unwrap_or("-");
        match span {
            Span::Stretch => format!("{tasks:>5} {max:>5}"),
            Span::Moment => format!("{tasks:>5} {restart}"),
        }
    };
    let line = format!(
        "{name} {:>5} {:>5} {third:>6} {:>5} {:>5} {:>5}  {last}",
        cpu.map_or_else(|| "-".to_owned(), units::percent),
        bytes(used.memory),
        bytes(used.swap),
        flow(used.read),
        flow(used.written),
    );
    fit(&line, WIDTH)
}

/// Bytes with their sign; what did not change has none.
fn signed(value: f64) -> String {
    if value > 0.0 {
        format!("+{}", units::bytes(value))
    } else if value < 0.0 {
        format!("-{}", units::bytes(-value))
    } else {
        "0".to_owned()
    }
}
