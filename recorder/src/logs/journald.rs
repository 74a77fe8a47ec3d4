//! journald's own counters as a log like any other: what they say, under names that tell from where.
//!
//! The kernel's lines stand in the journal too; they are left out here, for `/dev/kmsg` tells them
//! whether there is a journal or not.

use std::fmt::Write;

use flightrec_format::event::EventKind;

use super::Log;
use crate::journal::{self, Fate, Journal, SEVERITY_UNKNOWN};
use crate::words::{Counts, Listener, Text};

/// Before the name of whoever logs by way of journald.
const PREFIX: &[u8] = b"journal:";

/// What the journal calls the kernel.
const KERNEL: &[u8] = b"kernel";

/// Severity of a message that says none, as syslog has it: notice.
const SEVERITY_DEFAULT: u8 = 5;

impl Log for Journal {
    fn look(&mut self, listener: &mut dyn Listener) {
        Self::look(self, &mut Named(listener));
    }
}

struct Named<'a>(&'a mut dyn Listener);

impl journal::Listener for Named<'_> {
    fn source(&mut self, name: &[u8], counts: journal::Counts) {
        if name != KERNEL {
            let counts = Counts {
                lines: counts.lines,
                errors: Some(counts.errors),
                bytes: counts.bytes,
                suppressed: Some(counts.suppressed),
            };
            named(name, |name| self.0.source(name, counts));
        }
    }

    fn message(&mut self, source: &[u8], severity: u8, repeats: u64, text: &[u8]) {
        if source != KERNEL {
            let severity = if severity == SEVERITY_UNKNOWN { SEVERITY_DEFAULT } else { severity };
            named(source, |source| self.0.message(source, severity, repeats, text));
        }
    }

    fn unit(&mut self, name: &str, is_users: bool, fate: Fate<'_>) {
        let mut named = Text::default();
        // A name that fills the room is as long as names can be.
        write!(named, "{name}{}", if is_users { " (of a user)" } else { "" }).ok();
        let name = named.as_str();
        match fate {
            Fate::Failed { result, code, status } => {
                let mut more = Text::default();
                let how = match code {
                    "exited" => "exited with",
                    "killed" => "killed by signal",
                    "dumped" => "dumped core by signal",
                    _ => "",
                };
                // There is room for it.
                if how.is_empty() {
                    more.push(result)
                } else {
                    write!(more, "{result}, {how} {status}").is_ok()
                };
                self.0.unit(EventKind::UNIT_FAILED, name, more.as_str(), 1);
            }
            Fate::Restarts(count) => self.0.unit(EventKind::UNIT_RESTART, name, "", count),
            Fate::OutOfMemory => self.0.unit(EventKind::UNIT_OOM, name, "", 1),
        }
    }
}

fn named(name: &[u8], tell: impl FnOnce(&[u8])) {
    const LEN: usize = 256;
    let mut whole = [0; LEN];
    let mut len = 0;
    for (place, byte) in whole.iter_mut().zip(PREFIX.iter().chain(name)) {
        *place = *byte;
        len += 1;
    }
    tell(whole.get(..len).unwrap_or_default());
}
