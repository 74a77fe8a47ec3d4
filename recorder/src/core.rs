//! `flightrecd-core`: the recorder and nothing else, small enough to be locked into memory whole.
//!
//! `flightrecd run` reads the configuration, examines the machine, opens the recording, and becomes
//! this program, which has no parsers of arguments and settings in it.

use std::io::{self, Write};
use std::process::ExitCode;

use flightrec_recorder::run::handover;

fn main() -> ExitCode {
    let Err(error) = handover::take_over(std::env::args().skip(1)) else {
        return ExitCode::SUCCESS;
    };
    // Nobody is left to be told if that fails too.
    writeln!(io::stderr(), "{error}").ok();
    ExitCode::from(error.exit_code())
}
