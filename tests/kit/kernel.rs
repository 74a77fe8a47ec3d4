//! A kernel made of noise, whose every reading is written down: what recovery is compared with.
//!
//! Counters grow, gauges wander, and `cpu.user` is a value that follows from run and tick alone.

use std::sync::{Arc, Mutex};

use flightrec_format::entity::EntityKind;
use flightrec_recorder::clock::Clock;
use flightrec_recorder::sample::{Layout, Occupant, Rank, Sample, SeriesNumber};
use flightrec_recorder::sources::{MACHINE, RANKS, Source};

use crate::noise::Noise;
use crate::sim_clock::SimClock;
use crate::world::Run;

/// Which readings a simulated machine has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Width {
    /// All that the recorder of today knows.
    Whole,
    /// The few that reader and recorder act on, and some more: thousands of runs a second.
    Narrow,
    /// As few, and each full of noise: half a frame holds a handful of samples.
    Loud,
}

const NARROW: &[SeriesNumber] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 20, 21, 24, 34, 50, 51, 52, 102, 103, 108, 109,
];

const NARROW_RANKS: &[Rank] =
    &[Rank { kind: EntityKind::DISK, slots: 1, series: &[140, 141, 144] }];

/// Series that the recorder says of itself and of the clocks.
const OWN: [std::ops::RangeInclusive<SeriesNumber>; 2] = [1..=18, 297..=303];

impl Width {
    /// Its layout.
    #[must_use]
    pub fn layout(self) -> Layout {
        match self {
            Self::Whole => Layout::new(MACHINE, RANKS),
            Self::Narrow | Self::Loud => Layout::new(NARROW, NARROW_RANKS),
        }
    }
}

/// The foretellable reading of a tick.
#[must_use]
pub fn marker(run: u64, tick: u64) -> u64 {
    Noise(run.wrapping_mul(0x1_0000_01b3) ^ tick).draw() >> 20
}

/// A sample as the narrator made it.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its tick.
    pub tick: u64,
    /// Boot time at which it was taken.
    pub at_ns: u64,
    /// Series and stored values, in the order of columns; empty if nobody wants to compare them.
    pub readings: Vec<(SeriesNumber, u64)>,
}

/// Everything that a kernel has told.
pub type MadeList = Arc<Mutex<Vec<Made>>>;

/// The one source of a simulated machine.
pub struct FakeKernel {
    run: Run,
    noise: Noise,
    values: Vec<u64>,
    /// Series of each column; 0 where the recorder writes by itself.
    series: Vec<SeriesNumber>,
    disk_slot: usize,
    /// Column behind the last one that is told.
    end: usize,
    clock: Arc<SimClock>,
    told: MadeList,
}

impl FakeKernel {
    /// The kernel of a run; what it tells goes into `told` too.
    #[must_use]
    pub fn new(run: &Run, layout: &Layout, clock: Arc<SimClock>, told: MadeList) -> Self {
        let all = layout.slots().iter().flat_map(|slot| slot.series.iter().copied());
        let series = all
            .map(|series| if OWN.iter().any(|own| own.contains(&series)) { 0 } else { series })
            .collect();
        let disk_slot = layout.slots_of(EntityKind::DISK).start;
        let disk = layout.slots()[disk_slot];
        let end = disk.first_column + disk.series.len();
        let noise = Noise(run.number);
        let (run, values) = (run.clone(), vec![1000; layout.width()]);
        Self { run, noise, values, series, disk_slot, end, clock, told }
    }

    /// What a column shows next, if it shows anything.
    fn next(&mut self, column: usize, load: u64, tick: u64) -> Option<u64> {
        let dying = self.run.dying_from_ns.is_some_and(|ns| tick >= ns / self.run.interval_ns);
        match self.series[column] {
            0 => return None,
            20 => return Some(marker(self.run.number, tick)),
            50 => return Some(100_000),
            52 if dying => return Some(500),
            52 => return Some(60_000 + self.noise.below(2000)),
            // Signs of distress that nobody asked for would raise an alert.
            24 | 34 | 102 | 103 | 108 | 277 => return Some(0),
            109 => {
                let kills = self.run.oom_kills.iter().filter(|kill| **kill <= tick).count();
                return Some(u64::try_from(kills).expect("a few"));
            }
            _ => {}
        }
        let step = match column % 9 {
            _ if self.run.width == Width::Loud => self.noise.draw() >> 8,
            0 => self.noise.below(200 * load + 1),
            1 => self.noise.below(3),
            2 if self.noise.below(20) == 0 => 1,
            3 => self.noise.below(4000) * load,
            _ => 0,
        };
        self.values[column] = self.values[column].wrapping_add(step);
        Some(self.values[column])
    }
}

impl Source for FakeKernel {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let load = self.noise.below(4);
        sample.seat(self.disk_slot, Some(Occupant::named(b"mmcblk0")));
        let mut readings = Vec::new();
        for column in 0..self.end {
            let Some(value) = self.next(column, load, sample.tick) else { continue };
            sample.set(column, value);
            if self.run.compare_readings {
                readings.push((self.series[column], value));
            }
        }
        let at_ns = self.clock.boottime_ns();
        let made = Made { tick: sample.tick, at_ns, readings };
        self.told.lock().expect("nobody panics while holding it").push(made);
        Ok(())
    }
}
