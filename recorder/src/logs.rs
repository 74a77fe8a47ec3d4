//! The threads that read logs, and what becomes of what they read.
//!
//! `/dev/kmsg` has a thread of its own: it never hangs, and matters most when everything else
//! does. Text logs are read by another, which may hang in a file system as long as it likes. Both
//! tell the same ear, which posts rates and messages for the sampler; nobody waits for them.

mod ear;
pub mod journald;
mod seats;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use flightrec_format::entity::EntityKind;

use crate::clock::Clock;
use crate::kmsg::Kmsg;
use crate::limits::turns::Turn;
use crate::periodic::Periodic;
use crate::sample::{Layout, SeriesNumber};
use crate::sources::{Page, Source, page};
use crate::textlogs::TextLogs;
use crate::words::{Listener, Messages, Word};

use ear::Ear;

/// How often logs are looked at.
pub const PERIOD: Duration = Duration::from_secs(1);

/// What a log counts, in the order of the page.
pub const SERIES: &[SeriesNumber] = &[240, 241, 242, 243];

/// The kernel's lines about too little voltage.
const KERNEL_SERIES: &[SeriesNumber] = &[279];

/// Bytes of the stack of each thread.
const STACK_SIZE: usize = 64 << 10;

/// Periods for which the kernel's log is left alone while it is silent. What is posted must not grow old.
const QUIET_PERIODS: u32 = 4;

/// Words that wait for the sampler.
const WAITING: usize = 16;

/// A log, or all logs of one kind.
pub trait Log: Send {
    /// Looks once at what is new in it. May block, but for `/dev/kmsg`.
    fn look(&mut self, listener: &mut dyn Listener);
}

/// Where logs are: `/dev` and `/var/log` but for tests.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// `/dev`, for `kmsg`.
    pub dev: &'a Path,
    /// `/var/log`. Never its twin on the disk: what log2ram copies there was counted here.
    pub var_log: &'a Path,
}

impl Places<'static> {
    /// Those of this machine.
    #[must_use]
    pub fn real() -> Self {
        Self { dev: Path::new("/dev"), var_log: Path::new("/var/log") }
    }
}

/// All logs, not yet looked at.
pub struct Logs {
    kmsg: Kmsg,
    kernel_page: Page,
    slow: Vec<Box<dyn Log>>,
    ear: Ear,
    turn: Option<Turn>,
    /// Threads that may be started.
    threads: [bool; 2],
}

/// The sampler's side of them: rates, and words.
pub struct Heard {
    /// What fills their columns.
    pub sources: Vec<Box<dyn Source + Send>>,
    /// Messages and events.
    pub words: Receiver<Word>,
}

impl Logs {
    /// Opens what is there. `interval_ns` is the time between two samples.
    #[must_use]
    pub fn new(
        layout: &Layout,
        places: Places<'_>,
        interval_ns: u64,
        messages: Messages,
        clock: &Arc<dyn Clock>,
    ) -> (Self, Heard) {
        let stale = crate::sources::stale_reads(interval_ns);
        let (rates_page, rates) = page("log rates", layout, EntityKind::LOG, SERIES, stale);
        let (kernel_page, kernel) =
            page("/dev/kmsg", layout, EntityKind::MACHINE, KERNEL_SERIES, stale);
        let (to, words) = sync_channel(WAITING);
        let seat_count = layout.slots_of(EntityKind::LOG).len();
        let ear = Ear::new((rates_page, seat_count), messages, to, Arc::clone(clock));
        let kmsg = Kmsg::open(places.dev);
        let texts = TextLogs::new(places.var_log, Arc::clone(clock));
        let (turn, threads) = (None, [true; 2]);
        let own = Self { kmsg, kernel_page, slow: vec![Box::new(texts)], ear, turn, threads };
        (own, Heard { sources: vec![Box::new(rates), Box::new(kernel)], words })
    }

    /// One more log for the thread that may hang: the journal, for one.
    pub fn add(&mut self, log: Box<dyn Log>) {
        self.slow.push(log);
    }

    /// Looks at logs that may hang only when their turn comes, and lets them go when memory is short. The
    /// kernel's messages wait for nobody.
    pub fn take_turns(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Starts only these threads: that of the kernel's messages, that of all other logs.
    pub fn only(&mut self, kernel: bool, others: bool) {
        self.threads = [kernel, others];
    }

    /// Starts the threads. Logs are looked at once in a `period`; the kernel's as soon as it says
    /// something, but no more often.
    pub fn start(self, period: Duration) -> std::io::Result<Threads> {
        let Self { mut kmsg, mut kernel_page, mut slow, ear, mut turn, threads } = self;
        let [wants_kernel, wants_others] = threads;
        let has_kernel = wants_kernel && kmsg.is_open();
        ear.take_memory();
        let mut of_kernel = ear.clone();
        let start_kernel = || {
            let mut longest = Duration::ZERO;
            Periodic::start("kmsg", STACK_SIZE, period, move || {
                kmsg.wait(longest);
                longest = QUIET_PERIODS * period;
                kmsg.look(&mut of_kernel);
                of_kernel.post();
                kernel_page.begin();
                kernel_page.put(b"", 0, kmsg.undervoltage_lines());
                kernel_page.post();
            })
        };
        let kernel = has_kernel.then(start_kernel).transpose()?;
        let mut of_slow = ear;
        let look_at_others = move || {
            if turn.as_ref().is_some_and(Turn::is_shed) {
                slow = Vec::new();
            }
            if turn.as_mut().is_some_and(|turn| !turn.comes()) {
                return;
            }
            for log in &mut slow {
                log.look(&mut of_slow);
                of_slow.post();
            }
        };
        let slow = wants_others
            .then(|| Periodic::start("logs", STACK_SIZE, period, look_at_others))
            .transpose()?;
        Ok(Threads { _both: [kernel, slow] })
    }
}

/// The threads; they end when this is dropped, and nobody waits for that.
#[derive(Debug)]
pub struct Threads {
    _both: [Option<Periodic>; 2],
}

#[cfg(test)]
mod tests;
