//! `flightrec`: rebuilds the final minutes of a machine from its recording.
//!
//! The way of the bytes, which is also the order to read the rooms in:
//! [`recording`] (open, slots) - [`scan`] (slots to verdicts) - [`recover`] (frames to samples) -
//! [`merge`] (copies joined) - [`timeline`] (boots, runs, ends) - [`date`], [`gap`] - [`window`] -
//! [`play`] - [`views`] for people, [`export`] for machines.
//!
//! Nothing here writes to a recording, and no bytes in one make it panic.

#![cfg_attr(
    test,
    allow(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "tests know their numbers"
    )
)]

/// Appends to a string; writing into a string does not fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {
        std::fmt::Write::write_fmt($out, format_args!($($text)*)).unwrap_or_default()
    };
}

pub mod args;
pub mod boots;
pub mod carve;
pub mod date;
#[cfg(target_os = "linux")]
pub mod doctor;
pub mod dump;
pub mod events;
pub mod export;
pub mod gap;
pub mod holder;
pub mod log;
#[cfg(target_os = "linux")]
pub mod mark;
pub mod medium;
pub mod merge;
pub mod moment;
pub mod order;
pub mod out;
pub mod outcome;
pub mod play;
pub mod progress;
pub mod recording;
pub mod recover;
pub mod scan;
pub mod snapshot;
pub mod status;
#[cfg(target_os = "linux")]
pub mod sys;
pub mod timeline;
pub mod top;
pub mod units;
pub mod usage;
pub mod values;
pub mod verdict;
pub mod verify;
pub mod views;
pub mod wear;
pub mod window;
pub mod zone;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;

use crate::outcome::{Outcome, Trouble};
use crate::progress::{Steps, Tell};
use crate::recording::Recording;
use crate::recover::Recover;
use crate::scan::{Depth, Scan};
use crate::timeline::Timeline;

/// Where output goes, and how it may look.
pub struct Output<'a> {
    /// Data.
    pub data: &'a mut dyn Write,
    /// Remarks, when data is for machines.
    pub remarks: &'a mut dyn Write,
    /// Whether colour is shown.
    pub color: bool,
    /// Whether somebody watches the remarks: long work says how far it is.
    pub watched: bool,
}

/// Does what was asked for.
pub fn run(arguments: &args::Arguments, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    match &arguments.command {
        None => {
            let help = <args::Arguments as clap::CommandFactory>::command().render_help();
            write!(output.data, "{help}")?;
            Ok(Outcome::Whole)
        }
        Some(args::Command::Dump(wish)) => dump::run(wish, output),
        Some(args::Command::Top(wish)) => top::run(wish, output),
        Some(args::Command::Log(wish)) => log::run(wish, output),
        Some(args::Command::Events(wish)) => events::run(wish, output),
        Some(args::Command::Boots(wish)) => boots::run(wish, output),
        Some(args::Command::Verify(wish)) => verify::run(wish, output),
        Some(args::Command::Status(wish)) => status::run(wish, output),
        #[cfg(target_os = "linux")]
        Some(args::Command::Doctor(wish)) => doctor::run(wish, output),
        #[cfg(target_os = "linux")]
        Some(args::Command::Mark(wish)) => mark::run(wish, output),
        Some(args::Command::Snapshot(wish)) => snapshot::run(wish, output),
        Some(args::Command::Carve(wish)) => carve::run(wish, output),
    }
}

/// Puts what is in a recording in order.
pub fn order(
    recording: Recording,
    depth: Depth,
    tell: &mut Tell<'_>,
) -> Result<(Scan, Timeline), Trouble> {
    let scan = Scan::of(&recording, depth, tell)?;
    let timeline = Timeline::new(&scan, Recover::new(recording));
    Ok((scan, timeline))
}

/// Opens a recording, orders it, and asks whether a recorder is at work on it.
pub fn open(
    path: &Path,
    depth: Depth,
    output: &mut Output<'_>,
) -> Result<(Scan, Timeline), Trouble> {
    open_by(|tell| Recording::open(path, tell), depth, output)
}

/// The same with a recording that `open` opens.
pub fn open_by(
    open: impl FnOnce(&mut Tell<'_>) -> Result<Recording, Trouble>,
    depth: Depth,
    output: &mut Output<'_>,
) -> Result<(Scan, Timeline), Trouble> {
    let mut steps = Steps::default();
    let mut tell = |what, done, total| steps.at((what, done, total), output);
    let ordered = open(&mut tell).and_then(|recording| order(recording, depth, &mut tell));
    steps.done(output);
    let (scan, mut timeline) = ordered?;
    if let Some(boot_id) = holder::current_boot_id()
        && timeline.recover.recording().snapshot.is_none()
    {
        timeline.current = timeline.boots.iter().rposition(|boot| boot.boot_id == boot_id);
        let newest = timeline.boots.len().checked_sub(1);
        timeline.running = timeline
            .current
            .filter(|boot| Some(*boot) == newest && holder::is_held(timeline.recover.recording()));
    }
    Ok((scan, timeline))
}
