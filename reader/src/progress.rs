//! How far long work is, for somebody who watches a terminal; silent for everybody else.

use std::time::Duration;

use crate::Output;
use crate::zone::Stopwatch;

/// Often enough to look alive, seldom enough for a serial line.
const EVERY: Duration = Duration::from_millis(250);

/// Some of a long work is done: what it is, bytes done, bytes in all.
pub type Tell<'a> = dyn FnMut(&'static str, u64, u64) + 'a;

/// For work that nobody watches.
pub fn nobody(_: &'static str, _: u64, _: u64) {}

/// Long work in several steps, each with a line of its own.
#[derive(Debug, Default)]
pub struct Steps(Option<Progress>);

impl Steps {
    /// As far as this is the work.
    pub fn at(&mut self, (what, done, total): (&'static str, u64, u64), output: &mut Output<'_>) {
        let now = self.0.get_or_insert_with(|| Progress::new(what, total));
        if now.what != what {
            now.done(output);
            *now = Progress::new(what, total);
        }
        now.at(done, output);
    }

    /// Takes the line away.
    pub fn done(&self, output: &mut Output<'_>) {
        if let Some(now) = &self.0 {
            now.done(output);
        }
    }
}

/// One line that is written over and over.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: u64,
    started: Stopwatch,
    told: Duration,
    shown: bool,
}

impl Progress {
    /// Work on `total` bytes begins.
    #[must_use]
    pub fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, started: Stopwatch::start(), told: Duration::ZERO, shown: false }
    }

    /// `done` bytes of it are done.
    pub fn at(&mut self, done: u64, output: &mut Output<'_>) {
        if !output.watched {
            return;
        }
        let elapsed = self.started.elapsed();
        if elapsed.saturating_sub(self.told) < EVERY {
            return;
        }
        self.told = elapsed;
        self.shown = true;
        let percent = u128::from(done) * 100 / u128::from(self.total.max(1));
        let mb_per_s = u128::from(done) / elapsed.as_micros().max(1);
        let line = format!("{}: {percent} %, {mb_per_s} MB/s", self.what);
        write!(output.remarks, "\r{line:<40}").unwrap_or_default();
        output.remarks.flush().unwrap_or_default();
    }

    /// Takes the line away.
    pub fn done(&self, output: &mut Output<'_>) {
        if self.shown {
            write!(output.remarks, "\r{:<40}\r", "").unwrap_or_default();
        }
    }
}
