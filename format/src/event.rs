//! Events: what happened, beside what was measured (spec section 6.3).

use crate::limits::{ARGUMENTS_MAX, EVENTS_MAX, TEXT_LEN_MAX};
use crate::varint::{Malformed, Reader, Writer, unzigzag, zigzag};

/// What happened. Numbers that we do not know are kept (R5).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EventKind(pub u64);

/// One row of the table in section 6.3.
#[derive(Clone, Copy, Debug)]
pub struct EventRow {
    /// Its number.
    pub kind: EventKind,
    /// Its name.
    pub name: &'static str,
    /// Names of its arguments, in order.
    pub arguments: &'static [&'static str],
    /// Whether a copy goes into the archive (W12).
    pub archived: bool,
}

macro_rules! events {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal, [$($argument:literal),*], $archived:literal;)*) => {
        impl EventKind {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// Every kind that this version knows.
            pub const CATALOGUE: &'static [EventRow] = &[$(EventRow {
                kind: Self($number), name: $name, arguments: &[$($argument),*], archived: $archived,
            }),*];
        }
    };
}

events! {
    /// The recorder started.
    RUN_START = 1, "run_start", ["facts_crc"], true;
    /// The recorder ended in order.
    STOP = 2, "stop", ["reason"], true;
    /// Real time jumped against boot time.
    CLOCK_STEP = 3, "clock_step", ["step_ms"], true;
    /// The grade of alert changed.
    ALERT = 4, "alert", ["from", "to"], true;
    /// A write or sync failed.
    COMMIT_ERROR = 5, "commit_error", ["errno", "seq"], true;
    /// A commit does not end.
    COMMIT_STUCK = 6, "commit_stuck", ["age_ms", "begin_ms"], true;
    /// A stuck or failing commit went through.
    COMMIT_RECOVERED = 7, "commit_recovered", ["stuck_ms", "begin_ms"], true;
    /// The owner's words.
    MARK = 8, "mark", [], true;
    /// A grave kernel message.
    KERNEL = 9, "kernel", ["severity"], true;
    /// The kernel killed for memory.
    OOM_KILL = 10, "oom_kill", ["count"], true;
    /// The commit interval changed.
    CADENCE = 11, "cadence", ["commit_ms", "budget_kib"], false;
    /// A bad key of the configuration, and what is used instead.
    CONFIG_DEFAULT = 12, "config_default", [], true;
    /// A kernel interface stopped answering.
    SOURCE_LOST = 13, "source_lost", ["errno"], false;
    /// A kernel interface answers again.
    SOURCE_FOUND = 14, "source_found", [], false;
    /// Frames of dead runs were copied into the history.
    SALVAGED = 15, "salvaged", ["frames", "skipped"], false;
    /// Samples or events were dropped unwritten.
    DROPPED = 16, "dropped", ["samples", "events"], false;
    /// The recording came from another machine.
    COPIED = 17, "copied", [], true;
    /// A line of what the kernel of an earlier boot left in pstore.
    PSTORE = 18, "pstore", ["part", "parts", "realtime_s"], true;
    /// A unit began to run processes.
    UNIT_START = 19, "unit_start", [], false;
    /// A unit has no process any more.
    UNIT_END = 20, "unit_end", ["duration_ms"], false;
    /// A process waits in the kernel and cannot be interrupted.
    BLOCKED = 21, "blocked", ["pid", "blocked_ms"], true;
    /// A process got a seat for the first time: what it was called with.
    PROCESS = 22, "process", ["pid", "start_ticks"], false;
    /// A network interface lost its carrier, or has it again.
    LINK = 23, "link", ["carrier"], true;
    /// A file system turned read-only, or writable again.
    REMOUNT = 24, "remount", ["read_only"], true;
    /// A unit failed.
    UNIT_FAILED = 25, "unit_failed", ["count"], true;
    /// The service manager starts a unit again by itself.
    UNIT_RESTART = 26, "unit_restart", ["count"], false;
    /// The kernel killed a process of a unit for its memory.
    UNIT_OOM = 27, "unit_oom", ["count"], true;
    /// The recorder has reached one of its own limits, or is below it again.
    LIMIT = 28, "limit", ["reached", "used", "most"], false;
}

impl EventKind {
    /// Its row of the table, if this version knows it.
    #[must_use]
    pub fn row(self) -> Option<&'static EventRow> {
        Self::CATALOGUE.iter().find(|row| row.kind == self)
    }

    /// Its name; `event.NUMBER` if this version does not know it (R5).
    #[must_use]
    pub fn name(self) -> String {
        self.row().map_or_else(|| format!("event.{}", self.0), |row| row.name.to_owned())
    }
}

/// Reasons of [`EventKind::STOP`].
pub mod stop_reason {
    /// The machine goes down.
    pub const MACHINE_SHUTDOWN: i64 = 1;
    /// The service was stopped; the machine goes on.
    pub const SERVICE_STOP: i64 = 2;
    /// A signal, outside of a service manager.
    pub const SIGNAL: i64 = 3;
    /// The time asked for (`--for`) is over.
    pub const TIME_OVER: i64 = 4;
    /// The recorder gave up.
    pub const ERROR: i64 = 5;
}

/// One event, as read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Tick at which, or after which, it happened.
    pub tick: u64,
    /// Milliseconds after the tick's due time.
    pub offset_ms: u64,
    /// Its numbers; names are in the catalogue.
    pub arguments: Vec<i64>,
    /// Its words.
    pub text: String,
}

/// Writes one event; text beyond 512 bytes is cut.
pub fn write(
    out: &mut Writer<'_>,
    first_tick: u64,
    kind: EventKind,
    (tick, offset_ms): (u64, u64),
    arguments: &[i64],
    text: &[u8],
) {
    out.number(kind.0);
    out.number(tick.saturating_sub(first_tick));
    out.number(offset_ms);
    out.number(u64::try_from(arguments.len()).unwrap_or(0));
    for &argument in arguments {
        out.number(zigzag(argument));
    }
    let most = usize::try_from(TEXT_LEN_MAX).unwrap_or(512);
    out.text(text.get(..most).unwrap_or(text));
}

/// Reads the events section.
pub fn read_all(section: &[u8], first_tick: u64, last_tick: u64) -> Result<Vec<Event>, Malformed> {
    let mut input = Reader::new(section);
    let count = input.at_most(EVENTS_MAX, "more events than allowed")?;
    let mut events = Vec::with_capacity(count.min(section.len()));
    for _ in 0..count {
        let kind = EventKind(input.number()?);
        let tick = first_tick
            .checked_add(input.number()?)
            .filter(|tick| *tick <= last_tick)
            .ok_or(Malformed("a tick beyond those of the header"))?;
        let offset_ms = input.number()?;
        let argument_count = input.at_most(ARGUMENTS_MAX, "more arguments than allowed")?;
        let mut arguments = Vec::with_capacity(argument_count);
        for _ in 0..argument_count {
            arguments.push(unzigzag(input.number()?));
        }
        let text = String::from_utf8_lossy(input.text(TEXT_LEN_MAX)?).into_owned();
        events.push(Event { kind, tick, offset_ms, arguments, text });
    }
    if input.is_empty() { Ok(events) } else { Err(Malformed("bytes after the last event")) }
}
