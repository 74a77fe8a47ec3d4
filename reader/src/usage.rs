//! What processes and units used over a stretch of time: who was it?

use std::collections::HashMap;

use flightrec_format::entity::EntityKind;

use crate::play::Sample;
use crate::timeline::Timeline;
use crate::values::value_of;

/// Numbers of the series that count (spec 7), of a process and of a unit.
mod series {
    pub(super) const MEM_TOTAL: u16 = 50;
    pub(super) const SWAP_TOTAL: u16 = 58;
    pub(super) const STATE: u16 = 200;
    pub(super) const PROCESS_CPU: [u16; 2] = [201, 202];
    pub(super) const THREADS: u16 = 204;
    pub(super) const MEMORY: [u16; 2] = [205, 222];
    pub(super) const SWAP: [u16; 2] = [206, 231];
    pub(super) const READ: [u16; 2] = [207, 226];
    pub(super) const WRITTEN: [u16; 2] = [208, 227];
    pub(super) const UNIT_CPU: [u16; 2] = [220, 221];
    pub(super) const TASKS: u16 = 230;
}

/// What one sample says of one process or unit.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    cpu_s: Option<f64>,
    memory: Option<f64>,
    swap: Option<f64>,
    read: Option<f64>,
    written: Option<f64>,
    state: Option<char>,
    tasks: Option<f64>,
}

/// What one process or unit used.
#[derive(Clone, Debug)]
pub struct Used {
    /// Number in [`Entities`](crate::recover::Entities).
    pub entity: usize,
    /// Processor time, seconds.
    pub cpu_s: f64,
    /// Bytes read from disks.
    pub read: f64,
    /// Bytes written to disks.
    pub written: f64,
    /// Memory at first.
    pub memory_first: Option<f64>,
    /// Memory at last.
    pub memory: Option<f64>,
    /// Most memory.
    pub memory_most: f64,
    /// Swapped memory at last.
    pub swap: Option<f64>,
    /// State at last, a letter.
    pub state: Option<char>,
    /// Threads of a process, tasks of a unit, at last.
    pub tasks: Option<f64>,
    /// Time for which it was watched, nanoseconds.
    pub watched_ns: u128,
    last: (u128, Point),
}

/// What all of them used, sample by sample.
#[derive(Debug, Default)]
pub struct Usage {
    by: HashMap<usize, Used>,
    boot: Option<usize>,
    memory_total: f64,
    swap_total: f64,
}

impl Usage {
    /// Takes one more sample. Who was used in an earlier boot keeps what it has.
    pub fn take(&mut self, timeline: &Timeline, sample: &Sample) {
        let entities = &timeline.recover.entities;
        let boot = sample.stand.at.0;
        let time_ns = sample.stand.sample.time_ns;
        let same_boot = self.boot.replace(boot) == Some(boot);
        let mut points: Vec<(usize, usize, Point)> = Vec::new();
        for reading in &sample.readings {
            let value = value_of(reading.series, reading.stored);
            if reading.entity == 0 {
                match reading.series {
                    series::MEM_TOTAL => self.memory_total = value,
                    series::SWAP_TOTAL => self.swap_total = value,
                    _ => {}
                }
                continue;
            }
            let kind = entities.get(reading.entity).map(|entity| entity.kind);
            if !matches!(kind, Some(EntityKind::PROCESS | EntityKind::UNIT)) {
                continue;
            }
            let same = entities.same(reading.entity);
            if points.last().is_none_or(|(last, ..)| *last != same) {
                points.push((same, reading.entity, Point::default()));
            }
            if let Some((_, _, point)) = points.last_mut() {
                point.put(reading.series, value);
            }
        }
        for (same, entity, point) in points {
            match self.by.get_mut(&same) {
                Some(used) => used.go_on(entity, same_boot, time_ns, point),
                None => {
                    self.by.insert(same, Used::begin(entity, time_ns, point));
                }
            }
        }
    }

    /// The `count` processes, or units, that used most of anything, the worst first: a share of the
    /// memory or swap of the machine, or of what all of them used or wrote together.
    #[must_use]
    pub fn top(&self, timeline: &Timeline, kind: EntityKind, count: usize) -> Vec<&Used> {
        let entities = &timeline.recover.entities;
        let is_kind =
            |used: &&Used| entities.get(used.entity).is_some_and(|entity| entity.kind == kind);
        let all: Vec<&Used> = self.by.values().filter(is_kind).collect();
        let sum = |of: fn(&Used) -> f64| all.iter().map(|used| of(used)).sum::<f64>();
        let (cpu, written) = (sum(|used| used.cpu_s), sum(|used| used.written));
        let mut ranked: Vec<(f64, &Used)> = all
            .iter()
            .map(|used| {
                let shares = [
                    share(used.cpu_s, cpu),
                    share(used.written, written),
                    share(used.memory_most, self.memory_total),
                    share(used.swap.unwrap_or(0.0), self.swap_total),
                ];
                (shares.into_iter().fold(0.0, f64::max), *used)
            })
            .collect();
        // Of two alike the one that was met first.
        ranked.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(one.entity.cmp(&other.entity)));
        ranked
            .into_iter()
            .filter(|(share, _)| *share > 0.0)
            .map(|(_, used)| used)
            .take(count)
            .collect()
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl Point {
    fn put(&mut self, number: u16, value: f64) {
        let add = |place: &mut Option<f64>, more: f64| *place = Some(place.unwrap_or(0.0) + more);
        match number {
            series::STATE => self.state = letter(value),
            // Both kinds of time are counted in 10 ms, or in ms.
            _ if series::PROCESS_CPU.contains(&number) => add(&mut self.cpu_s, value / 100.0),
            _ if series::UNIT_CPU.contains(&number) => add(&mut self.cpu_s, value / 1000.0),
            series::THREADS | series::TASKS => self.tasks = Some(value),
            _ if series::MEMORY.contains(&number) => self.memory = Some(value),
            _ if series::SWAP.contains(&number) => self.swap = Some(value),
            _ if series::READ.contains(&number) => self.read = Some(value),
            _ if series::WRITTEN.contains(&number) => self.written = Some(value),
            _ => {}
        }
    }
}

/// A state as the kernel writes it.
fn letter(code: f64) -> Option<char> {
    ('A'..='z').find(|letter| {
        letter.is_ascii_alphabetic() && (f64::from(u32::from(*letter)) - code).abs() < 0.5
    })
}

impl Used {
    fn begin(entity: usize, time_ns: u128, point: Point) -> Self {
        Self {
            entity,
            cpu_s: 0.0,
            read: 0.0,
            written: 0.0,
            memory_first: point.memory,
            memory: point.memory,
            memory_most: point.memory.unwrap_or(0.0),
            swap: point.swap,
            state: point.state,
            tasks: point.tasks,
            watched_ns: 0,
            last: (time_ns, point),
        }
    }

    fn go_on(&mut self, entity: usize, same_boot: bool, time_ns: u128, point: Point) {
        let (before_ns, before) = std::mem::replace(&mut self.last, (time_ns, point));
        if same_boot {
            // A counter that went backwards is another one: a recorder that began anew.
            let grown = |before: Option<f64>, now: Option<f64>| {
                before.zip(now).map_or(0.0, |(before, now)| (now - before).max(0.0))
            };
            self.cpu_s += grown(before.cpu_s, point.cpu_s);
            self.read += grown(before.read, point.read);
            self.written += grown(before.written, point.written);
            self.watched_ns += time_ns.saturating_sub(before_ns);
        }
        self.entity = entity;
        self.memory_first = self.memory_first.or(point.memory);
        self.memory = point.memory.or(self.memory);
        self.memory_most = self.memory_most.max(point.memory.unwrap_or(0.0));
        self.swap = point.swap.or(self.swap);
        self.state = point.state;
        self.tasks = point.tasks.or(self.tasks);
    }

    /// Growth of memory from the first sample to the last, bytes.
    #[must_use]
    pub fn memory_grown(&self) -> Option<f64> {
        Some(self.memory? - self.memory_first?)
    }

    /// What so much is per second, over the time for which it was watched.
    #[must_use]
    pub fn per_second(&self, amount: f64) -> Option<f64> {
        let seconds = u64::try_from(self.watched_ns).ok()? / 1_000_000;
        let seconds = crate::values::wide(seconds) / 1000.0;
        (seconds > 0.0).then(|| amount / seconds)
    }
}
