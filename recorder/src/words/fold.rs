//! Folding: messages that differ in numbers alone are one message, and a count.
//!
//! A storm says one thing a thousand times a second. Here it is kept once, told when it begins and
//! then once in a while, with how often it came. What is told altogether is limited by a bucket,
//! so that a storm in which no two messages are alike costs no more: see [`Limits`].

use flightrec_format::entity::EntityName;
use flightrec_format::event::EventKind;

use super::{Text, Word};

/// What folding may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Distinct messages that are remembered.
    pub messages: usize,
    /// A message that comes again is told again after this time at the soonest.
    pub again_ns: u64,
    /// As it goes on that time doubles up to this one.
    pub again_max_ns: u64,
    /// What the bucket holds, and what flows into it each minute.
    pub bucket: u64,
    /// See `bucket`.
    pub per_minute: u64,
    /// What is left in the bucket for messages that are worse than [`Limits::BAD`].
    pub reserve: u64,
    /// What a message costs besides its bytes, and whether its bytes cost.
    pub cost: u64,
    /// See `cost`.
    pub bytes_cost: bool,
}

impl Limits {
    /// Ranks up to this one may take the reserve: err and worse.
    pub const BAD: u8 = 3;

    /// Messages: in any time at most `bucket` bytes and `per_minute` bytes for each minute of it,
    /// in 64 distinct ones, each at most once in a minute.
    pub const MESSAGES: Self = Self {
        messages: 64,
        again_ns: MINUTE_NS,
        again_max_ns: MINUTE_NS,
        bucket: 8192,
        per_minute: 4096,
        reserve: 2048,
        cost: 24,
        bytes_cost: true,
    };

    /// Events, of the kernel or of units: six at once and six a minute; the same once in a minute, then each
    /// two, four, at last each hour.
    pub const EVENTS: Self = Self {
        messages: 24,
        again_ns: MINUTE_NS,
        again_max_ns: 60 * MINUTE_NS,
        bucket: 6,
        per_minute: 6,
        reserve: 3,
        cost: 1,
        bytes_cost: false,
    };
}

const MINUTE_NS: u64 = 60_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    event: Option<EventKind>,
    source: EntityName,
    severity: u8,
    rank: u8,
    text: Text,
    count: u64,
    told: u64,
    told_ns: Option<u64>,
    again_ns: u64,
    last_ns: u64,
}

impl Entry {
    fn is_due(&self, now_ns: u64) -> bool {
        self.count > self.told
            && self.told_ns.is_none_or(|told| now_ns.saturating_sub(told) >= self.again_ns)
    }
}

/// The newest distinct messages. All memory is taken at start.
#[derive(Debug)]
pub struct Fold {
    limits: Limits,
    entries: Vec<Entry>,
    /// In the bucket, times a minute in milliseconds so that nothing is lost to rounding.
    level: u64,
    filled_ms: u64,
}

const MINUTE_MS: u64 = 60_000;

/// A message as it is heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// What is the same for all that is alike: see [`id_of`].
    pub id: u64,
    /// The event that it is; else it is a message.
    pub event: Option<EventKind>,
    /// Who said it.
    pub source: EntityName,
    /// As in syslog.
    pub severity: u8,
    /// How bad it is, for what there is room for; 0 is worst.
    pub rank: u8,
    /// How often.
    pub repeats: u64,
    /// What, redacted.
    pub text: Text,
}

impl Fold {
    /// Nothing heard yet, and a full bucket.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, entries: Vec::new(), level: limits.bucket * MINUTE_MS, filled_ms: 0 }
    }

    /// Takes all the memory that it will use.
    pub fn take_memory(&mut self) {
        self.entries.reserve_exact(self.limits.messages);
    }

    /// Takes a message in.
    pub fn hear(&mut self, now_ns: u64, heard: &Heard) {
        let id = heard.id;
        if let Some(own) = self.entries.iter_mut().find(|entry| entry.id == id) {
            // One that was told holds its newest form, the next time.
            if own.count == own.told {
                own.text = heard.text;
            }
            own.count = own.count.saturating_add(heard.repeats);
            own.severity = own.severity.min(heard.severity);
            own.rank = own.rank.min(heard.rank);
            own.last_ns = now_ns;
            return;
        }
        let entry = Entry {
            id,
            event: heard.event,
            source: heard.source,
            severity: heard.severity,
            rank: heard.rank,
            text: heard.text,
            count: heard.repeats,
            told: 0,
            told_ns: None,
            again_ns: self.limits.again_ns,
            last_ns: now_ns,
        };
        if self.entries.len() < self.limits.messages {
            self.entries.push(entry);
            return;
        }
        // What was told goes first, then the least bad; of those the one not heard for longest.
        let order = |entry: &Entry| (entry.count > entry.told, u8::MAX - entry.rank, entry.last_ns);
        let spare = self.entries.iter_mut().min_by_key(|entry| order(entry));
        if let Some(place) = spare.filter(|place| order(place) <= order(&entry)) {
            *place = entry;
        }
    }

    /// The next one that is to be told, the worst and newest first.
    pub fn tell(&mut self, now_ns: u64) -> Option<Word> {
        self.fill(now_ns);
        let Self { limits, entries, level, .. } = self;
        let due = entries.iter_mut().filter(|entry| entry.is_due(now_ns));
        let own = due.min_by_key(|entry| (entry.rank, u64::MAX - entry.last_ns))?;
        let bytes = u64::try_from(own.text.as_bytes().len()).unwrap_or(0);
        let cost = (limits.cost + if limits.bytes_cost { bytes } else { 0 }) * MINUTE_MS;
        let reserve = if own.rank <= Limits::BAD { 0 } else { limits.reserve * MINUTE_MS };
        *level = level.checked_sub(cost).filter(|left| *left >= reserve)?;
        own.again_ns = match own.told_ns {
            None => limits.again_ns,
            // It had been quiet.
            Some(told) if now_ns.saturating_sub(told) >= own.again_ns.saturating_mul(4) => {
                limits.again_ns
            }
            Some(_) => own.again_ns.saturating_mul(2).min(limits.again_max_ns),
        };
        own.told_ns = Some(now_ns);
        own.told = own.count;
        Some(Word {
            event: own.event,
            at_ns: own.last_ns,
            source: own.source,
            severity: own.severity,
            count: own.count,
            id: own.id,
            text: own.text,
        })
    }

    /// Gives back what was told and found no way: it is told again.
    pub fn take_back(&mut self, word: &Word) {
        if let Some(own) = self.entries.iter_mut().find(|entry| entry.id == word.id) {
            own.told = own.told.min(word.count.saturating_sub(1));
            own.told_ns = None;
        }
    }

    fn fill(&mut self, now_ns: u64) {
        let now_ms = now_ns / 1_000_000;
        let passed = now_ms.saturating_sub(self.filled_ms).min(1_000 * MINUTE_MS);
        self.filled_ms = now_ms;
        let flown = passed.saturating_mul(self.limits.per_minute);
        self.level = self.level.saturating_add(flown).min(self.limits.bucket * MINUTE_MS);
    }
}

/// What is the same for messages that are alike: FNV-1a of the source and of the text with its
/// numbers masked.
#[must_use]
pub fn id_of(source: &[u8], text: &[u8]) -> u64 {
    let mut hash = exact_id(&[source, b"\0"]);
    mask(text, |byte| hash = hash_on(hash, byte));
    hash
}

/// The same for names, whose numbers matter.
#[must_use]
pub fn exact_id(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| hash_on(hash, *byte))
}

fn hash_on(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// Hands out the text with `#` for each number, also hexadecimal ones, and for rows of them such
/// as times and versions. A single digit behind letters stays: `mmcblk0` is not `mmcblk1`.
fn mask(text: &[u8], mut add: impl FnMut(u8)) {
    let mut rest = text;
    // A sign that stands between two numbers is part of them.
    let mut held: Option<u8> = None;
    let mut after_number = false;
    while let Some(&first) = rest.first() {
        let word_len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if word_len == 0 {
            if let Some(held) = held.take() {
                add(held);
                after_number = false;
            }
            if after_number && b".,:-/+x_".contains(&first) {
                held = Some(first);
            } else {
                add(first);
                after_number = false;
            }
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (word, behind) = rest.split_at_checked(word_len).unwrap_or((rest, &[]));
        rest = behind;
        if is_number(word) {
            held = None;
            if !after_number {
                add(b'#');
            }
            after_number = true;
            continue;
        }
        if let Some(held) = held.take() {
            add(held);
        }
        after_number = false;
        let mut digits = 0;
        for (at, &byte) in word.iter().enumerate() {
            let next_is_digit = word.get(at + 1).is_some_and(u8::is_ascii_digit);
            if !byte.is_ascii_digit() {
                digits = 0;
                add(byte);
            } else if digits == 0 {
                digits = 1;
                add(if next_is_digit { b'#' } else { byte });
            }
        }
    }
    if let Some(held) = held {
        add(held);
    }
}

/// `17`, `12ms`, `0x3f`, `deadbeef`, `a1b2c3`.
fn is_number(word: &[u8]) -> bool {
    let all_hex = word.iter().all(u8::is_ascii_hexdigit);
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    word.first().is_some_and(u8::is_ascii_digit) || (all_hex && (digits > 0 || word.len() >= 8))
}

#[cfg(test)]
mod tests;
