//! `flightrec`: reads what is typed, runs it, and says how it ended.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use flightrec_reader::args::{Arguments, ColorChoice};
use flightrec_reader::outcome::Outcome;
use flightrec_reader::{Output, run};

/// Few writes for a long dump, little delay for a short one.
const BUFFER_SIZE: usize = 64 * 1024;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stdout = io::stdout();
    let color = match arguments.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
    };
    let mut data = BufWriter::with_capacity(BUFFER_SIZE, stdout.lock());
    let mut remarks = io::stderr();
    let watched = remarks.is_terminal();
    let mut output = Output { data: &mut data, remarks: &mut remarks, color, watched };
    let ended = run(&arguments, &mut output)
        .and_then(|outcome| data.flush().map(|()| outcome).map_err(Into::into));
    let outcome = ended.unwrap_or_else(|trouble| {
        // What was printed so far is still true; if even that fails, so does the message.
        let flushed = data.flush();
        if !trouble.silent && flushed.is_ok() {
            writeln!(remarks, "flightrec: {trouble}").unwrap_or_default();
        }
        trouble.outcome
    });
    // A reader that has gone away is no failure of ours, and its buffer must not be tried again.
    std::mem::forget(data);
    if outcome == Outcome::Whole { ExitCode::SUCCESS } else { ExitCode::from(outcome.code()) }
}
