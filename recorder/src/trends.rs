//! What goes wrong slowly: a log storm, a disk that fills, memory that leaks away, heat. Each is a
//! reason for the grade *warn*, long before a machine is dying.
//!
//! Levels alone are no reason: a boot partition may be full for years. What counts is the pace, and
//! that it would end in trouble within the hour.

use flightrec_format::entity::EntityKind;

use crate::sample::{Layout, Sample, SeriesNumber};

/// Log lines a second, from one source, that are a storm. Ordinary days have less than one; an
/// upgrade of all packages some ten.
const STORM_LINES_PER_S: u64 = 50;

/// Growth of logs is averaged over about so many samples.
const STORM_SAMPLES: u64 = 8;

/// Degrees Celsius, in tenths, at which processors of boards begin to be throttled.
const HOT: i64 = 850;

/// Time between two points of a trend.
const POINT_MS: u64 = 60_000;

/// Points of a trend: half an hour.
const POINTS: usize = 31;

/// Points over which a disk must fill: ten minutes. Memory takes all of them.
const DISK_POINTS: usize = 11;

/// What would be used up within so many minutes is a reason.
const MINUTES_LEFT: u64 = 60;

/// Watches all of it. Memory is taken at start.
#[derive(Debug)]
pub struct Trends {
    /// Columns of log lines, the count before and the average growth per second times [`STORM_SAMPLES`].
    logs: Box<[Log]>,
    heat: Box<[usize]>,
    throttles: Box<[(usize, Option<u64>)]>,
    undervoltage: Option<usize>,
    memory: (Option<usize>, Option<usize>),
    disks: Box<[Disk]>,
    available: Points,
    since_point_ms: u64,
}

#[derive(Debug)]
struct Log {
    column: usize,
    slot: usize,
    before: Option<u64>,
    average: u64,
}

#[derive(Debug)]
struct Disk {
    slot: usize,
    available: usize,
    size: usize,
    read_only: usize,
    points: Points,
    name: Option<flightrec_format::entity::EntityName>,
}

/// The newest points, the newest last.
#[derive(Clone, Copy, Debug, Default)]
struct Points {
    values: [u64; POINTS],
    count: usize,
}

impl Points {
    fn push(&mut self, value: u64) {
        if self.count == POINTS {
            self.values.rotate_left(1);
            self.count -= 1;
        }
        if let Some(place) = self.values.get_mut(self.count) {
            *place = value;
            self.count += 1;
        }
    }

    /// The newest of `count` points falls so that nothing is left within [`MINUTES_LEFT`], and they
    /// fell nearly all the time: a job that takes much at once is none.
    fn runs_out(&self, count: usize) -> bool {
        let Some(begin) = self.count.checked_sub(count) else { return false };
        let points = self.values.get(begin..self.count).unwrap_or_default();
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return false };
        let falls = points.windows(2).filter(|pair| matches!(pair, [a, b] if b < a)).count();
        let minutes = u64::try_from(count - 1).unwrap_or(u64::MAX);
        let fallen = first.saturating_sub(*last);
        falls * 5 >= (count - 1) * 4
            && fallen.saturating_mul(MINUTES_LEFT) >= last.saturating_mul(minutes)
    }
}

impl Trends {
    /// Watches the readings that `layout` has.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let machine = |series: SeriesNumber| layout.machine_column(series);
        let log = |(slot, column)| Log { column, slot, before: None, average: 0 };
        let disks = columns(layout, EntityKind::FS, 262).filter_map(|(slot, available)| {
            let of = |series| column_of(layout, slot, series);
            Some(Disk {
                slot,
                available,
                size: of(280)?,
                read_only: of(282)?,
                points: Points::default(),
                name: None,
            })
        });
        Self {
            logs: columns(layout, EntityKind::LOG, 240).map(log).collect(),
            heat: columns(layout, EntityKind::THERMAL, 260).map(|(_, column)| column).collect(),
            throttles: columns(layout, EntityKind::CORE, 275)
                .map(|(_, column)| (column, None))
                .collect(),
            undervoltage: machine(277),
            memory: (machine(52), machine(50)),
            disks: disks.collect(),
            available: Points::default(),
            since_point_ms: POINT_MS,
        }
    }

    /// Takes one more sample, `elapsed_ms` after the last; says what is going wrong.
    pub fn observe(&mut self, sample: &Sample, elapsed_ms: u64) -> Option<&'static str> {
        self.since_point_ms = self.since_point_ms.saturating_add(elapsed_ms);
        let is_point = self.since_point_ms >= POINT_MS;
        if is_point {
            self.since_point_ms = 0;
        }
        // Each looks at every sample, whatever the others found.
        let reasons = [
            self.logs(sample, elapsed_ms).then_some("a log storm"),
            self.heat(sample),
            self.disks(sample, is_point).then_some("a disk would be full within the hour"),
            self.memory(sample, is_point).then_some("memory would be gone within the hour"),
        ];
        reasons.into_iter().flatten().next()
    }

    fn logs(&mut self, sample: &Sample, elapsed_ms: u64) -> bool {
        let mut storm = false;
        for log in &mut self.logs {
            let now = sample.get(log.column).filter(|_| sample.occupant(log.slot).is_some());
            let grown = now.zip(log.before).map_or(0, |(now, before)| now.saturating_sub(before));
            log.before = now;
            let rate = grown.saturating_mul(1000) / elapsed_ms.max(1);
            log.average = log.average - log.average / STORM_SAMPLES + rate;
            storm |= log.average / STORM_SAMPLES >= STORM_LINES_PER_S;
        }
        storm
    }

    fn heat(&mut self, sample: &Sample) -> Option<&'static str> {
        let mut throttled = false;
        for (column, before) in &mut self.throttles {
            let now = sample.get(*column);
            throttled |= now.zip(*before).is_some_and(|(now, before)| now > before);
            *before = now.or(*before);
        }
        let is_hot =
            |column: &usize| sample.get(*column).is_some_and(|tenths| tenths.cast_signed() >= HOT);
        let low = self.undervoltage.and_then(|column| sample.get(column)).unwrap_or(0) > 0;
        if low {
            Some("undervoltage")
        } else if self.heat.iter().any(is_hot) {
            Some("85 degrees C or more")
        } else {
            throttled.then_some("a core was throttled")
        }
    }

    fn disks(&mut self, sample: &Sample, is_point: bool) -> bool {
        let mut fills = false;
        for disk in &mut self.disks {
            let name = sample.occupant(disk.slot).map(|occupant| occupant.name);
            if name != disk.name {
                disk.name = name;
                disk.points = Points::default();
            }
            let writable = sample.get(disk.read_only) == Some(0);
            let (available, size) = (sample.get(disk.available), sample.get(disk.size));
            let (Some(available), Some(size), true) = (available, size, writable) else { continue };
            if is_point {
                disk.points.push(available);
            }
            // What is far from full may be filled on purpose.
            fills |= available < size / 5 && disk.points.runs_out(DISK_POINTS);
        }
        fills
    }

    fn memory(&mut self, sample: &Sample, is_point: bool) -> bool {
        let read = |column: Option<usize>| sample.get(column?);
        let (Some(available), Some(total)) = (read(self.memory.0), read(self.memory.1)) else {
            return false;
        };
        if is_point {
            self.available.push(available);
        }
        available < total / 2 && self.available.runs_out(POINTS)
    }
}

/// Slot and column of a series, for each place of a kind.
fn columns(
    layout: &Layout,
    kind: EntityKind,
    series: SeriesNumber,
) -> impl Iterator<Item = (usize, usize)> {
    layout.slots_of(kind).filter_map(move |slot| Some((slot, column_of(layout, slot, series)?)))
}

fn column_of(layout: &Layout, slot: usize, series: SeriesNumber) -> Option<usize> {
    let place = layout.slots().get(slot)?;
    let at = place.series.iter().position(|own| *own == series)?;
    Some(place.first_column + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Occupant;
    use crate::sources::{MACHINE, RANKS};

    struct Machine {
        layout: Layout,
        trends: Trends,
        sample: Sample,
    }

    impl Machine {
        fn new() -> Self {
            let layout = Layout::new(MACHINE, RANKS);
            let (trends, sample) = (Trends::new(&layout), Sample::new(&layout));
            let mut machine = Self { layout, trends, sample };
            for kind in [EntityKind::FS, EntityKind::LOG, EntityKind::THERMAL] {
                for slot in machine.layout.slots_of(kind).take(1) {
                    machine.sample.seat(slot, Some(Occupant::named(b"one")));
                }
            }
            machine
        }

        fn set(&mut self, kind: EntityKind, series: SeriesNumber, value: u64) {
            let column = match kind {
                EntityKind::MACHINE => self.layout.machine_column(series),
                _ => columns(&self.layout, kind, series).next().map(|(_, column)| column),
            };
            self.sample.set(column.unwrap(), value);
        }

        /// One minute in which nothing changes.
        fn minute(&mut self) -> Option<&'static str> {
            (0..60).map(|_| self.trends.observe(&self.sample, 1000)).last().unwrap()
        }
    }

    #[test]
    fn memory_that_falls_for_half_an_hour_is_a_reason_and_a_job_that_takes_much_at_once_is_none() {
        let mut machine = Machine::new();
        machine.set(EntityKind::MACHINE, 50, 100_000);
        for minute in 0..30 {
            machine.set(EntityKind::MACHINE, 52, 60_000 - minute * 1000);
            assert_eq!(machine.minute(), None, "minute {minute}");
        }
        let mut warned = 0;
        for minute in 30..45 {
            machine.set(EntityKind::MACHINE, 52, 60_000 - minute * 1000);
            warned += u32::from(machine.minute() == Some("memory would be gone within the hour"));
        }
        assert!(warned >= 14, "{warned}");
        let mut machine = Machine::new();
        machine.set(EntityKind::MACHINE, 50, 100_000);
        for minute in 0..60 {
            machine.set(EntityKind::MACHINE, 52, if minute < 30 { 90_000 } else { 20_000 });
            assert_eq!(machine.minute(), None, "minute {minute}");
        }
    }

    #[test]
    fn a_disk_that_fills_is_a_reason_and_one_that_is_full_is_none() {
        let mut machine = Machine::new();
        machine.set(EntityKind::FS, 280, 100_000);
        machine.set(EntityKind::FS, 282, 0);
        machine.set(EntityKind::FS, 262, 5);
        for _ in 0..30 {
            assert_eq!(machine.minute(), None);
        }
        let mut machine = Machine::new();
        machine.set(EntityKind::FS, 280, 100_000);
        machine.set(EntityKind::FS, 282, 0);
        let mut told = None;
        for minute in 0..12 {
            machine.set(EntityKind::FS, 262, 19_000 - minute * 500);
            told = machine.minute();
        }
        assert_eq!(told, Some("a disk would be full within the hour"));
        machine.set(EntityKind::FS, 282, 1);
        assert_eq!(machine.minute(), None, "nobody can fill it now");
    }

    #[test]
    fn a_log_storm_is_a_reason_after_some_seconds_and_a_burst_is_none() {
        let mut machine = Machine::new();
        let mut lines = 0;
        let mut second = |machine: &mut Machine, more: u64| {
            lines += more;
            machine.set(EntityKind::LOG, 240, lines);
            machine.trends.observe(&machine.sample, 1000)
        };
        assert_eq!(second(&mut machine, 1000), None, "what was there before us is no growth");
        assert_eq!(second(&mut machine, 300), None, "a burst");
        for _ in 0..60 {
            assert_eq!(second(&mut machine, 5), None);
        }
        let seconds = (1..60).find(|_| second(&mut machine, 300).is_some()).unwrap();
        assert!(seconds <= 3, "{seconds}");
        assert_eq!(second(&mut machine, 300), Some("a log storm"));
    }

    #[test]
    fn heat_and_low_voltage_are_reasons() {
        let mut machine = Machine::new();
        machine.set(EntityKind::THERMAL, 260, (-50_i64).cast_unsigned());
        assert_eq!(machine.minute(), None, "it freezes");
        machine.set(EntityKind::THERMAL, 260, 851);
        assert_eq!(machine.minute(), Some("85 degrees C or more"));
        machine.set(EntityKind::MACHINE, 277, 1);
        assert_eq!(machine.minute(), Some("undervoltage"));
    }
}
