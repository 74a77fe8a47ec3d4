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

use flightrec_format::entity::EntityKind;
use flightrec_recorder::clock::{Clock, Signal, SystemClock};
use flightrec_recorder::disk::Disk;
use flightrec_recorder::limits::Limits;
use flightrec_recorder::limits::ration::Ration;
use flightrec_recorder::pstore::LastWords;
use flightrec_recorder::recorder::{Ended, Plan, Recorder};
use flightrec_recorder::resume::{Starter, find_superblock};
use flightrec_recorder::sample::Sample;
use flightrec_recorder::sampler::Sampler;
use flightrec_recorder::slow;
use flightrec_recorder::sources::Source;
use flightrec_recorder::sys::StaticCompressor;
use flightrec_recorder::writer::{Opener, Writer};
use flightrec_tests::dead_fs::DeadFs;
use flightrec_tests::fake_proc::{FakeProc, Narrator, TOLD, told};
use flightrec_tests::kernel::Width;
use flightrec_tests::observed::Observed;
use flightrec_tests::programs::wait_until;
use flightrec_tests::recovered::Recovered;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::blank_recording;

const MIB: u64 = 1 << 20;
pub(crate) const BEGIN_NS: u64 = 30 * SECOND_NS;
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
    disk: (Box<dyn Disk>, Option<Arc<dyn Clock>>),
    seconds: u64,
    slow: bool,
) -> (Vec<u64>, Ended) {
    let (mut sources, discovery) = kernel.sources(&Width::Whole.layout());
    let ticks = Arc::new(Mutex::new(Vec::new()));
    sources.insert(0, Box::new(Narrator(kernel.clone(), ticks.clone())));
    let slow = slow.then(|| slow::start(discovery, None, Duration::from_millis(1)).unwrap());
    let ended = record_sources(sources, clock, disk, seconds);
    drop(slow);
    let ticks = ticks.lock().unwrap().clone();
    (ticks, ended)
}

/// Records what sources tell, for so many seconds from [`BEGIN_NS`] on.
pub(crate) fn record_sources(
    sources: Vec<Box<dyn Source + Send>>,
    clock: &Arc<dyn Clock>,
    (mut disk, of_disk): (Box<dyn Disk>, Option<Arc<dyn Clock>>),
    seconds: u64,
) -> Ended {
    let superblock = find_superblock(&mut *disk, MIB).unwrap().unwrap();
    let opener: Opener = Box::new(move || Ok((disk, superblock)));
    let starter = Starter { boot_id: [1; 16], facts_crc: 0 };
    let writer = match of_disk {
        Some(of_disk) => Writer::here(opener, starter, (clock.clone(), of_disk), None),
        None => Writer::start(opener, starter, clock.clone(), None),
    };
    let sampler = Sampler::new(Width::Whole.layout(), sources, 0, clock.clone());
    let plan = Plan {
        interval_ns: SECOND_NS,
        commit_ns: 10 * SECOND_NS,
        commit_bytes: 4096,
        slowed: None,
        commit_dying_ns: SECOND_NS,
        until_ns: Some(BEGIN_NS + seconds * SECOND_NS),
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
    let recorder = Recorder::new(plan, clock.clone(), sampler, writer.unwrap(), compressor);
    recorder.run(|_| 3).unwrap()
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

/// Runs for so many seconds with a slow thread that hangs from its first look on; how old its
/// readings were at the end, and the sources that were told as lost.
fn with_hanging_look(kernel: &Arc<FakeProc>, seconds: u64) -> (u64, Vec<String>) {
    let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(MIB), clock.clone());
    let (here, of_disk): (Arc<dyn Clock>, _) = (clock, disk.clock());
    let sim: Box<dyn Disk> = Box::new(disk.clone());
    let (ticks, ended) = record(kernel, &here, (sim, Some(of_disk)), seconds, true);
    assert_none_missing(&ticks, seconds);
    assert_eq!(ended.samples, seconds);
    let recovered = Recovered::of(&disk.durable());
    let lost = recovered.events_of("source_lost").into_iter();
    let lost = lost.filter_map(|event| Some(event["text"].as_str()?.to_owned())).collect();
    let age_s = recovered.lines.last().unwrap()["values"]["recorder.slow_age_s"].as_u64();
    (age_s.unwrap(), lost)
}

#[test]
fn a_sensor_that_hangs_costs_its_own_readings_and_no_tick() {
    let kernel = Arc::new(FakeProc::default());
    std::fs::create_dir_all(kernel.path("sys/class/hwmon/hwmon0")).unwrap();
    let sensor = kernel.path("sys/class/hwmon/hwmon0/temp1_input");
    assert!(Command::new("mkfifo").arg(&sensor).status().unwrap().success());
    let (age_s, lost) = with_hanging_look(&kernel, 600);
    assert!(age_s >= 590, "{age_s}");
    assert!(lost.iter().any(|source| source == "thermal sensors"), "{lost:?}");
    assert!(!lost.iter().any(|source| source.starts_with("/proc/stat")), "{lost:?}");
    assert!(wait_until(|| is_read(&sensor)), "the slow thread was not stopped");
}

/// A real mount whose server is dead, and one that takes its time.
#[test]
fn a_dead_mount_costs_its_own_readings_and_no_tick() {
    let kernel = Arc::new(FakeProc::default());
    let point = kernel.path("mnt");
    std::fs::create_dir(&point).unwrap();
    let dead = match DeadFs::mount(&point, None) {
        Ok(dead) => dead,
        Err(reason) => return println!("skipped: {reason}"),
    };
    show_as_ext4(&kernel, &point);
    let (age_s, lost) = with_hanging_look(&kernel, 600);
    assert!(age_s >= 590, "{age_s}");
    assert!(lost.iter().any(|source| source == "file systems"), "{lost:?}");
    assert_eq!(dead.asked(), 1, "it was not asked: nothing was shown");
}

#[test]
fn a_mount_that_answers_late_is_read_all_the_same() {
    let kernel = FakeProc::default();
    let point = kernel.path("mnt");
    std::fs::create_dir(&point).unwrap();
    let late = match DeadFs::mount(&point, Some(Duration::from_millis(300))) {
        Ok(late) => late,
        Err(reason) => return println!("skipped: {reason}"),
    };
    show_as_ext4(&kernel, &point);
    let layout = Width::Whole.layout();
    let (mut sources, mut lookout) = kernel.sources(&layout);
    let looking = std::thread::spawn(move || lookout.look());
    let mut sample = Sample::new(&layout);
    let slot = layout.slots_of(EntityKind::FS).start;
    let column = layout.slots()[slot].first_column;
    let mut read = || {
        sample.clear();
        for source in &mut sources {
            source.read(&mut sample).ok();
        }
        sample.get(column)
    };
    assert!(wait_until(|| late.asked() == 1));
    assert_eq!(read(), None, "it has not answered yet");
    looking.join().unwrap();
    assert_eq!(read(), Some(400), "400 blocks of 16 KiB are available");
}

/// Only what says that it is local is asked: a FUSE file system as such is not.
fn show_as_ext4(kernel: &FakeProc, point: &Path) {
    std::fs::create_dir_all(kernel.path("proc/self")).unwrap();
    let line = format!("40 27 0:99 / {} rw - ext4 /dev/sdx1 rw\n", point.display());
    kernel.write("proc/self/mountinfo", &line);
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
