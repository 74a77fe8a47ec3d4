//! JSON lines, to the letter of spec 9.6, and the same objects as one document.

use flightrec_format::entity::EntityKind;
use flightrec_format::event::EventKind;

use crate::date::Dated;
use crate::gap::Gap;
use crate::play::{EventItem, Item, MessageItem, Sample};
use crate::recover::{EntityKey, Reading};
use crate::timeline::Timeline;
use crate::values::{Names, Rates, is_counter, is_odd, write_value};
use crate::zone::rfc3339;

/// Turns items into JSON objects.
pub struct Objects {
    names: Names,
    /// Present if counters are shown as rates.
    rates: Option<Rates>,
    command_lines: bool,
}

/// Writes `text` as a JSON string.
pub fn quote(out: &mut String, text: &str) {
    // A string always has a JSON form.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A boot id with the usual dashes.
#[must_use]
pub fn boot_id(id: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in id.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        push_hex(&mut text, *byte);
    }
    text
}

/// Both digits of a byte.
fn push_hex(text: &mut String, byte: u8) {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    text.extend([digit(byte >> 4), digit(byte & 15)]);
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        push_hex(&mut text, *byte);
        text
    })
}

/// Seconds with three decimals, rounded down.
pub fn seconds(out: &mut String, time_ns: u128) {
    let ms = time_ns / 1_000_000;
    put!(out, "{}.{:03}", ms / 1000, ms % 1000);
}

impl Objects {
    /// With these names; counters become rates if `rates`; processes are told with what they were
    /// called with if `command_lines`.
    #[must_use]
    pub fn new(names: Names, rates: bool, command_lines: bool) -> Self {
        Self { names, rates: rates.then(Rates::default), command_lines }
    }

    /// Appends the object of an item.
    pub fn write(&mut self, out: &mut String, timeline: &Timeline, item: &Item<'_>) {
        match item {
            Item::Gap(gap) => write_gap(out, timeline, gap),
            Item::Sample(sample) => self.sample(out, timeline, sample),
            Item::Event(event) => write_event(out, timeline, event, self.command_lines),
            Item::Message(message) => write_message(out, timeline, message),
        }
    }

    fn sample(&mut self, out: &mut String, timeline: &Timeline, sample: &Sample) {
        let joined = &sample.stand.sample;
        let entities = &timeline.recover.entities;
        let elapsed = self.rates.as_mut().map_or(0, |rates| rates.next(entities, sample));
        out.push_str("{\"schema\":1,");
        moment(out, timeline, sample.stand.at, joined.tick, joined.time_ns, &sample.dated);
        let kind = |reading: &Reading| {
            entities.get(reading.entity).map_or(EntityKind::MACHINE, |entity| entity.kind)
        };
        let listed =
            |kind| matches!(kind, EntityKind::PROCESS | EntityKind::UNIT | EntityKind::LOG);
        let plain: Vec<Reading> =
            sample.readings.iter().filter(|reading| !listed(kind(reading))).copied().collect();
        out.push_str(",\"values\":");
        self.values(out, timeline, &plain, elapsed);
        for (name, wanted) in [
            ("processes", EntityKind::PROCESS),
            ("units", EntityKind::UNIT),
            ("logs", EntityKind::LOG),
        ] {
            put!(out, ",\"{name}\":[");
            let own: Vec<Reading> =
                sample.readings.iter().filter(|reading| kind(reading) == wanted).copied().collect();
            self.members(out, timeline, own, elapsed);
            out.push(']');
        }
        out.push('}');
    }

    /// The processes, units or logs of a sample, in the order of their first reading.
    fn members(
        &mut self,
        out: &mut String,
        timeline: &Timeline,
        mut left: Vec<Reading>,
        elapsed: u128,
    ) {
        let entities = &timeline.recover.entities;
        let start = out.len();
        while let Some(first) = left.first().copied() {
            let same = entities.same(first.entity);
            let (own, others) =
                left.into_iter().partition(|reading| entities.same(reading.entity) == same);
            left = others;
            let mut own: Vec<Reading> = own;
            // One thing under two names: that of the first reading is its name (9.6).
            for reading in &mut own {
                reading.entity = first.entity;
            }
            let any = own.iter().any(|reading| self.names.get(entities, reading).is_some());
            let Some(entity) = entities.get(first.entity).filter(|_| any) else { continue };
            out.push_str(if out.len() == start { "{\"name\":" } else { ",{\"name\":" });
            quote(out, &entity.name);
            match entity.kind {
                EntityKind::PROCESS => {
                    number_or_null(out, "pid", entity.pid);
                    number_or_null(out, "start_ticks", entity.start_ticks);
                    text_or_null(out, "unit", entity.unit.as_deref());
                }
                EntityKind::UNIT => unit_attributes(out, entity),
                _ => {}
            }
            out.push_str(",\"values\":");
            self.values(out, timeline, &own, elapsed);
            out.push('}');
        }
    }

    /// An object from names to values. Of two of one name the later one counts.
    fn values(
        &mut self,
        out: &mut String,
        timeline: &Timeline,
        readings: &[Reading],
        elapsed: u128,
    ) {
        let entities = &timeline.recover.entities;
        let mut readings = readings;
        let mut once = Vec::new();
        if readings.iter().any(|reading| is_odd(entities, reading)) {
            for reading in readings {
                let name = self.names.get(entities, reading).map(str::to_owned);
                let names = &mut self.names;
                let mut met =
                    once.iter_mut().filter(|own| names.get(entities, own) == name.as_deref());
                match met.next() {
                    Some(own) => *own = *reading,
                    None => once.push(*reading),
                }
            }
            readings = &once;
        }
        out.push('{');
        let start = out.len();
        for reading in readings {
            let Some(key) = self.names.key(entities, reading) else { continue };
            if out.len() > start {
                out.push(',');
            }
            out.push_str(key);
            match &self.rates {
                Some(rates) if is_counter(reading.series) => {
                    out.push_str(&rate_text(rates.rate(entities, reading, elapsed)));
                }
                _ => write_value(out, reading.series, reading.stored),
            }
        }
        out.push('}');
    }
}

/// A member with a number.
pub fn number_or_null(out: &mut String, name: &str, value: Option<u64>) {
    let value = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
    put!(out, ",\"{name}\":{value}");
}

/// A member with a text.
pub fn text_or_null(out: &mut String, name: &str, value: Option<&str>) {
    put!(out, ",\"{name}\":");
    match value {
        Some(text) => quote(out, text),
        None => out.push_str("null"),
    }
}

/// What is known of a unit beside its name.
pub fn unit_attributes(out: &mut String, unit: &EntityKey) {
    number_or_null(out, "memory_max_bytes", unit.memory_max_bytes);
    text_or_null(out, "restart", unit.restart_word());
}

/// A rate with at most three decimals; `null` if there is none.
#[must_use]
pub fn rate_text(rate: Option<f64>) -> String {
    let Some(rate) = rate.filter(|rate| rate.is_finite()) else { return "null".to_owned() };
    let text = format!("{rate:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The keys that samples and events share.
fn moment(
    out: &mut String,
    timeline: &Timeline,
    at: (usize, usize),
    tick: u64,
    time_ns: u128,
    dated: &Dated,
) {
    let time = dated.at(time_ns).and_then(rfc3339);
    out.push_str("\"time\":");
    match time {
        Some(time) => quote(out, &time),
        None => out.push_str("null"),
    }
    let boot = timeline.boots.get(at.0);
    put!(
        out,
        ",\"clock\":\"{}\",\"boot\":{},\"boot_id\":\"{}\",\"run\":\"{}\",\"tick\":{tick},\
         \"boottime_s\":",
        dated.clock.name(),
        boot.map_or(0, |boot| boot.ordinal),
        boot_id(&boot.map(|boot| boot.boot_id).unwrap_or_default()),
        hex(&timeline.run(at.0, at.1).map(|run| run.run_id).unwrap_or_default()),
    );
    seconds(out, time_ns);
}

/// An event as an object (9.6).
pub fn write_event(out: &mut String, timeline: &Timeline, item: &EventItem, command_lines: bool) {
    let event = &item.told.event;
    out.push_str("{\"event\":{\"kind\":");
    quote(out, &event.kind.name());
    out.push(',');
    moment(out, timeline, item.at, event.tick, item.told.time_ns(), &item.dated);
    out.push_str(",\"args\":{");
    for (place, (name, value)) in named_arguments(event).enumerate() {
        let comma = if place == 0 { "" } else { "," };
        put!(out, "{comma}\"{name}\":{value}");
    }
    out.push_str("},\"text\":");
    let is_shown = command_lines || event.kind != EventKind::PROCESS;
    quote(out, if is_shown { &event.text } else { "" });
    out.push_str("}}");
}

/// A message as an object (9.6).
pub fn write_message(out: &mut String, timeline: &Timeline, item: &MessageItem) {
    let message = &item.told.message;
    out.push_str("{\"message\":{");
    moment(out, timeline, item.at, message.tick, item.told.time_ns(), &item.dated);
    out.push_str(",\"source\":");
    match timeline.recover.entities.get(message.source).filter(|_| message.source > 0) {
        Some(entity) => quote(out, &entity.name),
        None => out.push_str("null"),
    }
    put!(out, ",\"severity\":{},\"count\":{},\"text\":", message.severity, message.count);
    quote(out, &message.text);
    out.push_str("}}");
}

/// Arguments of an event with their names; `argN` beyond those that are known (9.6).
pub fn named_arguments(
    event: &flightrec_format::event::Event,
) -> impl Iterator<Item = (String, i64)> {
    let known = event.kind.row().map_or(&[][..], |row| row.arguments);
    event.arguments.iter().enumerate().map(move |(place, value)| {
        let name =
            known.get(place).map_or_else(|| format!("arg{}", place + 1), |&name| name.to_owned());
        (name, *value)
    })
}

fn write_gap(out: &mut String, timeline: &Timeline, gap: &Gap) {
    out.push_str("{\"gap\":{");
    for (name, time_ns) in [("from_s", gap.from_ns), ("to_s", gap.to_ns)] {
        put!(out, "\"{name}\":");
        match time_ns {
            Some(time_ns) => seconds(out, time_ns),
            None => out.push_str("null"),
        }
        out.push(',');
    }
    let ordinal = timeline.boots.get(gap.boot).map_or(0, |boot| boot.ordinal);
    put!(out, "\"boot\":{ordinal},\"cause\":\"{}\"}}}}", gap.cause.name());
}
