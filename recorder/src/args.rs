//! What can be typed: `flightrecd create`, `resize`, `run` and `check-config`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{commit_ns, interval_ns};
use crate::units::{duration_ns, size_bytes};

/// Records the minutes before the end, so that a power cut does not take them along.
#[derive(Debug, Parser)]
#[command(name = "flightrecd", version, max_term_width = 80)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a recording: a file of fixed size, written once from end to end, or a raw partition
    Create {
        /// Where: a file on a disk or card, or a partition
        path: PathBuf,
        /// How large, in whole KiB, MiB or GiB [default: 64MiB; of a partition all]
        #[arg(long, value_parser = size_bytes)]
        size: Option<u64>,
        /// Over an existing file or what is on a partition, which is lost; also in RAM
        #[arg(long)]
        force: bool,
    },
    /// Makes a new recording of another size in the place of one, which is set aside, readable
    Resize {
        /// The recording; nobody may be recording into it
        path: PathBuf,
        /// How large, in whole KiB, MiB or GiB
        #[arg(long, value_parser = size_bytes)]
        size: u64,
    },
    /// Records until it is told to stop
    Run {
        /// Configuration [default: /etc/flightrec.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where the recording is, whatever the configuration says
        #[arg(long, value_name = "PATH")]
        recording: Option<PathBuf>,
        /// Stops by itself after this time
        #[arg(long = "for", value_name = "TIME", value_parser = duration_ns)]
        time: Option<u64>,
        /// Time between samples: 10ms to 60s
        #[arg(long, value_name = "TIME", value_parser = interval_ns)]
        interval: Option<u64>,
        /// Time between commits while all is calm: 10ms to 10m
        #[arg(long, value_name = "TIME", value_parser = commit_ns)]
        commit: Option<u64>,
        /// Appends "boot_id run tick" of every sample that became durable to this file
        #[arg(long, value_name = "FILE")]
        ack_log: Option<PathBuf>,
    },
    /// Tells every mistake in a configuration file, or else what it amounts to
    CheckConfig {
        /// The file [default: /etc/flightrec.toml, if there is one]
        file: Option<PathBuf>,
    },
}
