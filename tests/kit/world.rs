//! The narrator: runs the real recorder on a simulated disk, clock and kernel, boot after boot.
//!
//! A run is told by a [`Run`]. What comes back is a [`Tale`]: the samples that were taken, with
//! every reading of each, and which of them were acknowledged, so that recovery is compared with
//! what went in and not with our own decoder.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use flightrec_format::event::EventKind;
use flightrec_format::facts::{RunFacts, facts_crc};
use flightrec_format::superblock::{Geometry, Superblock};
use flightrec_recorder::clock::{Clock, Signal};
use flightrec_recorder::disk::Disk;
use flightrec_recorder::frames::Compressor;
use flightrec_recorder::limits::Limits;
use flightrec_recorder::limits::ration::Ration;
use flightrec_recorder::pstore::LastWords;
use flightrec_recorder::recorder::{Ended, Plan, Recorder};
use flightrec_recorder::resume::{Starter, find_superblock};
use flightrec_recorder::sample::Sample;
use flightrec_recorder::sampler::Sampler;
use flightrec_recorder::sources::Source;
use flightrec_recorder::sys::StaticCompressor;
use flightrec_recorder::words::{Text, Word, short_name};
use flightrec_recorder::writer::{Opener, Writer};

use crate::appetite::{Appetite, Eater};
use crate::image::Image;
use crate::kernel::{FakeKernel, Made, MadeList, Width};
use crate::noise::Noise;
use crate::sim_clock::{SECOND_NS, SimClock};
use crate::sim_disk::SimDisk;

/// How a run ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Power goes when its time is over.
    Cut,
    /// An orderly stop for this reason.
    Stop(i64),
}

/// One run of the recorder.
#[derive(Clone, Debug)]
pub struct Run {
    /// Kernel that it runs on; names its boot_id.
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
    /// Ticks at which the kernel kills a process.
    pub oom_kills: Vec<u64>,
    /// What the kernel of an earlier boot left behind.
    pub last_words: LastWords,
    /// Boot times at which the kernel says a grave error.
    pub kernel_errors_ns: Vec<u64>,
    /// Whether its logs never stop: new messages at each tick, as long as they can be.
    pub talkative: bool,
    /// Which readings there are.
    pub width: Width,
    /// What the recorder allows itself.
    pub limits: Limits,
    /// What the recorder itself uses, second by second.
    pub appetite: Option<Appetite>,
    /// Whether every reading is kept for comparison, or `cpu.user` alone.
    pub compare_readings: bool,
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
            oom_kills: Vec::new(),
            last_words: LastWords::default(),
            kernel_errors_ns: Vec::new(),
            talkative: false,
            width: Width::Whole,
            limits: Limits::default(),
            appetite: None,
            compare_readings: false,
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

    /// Commit interval while dying, as the configuration would have it.
    #[must_use]
    pub fn commit_dying_ns(&self) -> u64 {
        self.interval_ns.max(SECOND_NS).min(self.commit_ns)
    }
}

/// A sample that was acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack {
    /// Its tick.
    pub tick: u64,
    /// Boot time at which the sync returned that made it durable.
    pub at_ns: u64,
    /// Ops of the disk up to and with that sync.
    pub ops: usize,
}

/// What really happened in a run.
#[derive(Clone, Debug)]
pub struct Tale {
    /// The run.
    pub run: Run,
    /// Boot time at which it began.
    pub begun_ns: u64,
    /// Boot time at which power went, or it had ended.
    pub ended_ns: u64,
    /// Every sample that was taken, in order.
    pub made: Vec<Made>,
    /// Every acknowledgement, in order.
    pub acks: Vec<Ack>,
    /// How it ended, as the recorder saw it.
    pub ended: Option<Ended>,
    /// Lines to the log of the system, if it has an appetite.
    pub said: Vec<String>,
}

impl Tale {
    /// Run and tick of every acknowledged sample.
    pub fn acked(&self) -> impl Iterator<Item = (u64, u64)> {
        self.acks.iter().map(|ack| (self.run.number, ack.tick))
    }
}

/// A blank recording of `size` bytes, divided by the formula.
#[must_use]
pub fn blank_recording(size: u64) -> Image {
    blank_with(Geometry::for_size(size).expect("a size that can be"))
}

/// A blank recording of any geometry.
#[must_use]
pub fn blank_with(geometry: Geometry) -> Image {
    let superblock = Superblock {
        recording_id: [0x5a; 16],
        identity: [0; 16],
        created_realtime_ns: 1_795_333_133_000_000_000,
        geometry,
        compatible_flags: 0,
    };
    let mut image =
        Image::new(&vec![0; usize::try_from(geometry.size).expect("a small recording")]);
    for (copy, slot) in (0..).zip(geometry.superblock_slots()) {
        image.put(usize::try_from(slot).expect("a small recording"), &superblock.slot(copy));
    }
    image
}

/// Stands between recorder and disk: an honest one changes nothing.
pub type Adapter = Box<dyn FnOnce(Box<dyn Disk>) -> Box<dyn Disk>>;

/// Runs the real recorder, equipped with what else it may have: a mirror, a beacon.
pub fn record_with(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    run: &Run,
    equip: impl FnOnce(Recorder<StaticCompressor>) -> Recorder<StaticCompressor>,
) -> Tale {
    let compressor = StaticCompressor::new().expect("memory");
    record_equipped(disk, clock, run, (Box::new(|disk| disk), compressor), equip)
}

/// Runs the real recorder once.
pub fn record(disk: &SimDisk, clock: &Arc<SimClock>, run: &Run) -> Tale {
    let compressor = StaticCompressor::new().expect("memory");
    record_through(disk, clock, run, Box::new(|disk| disk), compressor)
}

/// Runs the real recorder, its disk behind an adapter.
pub fn record_through<C: Compressor>(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    run: &Run,
    adapter: Adapter,
    compressor: C,
) -> Tale {
    record_equipped(disk, clock, run, (adapter, compressor), |recorder| recorder)
}

fn record_equipped<C: Compressor>(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    run: &Run,
    (adapter, compressor): (Adapter, C),
    equip: impl FnOnce(Recorder<C>) -> Recorder<C>,
) -> Tale {
    let begun_ns = clock.boottime_ns();
    let end_ns = begun_ns + run.length_ns;
    if let End::Stop(_) = run.end {
        clock.signal_at(end_ns, Signal::Terminate);
    } else {
        disk.cut_at(end_ns);
    }
    let facts = facts_of(run);
    let starter = Starter { boot_id: run.boot_id(), facts_crc: facts_crc(&facts) };
    let acks: Arc<Mutex<Vec<Ack>>> = Arc::default();
    let ack_log = {
        let (acks, disk, of_disk) = (acks.clone(), disk.clone(), disk.clock());
        Box::new(move |ticks: &[u64]| {
            let (at_ns, ops) = (of_disk.boottime_ns(), disk.op_count());
            let told = ticks.iter().map(|tick| Ack { tick: *tick, at_ns, ops });
            acks.lock().expect("nobody panics while holding it").extend(told);
        })
    };
    let mut disk_seen = adapter(Box::new(disk.clone()));
    let size = disk.size();
    let opener: Opener = Box::new(move || {
        let superblock = find_superblock(&mut *disk_seen, size)?;
        let superblock = superblock.ok_or_else(|| std::io::Error::other("no superblock"))?;
        Ok((disk_seen, superblock))
    });
    let clocks: (Arc<dyn Clock>, Arc<dyn Clock>) = (clock.clone(), disk.clock());
    let mut tale = Tale {
        run: run.clone(),
        begun_ns,
        ended_ns: begun_ns,
        made: Vec::new(),
        acks: Vec::new(),
        ended: None,
        said: Vec::new(),
    };
    let Ok(writer) = Writer::here(opener, starter, clocks, Some(ack_log)) else { return tale };
    let made = MadeList::default();
    let layout = run.width.layout();
    let kernel = FakeKernel::new(run, &layout, clock.clone(), made.clone());
    let (to, words) = sync_channel(32);
    let mut sources: Vec<Box<dyn Source + Send>> = vec![Box::new(kernel)];
    if run.talkative {
        sources.push(Box::new(Chatter(Noise(run.number), to.clone())));
    }
    if !run.kernel_errors_ns.is_empty() {
        sources.push(Box::new(BadDriver(run.kernel_errors_ns.clone(), clock.clone(), to)));
    }
    let said = Arc::default();
    let eater = run.appetite.map(|appetite| {
        let (eater, turns, lines) = Eater::new(appetite, &layout, clock.clone(), &said);
        sources.push(Box::new(eater));
        (turns, lines)
    });
    let sampler = Sampler::new(layout, sources, run.precision, clock.clone());
    let plan = Plan {
        interval_ns: run.interval_ns,
        commit_ns: run.commit_ns,
        commit_bytes: 4096,
        slowed: None,
        commit_dying_ns: run.commit_dying_ns(),
        // A cut run goes on a little in the dark, where nothing arrives.
        until_ns: Some(end_ns + run.interval_ns),
        boot_id: run.boot_id(),
        run_id: run.run_id(),
        facts,
        complaints: Vec::new(),
        copied: false,
        last_words: run.last_words.clone(),
        limits: run.limits,
        ration: Ration::new(run.limits.log_lines_max, begun_ns),
    };
    let reason = if let End::Stop(reason) = run.end { reason } else { 3 };
    let here: Arc<dyn Clock> = clock.clone();
    let mut recorder = Recorder::new(plan, here, sampler, writer, compressor).with_words(words);
    if let Some((turns, lines)) = eater {
        recorder = recorder.with_limits(turns, lines);
    }
    tale.ended = equip(recorder).run(move |_| reason).ok();
    tale.said = std::mem::take(&mut *said.lock().expect("nobody panics while holding it"));
    let cut = run.end == End::Cut;
    tale.ended_ns = if cut { end_ns } else { clock.boottime_ns() };
    let in_time = |at_ns: u64| !cut || at_ns <= end_ns;
    tale.acks = std::mem::take(&mut *acks.lock().expect("nobody panics while holding it"));
    tale.acks.retain(|ack| in_time(ack.at_ns));
    tale.made = std::mem::take(&mut *made.lock().expect("nobody panics while holding it"));
    tale.made.retain(|made| in_time(made.at_ns));
    round_changes(&mut tale.made, run.precision);
    tale
}

/// Logs that never stop: at each tick four errors that nobody has said before, of letters that do
/// not compress well.
struct Chatter(Noise, SyncSender<Word>);

impl Source for Chatter {
    fn name(&self) -> &'static str {
        "chatter"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        for number in 0..4 {
            let mut text = Text::default();
            while text.push(&format!("{:016x}", self.0.draw())) {}
            let source = short_name(format!("/var/log/app{number}.log").as_bytes());
            let word = Word {
                event: None,
                at_ns: 0,
                source,
                severity: 3,
                count: sample.tick,
                id: self.0.draw(),
                text,
            };
            // The recorder takes them at each tick.
            self.1.try_send(word).ok();
        }
        Ok(())
    }
}

/// A kernel that says a grave error at these boot times.
struct BadDriver(Vec<u64>, Arc<SimClock>, SyncSender<Word>);

impl Source for BadDriver {
    fn name(&self) -> &'static str {
        "bad driver"
    }

    fn read(&mut self, _: &mut Sample) -> Result<(), i32> {
        let now_ns = self.1.boottime_ns();
        while self.0.first().is_some_and(|at_ns| *at_ns <= now_ns) {
            let at_ns = self.0.remove(0);
            let mut text = Text::default();
            text.push("mmc0: error -110 whilst initialising SD card");
            let source = short_name(b"kmsg");
            let word = Word {
                event: Some(EventKind::KERNEL),
                at_ns,
                source,
                severity: 3,
                count: 1,
                id: at_ns,
                text,
            };
            // The recorder takes them at each tick.
            self.2.try_send(word).ok();
        }
        Ok(())
    }
}

/// Series that the option *precision* leaves alone (spec 7.1), of those that a narrow kernel has.
const EXACT: [u16; 4] = [34, 108, 109, 146];

/// What the option *precision* makes of readings: of each change so many leading bits, the rest
/// carried on to the next one. Told from the text of the specification, not from the code.
fn round_changes(made: &mut [Made], bits: u32) {
    let mut kept: std::collections::BTreeMap<u16, u64> = std::collections::BTreeMap::new();
    for made in made.iter_mut().filter(|_| bits > 0) {
        for (series, value) in made.readings.iter_mut().filter(|own| !EXACT.contains(&own.0)) {
            if let Some(last) = kept.get(series) {
                // Counters may come round.
                let change = value.wrapping_sub(*last).cast_signed();
                let size = change.unsigned_abs();
                let spare = (0..64).find(|spare| size >> spare < 1 << bits).unwrap_or(0);
                let rounded = (size >> spare << spare).cast_signed();
                let rounded = if change < 0 { rounded.wrapping_neg() } else { rounded };
                *value = last.wrapping_add_signed(rounded);
            }
            kept.insert(*series, *value);
        }
    }
}

fn facts_of(run: &Run) -> Vec<u8> {
    let mut facts = RunFacts {
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
    if run.limits != Limits::default() {
        let limits = run.limits.facts().map(|(name, value)| (name.to_owned(), value));
        facts.facts.extend(limits);
    }
    let mut encoded = vec![0; 3072];
    let len = facts.write(&mut encoded).expect("short facts");
    encoded.truncate(len);
    encoded
}
