//! From the program that reads settings and examines the machine to the one that records.
//!
//! Both have the same process: the recording stays open and locked, priority and protections are
//! kept, the service manager sees no other. What was read and parsed is gone from memory, with the
//! code that did it; what is left is small enough to be locked whole.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bincode::{Decode, Encode};
use flightrec_format::superblock::Superblock;

use crate::clock::SystemClock;
use crate::disk::FileDisk;
use crate::error::Error;
use crate::recorder::Plan;
use crate::sys;
use crate::words::Messages;

/// The other program, beside this one.
const PROGRAM: &str = "flightrecd-core";

/// Both must be of one build: what is handed over has no version of its own.
const BUILD: &str = env!("FLIGHTREC_BUILD");

/// Most bytes that are handed over.
const LEN_MAX: usize = 64 << 10;

/// All that the recorder proper needs to know.
#[derive(Debug, Decode, Encode)]
pub struct Task {
    pub(super) plan: Plan,
    pub(super) recording: PathBuf,
    pub(super) ack_log: Option<PathBuf>,
    pub(super) messages: Messages,
    pub(super) precision: u8,
    pub(super) lock_memory: bool,
    pub(super) mirror: Option<PathBuf>,
    pub(super) beacon: Option<String>,
    pub(super) pmsg: bool,
}

/// Asked so, the other program says of which build it is.
const ASK: &str = "--build";

/// Where the other program is; or why there is none to become.
pub(super) fn program() -> Result<PathBuf, &'static str> {
    let own = std::env::current_exe().map_err(|_| "this program cannot find itself")?;
    let path = own.with_file_name(PROGRAM);
    let said = Command::new(&path).arg(ASK).output();
    let said = said.map_err(|_| "flightrecd-core is not beside flightrecd")?;
    // In the middle of an upgrade, or with one of two programs built.
    let is_ours = said.stdout.trim_ascii() == BUILD.as_bytes();
    is_ours.then_some(path).ok_or("flightrecd-core is of another build than flightrecd")
}

/// Becomes the other program. Comes back only if that was not possible.
pub(super) fn hand_over(
    path: &Path,
    task: &Task,
    disk: &File,
    superblock: &Superblock,
) -> io::Error {
    let handed = || {
        let slot = superblock.slot(0).to_vec();
        let bytes = bincode::encode_to_vec((BUILD, slot, task), bincode::config::legacy())
            .map_err(io::Error::other)?;
        let mut file = sys::memory_file(c"flightrec task")?;
        file.write_all(&bytes)?;
        file.rewind()?;
        let path = CString::new(path.as_os_str().as_bytes())?;
        let name = CString::new(PROGRAM)?;
        let task_number = CString::new(file.as_raw_fd().to_string())?;
        let disk_number = CString::new(disk.as_raw_fd().to_string())?;
        // Nobody reads it; but it is what a list of processes shows.
        let recording = CString::new(task.recording.as_os_str().as_bytes())?;
        sys::keep_open(disk)?;
        Ok(sys::become_program(&path, &[&name, &task_number, &disk_number, &recording]))
    };
    handed().unwrap_or_else(|error: io::Error| error)
}

/// The other program: takes what was handed over, and records.
pub fn take_over(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
    let mut arguments = arguments.peekable();
    if arguments.peek().is_some_and(|first| first == ASK) {
        writeln!(io::stdout(), "{BUILD}").ok();
        return Ok(());
    }
    let started_by = |what: &str| {
        Error::new(format!("{PROGRAM}: {what}"), "Nobody starts it by hand: flightrecd run does.")
    };
    sys::block_signals()
        .map_err(|error| Error::new(format!("cannot block signals: {error}"), ""))?;
    sys::set_name(c"flightrecd").ok();
    let files: Vec<_> =
        arguments.take(2).filter_map(|number| sys::adopt(number.parse().ok()?).ok()).collect();
    let Ok([file, disk]) = <[File; 2]>::try_from(files) else {
        return Err(started_by("nothing was handed over"));
    };
    let (build, slot, task) = read(file)
        .map_err(|error| started_by(&format!("what was handed over is no task: {error}")))?;
    if build != BUILD {
        return Err(Error::new(
            format!("{PROGRAM} is of another build than flightrecd"),
            "Install both from one package.",
        ));
    }
    let superblock = Superblock::read(&slot)
        .map_err(|_| started_by("what was handed over has no superblock"))?;
    super::finish(task, FileDisk::from(disk), superblock, Arc::new(SystemClock))
}

fn read(file: File) -> io::Result<(String, Vec<u8>, Task)> {
    let mut bytes = Vec::new();
    file.take(u64::try_from(LEN_MAX).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    let limited = bincode::config::legacy().with_limit::<LEN_MAX>();
    let (handed, _) = bincode::decode_from_slice(&bytes, limited).map_err(io::Error::other)?;
    Ok(handed)
}
