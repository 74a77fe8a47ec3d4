//! journald's own counters as a log like any other: what they say, under names that tell from where.
//!
//! The kernel's lines stand in the journal too; they are left out here, for `/dev/kmsg` tells them
//! whether there is a journal or not.

use super::Log;
use crate::journal::{self, Journal, SEVERITY_UNKNOWN};
use crate::words::{Counts, Listener};

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
