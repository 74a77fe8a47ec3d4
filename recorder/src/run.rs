//! `flightrecd run`: opens everything, tells what it could not have, and records.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flightrec_format::event::stop_reason;
use flightrec_format::limits::FACTS_LEN_MAX;
use flightrec_format::superblock::Superblock;

use crate::cadence::Cadence;
use crate::census::{self, Census};
use crate::clock::{Clock, Signal, SystemClock};
use crate::config::Config;
use crate::disk::{Disk, FileDisk};
use crate::error::{Error, reason};
use crate::journal::Journal;
use crate::logs::journald::Journald;
use crate::logs::{self, Logs, Places};
use crate::marks::{self, Inbox};
use crate::recorder::{Ended, Plan, Recorder};
use crate::report;
use crate::resume::Starter;
use crate::sample::Layout;
use crate::sampler::Sampler;
use crate::slow;
use crate::sources::{self, MACHINE, RANKS, Roots};
use crate::sys::{self, StaticCompressor};
use crate::words::Messages;
use crate::writer::{AckLog, Opener, Writer};
use crate::{facts, place, pstore};

mod configuring;
mod opening;

use configuring::configure;
use opening::{open_for, open_for_service};

/// What the command line asks for; `None` leaves it to the configuration.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// Where the recording is.
    pub recording: Option<PathBuf>,
    /// End after this time.
    pub for_ns: Option<u64>,
    /// Time between samples.
    pub interval_ns: Option<u64>,
    /// Time between commits while calm.
    pub commit_ns: Option<u64>,
    /// Append `boot_id run tick` of every acknowledged sample to this file.
    pub ack_log: Option<PathBuf>,
}

/// Where the unit's `ExecStop=` leaves the manager's state: `stopping` when the machine goes down.
const MANAGER_STATE: &str = "/run/flightrec/manager-state";

/// Where journald keeps its files: those that last, and those in memory.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Records until told to end.
pub fn run(options: &RunOptions) -> Result<(), Error> {
    let service = std::env::var_os("NOTIFY_SOCKET").is_some();
    let (config, complaints) = configure(options, service)?;
    // First of all: a signal from now on waits until it is asked for, in every thread.
    sys::block_signals()
        .map_err(|error| Error::new(format!("cannot block signals: {error}"), ""))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let identity = facts::identity(Path::new("/"));
    let opened = if service {
        // Before the first write: nobody shall wait for a slow card.
        notify("READY=1");
        open_for_service(&config.recording, config.size_bytes, identity)?
    } else {
        open_for(&config.recording, identity)?
    };
    let missing = protect(&config);
    if !service {
        tell(&missing);
    }
    let plan = plan(&config, options, opened.copied, complaints, &missing, &*clock)?;
    let ended = record(&config, options, plan, (opened.disk, opened.superblock), clock)?;
    let durable = if ended.durable { "" } else { " The stop record could not be made durable." };
    tell(&[format!("{} samples, {} commits.{durable}", ended.samples, ended.commits)]);
    Ok(())
}

/// Takes the protections that can be had; returns the sentences about those that cannot.
fn protect(config: &Config) -> Vec<String> {
    let mut missing = Vec::new();
    let mut note = |what: &str, outcome: io::Result<()>| {
        if let Err(error) = outcome {
            missing.push(format!("{what}: {}", reason(&error)));
        }
    };
    note("priority", sys::set_nice(config.nice));
    note("oom_score_adj", std::fs::write("/proc/self/oom_score_adj", "-900"));
    note("io_flusher", sys::set_io_flusher());
    if config.lock_memory {
        note("lock_memory", sys::lock_memory());
    }
    missing
}

fn plan(
    config: &Config,
    options: &RunOptions,
    copied: bool,
    complaints: Vec<String>,
    missing: &[String],
    clock: &dyn Clock,
) -> Result<Plan, Error> {
    let place = place::inspect(&config.recording).map_err(|error| {
        Error::new(format!("cannot examine {}: {error}", config.recording.display()), "")
    })?;
    let cadence = Cadence::of(config, &place);
    let slowed = cadence.slowed;
    tell(slowed.as_slice());
    let config = &Config { commit_ns: cadence.commit_ns, ..config.clone() };
    let mut run_facts = facts::gather(config, &place, clock.realtime_ns(), Path::new("/"));
    let pairs = missing.iter().map(|what| ("missing".to_owned(), what.clone()));
    let defaults = complaints.iter().map(|what| ("config_default".to_owned(), what.clone()));
    let slower = slowed.iter().map(|what| ("cadence".to_owned(), what.clone()));
    run_facts.facts.extend(pairs.chain(defaults).chain(slower));
    facts::trim(&mut run_facts);
    let mut encoded = vec![0; FACTS_LEN_MAX];
    let len = run_facts.write(&mut encoded).unwrap_or(0);
    encoded.truncate(len);
    let mut run_id = [0; 8];
    sys::random_bytes(&mut run_id)
        .map_err(|error| Error::new(format!("no random numbers to be had: {error}"), ""))?;
    Ok(Plan {
        interval_ns: config.interval_ns,
        commit_ns: config.commit_ns,
        commit_bytes: cadence.commit_bytes,
        slowed,
        commit_dying_ns: config.commit_dying_ns,
        until_ns: options.for_ns.map(|time_ns| clock.boottime_ns().saturating_add(time_ns)),
        boot_id: boot_id(),
        run_id,
        facts: encoded,
        complaints,
        copied,
        last_words: pstore::last_words(Path::new("/"), clock.boottime_ns(), clock.realtime_ns()),
    })
}

/// Starts the threads and records.
fn record(
    config: &Config,
    options: &RunOptions,
    plan: Plan,
    (disk, superblock): (FileDisk, Superblock),
    clock: Arc<dyn Clock>,
) -> Result<Ended, Error> {
    let starter = Starter {
        boot_id: plan.boot_id,
        facts_crc: flightrec_format::facts::facts_crc(&plan.facts),
    };
    let failed = |what: &str, error: &io::Error| Error::new(format!("{what}: {error}"), "");
    let ack_log = options.ack_log.as_deref().map(|path| ack_log(path, &plan)).transpose()?;
    let opener: Opener = Box::new(move || {
        let disk: Box<dyn Disk> = Box::new(disk);
        Ok((disk, superblock))
    });
    let writer = Writer::start(opener, starter, clock.clone(), ack_log)
        .map_err(|error| failed("cannot start the writer", &error))?;
    let layout = Layout::new(MACHINE, RANKS);
    let (mut sources, mut lookout) = sources::all(&layout, Roots::real(), plan.interval_ns);
    let (sender, reports) = report::channel();
    let of_journal = sender.clone();
    let (census, own, cmdlines) = Census::new(&layout, Roots::real(), plan.interval_ns, sender);
    sources.extend(own);
    if config.messages == Messages::Redacted {
        lookout.add(Box::new(cmdlines));
    }
    lookout.add(census.questions(Path::new("/")));
    // Without a folder for them, as for a user who is not root, there are no marks.
    let (inbox, marks) = Inbox::open(&marks::folder()).ok().unzip();
    let no_thread = |error: &io::Error| failed("cannot start a thread", error);
    let slow = slow::start(lookout, inbox, slow::PERIOD).map_err(|error| no_thread(&error))?;
    let census = census.start(clock.clone(), census::PERIOD).map_err(|error| no_thread(&error))?;
    let (mut logs, heard) =
        Logs::new(&layout, Places::real(), plan.interval_ns, config.messages, &clock);
    let journal = Journal::new(Path::new(JOURNALS[0]), Path::new(JOURNALS[1]));
    logs.add(Box::new(Journald::new(journal, clock.clone(), of_journal)));
    sources.extend(heard.sources);
    let logs = logs.start(logs::PERIOD).map_err(|error| no_thread(&error))?;
    let sampler = Sampler::new(layout, sources, u32::from(config.precision), clock.clone());
    let compressor =
        StaticCompressor::new().map_err(|error| failed("no memory for zstd", &error))?;
    let recorder = Recorder::new(plan, clock, sampler, writer, compressor);
    let recorder = recorder.with_marks(marks).with_reports(reports).with_words(heard.words);
    // Now all memory is taken. What could not be locked was told at the start; the rest is extra.
    if config.lock_memory {
        sys::lock_memory().ok();
    }
    let ended = recorder
        .run(reason_of)
        .map_err(|error| failed(&format!("cannot use {}", config.recording.display()), &error));
    drop((slow, census, logs));
    ended
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
fn ack_log(path: &Path, plan: &Plan) -> Result<AckLog, Error> {
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

fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits = text.trim().bytes().filter(|byte| *byte != b'-');
    let mut id = [0; 16];
    for (index, digit) in digits.take(32).enumerate() {
        let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        if let Some(byte) = id.get_mut(index / 2) {
            *byte = *byte << 4 | value.unwrap_or(0);
        }
    }
    id
}

/// Tells the service manager, if there is one.
fn notify(state: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    let sent =
        UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(state.as_bytes(), &address?));
    // Without a manager that listens there is nobody to tell.
    sent.ok();
}

/// One line each to the log.
#[allow(clippy::print_stderr, reason = "state changes of the service, and only they")]
fn tell(lines: &[String]) {
    for line in lines {
        eprintln!("flightrecd: {line}");
    }
}
