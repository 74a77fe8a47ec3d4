//! `/etc/flightrec.toml`: what an owner may change.
//!
//! There are two ways to read it. [`Config::check`] is for somebody at a terminal: every mistake
//! is told, and none is overlooked. [`Config::lenient`] is for the service: a recorder that does
//! not start over a typo is worse than one with a default, so a bad key falls back and is
//! reported. Hence each key is read by itself.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::limits::Limits;
use crate::units::{duration_ns, show_duration, show_size, size_bytes};
use crate::words::Messages;

/// How to record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where the recording is.
    pub recording: PathBuf,
    /// Time between samples.
    pub interval_ns: u64,
    /// Time between commits while all is calm.
    pub commit_ns: u64,
    /// Whether the owner has set it: then no file system makes it another.
    pub commit_is_given: bool,
    /// Time between commits while the machine is dying.
    pub commit_dying_ns: u64,
    /// Significant bits kept of each change of a reading (spec 7.1); 0: all.
    pub precision: u8,
    /// How much of the messages of logs is recorded.
    pub messages: Messages,
    /// Size of a recording that is created.
    pub size_bytes: u64,
    /// Priority, -20 to 19.
    pub nice: i32,
    /// Whether to lock the recorder into memory.
    pub lock_memory: bool,
    /// What the recorder allows itself.
    pub limits: Limits,
    /// A second recording, elsewhere.
    pub mirror: Option<PathBuf>,
    /// Where the newest frame is sent, too.
    pub beacon: Option<SocketAddr>,
    /// Whether the kernel's memory for messages gets it, too.
    pub pmsg: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            recording: PathBuf::from("/var/lib/flightrec/recording.frec"),
            interval_ns: 1_000_000_000,
            commit_ns: 10_000_000_000,
            commit_is_given: false,
            commit_dying_ns: 1_000_000_000,
            precision: 0,
            messages: Messages::Redacted,
            size_bytes: 64 << 20,
            nice: -20,
            lock_memory: true,
            limits: Limits::default(),
            mirror: None,
            beacon: None,
            pmsg: false,
        }
    }
}

/// As a file that says everything: what holds, for somebody who asks.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        keys().try_for_each(|key| writeln!(f, "{} = {}", key.name, (key.show)(self)))
    }
}

/// One thing that is wrong in the file, and what holds instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Complaint {
    /// Line of the file, from 1.
    pub line: usize,
    /// The key; empty when the file itself cannot be read.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What is allowed.
    pub allowed: &'static str,
    /// The default.
    pub default: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; allowed: {}", self.wrong, self.allowed)?;
        if self.default.is_empty() { Ok(()) } else { write!(f, "; default: {}", self.default) }
    }
}

/// A key of the file.
struct Key {
    name: &'static str,
    allowed: &'static str,
    show: fn(&Config) -> String,
    set: fn(&mut Config, toml::Spanned<DeValue<'_>>) -> Result<(), String>,
}

mod limits;

/// All keys, in their order.
fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(limits::KEYS)
}

const MS: u64 = 1_000_000;
const MINUTE: u64 = 60_000 * MS;
const COMMIT_MAX_NS: u64 = 10 * MINUTE;

const KEYS: &[Key] = &[
    Key {
        name: "recording",
        allowed: "an absolute path in quotes",
        show: |config| quoted(&config.recording.to_string_lossy()),
        set: |config, value| {
            let path: PathBuf = take(value)?;
            if !path.is_absolute() {
                return Err(format!("{} is not an absolute path", quoted(&path.to_string_lossy())));
            }
            config.recording = path;
            Ok(())
        },
    },
    Key {
        name: "interval",
        allowed: "\"10ms\" to \"60s\" in whole milliseconds",
        show: |config| quoted(&show_duration(config.interval_ns)),
        set: |config, value| {
            config.interval_ns = interval_ns(&take::<String>(value)?)?;
            Ok(())
        },
    },
    Key {
        name: "commit",
        allowed: "\"10ms\" to \"10m\", not below interval",
        show: |config| quoted(&show_duration(config.commit_ns)),
        set: |config, value| {
            config.commit_ns = commit_ns(&take::<String>(value)?)?;
            config.commit_is_given = true;
            Ok(())
        },
    },
    Key {
        name: "commit_dying",
        allowed: "\"10ms\" to \"10m\", not below interval, not above commit",
        show: |config| quoted(&show_duration(config.commit_dying_ns)),
        set: |config, value| {
            config.commit_dying_ns = commit_ns(&take::<String>(value)?)?;
            Ok(())
        },
    },
    Key {
        name: "precision",
        allowed: "0 (exact), or 2 to 12 significant bits of a change",
        show: |config| config.precision.to_string(),
        set: |config, value| {
            let bits: i64 = take(value)?;
            config.precision = u8::try_from(bits)
                .ok()
                .filter(|bits| matches!(bits, 0 | 2..=12))
                .ok_or_else(|| format!("{bits} is out of range"))?;
            Ok(())
        },
    },
    Key {
        name: "messages",
        allowed: "\"none\", \"hashes\" or \"redacted\"",
        show: |config| quoted(config.messages.name()),
        set: |config, value| {
            let text: String = take(value)?;
            config.messages =
                Messages::named(&text).ok_or_else(|| format!("{text:?} is none of them"))?;
            Ok(())
        },
    },
    Key {
        name: "size",
        allowed: "\"1MiB\" to \"1024GiB\"",
        show: |config| quoted(&show_size(config.size_bytes)),
        set: |config, value| {
            let text: String = take(value)?;
            let size = size_bytes(&text)?;
            if !(1 << 20..=1 << 40).contains(&size) {
                return Err(format!("{text:?} is out of range"));
            }
            config.size_bytes = size;
            Ok(())
        },
    },
    Key {
        name: "nice",
        allowed: "-20 to 19",
        show: |config| config.nice.to_string(),
        set: |config, value| {
            let nice: i64 = take(value)?;
            config.nice = i32::try_from(nice)
                .ok()
                .filter(|nice| (-20..=19).contains(nice))
                .ok_or_else(|| format!("{nice} is out of range"))?;
            Ok(())
        },
    },
    Key {
        name: "lock_memory",
        allowed: "true or false",
        show: |config| config.lock_memory.to_string(),
        set: |config, value| {
            config.lock_memory = take(value)?;
            Ok(())
        },
    },
    Key {
        name: "mirror",
        allowed: "an absolute path in quotes, not that of the recording; \"\": none",
        show: |config| {
            quoted(
                &config.mirror.as_ref().map_or_else(Default::default, |own| own.to_string_lossy()),
            )
        },
        set: |config, value| {
            let path: PathBuf = take(value)?;
            if !path.is_absolute() && !path.as_os_str().is_empty() {
                return Err(format!("{} is not an absolute path", quoted(&path.to_string_lossy())));
            }
            config.mirror = Some(path).filter(|path| path.is_absolute());
            Ok(())
        },
    },
    Key {
        name: "beacon",
        allowed: "an address and port such as \"192.0.2.7:4711\" or \"[2001:db8::7]:4711\", no name; \"\": none",
        show: |config| {
            quoted(&config.beacon.map_or_else(String::new, |address| address.to_string()))
        },
        set: |config, value| {
            let text: String = take(value)?;
            // A name would have to be looked up, which may take long and need the network.
            let address = text.parse().map_err(|_| format!("{text:?} is no address and port"));
            config.beacon = if text.is_empty() { None } else { Some(address?) };
            Ok(())
        },
    },
    Key {
        name: "pmsg",
        allowed: "true or false",
        show: |config| config.pmsg.to_string(),
        set: |config, value| {
            config.pmsg = take(value)?;
            Ok(())
        },
    },
];

/// Part of every complaint about a key that we do not have.
const KNOWN: &str = "recording, interval, commit, commit_dying, precision, messages, size, nice, lock_memory, \
     mirror, beacon, pmsg, write_budget, write_budget_daily, write_budget_reserve, cpu_max, memory_max, \
     threads_max, log_lines_max";

impl Config {
    /// Reads the file for somebody who wants to know every mistake in it.
    pub fn check(text: &str) -> Result<Self, Vec<Complaint>> {
        let (config, complaints) = Self::lenient(text);
        if complaints.is_empty() { Ok(config) } else { Err(complaints) }
    }

    /// Reads what can be read; what is wrong falls back to its default.
    #[must_use]
    pub fn lenient(text: &str) -> (Self, Vec<Complaint>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut complaints: Vec<_> = errors
            .iter()
            .map(|error| Complaint {
                line: line_of(text, error.span().map_or(0, |span| span.start)),
                key: String::new(),
                wrong: error.message().to_owned(),
                allowed: "lines such as interval = \"1s\", each key once",
                default: String::new(),
            })
            .collect();

        let mut config = Self::default();
        let mut given = Vec::new();
        for (name, value) in table.into_inner() {
            let line = line_of(text, name.span().start);
            let name = name.into_inner();
            let Some(key) = keys().find(|key| key.name == name) else {
                complaints.push(Complaint {
                    line,
                    key: name.into_owned(),
                    wrong: "there is no such key".to_owned(),
                    allowed: KNOWN,
                    default: String::new(),
                });
                continue;
            };
            match (key.set)(&mut config, value) {
                Ok(()) => given.push((key, line)),
                Err(wrong) => complaints.push(key.complaint(line, wrong)),
            }
        }
        config.reconcile(&given, &mut complaints);
        complaints.sort_by_key(|complaint| complaint.line);
        (config, complaints)
    }

    /// Brings the three durations into order: interval, dying, calm. One that was not given, or
    /// not well, gives way silently.
    fn reconcile(&mut self, given: &[(&Key, usize)], complaints: &mut Vec<Complaint>) {
        let mut complain = |name: &str, wrong: String| {
            if let Some((key, line)) = given.iter().find(|(key, _)| key.name == name) {
                complaints.push(key.complaint(*line, wrong));
            }
        };
        if self.mirror.as_ref() == Some(&self.recording) {
            complain("mirror", "it is the recording itself".to_owned());
            self.mirror = None;
        }
        let interval = show_duration(self.interval_ns);
        if self.commit_ns < self.interval_ns {
            complain("commit", format!("it is below the interval of {interval}"));
            self.commit_ns = Self::default().commit_ns.max(self.interval_ns);
            self.commit_is_given = false;
        }
        if self.commit_dying_ns < self.interval_ns {
            complain("commit_dying", format!("it is below the interval of {interval}"));
        } else if self.commit_dying_ns > self.commit_ns {
            let commit = show_duration(self.commit_ns);
            complain("commit_dying", format!("it is above the commit interval of {commit}"));
        }
        self.commit_dying_ns = self.commit_dying_ns.clamp(self.interval_ns, self.commit_ns);
    }
}

impl Key {
    fn complaint(&self, line: usize, wrong: String) -> Complaint {
        let default = (self.show)(&Config::default());
        Complaint { line, key: self.name.to_owned(), wrong, allowed: self.allowed, default }
    }
}

fn take<T: DeserializeOwned>(value: toml::Spanned<DeValue<'_>>) -> Result<T, String> {
    Deserialize::deserialize(ValueDeserializer::from(value))
        .map_err(|error| error.message().to_owned())
}

/// A time between samples, from the file or the command line.
pub fn interval_ns(text: &str) -> Result<u64, String> {
    within(text, 10 * MS, MINUTE)
}

/// A time between commits, from the file or the command line.
pub fn commit_ns(text: &str) -> Result<u64, String> {
    within(text, 10 * MS, COMMIT_MAX_NS)
}

fn within(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let ns = duration_ns(text)?;
    if (least..=most).contains(&ns) { Ok(ns) } else { Err(format!("{text:?} is out of range")) }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests;
