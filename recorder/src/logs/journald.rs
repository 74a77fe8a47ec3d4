//! journald's own counters as a log like any other: what they say, under names that tell from where;
//! and that they cannot be read, if so.
//!
//! The kernel's lines stand in the journal too; they are left out here, for `/dev/kmsg` tells them
//! whether there is a journal or not.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use flightrec_format::event::EventKind;

use super::Log;
use crate::clock::Clock;
use crate::journal::{self, Fate, Journal, SEVERITY_UNKNOWN};
use crate::report::Report;
use crate::words::{Counts, Listener, Text};

/// Before the name of whoever logs by way of journald.
const PREFIX: &[u8] = b"journal:";

/// Of the journal as a whole.
const NAME: &[u8] = b"journal";

/// What the journal calls the kernel.
const KERNEL: &[u8] = b"kernel";

/// Severity of a message that says none, as syslog has it: notice.
const SEVERITY_DEFAULT: u8 = 5;

/// A reason is told when it has lasted for so many looks: a rotation looks odd for a moment.
const LASTING_LOOKS: u32 = 10;

/// And again after so many: an event is forgotten with its samples, and status looks back three hours.
const AGAIN_LOOKS: u32 = 3600;

/// The journal, and somebody who is told when it cannot be read.
pub struct Journald {
    journal: Journal,
    clock: Arc<dyn Clock>,
    reports: SyncSender<Report>,
    /// Looks in a row in which it was lost, or was not.
    lost: u32,
    sound: u32,
    is_told: bool,
}

impl Journald {
    /// Reads this journal; events go to `reports`.
    #[must_use]
    pub fn new(journal: Journal, clock: Arc<dyn Clock>, reports: SyncSender<Report>) -> Self {
        Self { journal, clock, reports, lost: 0, sound: 0, is_told: false }
    }

    /// Tells when lines begin to be missing, and when none are missing any more.
    fn judge(&mut self) {
        let Some(errno) = self.journal.errno() else {
            self.lost = 0;
            self.sound = self.sound.saturating_add(1);
            if self.is_told && self.sound >= LASTING_LOOKS {
                let report = Report::new(EventKind::SOURCE_FOUND, self.clock.boottime_ns(), [0, 0]);
                self.is_told = self.reports.try_send(report.with(NAME)).is_err();
            }
            return;
        };
        self.sound = 0;
        self.lost = self.lost.saturating_add(1);
        if self.lost == LASTING_LOOKS || self.lost >= AGAIN_LOOKS {
            let errno = [i64::from(errno), 0];
            let report = Report::new(EventKind::SOURCE_LOST, self.clock.boottime_ns(), errno);
            let why = without_ids(self.journal.trouble().unwrap_or_default());
            // If there is no room now, there is in the next look.
            let is_sent = self.reports.try_send(report.with(why.as_bytes())).is_ok();
            self.lost = if is_sent { LASTING_LOOKS } else { LASTING_LOOKS - 1 };
            self.is_told |= is_sent;
        }
    }
}

impl Log for Journald {
    fn look(&mut self, listener: &mut dyn Listener) {
        self.journal.look(&mut Named(listener));
        self.judge();
    }
}

/// Folders are named by the machine's id, which is nobody's business: `*` takes its place.
fn without_ids(text: &str) -> Text {
    const LEN: usize = 32;
    let mut shown = Text::default();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let id = rest.get(..LEN).filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let (part, behind) = rest.split_at(if id.is_some() { LEN } else { next.len_utf8() });
        shown.push(if id.is_some() { "*" } else { part });
        rest = behind;
    }
    shown
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flightrec_format::event::EventKind;

    use super::*;
    use crate::clock::SystemClock;
    use crate::report;
    use crate::words::testing::Notes;

    #[test]
    fn a_journal_that_cannot_be_read_is_told_once_it_lasts_and_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let machine = folder.path().join("0123456789abcdef0123456789abcdef");
        std::fs::create_dir(&machine).unwrap();
        let file = machine.join("system.journal");
        std::fs::write(&file, [b'x'; 300]).unwrap();
        let (sender, told) = report::channel();
        let journal = Journal::new(folder.path(), Path::new("/none"));
        let mut journald = Journald::new(journal, Arc::new(SystemClock), sender);
        let mut look = |looks: u32| {
            let mut heard = Vec::new();
            for _ in 0..looks {
                journald.look(&mut Notes::default());
                heard.extend(told.try_iter().map(|report| {
                    let text = String::from_utf8(report.text().to_vec()).unwrap();
                    (report.kind, report.arguments().to_vec(), text)
                }));
            }
            heard
        };
        let folder = folder.path().display();
        let why = format!("journal: not a journal file in {folder}/*/system.journal");
        let lost = (EventKind::SOURCE_LOST, vec![i64::from(libc::EBADMSG)], why);
        assert_eq!(look(LASTING_LOOKS - 1), []);
        assert_eq!(look(1), std::slice::from_ref(&lost));
        assert_eq!(look(AGAIN_LOOKS - LASTING_LOOKS - 1), []);
        assert_eq!(look(2), [lost]);
        std::fs::remove_file(&file).unwrap();
        let found = (EventKind::SOURCE_FOUND, vec![], "journal".to_owned());
        assert_eq!(look(3 * LASTING_LOOKS), [found]);
    }
}
