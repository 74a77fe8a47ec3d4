//! Eight hours in which a disk does not answer: the writer is stuck in it, samples collect, are thinned
//! and dropped, and the recorder takes no memory for it.
//!
//! The clock is simulated and moves when the sampler waits; writer, sources, rows and file are real.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};

use flightrec_recorder::census::Census;
use flightrec_recorder::clock::{Clock, Signal, SystemClock};
use flightrec_recorder::create::create;
use flightrec_recorder::disk::{Disk, FileDisk};
use flightrec_recorder::limits::Limits;
use flightrec_recorder::limits::ration::Ration;
use flightrec_recorder::pstore::LastWords;
use flightrec_recorder::recorder::{Plan, Recorder};
use flightrec_recorder::report;
use flightrec_recorder::resume::{Starter, find_superblock};
use flightrec_recorder::sample::{Layout, Sample, SeriesNumber};
use flightrec_recorder::sampler::Sampler;
use flightrec_recorder::sources::{self, MACHINE, RANKS, Roots, Source};
use flightrec_recorder::sys::{StaticCompressor, lock_memory};
use flightrec_recorder::writer::{Opener, Writer};

use super::{ALLOCATIONS, COUNTING, TURN};

/// The harness and the tests beside are of the same process, and may touch some pages meanwhile. Three
/// bytes a sample would be more.
const OTHERS_KIB: u64 = 64;

const SECOND_NS: u64 = 1_000_000_000;
const STALL_S: u64 = 8 * 3600;
/// Ticks that are as usual, and take some real time for the writer's sake.
const USUAL: u64 = 100;
/// Ticks within which a commit is due, every ten.
const DUE: u64 = 20;

/// A gate in front of the disk.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicBool,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock().unwrap();
        while *closed {
            self.waiting.store(true, Relaxed);
            closed = self.changed.wait(closed).unwrap();
        }
    }
}

struct GatedDisk(FileDisk, Arc<Gate>);

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

/// Counts while the disk is stuck; what was resident when that began, and when it ended.
struct StalledClock {
    now_ns: AtomicU64,
    waits: AtomicU64,
    gate: Arc<Gate>,
    resident_kib: [AtomicU64; 2],
}

fn pause() {
    SystemClock.wait(SystemClock.boottime_ns() + 5_000_000);
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

impl Clock for StalledClock {
    fn boottime_ns(&self) -> u64 {
        self.now_ns.load(Relaxed)
    }

    fn monotonic_ns(&self) -> u64 {
        self.boottime_ns()
    }

    fn realtime_ns(&self) -> i64 {
        1_795_333_133_000_000_000 + i64::try_from(self.boottime_ns()).unwrap()
    }

    fn synced(&self) -> bool {
        true
    }

    fn wait(&self, deadline_ns: u64) -> Option<Signal> {
        let wait = self.waits.fetch_add(1, Relaxed);
        match wait {
            0..USUAL => pause(),
            USUAL => self.gate.set(true),
            _ => {}
        }
        if wait == USUAL + DUE {
            // A writer that is never asked is not stuck; the test says so at its end.
            (0..2000).take_while(|_| !self.gate.waiting.load(Relaxed)).for_each(|_| pause());
            self.resident_kib[0].store(resident_kib(), Relaxed);
            COUNTING.store(true, Relaxed);
        }
        if wait == USUAL + DUE + STALL_S {
            COUNTING.store(false, Relaxed);
            self.resident_kib[1].store(resident_kib(), Relaxed);
            return Some(Signal::Terminate);
        }
        self.now_ns.store(deadline_ns, Relaxed);
        None
    }
}

/// A machine so restless that memory fills, though nothing has been written for hours.
struct Restless {
    columns: Vec<usize>,
    noise: u64,
}

impl Restless {
    fn new(layout: &Layout) -> Self {
        let counters = 50..=112_u16;
        let columns =
            counters.filter(|series| ![50, 52, 58, 59, 102, 103, 108, 109].contains(series));
        let column = |series: SeriesNumber| layout.machine_column(series);
        Self { columns: columns.filter_map(column).collect(), noise: 1 }
    }
}

impl Source for Restless {
    fn name(&self) -> &'static str {
        "restless"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        for column in &self.columns {
            self.noise ^= self.noise << 13;
            self.noise ^= self.noise >> 7;
            self.noise ^= self.noise << 17;
            sample.set(*column, self.noise >> 40);
        }
        Ok(())
    }
}

#[test]
fn eight_hours_of_a_stuck_disk_take_no_memory() {
    let _turn = TURN.lock();
    ALLOCATIONS.store(0, Relaxed);
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let path = folder.path().join("recording.frec");
    create(&path, Some(1 << 20), true, [0; 16], &SystemClock).unwrap();
    let mut disk = FileDisk::open(&path).unwrap();
    let superblock = find_superblock(&mut disk, 1 << 20).unwrap().unwrap();
    let gate: Arc<Gate> = Arc::default();
    let clock = Arc::new(StalledClock {
        now_ns: AtomicU64::new(100 * SECOND_NS),
        waits: AtomicU64::new(0),
        gate: gate.clone(),
        resident_kib: [AtomicU64::new(0), AtomicU64::new(0)],
    });
    let gated = GatedDisk(disk, gate.clone());
    let opener: Opener = Box::new(move || {
        let disk: Box<dyn Disk> = Box::new(gated);
        Ok((disk, superblock))
    });
    let starter = Starter { boot_id: [1; 16], facts_crc: 0 };
    let writer = Writer::start(opener, starter, clock.clone(), None).unwrap();
    let layout = Layout::new(MACHINE, RANKS);
    let (mut sources, mut lookout) = sources::all(&layout, Roots::real(), SECOND_NS);
    let (sender, reports) = report::channel();
    let (mut census, own, _) = Census::new(&layout, Roots::real(), SECOND_NS, sender);
    lookout.look();
    // Who has a seat keeps it: what the other threads take is theirs.
    census.look(clock.boottime_ns());
    census.look(clock.boottime_ns() + SECOND_NS);
    sources.extend(own);
    sources.push(Box::new(Restless::new(&layout)));
    let sampler = Sampler::new(layout, sources, 0, clock.clone());
    let plan = Plan {
        interval_ns: SECOND_NS,
        commit_ns: 10 * SECOND_NS,
        commit_bytes: 4096,
        slowed: None,
        commit_dying_ns: SECOND_NS,
        until_ns: None,
        boot_id: [1; 16],
        run_id: [2; 8],
        facts: Vec::new(),
        complaints: Vec::new(),
        copied: false,
        last_words: LastWords::default(),
        limits: Limits::default(),
        ration: Ration::new(60, 0),
    };
    let compressor = StaticCompressor::new().unwrap();
    let recorder = Recorder::new(plan, clock.clone(), sampler, writer, compressor);
    let recorder = recorder.with_reports(reports);
    // As the recorder does it, so that what it took is there from the beginning.
    let locked = lock_memory();
    let ended = recorder.run(|_| 3).unwrap();
    gate.set(false);

    assert!(gate.waiting.load(Relaxed), "no commit was stuck: nothing was shown");
    assert!(ended.samples >= STALL_S, "{ended:?}");
    assert_eq!(ALLOCATIONS.load(Relaxed), 0);
    let [before, after] = clock.resident_kib.each_ref().map(|kib| kib.load(Relaxed));
    println!("{before} KiB resident as it began, {after} KiB after {STALL_S} s");
    match locked {
        Ok(_) => assert!(after <= before + OTHERS_KIB, "{before} KiB became {after} KiB"),
        Err(error) => println!("skipped: what was not touched yet is not there: {error}"),
    }
}
