//! The recorder proper: its threads, from the first to the last.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use flightrec_format::event::{EventKind, stop_reason};
use flightrec_format::superblock::Superblock;

use super::handover::Task;
use super::opening::open_mirror;
use super::{JOURNALS, MANAGER_STATE, PMSG};
use crate::beacon::{Beacon, Ways};
use crate::budget::Allowance;
use crate::census::{self, Census};
use crate::clock::{Clock, Signal};
use crate::disk::{Disk, FileDisk};
use crate::error::Error;
use crate::journal::Journal;
use crate::limits::turns::{EACH_OF, EACH_OF_SLOW, Turn, Turns};
use crate::limits::voice;
use crate::logs::journald::Journald;
use crate::logs::{self, Logs, Places};
use crate::marks::{self, Inbox};
use crate::mirror::Mirror;
use crate::recorder::{Ended, Plan, Recorder};
use crate::report::{self, Report};
use crate::resume::Starter;
use crate::returning::Returning;
use crate::sample::Layout;
use crate::sampler::Sampler;
use crate::slow;
use crate::sources::{self, MACHINE, RANKS, Roots};
use crate::sys::{self, StaticCompressor};
use crate::words::Messages;
use crate::writer::{AckLog, Opener, Writer};

/// Starts the threads and records.
pub(super) fn record(
    task: Task,
    (disk, superblock): (FileDisk, Superblock),
    clock: Arc<dyn Clock>,
) -> Result<Ended, Error> {
    let beacon = beacon(&task);
    let Task { plan, recording, ack_log, messages, precision, lock_memory, mirror, .. } = task;
    let starter = Starter {
        boot_id: plan.boot_id,
        facts_crc: flightrec_format::facts::facts_crc(&plan.facts),
    };
    let failed = |what: &str, error: &io::Error| Error::new(format!("{what}: {error}"), "");
    let ack_log = ack_log.map(|path| open_ack_log(&path, &plan)).transpose()?;
    let path = recording.clone();
    let opener: Opener = Box::new(move || {
        let disk: Box<dyn Disk> = Box::new(Returning::at(path, disk, superblock));
        Ok((disk, superblock))
    });
    let writer = Writer::start(opener, starter, clock.clone(), ack_log)
        .map_err(|error| failed("cannot start the writer", &error))?;
    let layout = Layout::new(MACHINE, RANKS);
    let limits = plan.limits;
    let (mut sources, mut lookout) = sources::all(&layout, Roots::real(), plan.interval_ns);
    let (sender, reports) = report::channel();
    let (of_journal, of_mirror) = (sender.clone(), sender.clone());
    let (mut census, own, cmdlines) = Census::new(&layout, Roots::real(), plan.interval_ns, sender);
    sources.extend(own);
    if messages == Messages::Redacted {
        lookout.add(Box::new(cmdlines));
    }
    lookout.add(census.questions(Path::new("/")));
    // Without a folder for them, as for a user who is not root, there are no marks.
    let (inbox, marks) = Inbox::open(&marks::folder()).ok().unzip();
    let no_thread = |error: &io::Error| failed("cannot start a thread", error);
    let beacon = beacon.map_err(|error| no_thread(&error))?;
    let (mut logs, heard) = Logs::new(&layout, Places::real(), plan.interval_ns, messages, &clock);
    sources.extend(heard.sources);
    let turns = Arc::new(Turns::default());
    let turn = |each_of| Turn::of(Arc::clone(&turns), each_of);
    census.take_turns(turn(EACH_OF));
    logs.take_turns(turn(EACH_OF));
    logs.only(limits.has_thread("kmsg"), limits.has_thread("logs"));
    lookout.take_turns(turn(EACH_OF_SLOW));
    let (lines, mouth) = voice::channel();
    lookout.add_first(Box::new(mouth));
    let mirror = mirror.map(|path| {
        start_mirror(path, &layout, (starter, plan.commit_ns, limits.writes), &clock, of_mirror)
    });
    let mirror = mirror.transpose().map_err(|error| failed("cannot start the mirror", &error))?;
    let sampler = Sampler::new(layout, sources, u32::from(precision), clock.clone());
    let compressor =
        StaticCompressor::new().map_err(|error| failed("no memory for zstd", &error))?;
    let recorder = Recorder::new(plan, clock.clone(), sampler, writer, compressor);
    let recorder = recorder.with_marks(marks).with_reports(reports).with_words(heard.words);
    let recorder = recorder.with_limits(Arc::clone(&turns), lines);
    let recorder = recorder.with_beacon(beacon).with_mirror(mirror);
    // All that sampler and writer will ever use is there, and stays. What could not be locked was
    // told at the start. The others may wait for memory when there is none, and take it as they
    // need it: 300 processes need less than 4096.
    let is_all = !lock_memory || sys::lock_memory().unwrap_or(true);
    let slow = limits
        .has_thread("slow")
        .then(|| slow::start(lookout, inbox, slow::PERIOD))
        .transpose()
        .map_err(|error| no_thread(&error))?;
    let census = limits
        .has_thread("census")
        .then(|| census.start(clock.clone(), census::PERIOD))
        .transpose()
        .map_err(|error| no_thread(&error))?;
    let journal = Journal::new(Path::new(JOURNALS[0]), Path::new(JOURNALS[1]));
    logs.add(Box::new(Journald::new(journal, clock, of_journal)));
    let logs = logs.start(logs::PERIOD).map_err(|error| no_thread(&error))?;
    if !is_all {
        sys::lock_used_memory().ok();
    }
    let ended = recorder
        .run(reason_of)
        .map_err(|error| failed(&format!("cannot use {}", recording.display()), &error));
    drop((slow, census, logs));
    ended
}

/// The mirror, whose thread opens it, be it there or not: until it is, it is looked for.
fn start_mirror(
    path: PathBuf,
    layout: &Layout,
    (starter, calm_ns, allowed): (Starter, u64, Allowance),
    clock: &Arc<dyn Clock>,
    reports: SyncSender<Report>,
) -> io::Result<Mirror<StaticCompressor>> {
    let of_opener = clock.clone();
    let opener: Opener = Box::new(move || {
        let mut told = String::new();
        let report = |kind, text: &[u8]| {
            // What finds no room is told when it changes.
            reports.try_send(Report::new(kind, of_opener.boottime_ns(), [0; 2]).with(text)).ok();
        };
        loop {
            match open_mirror(&path) {
                Ok((disk, superblock)) => {
                    if !told.is_empty() {
                        report(EventKind::SOURCE_FOUND, b"mirror");
                    }
                    let disk: Box<dyn Disk> = Box::new(Returning::at(path, disk, superblock));
                    return Ok((disk, superblock));
                }
                Err(error) if error.what() != told => {
                    error.what().clone_into(&mut told);
                    report(EventKind::SOURCE_LOST, format!("mirror: {told}").as_bytes());
                }
                Err(_) => {}
            }
            std::thread::park_timeout(MIRROR_LOOK);
        }
    });
    let writer = Writer::start(opener, starter, clock.clone(), None)?;
    let times = (calm_ns, clock.boottime_ns());
    Ok(Mirror::new(layout, writer, StaticCompressor::new()?, times, allowed))
}

/// How often a mirror that is not there is looked for.
const MIRROR_LOOK: Duration = Duration::from_secs(60);

/// The ways that the newest frame goes besides the disk. One that cannot be had was told at the
/// start, or is no reason not to record.
fn beacon(task: &Task) -> io::Result<Option<Beacon>> {
    let mut ways = Ways::default();
    if let Some(address) = task.beacon.as_ref().and_then(|text| text.parse().ok()) {
        ways.to_host(address).ok();
    }
    if task.pmsg {
        ways.to_pmsg(Path::new(PMSG)).ok();
    }
    if ways.is_empty() { Ok(None) } else { Beacon::start(ways).map(Some) }
}

/// Only the service manager knows whether the machine goes down.
fn reason_of(signal: Signal) -> i64 {
    let stopping =
        std::fs::read_to_string(MANAGER_STATE).is_ok_and(|state| state.trim() == "stopping");
    match signal {
        Signal::Terminate if stopping => stop_reason::MACHINE_SHUTDOWN,
        Signal::Terminate if std::env::var_os("NOTIFY_SOCKET").is_some() => {
            stop_reason::SERVICE_STOP
        }
        _ => stop_reason::SIGNAL,
    }
}

/// A log of acknowledged samples, for tests: the line reaches the file before the next commit.
fn open_ack_log(path: &Path, plan: &Plan) -> Result<AckLog, Error> {
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
        Error::new(format!("cannot open the acknowledgement log {}: {error}", path.display()), "")
    })?;
    let prefix = format!("{} {} ", hex(&plan.boot_id), hex(&plan.run_id));
    let mut lines = Vec::with_capacity(64 << 10);
    Ok(Box::new(move |ticks: &[u64]| {
        lines.clear();
        for tick in ticks {
            // A full log loses lines, never the recording.
            writeln!(lines, "{prefix}{tick}").ok();
        }
        file.write_all(&lines).ok();
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}
