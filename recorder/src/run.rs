//! `flightrecd run`: opens everything, tells what it could not have, and records.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flightrec_format::limits::FACTS_LEN_MAX;
use flightrec_format::superblock::Superblock;

use crate::beacon::Ways;
use crate::cadence::Cadence;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::disk::FileDisk;
use crate::error::{Error, reason};
use crate::limits::ration::{LAST, Leave, Ration};
use crate::marks::{self, Inbox};
use crate::recorder::Plan;
use crate::sys::{self};
use crate::{facts, place, pstore};

mod configuring;
pub mod handover;
mod opening;
mod recording;

use configuring::configure;
use handover::{Task, hand_over};
use opening::{open_for, open_for_service};
use recording::record;

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

/// What the kernel keeps over a reset, if it was given memory for it (ramoops, `pmsg_size`).
const PMSG: &str = "/dev/pmsg0";

/// Where journald keeps its files: those that last, and those in memory.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Records until told to end.
pub fn run(options: &RunOptions) -> Result<(), Error> {
    let service = std::env::var_os("NOTIFY_SOCKET").is_some();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (config, complaints, mut ration) = configure(options, service, &*clock)?;
    // First of all: a signal from now on waits until it is asked for, in every thread.
    sys::block_signals()
        .map_err(|error| Error::new(format!("cannot block signals: {error}"), ""))?;
    let identity = facts::identity(Path::new("/"));
    let opened = if service {
        // Before the first write: nobody shall wait for a slow card.
        notify("READY=1");
        open_for_service(&config.recording, config.size_bytes, identity)?
    } else {
        open_for(&config.recording, identity)?
    };
    let mut missing = protect(&config);
    let small = handover::program();
    if let Err(why) = small {
        missing.push(format!("small program: {why}"));
    }
    missing.extend(config.limits.missing_threads());
    // Opened again by the program that looks into it.
    if let Err(error) = Inbox::open(&marks::folder()) {
        missing.push(format!("marks: {}: {}", marks::folder().display(), reason(&error)));
    }
    if !service {
        tell(&missing, &mut ration, &*clock);
    }
    let said = (complaints, missing, ration);
    let task = Task {
        plan: plan(&config, options, opened.copied, said, &*clock)?,
        recording: config.recording.clone(),
        ack_log: options.ack_log.clone(),
        messages: config.messages,
        precision: config.precision,
        lock_memory: config.lock_memory,
        mirror: config.mirror.clone(),
        beacon: config.beacon.map(|address| address.to_string()),
        pmsg: config.pmsg,
    };
    if let Ok(program) = small {
        // It comes back only if it was not possible: then this program does it, and takes more.
        let error = hand_over(&program, &task, opened.disk.file(), &opened.superblock);
        say(&format!("cannot become the smaller program: {error}"));
    }
    finish(task, opened.disk, opened.superblock, clock)
}

/// Records to the end, and says how it was.
fn finish(
    task: Task,
    disk: FileDisk,
    superblock: Superblock,
    clock: Arc<dyn Clock>,
) -> Result<(), Error> {
    let ended = record(task, (disk, superblock), clock)?;
    let durable = if ended.durable { "" } else { " The stop record could not be made durable." };
    say(&format!("{} samples, {} commits.{durable}", ended.samples, ended.commits));
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
        note("lock_memory", sys::lock_memory().map(drop));
    }
    if config.pmsg {
        note("pmsg", Ways::default().to_pmsg(Path::new(PMSG)));
    }
    missing
}

fn plan(
    config: &Config,
    options: &RunOptions,
    copied: bool,
    (complaints, missing, mut ration): (Vec<String>, Vec<String>, Ration),
    clock: &dyn Clock,
) -> Result<Plan, Error> {
    let place = place::inspect(&config.recording).map_err(|error| {
        Error::new(format!("cannot examine {}: {error}", config.recording.display()), "")
    })?;
    let cadence = Cadence::of(config, &place);
    let slowed = cadence.slowed;
    tell(slowed.as_slice(), &mut ration, clock);
    let config = &Config { commit_ns: cadence.commit_ns, ..config.clone() };
    let mut run_facts = facts::gather(config, &place, clock.realtime_ns(), Path::new("/"));
    let pairs = missing.iter().map(|what| ("missing".to_owned(), what.clone()));
    let defaults = complaints.iter().map(|what| ("config_default".to_owned(), what.clone()));
    let slower = slowed.iter().map(|what| ("cadence".to_owned(), what.clone()));
    let limits = config.limits.facts().map(|(name, value)| (name.to_owned(), value));
    run_facts.facts.extend(limits.into_iter().chain(pairs).chain(defaults).chain(slower));
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
        limits: config.limits,
        ration,
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

/// One line each to the log, as many as may be said.
fn tell(lines: &[String], ration: &mut Ration, clock: &dyn Clock) {
    for line in lines {
        match ration.ask(clock.boottime_ns()) {
            Leave::Say => say(line),
            Leave::SayLast => say(LAST),
            Leave::Silence => {}
        }
    }
}

/// One line to the log.
#[allow(clippy::print_stderr, reason = "state changes of the service, and only they")]
fn say(line: &str) {
    eprintln!("flightrecd: {line}");
}
