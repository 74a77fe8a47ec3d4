//! How a cut is named, so that one line replays it; and in what it struck.

use std::fmt;
use std::str::FromStr;

use crate::physics::Fault;

/// Faults of a medium that keeps what it acknowledged, but for the flash page in flight.
pub const HONEST: &[Fault] = &[
    Fault::Dropped,
    Fault::Reordered,
    Fault::Torn(512),
    Fault::Torn(4096),
    Fault::Torn(16_384),
    Fault::Sectors,
    Fault::Page(4),
    Fault::Page(16),
];

/// Faults of a medium that loses what it had acknowledged.
pub const TREACHEROUS: &[Fault] = &[
    Fault::Late,
    Fault::RolledBack,
    Fault::LastWrites(1),
    Fault::LastWrites(2),
    Fault::LastWrites(3),
    Fault::LastWrites(4),
    Fault::LastWrites(5),
    Fault::LastWrites(6),
    Fault::LastWrites(7),
    Fault::LastWrites(8),
    Fault::EraseUnit(64),
    Fault::Stuck(1),
    Fault::Stuck(3),
    Fault::Unreadable(1),
    Fault::Unreadable(16),
];

/// In what a cut struck.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Struck {
    /// A write over what an earlier lap had left.
    Wrap,
    /// A seal.
    Seal,
    /// The start of a run, up to its first commit, or its salvage.
    Start,
    /// A run that was started on what an earlier cut had left.
    SecondCut,
    /// A write that took five seconds and more, or one that had failed.
    Stall,
    /// None of these.
    Calm,
}

/// How a cut is named, so that one line replays it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cut {
    /// Which run of the script, from 0.
    pub chapter: usize,
    /// Ops of the disk that had begun.
    pub ops: usize,
    /// What went wrong.
    pub fault: Fault,
    /// Which of its outcomes.
    pub variant: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}:{}", self.chapter, self.ops, self.fault, self.variant)
    }
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a cut is CHAPTER:OPS:FAULT:VARIANT, not {text:?}");
        let parts: Vec<&str> = text.split(':').collect();
        let [chapter, ops, fault, variant] = parts[..] else { return Err(wrong()) };
        let fault = HONEST
            .iter()
            .chain(TREACHEROUS)
            .find(|own| own.to_string() == fault)
            .ok_or_else(wrong)?;
        Ok(Self {
            chapter: chapter.parse().map_err(|_| wrong())?,
            ops: ops.parse().map_err(|_| wrong())?,
            fault: *fault,
            variant: variant.parse().map_err(|_| wrong())?,
        })
    }
}
