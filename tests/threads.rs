//! The sampler waits for nobody: with the real threads, the writer stopped in the disk for an hour of
//! simulated time, then the slow thread in a kernel file that never answers. No tick is missing.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flightrec_recorder::clock::{Clock, Signal, SystemClock};
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
            self.waiting.store(true, SeqCst);
            open = self.changed.wait(open).unwrap();
        }
        self.waiting.store(false, SeqCst);
    }

    fn set_open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn is_waited_at(&self) -> bool {
        self.waiting.load(SeqCst)
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

/// A simulated clock that lets something real happen before it moves; it is told the boot time.
struct Paced {
    clock: Arc<SimClock>,
    before: Box<dyn Fn(u64) + Send + Sync>,
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
        (self.before)(self.boottime_ns());
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
    let slow = slow.then(|| Slow::start(discovery, None, Duration::from_millis(1)).unwrap());
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
    let (watched, settled) = (gate.clone(), disk.clone());
    // Boot times at which the writer was seen to hang in its first sync, and was let go.
    let (stuck_ns, let_go_ns) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (stuck, let_go) = (stuck_ns.clone(), let_go_ns.clone());
    let paced: Arc<dyn Clock> = Arc::new(Paced {
        clock,
        before: Box::new(move |now_ns| {
            let (since_ns, until_ns) = (stuck.load(SeqCst), let_go.load(SeqCst));
            if since_ns == 0 {
                // Until then the writer gets a little real time between two ticks.
                SystemClock.wait(SystemClock.boottime_ns() + 5_000_000);
                stuck.store(if watched.is_waited_at() { now_ns } else { 0 }, SeqCst);
            } else if until_ns == 0 && now_ns >= since_ns + HOUR_S * SECOND_NS {
                assert!(watched.is_waited_at(), "the writer did not hang all the time");
                watched.set_open();
                let_go.store(now_ns, SeqCst);
                assert!(wait_until(|| settled.counts().0 > 0), "the sync did not return");
            }
        }),
    });
    let kernel = Arc::new(FakeProc::default());
    let gated: Box<dyn Disk> = Box::new(GatedDisk(disk, gate));
    // Enough for the writer to come that far, for the hour, and for what follows.
    let seconds = HOUR_S + 600;
    let (ticks, ended) = record(&kernel, &paced, (gated, None), seconds, false);
    let hour_ns = let_go_ns.load(SeqCst).saturating_sub(stuck_ns.load(SeqCst));
    assert!(hour_ns >= HOUR_S * SECOND_NS, "the writer was not stopped: nothing was shown");
    assert_none_missing(&ticks, seconds);
    assert_eq!(ended.samples, seconds);
}

#[test]
fn an_hour_in_which_the_slow_thread_is_stopped_costs_no_tick() {
    let kernel = Arc::new(FakeProc::default());
    let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(MIB), clock.clone());
    let (adding, hanging) = (kernel.clone(), kernel.clone());
    let fifo = |kernel: &FakeProc| kernel.path("sys/block/sdx/size");
    let added = AtomicBool::new(false);
    let paced: Arc<dyn Clock> = Arc::new(Paced {
        clock,
        before: Box::new(move |now_ns| {
            if now_ns < BEGIN_NS + 3 * SECOND_NS || added.swap(true, SeqCst) {
                return;
            }
            // A disk comes whose file answers nobody: a FIFO without a writer.
            std::fs::create_dir(adding.path("sys/block/sdx")).unwrap();
            let made = Command::new("mkfifo").arg(fifo(&adding)).status().unwrap();
            assert!(made.success());
        }),
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
