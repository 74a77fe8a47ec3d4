//! The configuration, and what the command line says beside it.

use std::io;
use std::path::PathBuf;

use super::{RunOptions, say, tell};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, reason};
use crate::limits::ration::Ration;

const CONFIG: &str = "/etc/flightrec.toml";

/// At a terminal a bad configuration is refused; a service records with defaults and says so.
pub(super) fn configure(
    options: &RunOptions,
    service: bool,
    clock: &dyn Clock,
) -> Result<(Config, Vec<String>, Ration), Error> {
    let path = options.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && options.config.is_none() => {
            String::new()
        }
        Err(error) => {
            let what =
                format!("cannot read the configuration {}: {}", path.display(), reason(&error));
            if !service {
                return Err(Error::new(what, "Name another with --config, or leave it out."));
            }
            say(&format!("{what}; recording with defaults"));
            String::new()
        }
    };
    let (mut config, complaints) = if service {
        Config::lenient(&text)
    } else {
        let config = Config::check(&text).map_err(|complaints| {
            let first = complaints.first().map(ToString::to_string).unwrap_or_default();
            let what = format!("{}: {first}", path.display());
            Error::new(what, format!("`flightrecd check-config {}` tells all.", path.display()))
        })?;
        (config, Vec::new())
    };
    let complaints: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    let mut ration = Ration::new(config.limits.log_lines_max, clock.boottime_ns());
    tell(&complaints, &mut ration, clock);
    if let Some(recording) = &options.recording {
        config.recording.clone_from(recording);
    }
    if let Some(interval_ns) = options.interval_ns {
        config.interval_ns = interval_ns;
        config.commit_ns = config.commit_ns.max(interval_ns);
        config.commit_dying_ns = config.commit_dying_ns.max(interval_ns);
    }
    if let Some(commit_ns) = options.commit_ns {
        if commit_ns < config.interval_ns {
            let what = "--commit is shorter than the sampling interval";
            return Err(Error::new(what, "Every commit holds at least one sample."));
        }
        config.commit_ns = commit_ns;
        config.commit_is_given = true;
        config.commit_dying_ns = config.commit_dying_ns.min(commit_ns);
    }
    Ok((config, complaints, ration))
}
