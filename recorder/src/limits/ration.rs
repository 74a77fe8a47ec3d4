//! So many lines an hour, whoever says them: the start of the recorder, then its threads.

use bincode::{Decode, Encode};

const HOUR_NS: u64 = 3_600_000_000_000;

/// Whether a line may be said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leave {
    /// It may.
    Say,
    /// It is one too many: what is said instead is that no more will be.
    SayLast,
    /// Not in this hour.
    Silence,
}

/// So many lines an hour.
#[derive(Clone, Copy, Debug, Decode, Encode)]
pub struct Ration {
    most: u32,
    hour_began_ns: u64,
    said_in_hour: u32,
    unsaid_in_hour: u64,
    said: u64,
    unsaid: u64,
}

impl Ration {
    /// A ration of which nothing is used.
    #[must_use]
    pub fn new(most: u32, now_ns: u64) -> Self {
        let (said_in_hour, unsaid_in_hour) = (0, 0);
        Self { most, hour_began_ns: now_ns, said_in_hour, unsaid_in_hour, said: 0, unsaid: 0 }
    }

    /// Asks for one line.
    pub fn ask(&mut self, now_ns: u64) -> Leave {
        self.pass(now_ns);
        if self.said_in_hour < self.most {
            self.said_in_hour += 1;
            self.said += 1;
            if self.said_in_hour < self.most {
                return Leave::Say;
            }
        }
        self.unsaid_in_hour += 1;
        self.unsaid += 1;
        if self.unsaid_in_hour == 1 && self.most > 0 { Leave::SayLast } else { Leave::Silence }
    }

    /// A line that was asked for did not go out after all.
    pub(super) fn take_back(&mut self) {
        self.said = self.said.saturating_sub(1);
        self.said_in_hour = self.said_in_hour.saturating_sub(1);
        self.unsaid += 1;
    }

    /// The hour may be over.
    pub fn pass(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.hour_began_ns) >= HOUR_NS {
            (self.hour_began_ns, self.said_in_hour, self.unsaid_in_hour) = (now_ns, 0, 0);
        }
    }

    /// Lines said, and not said, in all.
    #[must_use]
    pub fn counts(&self) -> [u64; 2] {
        [self.said, self.unsaid]
    }

    /// Whether lines of this hour were not said.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.unsaid_in_hour > 0
    }

    /// Lines of this hour: said, and how many may be.
    #[must_use]
    pub fn used(&self) -> (u64, u64) {
        (u64::from(self.said_in_hour), u64::from(self.most))
    }
}

/// What is said instead of the line that was one too many.
pub const LAST: &str =
    "this hour's lines are used up (log_lines_max): `flightrec events` tells the rest";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ration_of_none_says_nothing() {
        let mut ration = Ration::new(0, 0);
        assert_eq!((ration.ask(0), ration.ask(HOUR_NS)), (Leave::Silence, Leave::Silence));
        assert_eq!(ration.counts(), [0, 2]);
    }
}
