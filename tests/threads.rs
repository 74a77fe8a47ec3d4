//! The sampler waits for nobody: with the real threads, the writer stopped in the disk for an hour of
//! simulated time, then the slow thread in a kernel file that never answers. No tick is missing.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flightrec_recorder::clock::{Clock, Signal};
use flightrec_recorder::disk::Disk;
use flightrec_recorder::recorder::{Ended, Plan, Recorder};
use flightrec_recorder::resume::{Starter, find_superblock};
use flightrec_recorder::sampler::Sampler;
use flightrec_recorder::slow::Slow;
use flightrec_recorder::sys::StaticCompressor;
use flightrec_recorder::writer::{Opener, Writer};
use flightrec_tests::fake_proc::{FakeProc, Narrator, TOLD, told};
use flightrec_tests::kernel::Width;
use flightrec_tests::observed::Observed;
use flightrec_tests::programs::wait_until;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::blank_recording;

const MIB: u64 = 1 << 20;
const BEGIN_NS: u64 = 30 * SECOND_NS;
const HOUR_S: u64 = 3600;

/// A gate in front of a disk: a sync waits in front of it, as long as it takes, in real time.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicBool,
}

impl Gate {
    fn pass(&self) {
        let mut open = self.open.lock().unwrap();
        while !*open {
            self.waiting.store(true, Ordering::SeqCst);
            open = self.changed.wait(open).unwrap();
        }
        self.waiting.store(false, Ordering::SeqCst);
    }

    fn set_open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn is_waited_at(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }
}

struct GatedDisk(SimDisk, Arc<Gate>);

impl Disk for GatedDisk {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.pass();
        self.0.sync()
    }
}

/// A simulated clock that stands still until something real has happened, at the times given.
struct Paced {
    clock: Arc<SimClock>,
    until: Vec<(u64, Box<dyn Fn() + Send + Sync>)>,
}

impl Clock for Paced {
    fn boottime_ns(&self) -> u64 {
        self.clock.boottime_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    fn realtime_ns(&self) -> i64 {
        self.clock.realtime_ns()
    }

    fn synced(&self) -> bool {
        self.clock.synced()
    }

    fn wait(&self, deadline_ns: u64) -> Option<Signal> {
        let now_ns = self.boottime_ns();
        for (at_ns, happen) in &self.until {
            if (now_ns + 1..=deadline_ns).contains(at_ns) {
                happen();
            }
        }
        self.clock.wait(deadline_ns)
    }
}

/// Records for so many seconds on kernel files in a folder; what was sampled, and how it ended.
fn record(
    kernel: &Arc<FakeProc>,
    clock: &Arc<dyn Clock>,
    (disk, of_disk): (Box<dyn Disk>, Option<Arc<dyn Clock>>),
    seconds: u64,
    slow: bool,
) -> (Vec<u64>, Ended) {
    let mut disk = disk;
    let superblock = find_superblock(&mut *disk, MIB).unwrap().unwrap();
    let opener: Opener = Box::new(move || Ok((disk, superblock)));
    let starter = Starter { boot_id: [1; 16], facts_crc: 0 };
    let writer = match of_disk {
        Some(of_disk) => Writer::here(opener, starter, (clock.clone(), of_disk), None),
        None => Writer::start(opener, starter, clock.clone(), None),
    };
    let layout = Width::Whole.layout();
    let (mut sources, discovery) = kernel.sources(&layout);
    let ticks = Arc::new(Mutex::new(Vec::new()));
    sources.insert(0, Box::new(Narrator(kernel.clone(), ticks.clone())));
    let slow = slow.then(|| Slow::start(discovery, Duration::from_millis(1)).unwrap());
    let sampler = Sampler::new(layout, sources, 0, clock.clone());
    let plan = Plan {
        interval_ns: SECOND_NS,
        commit_ns: 10 * SECOND_NS,
        commit_dying_ns: SECOND_NS,
        until_ns: Some(BEGIN_NS + seconds * SECOND_NS),
        boot_id: [1; 16],
        run_id: [2; 8],
        facts: Vec::new(),
        complaints: Vec::new(),
        copied: false,
    };
    let compressor = StaticCompressor::new().unwrap();
    let recorder = Recorder::new(plan, clock.clone(), sampler, writer.unwrap(), compressor);
    let ended = recorder.run(|_| 3).unwrap();
    drop(slow);
    let ticks = ticks.lock().unwrap().clone();
    (ticks, ended)
}

fn assert_none_missing(ticks: &[u64], seconds: u64) {
    assert_eq!(
        u64::try_from(ticks.len()),
        Ok(seconds),
        "from {:?} to {:?}",
        ticks.first(),
        ticks.last()
    );
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "a tick is missing");
}

#[test]
fn an_hour_in_which_the_writer_is_stopped_costs_no_tick() {
    let gate = Arc::new(Gate::default());
    let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(MIB), clock.clone());
    let (stuck, opened, settled) = (gate.clone(), gate.clone(), disk.clone());
    let was_stuck = Arc::new(AtomicBool::new(false));
    let noted = was_stuck.clone();
    let hour_ns = BEGIN_NS + HOUR_S * SECOND_NS;
    let paced: Arc<dyn Clock> = Arc::new(Paced {
        clock,
        until: vec![
            // The writer's first sync waits before the third tick comes.
            (
                BEGIN_NS + 3 * SECOND_NS,
                Box::new(move || {
                    assert!(wait_until(|| stuck.is_waited_at()), "no sync came");
                }),
            ),
            // At the end of the hour it still does; then the disk is back.
            (
                hour_ns,
                Box::new(move || {
                    noted.store(opened.is_waited_at(), Ordering::SeqCst);
                    opened.set_open();
                }),
            ),
            (
                hour_ns + 2 * SECOND_NS,
                Box::new(move || {
                    assert!(wait_until(|| settled.counts().0 > 0), "the sync did not return");
                }),
            ),
        ],
    });
    let kernel = Arc::new(FakeProc::default());
    let gated: Box<dyn Disk> = Box::new(GatedDisk(disk, gate));
    let (ticks, ended) = record(&kernel, &paced, (gated, None), HOUR_S + 60, false);
    assert!(was_stuck.load(Ordering::SeqCst), "the writer was not stopped: nothing was shown");
    assert_none_missing(&ticks, HOUR_S + 60);
    assert_eq!(ended.samples, HOUR_S + 60);
}

#[test]
fn an_hour_in_which_the_slow_thread_is_stopped_costs_no_tick() {
    let kernel = Arc::new(FakeProc::default());
    let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(MIB), clock.clone());
    let (adding, hanging) = (kernel.clone(), kernel.clone());
    let fifo = |kernel: &FakeProc| kernel.path("sys/block/sdx/size");
    let paced: Arc<dyn Clock> = Arc::new(Paced {
        clock,
        until: vec![(
            BEGIN_NS + 3 * SECOND_NS,
            Box::new(move || {
                // A disk comes whose file answers nobody: a FIFO without a writer.
                std::fs::create_dir(adding.path("sys/block/sdx")).unwrap();
                let made = Command::new("mkfifo").arg(fifo(&adding)).status().unwrap();
                assert!(made.success());
            }),
        )],
    });
    let of_disk = disk.clock();
    let sim: Box<dyn Disk> = Box::new(disk);
    let (ticks, ended) = record(&kernel, &paced, (sim, Some(of_disk)), HOUR_S, true);
    // Only while somebody hangs in opening it can it be opened for writing without waiting.
    assert!(wait_until(|| is_read(&fifo(&hanging))), "the slow thread was not stopped");
    assert_none_missing(&ticks, HOUR_S);
    assert_eq!(ended.samples, HOUR_S);
}

fn is_read(fifo: &Path) -> bool {
    const O_NONBLOCK: i32 = 0o4000;
    OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(fifo).is_ok()
}

/// From kernel files to the reader and back: what goes in, in numbers that follow from the tick,
/// comes out.
#[test]
fn what_the_kernels_files_say_is_what_the_reader_finds() {
    let kernel = Arc::new(FakeProc::default());
    let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(MIB), clock.clone());
    let (here, of_disk): (Arc<dyn Clock>, _) = (clock, disk.clock());
    let sim: Box<dyn Disk> = Box::new(disk.clone());
    let (ticks, _) = record(&kernel, &here, (sim, Some(of_disk)), 400, false);
    let observed = Observed::of(&disk.durable(), 0..0).unwrap();
    let mut found = 0;
    for (sample, tick) in observed.samples().zip(&ticks) {
        assert_eq!(sample.tick, *tick);
        for series in TOLD {
            let read = sample.readings.iter().find(|(own, _)| own == series);
            assert_eq!(read.map(|(_, value)| *value), Some(told(*series, *tick)), "{series}");
        }
        found += 1;
    }
    assert_eq!(found, 400);
}
