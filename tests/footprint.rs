//! The steady state allocates nothing, in any thread: not while sampling, committing, sealing, in an
//! alert, nor when a sync fails. Every thread of the real recorder runs, on real kernel files and
//! a real file; allocations are counted between the first seconds and the last.

#![cfg(test)]
#![allow(unsafe_code, reason = "a counting allocator")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flightrec_recorder::census::Census;
use flightrec_recorder::clock::{Clock, Signal, SystemClock};
use flightrec_recorder::create::create;
use flightrec_recorder::disk::{Disk, FileDisk};
use flightrec_recorder::journal::{Counts, Journal, Listener};
use flightrec_recorder::limits::Limits;
use flightrec_recorder::limits::ration::Ration;
use flightrec_recorder::limits::turns::{EACH_OF, EACH_OF_SLOW, Turn, Turns};
use flightrec_recorder::limits::voice;
use flightrec_recorder::logs::{Logs, Places};
use flightrec_recorder::marks::Inbox;
use flightrec_recorder::pstore::LastWords;
use flightrec_recorder::recorder::{Plan, Recorder};
use flightrec_recorder::report;
use flightrec_recorder::resume::{Starter, find_superblock};
use flightrec_recorder::sample::{Layout, Sample};
use flightrec_recorder::sampler::Sampler;
use flightrec_recorder::slow;
use flightrec_recorder::sources::{self, MACHINE, RANKS, Roots, Source};
use flightrec_recorder::sys::StaticCompressor;
use flightrec_recorder::words::Messages;
use flightrec_recorder::writer::{Opener, Writer};
use flightrec_tests::journald::Journald;
use flightrec_tests::noise::Noise;
use flightrec_tests::sim_clock::SimClock;
use flightrec_tests::sim_disk::{Mood, SimDisk};
use flightrec_tests::world::blank_recording;

#[path = "footprint/stall.rs"]
mod stall;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

impl Counting {
    fn count() {
        if COUNTING.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, place: *mut u8, memory: Memory) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(place, memory) }
    }

    unsafe fn realloc(&self, place: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(place, memory, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The real clock; it begins to count after so many waits, and ends before the last ones.
struct WatchedClock {
    waits: AtomicU64,
    from: u64,
    to: u64,
}

impl Clock for WatchedClock {
    fn boottime_ns(&self) -> u64 {
        SystemClock.boottime_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        SystemClock.monotonic_ns()
    }

    fn realtime_ns(&self) -> i64 {
        SystemClock.realtime_ns()
    }

    fn synced(&self) -> bool {
        SystemClock.synced()
    }

    fn wait(&self, deadline_ns: u64) -> Option<Signal> {
        let wait = self.waits.fetch_add(1, Ordering::Relaxed);
        if wait == self.from {
            COUNTING.store(true, Ordering::Relaxed);
        }
        if wait >= self.to {
            COUNTING.store(false, Ordering::Relaxed);
            return Some(Signal::Terminate);
        }
        SystemClock.wait(deadline_ns)
    }
}

/// A real file whose tenth and eleventh sync fail.
struct FailingDisk {
    disk: FileDisk,
    history_at: u64,
    syncs: u64,
    failed: Arc<AtomicU64>,
    history_writes: Arc<AtomicU64>,
}

impl Disk for FailingDisk {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if COUNTING.load(Ordering::Relaxed) && offset >= self.history_at {
            self.history_writes.fetch_add(1, Ordering::Relaxed);
        }
        self.disk.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        if COUNTING.load(Ordering::Relaxed) {
            self.syncs += 1;
        }
        if (10..12).contains(&self.syncs) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::from_raw_os_error(5));
        }
        self.disk.sync()
    }
}

/// Makes memory look nearly gone from some tick on, so that an alert comes.
struct Scare {
    column: usize,
    samples: u64,
}

impl Source for Scare {
    fn name(&self) -> &'static str {
        "scare"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        self.samples += 1;
        if self.samples > 200 {
            sample.set(self.column, 1);
        }
        // A source that comes and goes is told each time, and costs nothing else.
        if self.samples % 40 == 39 { Err(19) } else { Ok(()) }
    }
}

/// Somebody who writes the same line with other numbers again and again.
struct Storm(Arc<AtomicBool>, std::thread::JoinHandle<u64>);

impl Storm {
    fn start(path: &Path) -> Self {
        use std::io::Write;
        let mut file = std::fs::File::create(path).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let writer = std::thread::spawn(move || {
            let mut lines = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let mut line = [0; 80];
                let mut room = &mut line[..];
                writeln!(room, "Nov 22 07:38:53 board vector[812]: event {lines} lost, key=abc")
                    .unwrap();
                let left = room.len();
                file.write_all(&line[..line.len() - left]).unwrap();
                lines += 1;
                if lines.is_multiple_of(16) {
                    SystemClock.wait(SystemClock.boottime_ns() + 5_000_000);
                }
            }
            lines
        });
        Self(over, writer)
    }

    fn end(self) -> u64 {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().unwrap()
    }
}

/// One test at a time counts.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn the_steady_state_allocates_nothing_even_in_a_seal_an_alert_and_a_failed_sync() {
    let _turn = TURN.lock();
    ALLOCATIONS.store(0, Ordering::Relaxed);
    // At 10 ms a sample this is five seconds; 1 MiB seals every fifteen commits.
    let clock: Arc<dyn Clock> =
        Arc::new(WatchedClock { waits: AtomicU64::new(0), from: 100, to: 600 });
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let path = folder.path().join("recording.frec");
    create(&path, Some(1 << 20), true, [0; 16], &SystemClock).unwrap();
    let mut disk = FileDisk::open(&path).unwrap();
    let superblock = find_superblock(&mut disk, 1 << 20).unwrap().unwrap();
    let (failed, history_writes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let watched = FailingDisk {
        disk,
        history_at: u64::from(superblock.geometry.history_start) * 4096,
        syncs: 0,
        failed: failed.clone(),
        history_writes: history_writes.clone(),
    };
    let opener: Opener = Box::new(move || {
        let disk: Box<dyn Disk> = Box::new(watched);
        Ok((disk, superblock))
    });
    let starter = Starter { boot_id: [1; 16], facts_crc: 0 };
    let writer = Writer::start(opener, starter, clock.clone(), None).unwrap();
    let layout = Layout::new(MACHINE, RANKS);
    let (mut sources, mut discovery) = sources::all(&layout, Roots::real(), 10_000_000);
    let (sender, reports) = report::channel();
    let (mut census, own, cmdlines) = Census::new(&layout, Roots::real(), 10_000_000, sender);
    sources.extend(own);
    discovery.add(Box::new(cmdlines));
    discovery.add(census.questions(Path::new("/")));
    let column = layout.machine_column(52).unwrap();
    sources.push(Box::new(Scare { column, samples: 0 }));
    // Now and then a look has to wait, and a line is said.
    let turns = Arc::new(Turns::default());
    let turn = |each_of| Turn::of(Arc::clone(&turns), each_of);
    let (lines, mouth) = voice::channel();
    census.take_turns(turn(EACH_OF));
    discovery.take_turns(turn(EACH_OF_SLOW));
    discovery.add_first(Box::new(mouth));
    // It looks for disks and marks, in a folder where there are none, more often than in a service.
    let (inbox, marks) = Inbox::open(&folder.path().join("marks")).unwrap();
    let slow = slow::start(discovery, Some(inbox), Duration::from_millis(20)).unwrap();
    let census = census.start(clock.clone(), Duration::from_millis(20)).unwrap();
    // Logs: the kernel's own, where it may be read, and one in which there is a storm.
    let storm = Storm::start(&folder.path().join("syslog"));
    let places = Places { var_log: folder.path(), ..Places::real() };
    let (mut logs, heard) = Logs::new(&layout, places, 10_000_000, Messages::Redacted, &clock);
    sources.extend(heard.sources);
    logs.take_turns(turn(EACH_OF));
    let logs = logs.start(Duration::from_millis(20)).unwrap();
    let sampler = Sampler::new(layout, sources, 5, clock.clone());
    let compressor = StaticCompressor::new().unwrap();
    let plan = Plan {
        interval_ns: 10_000_000,
        commit_ns: 50_000_000,
        commit_bytes: 4096,
        slowed: None,
        commit_dying_ns: 20_000_000,
        until_ns: None,
        boot_id: [1; 16],
        run_id: [2; 8],
        facts: Vec::new(),
        complaints: Vec::new(),
        copied: false,
        last_words: LastWords::default(),
        limits: Limits { cpu_max: 10, ..Limits::default() },
        ration: Ration::new(60, 0),
    };
    let recorder = Recorder::new(plan, clock, sampler, writer, compressor);
    let recorder = recorder.with_marks(Some(marks)).with_reports(reports).with_words(heard.words);
    let recorder = recorder.with_limits(Arc::clone(&turns), lines);
    let ended = recorder.run(|_| 3).unwrap();
    drop((slow, census, logs));
    assert!(storm.end() > 1000, "there was no storm: nothing was shown");

    assert!(ended.samples > 300, "{ended:?}");
    assert!(failed.load(Ordering::Relaxed) >= 2, "no sync failed: nothing was shown");
    assert!(history_writes.load(Ordering::Relaxed) >= 1, "nothing was sealed: nothing was shown");
    assert!(turns.skipped() > 0, "no look had to wait: nothing was shown");
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0);
}

struct Heard(u64);

impl Listener for Heard {
    fn source(&mut self, _name: &[u8], _counts: Counts) {}

    fn message(&mut self, _source: &[u8], _severity: u8, _repeats: u64, _text: &[u8]) {
        self.0 += 1;
    }
}

/// Not even when it finds files, in rotations and flushes, or when there is nothing to be found.
#[test]
fn looking_at_the_journal_allocates_nothing() {
    let _turn = TURN.lock();
    ALLOCATIONS.store(0, Ordering::Relaxed);
    let settings = "RateLimitBurst=0\nReadKMsg=no\nStorage=persistent";
    let mut journald = match Journald::prepare(settings, &[]) {
        Ok(journald) => journald,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    let mut journal = Journal::new(&journald.var(), &journald.run_log());
    let mut heard = Heard(0);
    let mut look = || {
        COUNTING.store(true, Ordering::Relaxed);
        journal.look(&mut heard);
        COUNTING.store(false, Ordering::Relaxed);
    };
    look();
    if let Err(reason) = journald.run() {
        println!("skipped: {reason}");
        return;
    }
    let mut vector = journald.stream("vector", "vector.service");
    for round in 0..12_u64 {
        for number in 0..20 * round {
            writeln!(vector, "<3>line {round} {number}").unwrap();
        }
        // journald compresses what is long.
        journald.native(&[("MESSAGE", &format!("{round} {}", "long ".repeat(1000)))]);
        SystemClock.wait(SystemClock.boottime_ns() + 100_000_000);
        look();
        match round {
            3 | 9 => journald.signal("USR1"),
            5 | 10 => journald.signal("USR2"),
            7 => journald.ask("--relinquish-var"),
            _ => {}
        }
    }
    assert!(heard.0 > 10, "nothing was shown");
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0);
}

/// A simulated clock; what is allocated between two boot times is counted.
struct NightClock {
    sim: Arc<SimClock>,
    counted_ns: Range<u64>,
}

impl Clock for NightClock {
    fn boottime_ns(&self) -> u64 {
        self.sim.boottime_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        self.sim.monotonic_ns()
    }

    fn realtime_ns(&self) -> i64 {
        self.sim.realtime_ns()
    }

    fn synced(&self) -> bool {
        self.sim.synced()
    }

    fn wait(&self, deadline_ns: u64) -> Option<Signal> {
        COUNTING.store(self.counted_ns.contains(&self.boottime_ns()), Ordering::Relaxed);
        self.sim.wait(deadline_ns)
    }
}

/// Readings that hardly repeat, so that memory fills soon.
struct Noisy(Noise, Range<usize>);

impl Source for Noisy {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        for column in self.1.clone() {
            sample.set(column, self.0.below(4000));
        }
        Ok(())
    }
}

/// Memory fills and samples are thinned, events are told, the alert comes: in places taken at start.
#[test]
fn nine_hours_in_which_the_disk_is_stuck_allocate_nothing() {
    let _turn = TURN.lock();
    ALLOCATIONS.store(0, Ordering::Relaxed);
    let (second_ns, hour_ns) = (1_000_000_000, 3_600_000_000_000);
    let sim = Arc::new(SimClock::new(60 * second_ns, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(1 << 20), sim.clone());
    disk.be(200 * second_ns..211 * second_ns, Mood::Slow(10 * hour_ns));
    let of_disk = disk.clock();
    let mut seen = disk.clone();
    let opener: Opener = Box::new(move || {
        let superblock = find_superblock(&mut seen, 1 << 20)?.unwrap();
        Ok((Box::new(seen), superblock))
    });
    let counted_ns = 220 * second_ns..200 * second_ns + 9 * hour_ns;
    let until_ns = Some(counted_ns.end + 60 * second_ns);
    let clock: Arc<dyn Clock> = Arc::new(NightClock { sim, counted_ns });
    let starter = Starter { boot_id: [1; 16], facts_crc: 0 };
    let writer = Writer::here(opener, starter, (clock.clone(), of_disk), None).unwrap();
    let layout = Layout::new(MACHINE, RANKS);
    let columns = layout.machine_column(50).unwrap()..layout.machine_column(101).unwrap() + 80;
    let sources: Vec<Box<dyn Source + Send>> = vec![Box::new(Noisy(Noise(1), columns))];
    let sampler = Sampler::new(layout, sources, 0, clock.clone());
    let plan = Plan {
        interval_ns: second_ns,
        commit_ns: 10 * second_ns,
        commit_bytes: 4096,
        slowed: None,
        commit_dying_ns: second_ns,
        until_ns,
        boot_id: [1; 16],
        run_id: [2; 8],
        facts: Vec::new(),
        complaints: Vec::new(),
        copied: false,
        last_words: LastWords::default(),
        limits: Limits::default(),
        ration: Ration::new(60, 0),
    };
    let recorder = Recorder::new(plan, clock, sampler, writer, StaticCompressor::new().unwrap());
    let ended = recorder.run(|_| 3).unwrap();
    assert!(ended.samples > 9 * 3600, "{ended:?}");
    // One that is not stuck is synced some thousand times.
    let syncs = disk.counts().0;
    assert!(!ended.durable && syncs < 1000, "{syncs} syncs: nothing was shown");
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0);
}
