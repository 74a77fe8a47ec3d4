//! What headers say besides what their frame holds.

use flightrec_format::facts::facts_crc;

use crate::clock::Clock;
use crate::recorder::Plan;

/// What is the same in every header of a run, and what changes with the clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// As in the superblock.
    pub recording_id: [u8; 16],
    /// Of the kernel.
    pub boot_id: [u8; 16],
    /// Of this run.
    pub run_id: [u8; 8],
    /// Counts the boots of this recording.
    pub boot_ordinal: u32,
    /// Sampling interval, nanoseconds.
    pub interval_ns: u64,
    /// `CLOCK_BOOTTIME` now.
    pub boottime_ns: u64,
    /// `CLOCK_MONOTONIC` now.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME` now.
    pub realtime_ns: i64,
    /// Whether the kernel calls real time synchronised.
    pub synced: bool,
    /// Checksum of the run facts.
    pub facts_crc: u32,
    /// Level of the write budget, KiB.
    pub budget_kib: u32,
}

impl Stamp {
    /// What is the same in all headers that a run writes into a recording.
    #[must_use]
    pub fn of_run(plan: &Plan, recording_id: [u8; 16], boot_ordinal: u32) -> Self {
        Self {
            recording_id,
            boot_id: plan.boot_id,
            run_id: plan.run_id,
            boot_ordinal,
            interval_ns: plan.interval_ns,
            facts_crc: facts_crc(&plan.facts),
            ..Self::default()
        }
    }

    /// What changes with the clock.
    pub fn tell_time(&mut self, clock: &dyn Clock, boottime_ns: u64, budget_kib: u32) {
        self.boottime_ns = boottime_ns;
        self.monotonic_ns = clock.monotonic_ns();
        self.realtime_ns = clock.realtime_ns();
        self.synced = clock.synced();
        self.budget_kib = budget_kib;
    }
}
