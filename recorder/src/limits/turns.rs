//! Whether it is the turn of what can wait: told by the sampler, asked by the threads that look at
//! processes, logs and drivers. Neither waits for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// One of so many looks at processes or logs is taken, whatever the processor says: what is not read
/// for 30 seconds is left out of the samples.
pub const EACH_OF: u32 = 16;

/// The same for drivers and file systems, which are looked at every five seconds only.
pub const EACH_OF_SLOW: u32 = 2;

/// What the sampler wants of the others.
#[derive(Debug, Default)]
pub struct Turns {
    wait: AtomicBool,
    shed: AtomicBool,
    skipped: AtomicU64,
}

impl Turns {
    /// Whether looks have to wait.
    pub fn set_wait(&self, wait: bool) {
        self.wait.store(wait, Relaxed);
    }

    /// From now on memory that can be let go is.
    pub fn shed(&self) {
        self.shed.store(true, Relaxed);
    }

    /// Whether memory that can be let go has to be.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.shed.load(Relaxed)
    }

    /// Looks that waited, in all.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }
}

/// The turns of one thread.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    each_of: u32,
    waited: u32,
}

impl Turn {
    /// Of `each_of` looks one is taken, even if they have to wait.
    #[must_use]
    pub fn of(turns: Arc<Turns>, each_of: u32) -> Self {
        Self { turns, each_of, waited: 0 }
    }

    /// Whether to look now.
    pub fn comes(&mut self) -> bool {
        if self.turns.wait.load(Relaxed) && self.waited + 1 < self.each_of {
            self.waited += 1;
            self.turns.skipped.fetch_add(1, Relaxed);
            return false;
        }
        self.waited = 0;
        true
    }

    /// Whether memory that can be let go has to be.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.turns.is_shed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_wait_only_while_they_have_to_and_one_of_sixteen_never_does() {
        let turns = Arc::new(Turns::default());
        let mut turn = Turn::of(Arc::clone(&turns), EACH_OF);
        let mut taken = |looks: u32| (0..looks).filter(|_| turn.comes()).count();
        assert_eq!(taken(100), 100);
        turns.set_wait(true);
        assert_eq!(taken(160), 10);
        assert_eq!(turns.skipped(), 150);
        turns.set_wait(false);
        assert_eq!(taken(100), 100);
    }
}
