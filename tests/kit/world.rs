//! The narrator: runs the real recorder on a simulated disk and clock, boot after boot.
//!
//! A run is told by a [`Run`]. What comes back is the [`Truth`]: the samples that were
//! acknowledged, with a reading of each, so that recovery is compared with what went in and not
//! with our own decoder.

use std::sync::{Arc, Mutex};

use flightrec_format::facts::RunFacts;
use flightrec_format::superblock::{Geometry, Superblock};
use flightrec_recorder::alert::Grade;
use flightrec_recorder::clock::Clock;
use flightrec_recorder::recorder::{Ended, Plan, Recorder};
use flightrec_recorder::resume::Starter;
use flightrec_recorder::sample::{Layout, Occupant, Sample};
use flightrec_recorder::sampler::Sampler;
use flightrec_recorder::sources::{MACHINE, RANKS, Source};
use flightrec_recorder::sys::StaticCompressor;
use flightrec_recorder::writer::Writer;

use crate::sim_clock::{SECOND_NS, SimClock};
use crate::sim_disk::SimDisk;

/// A small random-number generator: every test says its seed.
#[derive(Clone, Debug)]
pub struct Noise(pub u64);

impl Noise {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }
}

/// A kernel made of noise: counters grow, gauges wander, and series 20 (`cpu.user`) is a value
/// that the narrator can foretell: it is what the truth remembers.
struct FakeKernel {
    noise: Noise,
    values: Vec<u64>,
    disk_slot: (usize, usize),
    dying_from: Option<u64>,
    columns: [usize; 2],
}

/// The foretellable reading of a tick.
#[must_use]
pub fn marker(run: u64, tick: u64) -> u64 {
    Noise(run.wrapping_mul(0x1_0000_01b3) ^ tick).draw() >> 20
}

impl Source for FakeKernel {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let load = self.noise.below(4);
        for column in 18..self.disk_slot.1 + 11 {
            let step = match column % 9 {
                0 => self.noise.below(200 * load + 1),
                1 => self.noise.below(3),
                2 if self.noise.below(20) == 0 => 1,
                3 => self.noise.below(4000) * load,
                _ => 0,
            };
            self.values[column] = self.values[column].wrapping_add(step);
            sample.set(column, self.values[column]);
        }
        sample.seat(self.disk_slot.0, Some(Occupant::named(b"mmcblk0")));
        let [total, available] = self.columns;
        let dying = self.dying_from.is_some_and(|from| sample.tick >= from);
        sample.set(total, 100_000);
        sample.set(available, if dying { 500 } else { 60_000 + self.noise.below(2000) });
        Ok(())
    }
}

/// Writes the marker of each tick into `cpu.user`.
struct MarkerSource {
    run: u64,
    column: usize,
}

impl Source for MarkerSource {
    fn name(&self) -> &'static str {
        "marker"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let value = marker(self.run, sample.tick);
        sample.set(self.column, value);
        Ok(())
    }
}

/// How a run ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Power goes after so many nanoseconds.
    Cut,
    /// An orderly stop for this reason.
    Stop(i64),
}

/// One run of the recorder.
#[derive(Clone, Debug)]
pub struct Run {
    /// Kernel that it runs on.
    pub boot: u8,
    /// Number of the run; names it.
    pub number: u64,
    /// How long, in nanoseconds of boot time.
    pub length_ns: u64,
    /// How it ends.
    pub end: End,
    /// Sampling interval.
    pub interval_ns: u64,
    /// Commit interval while calm.
    pub commit_ns: u64,
    /// Significant bits of each change; 0: all.
    pub precision: u32,
    /// Memory runs out from this boot time on.
    pub dying_from_ns: Option<u64>,
}

impl Run {
    /// A run of so many seconds at 1 s, committed every 10 s, that ends by a cut.
    #[must_use]
    pub fn seconds(number: u64, seconds: u64) -> Self {
        Self {
            boot: 1,
            number,
            length_ns: seconds * SECOND_NS,
            end: End::Cut,
            interval_ns: SECOND_NS,
            commit_ns: 10 * SECOND_NS,
            precision: 0,
            dying_from_ns: None,
        }
    }

    /// Its boot_id.
    #[must_use]
    pub fn boot_id(&self) -> [u8; 16] {
        [self.boot; 16]
    }

    /// Its run_id.
    #[must_use]
    pub fn run_id(&self) -> [u8; 8] {
        self.number.to_le_bytes()
    }
}

/// What really happened.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Run and tick of every acknowledged sample, in the order of acknowledgement.
    pub acked: Vec<(u64, u64)>,
}

/// A blank recording of `size` bytes.
#[must_use]
pub fn blank_recording(size: u64) -> Vec<u8> {
    let geometry = Geometry::for_size(size).expect("a size that can be");
    let superblock = Superblock {
        recording_id: [0x5a; 16],
        identity: [0; 16],
        created_realtime_ns: 1_795_333_133_000_000_000,
        geometry,
        compatible_flags: 0,
    };
    let mut bytes = vec![0; usize::try_from(geometry.size).expect("a small recording")];
    for (copy, slot) in geometry.superblock_slots().into_iter().enumerate() {
        let at = usize::try_from(slot).expect("a small recording") * 4096;
        let copy = u16::try_from(copy).expect("three copies");
        bytes[at..at + 4096].copy_from_slice(&superblock.slot(copy));
    }
    bytes
}

/// Runs the real recorder once; what was acknowledged is added to `truth`.
pub fn record(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    run: &Run,
    truth: &Arc<Mutex<Truth>>,
) -> Ended {
    let facts = RunFacts {
        version: 1,
        interval_ns: run.interval_ns,
        commit_ns: run.commit_ns,
        page_size: 4096,
        core_count: 4,
        facts: vec![
            ("kernel".into(), "6.1.0-sim".into()),
            ("zone".into(), "Europe/Berlin".into()),
            ("unheard_of".into(), "shown all the same".into()),
        ],
        ..RunFacts::default()
    };
    let mut encoded = vec![0; 3072];
    let len = facts.write(&mut encoded).expect("short facts");
    encoded.truncate(len);
    let end_ns = clock.boottime_ns() + run.length_ns;
    if let End::Stop(_) = run.end {
        clock.signal_at(end_ns, flightrec_recorder::clock::Signal::Terminate);
    } else {
        disk.cut_at(end_ns);
    }
    let layout = Layout::new(MACHINE, RANKS);
    let column = |series| layout.machine_column(series).expect("a series of the machine");
    let slot = layout.slots()[1];
    let kernel = FakeKernel {
        noise: Noise(run.number),
        values: vec![1000; layout.width()],
        disk_slot: (1, slot.first_column),
        dying_from: run.dying_from_ns.map(|ns| ns / run.interval_ns),
        columns: [column(50), column(52)],
    };
    let marker = MarkerSource { run: run.number, column: column(20) };
    let sources: Vec<Box<dyn Source + Send>> = vec![Box::new(kernel), Box::new(marker)];
    let plan = Plan {
        interval_ns: run.interval_ns,
        commit_ns: run.commit_ns,
        commit_dying_ns: run.interval_ns.max(SECOND_NS).min(run.commit_ns),
        // A cut run goes on a little in the dark, where nothing arrives.
        until_ns: Some(end_ns + run.interval_ns),
        boot_id: run.boot_id(),
        run_id: run.run_id(),
        facts: encoded.clone(),
        complaints: Vec::new(),
        copied: false,
    };
    let starter =
        Starter { boot_id: run.boot_id(), facts_crc: flightrec_format::facts::facts_crc(&encoded) };
    let (own_disk, watched, truth) = (disk.clone(), disk.clone(), truth.clone());
    let number = run.number;
    let ack_log = Box::new(move |ticks: &[u64]| {
        if !watched.is_dark() {
            let acked = ticks.iter().map(|tick| (number, *tick));
            truth.lock().expect("nobody panics while holding it").acked.extend(acked);
        }
    });
    let mut probe = disk.clone();
    let size = u64::try_from(disk.durable().len()).expect("a small disk");
    let superblock = flightrec_recorder::resume::find_superblock(&mut probe, size)
        .expect("a disk that can be read")
        .expect("a recording");
    let opener: flightrec_recorder::writer::Opener = Box::new(move || {
        let disk: Box<dyn flightrec_recorder::disk::Disk> = Box::new(own_disk);
        Ok((disk, superblock))
    });
    let clock: Arc<dyn Clock> = clock.clone();
    let writer = Writer::here(opener, starter, clock.clone(), Some(ack_log)).expect("a disk");
    let sampler = Sampler::new(layout, sources, run.precision, clock.clone());
    let compressor = StaticCompressor::new().expect("memory");
    let reason = if let End::Stop(reason) = run.end { reason } else { 3 };
    Recorder::new(plan, clock, sampler, writer, compressor)
        .run(move |_| reason)
        .expect("a disk that opens")
}

/// Grade numbers, for tests that look at series 18.
#[must_use]
pub fn dying() -> u64 {
    u64::from(Grade::Dying.number())
}
