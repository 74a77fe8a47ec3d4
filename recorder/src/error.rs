//! What went wrong, for the person at the terminal: what, where, why it matters, what to do.

use std::fmt;

/// An error of one to three lines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    what: String,
    advice: String,
}

impl Error {
    /// `what` says what went wrong and where; `advice` why it matters and what to do.
    #[must_use]
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flightrecd: {}", self.what)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n  {}", self.advice) }
    }
}

impl std::error::Error for Error {}
