//! What goes wrong, told so that somebody can do something about it.
//!
//! One to three lines: what happened and where; why it matters, or what has not changed; what to
//! do. They are read on a terminal of 80 columns or in the journal, mostly by someone who has
//! never seen this program before.

use std::fmt;
use std::io;
use std::path::Path;

/// Why the recorder did not do what was asked. Usage errors are clap's, with exit code 2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    what: String,
    matters: String,
    advice: String,
}

impl Error {
    /// `what` says what happened and where, without a full stop; `advice` what to do, in
    /// sentences; empty: there is nothing to be done.
    #[must_use]
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), matters: String::new(), advice: advice.into() }
    }

    /// A call that failed at `path`; `what` continues "cannot".
    #[must_use]
    pub fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot {what} {}: {}", path.display(), reason(error)), "")
    }

    /// Says why it matters, or what is left as it was.
    #[must_use]
    pub fn matters(mut self, sentence: impl Into<String>) -> Self {
        self.matters = sentence.into();
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn advise(mut self, sentence: impl Into<String>) -> Self {
        self.advice = sentence.into();
        self
    }

    /// The first line alone, without the program's name, for an event or a log line.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What the process answers: I/O, permission and refusal are one code, as for the reader.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        1
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flightrecd: {}", one_line(&self.what))?;
        let mut more = [&self.matters, &self.advice].into_iter().filter(|line| !line.is_empty());
        more.try_for_each(|line| write!(f, "\n  {}", one_line(line)))
    }
}

impl std::error::Error for Error {}

/// An error of the system in words alone: its number tells nobody anything.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// A path may hold a line feed, or what moves a terminal's cursor; a message must not.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_one_to_three_lines() {
        let error = Error::new("a is b", "");
        assert_eq!(error.to_string(), "flightrecd: a is b");
        let error = error.advise("Do d.").matters("C.");
        assert_eq!(error.to_string(), "flightrecd: a is b\n  C.\n  Do d.");
    }

    #[test]
    fn the_systems_words_come_without_a_number() {
        let error = Error::io("open", Path::new("/x\n/y"), &io::Error::from_raw_os_error(2));
        assert!(
            error.to_string().starts_with("flightrecd: cannot open /x\u{fffd}/y: no such file")
        );
        assert!(!error.to_string().contains("os error"));
    }
}
