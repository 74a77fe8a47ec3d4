//! `/dev/kmsg`: what the kernel says, from its own memory. Reading it never touches a disk.
//!
//! A record reads `6,812,5118204,-;text`: facility and severity, a number that grows by one, time,
//! flags. Who falls behind is told so (EPIPE), and the next number tells how much was lost.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use memchr::memmem;

use crate::logs::Log;
use crate::procfile::number;
use crate::sys;
use crate::words::redact::redact;
use crate::words::{Counts, Listener, Text, grave};

/// The name of this source.
pub const NAME: &[u8] = b"kmsg";

/// Longest record, and how many are looked at in one go: a storm must not keep the thread.
const RECORD_LEN: usize = 8192;
const RECORDS: usize = 4096;

/// Facilities have eight bits, severities three.
const PRIORITY_END: u64 = 1 << 11;

/// The class that is counted by itself.
const UNDERVOLTAGE: &str = "under-voltage";

/// Records that the kernel may hold from before we started.
const EARLIER_MAX: usize = 1 << 20;

/// One record, taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Record<'a> {
    /// Whether the kernel said it, and not somebody who writes to `/dev/kmsg`.
    is_kernel: bool,
    severity: u8,
    seq: u64,
    text: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(record: &'a [u8]) -> Option<Self> {
        let at = record.iter().position(|&byte| byte == b';')?;
        let (head, text) = (record.get(..at)?, record.get(at + 1..)?);
        let mut fields = head.split(|&byte| byte == b',');
        let priority = number(fields.next()?).filter(|priority| *priority < PRIORITY_END)?;
        let seq = number(fields.next()?)?;
        // Behind the first line stand the names of the device.
        let text = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let severity = u8::try_from(priority & 7).unwrap_or(7);
        Some(Self { is_kernel: priority < 8, severity, seq, text })
    }

    fn class(&self) -> Option<&'static str> {
        if self.is_kernel { grave::class(self.text) } else { None }
    }

    fn is_grave(&self, class: Option<&str>) -> bool {
        class.is_some() || (self.is_kernel && self.severity <= 3)
    }

    /// `net_ratelimit: 37 callbacks suppressed`.
    fn suppressed(&self) -> u64 {
        let Some(at) = memmem::find(self.text, b" suppressed").filter(|_| self.is_kernel) else {
            return 0;
        };
        let words = self.text.get(..at).unwrap_or_default().rsplit(|&byte| byte == b' ');
        words.take(3).find_map(number).unwrap_or(0)
    }
}

/// The kernel's log from now on.
#[derive(Debug)]
pub struct Kmsg {
    file: Option<File>,
    record: Box<[u8]>,
    counts: Counts,
    own: Counts,
    suppressed: u64,
    next_seq: Option<u64>,
    undervoltage: u64,
    /// Grave lines from before our start, the last of them, and its severity.
    earlier: Option<(u64, Text, u8)>,
}

impl Kmsg {
    /// Opens `kmsg` in this folder, `/dev` but for tests, and passes over what was said before.
    #[must_use]
    pub fn open(dev: &Path) -> Self {
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(dev.join("kmsg"));
        let mut own = Self {
            file: file.ok(),
            record: vec![0; RECORD_LEN].into_boxed_slice(),
            counts: Counts { errors: Some(0), suppressed: Some(0), ..Counts::default() },
            own: Counts::default(),
            suppressed: 0,
            next_seq: None,
            undervoltage: 0,
            earlier: None,
        };
        own.pass_over();
        own
    }

    /// Lines that told of too little voltage, in this boot as far as the kernel remembers.
    #[must_use]
    pub fn undervoltage_lines(&self) -> Option<u64> {
        self.file.as_ref().map(|_| self.undervoltage)
    }

    /// What was said earlier in this boot is not ours, but for how much of it was grave.
    fn pass_over(&mut self) {
        let Self { file, record, undervoltage, next_seq, .. } = self;
        let Some(file) = file else { return };
        let mut grave = 0;
        let mut last = None;
        for _ in 0..EARLIER_MAX {
            match next(file, record) {
                Next::Record(record) => {
                    *next_seq = Some(record.seq + 1);
                    let class = record.class();
                    *undervoltage += u64::from(class == Some(UNDERVOLTAGE));
                    if record.is_grave(class) {
                        grave += 1;
                        last = Some((redact(record.text), record.severity));
                    }
                }
                Next::Overrun | Next::Strange => {}
                Next::End => break,
            }
        }
        self.earlier = last.map(|(text, severity)| (grave, text, severity));
    }

    /// Whether there is such a log, and we may read it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Waits until the kernel says something, at most `longest`.
    pub fn wait(&self, longest: Duration) {
        if let Some(file) = &self.file {
            // Who cannot wait looks at once.
            sys::wait_readable(file, longest).ok();
        }
    }

    fn tell_earlier(&mut self, listener: &mut dyn Listener) {
        use std::fmt::Write;
        let Some((count, last, severity)) = self.earlier.take() else { return };
        let mut text = Text::default();
        let last = String::from_utf8_lossy(last.as_bytes());
        // What has no room is left out.
        write!(text, "{count} grave lines before the recorder started, the last: {last}").ok();
        listener.grave(Some("before the start"), severity, text.as_bytes());
    }
}

impl Log for Kmsg {
    fn look(&mut self, listener: &mut dyn Listener) {
        self.tell_earlier(listener);
        let Self { file, record, counts, own, suppressed, next_seq, undervoltage, .. } = self;
        let Some(file) = file else { return };
        for _ in 0..RECORDS {
            let record = match next(file, record) {
                Next::Record(record) => record,
                Next::Overrun | Next::Strange => continue,
                Next::End => break,
            };
            // What was overwritten before we read it.
            let lost = next_seq.map_or(0, |seq| record.seq.saturating_sub(seq));
            *next_seq = Some(record.seq.saturating_add(1));
            *suppressed += lost + record.suppressed();
            let bytes = u64::try_from(record.text.len()).unwrap_or(0);
            if !record.is_kernel && record.text.starts_with(b"flightrecd[") {
                own.lines += 1;
                own.bytes += bytes;
                continue;
            }
            counts.lines += 1;
            counts.bytes += bytes;
            counts.errors = counts.errors.map(|errors| errors + u64::from(record.severity <= 3));
            let class = record.class();
            *undervoltage += u64::from(class == Some(UNDERVOLTAGE));
            if record.is_grave(class) {
                listener.grave(class, record.severity, record.text);
            }
            listener.message(NAME, record.severity, 1, record.text);
        }
        counts.suppressed = Some(*suppressed);
        listener.source(NAME, *counts);
        if own.lines > 0 {
            listener.source(b"kmsg:flightrecd", *own);
        }
    }
}

/// What a read gave.
enum Next<'a> {
    Record(Record<'a>),
    /// The oldest records were overwritten: it goes on with those that are there.
    Overrun,
    /// Nothing that we understand.
    Strange,
    /// No more for now.
    End,
}

fn next<'a>(file: &mut File, record: &'a mut [u8]) -> Next<'a> {
    match file.read(record) {
        Ok(0) => Next::End,
        Ok(len) => {
            Record::read(record.get(..len).unwrap_or_default()).map_or(Next::Strange, Next::Record)
        }
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Next::Overrun,
        Err(error) if error.kind() == ErrorKind::Interrupted => Next::Strange,
        Err(_) => Next::End,
    }
}

#[cfg(test)]
mod tests;
