//! Exit codes, in one table, and the shape of every message that ends a command early.

use std::fmt;
use std::io;
use std::path::Path;

/// How a command ended; the numbers are the exit codes of the manual.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Everything asked for was shown. A torn last slot, or time powered off, is whole.
    Whole = 0,
    /// Permission, or the medium refused.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Shown, but samples that were once durable are gone inside the window.
    Gone = 3,
    /// There is no recording, or it is newer than this program.
    NoRecording = 4,
    /// Nothing was recorded in the range asked for.
    Nothing = 5,
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Gone => 3,
            Self::NoRecording => 4,
            Self::Nothing => 5,
        }
    }
}

/// Why a command could not go on: what, where, why it matters, what to do.
#[derive(Debug)]
pub struct Trouble {
    /// The exit code it leads to.
    pub outcome: Outcome,
    /// One to three lines, without the program's name.
    pub message: String,
    /// Nobody reads our output any more: end without a word.
    pub silent: bool,
}

impl Trouble {
    /// A trouble that ends with `outcome`.
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), silent: false }
    }

    /// A command line that makes no sense.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Outcome::Usage, message)
    }

    /// What the system said about `path`, in our words.
    #[must_use]
    pub fn open(path: &Path, error: &io::Error) -> Self {
        let shown = crate::views::text::escape(&path.to_string_lossy());
        let (outcome, message) = match error.kind() {
            io::ErrorKind::NotFound => (
                Outcome::NoRecording,
                format!(
                    "no recording at {shown}\n\
                     Nothing was recorded there, or it lies elsewhere: name the file, as in \
                     `flightrec dump FILE`.\n\
                     To begin one: `flightrecd create {shown}`."
                ),
            ),
            io::ErrorKind::PermissionDenied => (
                Outcome::Failed,
                format!(
                    "not allowed to read {shown}\n\
                     Recordings are for root and the group systemd-journal: use `sudo`, or join \
                     the group."
                ),
            ),
            io::ErrorKind::IsADirectory => {
                (Outcome::NoRecording, format!("{shown} is a directory; name a recording in it."))
            }
            _ => (Outcome::Failed, format!("cannot read {shown}: {error}")),
        };
        Self::new(outcome, message)
    }
}

impl Trouble {
    /// The medium refused all of it.
    #[must_use]
    pub fn unreadable(path: &Path, bytes: u64) -> Self {
        let shown = crate::views::text::escape(&path.to_string_lossy());
        Self::new(
            Outcome::Failed,
            format!(
                "{shown} cannot be read: the medium refused each of its {bytes} bytes.\n\
                 What the kernel says of it: `dmesg`. Another card reader, or another slot, may do."
            ),
        )
    }
}

impl From<io::Error> for Trouble {
    /// Only writing our own output comes here; reading a recording never fails as a whole.
    fn from(error: io::Error) -> Self {
        Self {
            outcome: if error.kind() == io::ErrorKind::BrokenPipe {
                Outcome::Whole
            } else {
                Outcome::Failed
            },
            silent: error.kind() == io::ErrorKind::BrokenPipe,
            message: format!("cannot write the output: {error}"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}
