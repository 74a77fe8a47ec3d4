//! The recorder proper: its threads, from the first to the last.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use flightrec_format::event::stop_reason;
use flightrec_format::superblock::Superblock;

use super::handover::Task;
use super::{JOURNALS, MANAGER_STATE};
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

/// Starts the threads and records.
pub(super) fn record(
    task: Task,
    (disk, superblock): (FileDisk, Superblock),
    clock: Arc<dyn Clock>,
) -> Result<Ended, Error> {
    let Task { plan, recording, ack_log, messages, precision, lock_memory } = task;
    let starter = Starter {
        boot_id: plan.boot_id,
        facts_crc: flightrec_format::facts::facts_crc(&plan.facts),
    };
    let failed = |what: &str, error: &io::Error| Error::new(format!("{what}: {error}"), "");
    let ack_log = ack_log.map(|path| open_ack_log(&path, &plan)).transpose()?;
    let opener: Opener = Box::new(move || {
        let disk: Box<dyn Disk> = Box::new(disk);
        Ok((disk, superblock))
    });
    let writer = Writer::start(opener, starter, clock.clone(), ack_log)
        .map_err(|error| failed("cannot start the writer", &error))?;
    let layout = Layout::new(MACHINE, RANKS);
    let limits = plan.limits;
    let (mut sources, mut lookout) = sources::all(&layout, Roots::real(), plan.interval_ns);
    let (sender, reports) = report::channel();
    let of_journal = sender.clone();
    let (mut census, own, cmdlines) = Census::new(&layout, Roots::real(), plan.interval_ns, sender);
    sources.extend(own);
    if messages == Messages::Redacted {
        lookout.add(Box::new(cmdlines));
    }
    lookout.add(census.questions(Path::new("/")));
    // Without a folder for them, as for a user who is not root, there are no marks.
    let (inbox, marks) = Inbox::open(&marks::folder()).ok().unzip();
    let no_thread = |error: &io::Error| failed("cannot start a thread", error);
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
    let sampler = Sampler::new(layout, sources, u32::from(precision), clock.clone());
    let compressor =
        StaticCompressor::new().map_err(|error| failed("no memory for zstd", &error))?;
    let recorder = Recorder::new(plan, clock.clone(), sampler, writer, compressor);
    let recorder = recorder.with_marks(marks).with_reports(reports).with_words(heard.words);
    let recorder = recorder.with_limits(Arc::clone(&turns), lines);
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
