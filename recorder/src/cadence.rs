//! How often a calm machine is committed where a commit costs the device far more than its 4 KiB.
//!
//! btrfs writes its tree log for each sync, some twenty blocks for one of ours, copy-on-write or
//! not, and within 30 s a transaction for the time stamp: 1.3 GB a day at one commit in 10 s. So
//! commits are further apart there, and everybody who looks is told. What a day may cost is what
//! ext4 costs with its default journal: to save more, minutes of evidence would have to go. A dying
//! machine is committed as fast as elsewhere, and the write budget pays what the device pays.
//! Whoever sets `commit` keeps it.

use std::fmt;

use crate::config::Config;
use crate::place::{Kind, Place};
use crate::units::show_duration;

/// Bytes that reach a device with btrfs for one of many commits, one a second. Measured, as is what
/// follows: docs/benchmarks.md, section 1.
const BTRFS_COMMIT_BYTES: u64 = 80_555;
/// The same for one that stands alone: its transaction is its own.
const BTRFS_LONE_COMMIT_BYTES: u64 = 304_000;

/// What a calm day may cost the device: as much as on ext4 with `commit=5`.
const DAY_BYTES: u64 = 150_000_000;

const DAY_NS: u64 = 86_400_000_000_000;
/// The interval is rounded up to this: nobody has to read 175.1 s.
const STEP_NS: u64 = 10_000_000_000;

/// How a run commits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cadence {
    /// Time between commits while calm.
    pub commit_ns: u64,
    /// What a commit costs the device when they come fast.
    pub commit_bytes: u64,
    /// What it would have been elsewhere, if it is slower than that here.
    pub instead_of_ns: Option<u64>,
}

impl Cadence {
    /// The cadence for a recording at this place.
    #[must_use]
    pub fn of(config: &Config, place: &Place) -> Self {
        let wanted_ns = config.commit_ns;
        if place.kind != Kind::Btrfs {
            return Self { commit_ns: wanted_ns, commit_bytes: 4096, instead_of_ns: None };
        }
        let affordable_ns = u64::try_from(
            u128::from(DAY_NS) * u128::from(BTRFS_LONE_COMMIT_BYTES) / u128::from(DAY_BYTES),
        );
        let affordable_ns = affordable_ns.unwrap_or(wanted_ns).next_multiple_of(STEP_NS);
        let slower = !config.commit_is_given && affordable_ns > wanted_ns;
        Self {
            commit_ns: if slower { affordable_ns } else { wanted_ns },
            commit_bytes: BTRFS_COMMIT_BYTES,
            instead_of_ns: slower.then_some(wanted_ns),
        }
    }

    /// The age that the newest durable sample of a calm machine may have at a cut, if no write
    /// takes longer.
    fn bound_s(&self, config: &Config) -> u64 {
        (self.commit_ns + config.interval_ns).div_ceil(1_000_000_000)
    }

    /// A sentence for those who look, if it is slower than elsewhere.
    #[must_use]
    pub fn sentence(&self, config: &Config) -> Option<String> {
        self.instead_of_ns?;
        Some(format!("{self}: a cut while calm may cost {} s", self.bound_s(config)))
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a commit each {} s", self.commit_ns / 1_000_000_000)?;
        let Some(instead_of_ns) = self.instead_of_ns else { return Ok(()) };
        let instead_of = show_duration(instead_of_ns);
        let kb = BTRFS_LONE_COMMIT_BYTES / 1000;
        write!(f, ", not {instead_of}, for it costs {kb} KB on btrfs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(kind: Kind) -> Place {
        Place {
            path: "/r.frec".into(),
            kind,
            file_system: String::new(),
            mount_point: "/".into(),
            options: String::new(),
            device: None,
            disk: None,
            free_bytes: 0,
            commit_s: None,
            has_journal: None,
            better: None,
        }
    }

    #[test]
    fn commits_on_btrfs_are_no_dearer_in_a_day_than_on_ext4_as_it_is_mounted_by_default() {
        let config = Config::default();
        let cadence = Cadence::of(&config, &on(Kind::Btrfs));
        let per_day = DAY_NS / cadence.commit_ns * BTRFS_LONE_COMMIT_BYTES;
        assert!((100_000_000..=DAY_BYTES).contains(&per_day), "{per_day}");
        let told = cadence.sentence(&config).unwrap();
        assert!(told.contains("180 s, not 10s") && told.contains("may cost 181 s"), "{told}");
    }

    #[test]
    fn elsewhere_and_where_the_owner_says_so_it_is_the_configured_one() {
        let config = Config::default();
        let cadence = Cadence::of(&config, &on(Kind::Ext4));
        assert_eq!((cadence.commit_ns, cadence.commit_bytes), (config.commit_ns, 4096));
        assert_eq!(cadence.sentence(&config), None);
        let config = Config::check("commit = \"10s\"").unwrap();
        let cadence = Cadence::of(&config, &on(Kind::Btrfs));
        assert_eq!((cadence.commit_ns, cadence.sentence(&config)), (config.commit_ns, None));
        assert_eq!(cadence.commit_bytes, BTRFS_COMMIT_BYTES, "the budget pays all the same");
    }
}
