//! `flightrecd`: reads what is typed, does it, and says how it ended.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use flightrec_recorder::args::{Arguments, Command};
use flightrec_recorder::clock::SystemClock;
use flightrec_recorder::config::Config;
use flightrec_recorder::create::resize::resize;
use flightrec_recorder::create::{Created, create};
use flightrec_recorder::error::Error;
use flightrec_recorder::run::{RunOptions, run};
use flightrec_recorder::{facts, sys};

fn main() -> ExitCode {
    // Before anything writes: beyond a file size limit there shall be an error, not an end.
    sys::ignore_file_size_signal();
    let done = match Arguments::parse().command {
        Command::Create { path, size, force } => create_and_tell(&path, size, force),
        Command::Resize { path, size } => resize_and_tell(&path, size),
        Command::Run { config, recording, time: for_ns, interval, commit, ack_log } => {
            let (interval_ns, commit_ns) = (interval, commit);
            run(&RunOptions { config, recording, for_ns, interval_ns, commit_ns, ack_log })
        }
        Command::CheckConfig { file } => check_config(file.as_deref()),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    say(&mut io::stderr(), &error.to_string());
    ExitCode::from(error.exit_code())
}

fn create_and_tell(path: &Path, size: Option<u64>, force: bool) -> Result<(), Error> {
    let made = create(path, size, force, facts::identity(Path::new("/")), &SystemClock)?;
    tell_made(path, &made);
    Ok(())
}

fn resize_and_tell(path: &Path, size: u64) -> Result<(), Error> {
    let (made, aside) = resize(path, size, facts::identity(Path::new("/")), &SystemClock)?;
    tell_made(path, &made);
    let aside = aside.display();
    let told = format!("What was recorded so far: flightrec dump {aside}");
    say(&mut io::stdout(), &told);
    Ok(())
}

fn tell_made(path: &Path, made: &Created) {
    say(&mut io::stdout(), &format!("{}: {made}", path.display()));
    for warning in made.warnings() {
        say(&mut io::stderr(), &format!("flightrecd: {warning}"));
    }
}

fn check_config(given: Option<&Path>) -> Result<(), Error> {
    let path = given.unwrap_or(Path::new("/etc/flightrec.toml"));
    let text = match fs::read_to_string(path) {
        // No file is a good configuration, unless somebody names it.
        Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|error| Error::io("read", path, &error))?,
    };
    let complaints = match Config::check(&text) {
        Ok(config) => {
            say(&mut io::stdout(), config.to_string().trim_end());
            return Ok(());
        }
        Err(complaints) => complaints,
    };
    for complaint in &complaints {
        say(&mut io::stderr(), &format!("{}: {complaint}", path.display()));
    }
    let count = complaints.len();
    let what =
        format!("{count} mistake{} in {}", if count == 1 { "" } else { "s" }, path.display());
    Err(Error::new(what, "The service would record with the defaults named above."))
}

/// Whoever closed the pipe has read enough.
fn say(to: &mut dyn Write, text: &str) {
    writeln!(to, "{text}").ok();
}
