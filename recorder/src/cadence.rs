//! How often a calm machine is committed where a commit costs the device far more than its 4 KiB.
//!
//! btrfs writes its tree log for each sync, some twenty blocks for one of ours, copy-on-write or
//! not, and transactions for the time stamp behind it: 1.3 GB a day at one commit in 10 s. At one
//! in 180 s it is 0.2 GB, about as much as on ext4 with its default journal; to save more, minutes
//! of evidence would have to go. Everybody who looks is told. A dying machine is committed as fast
//! as elsewhere, and the write budget pays what the device pays. Whoever sets `commit` keeps it.

use crate::config::Config;
use crate::place::{Kind, Place};
use crate::units::show_duration;

/// Time between commits on btrfs while calm.
pub const BTRFS_COMMIT_NS: u64 = 180_000_000_000;

/// Bytes that reach a device with btrfs for one of many commits, one a second; lone ones cost
/// more. Measured: docs/benchmarks.md, section 1.
const BTRFS_COMMIT_BYTES: u64 = 80_555;

/// How a run commits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cadence {
    /// Time between commits while calm.
    pub commit_ns: u64,
    /// What a commit costs the device when they come fast.
    pub commit_bytes: u64,
    /// For those who look: that it is slower than elsewhere, why, and what it may cost.
    pub slowed: Option<String>,
}

impl Cadence {
    /// The cadence for a recording at this place.
    #[must_use]
    pub fn of(config: &Config, place: &Place) -> Self {
        let wanted_ns = config.commit_ns;
        if place.kind != Kind::Btrfs {
            return Self { commit_ns: wanted_ns, commit_bytes: 4096, slowed: None };
        }
        let commit_bytes = BTRFS_COMMIT_BYTES;
        if config.commit_is_given || wanted_ns >= BTRFS_COMMIT_NS {
            return Self { commit_ns: wanted_ns, commit_bytes, slowed: None };
        }
        // At a cut the newest durable sample is that old at most, if no write takes longer.
        let bound_s = (BTRFS_COMMIT_NS + config.interval_ns).div_ceil(1_000_000_000);
        let slowed = format!(
            "a commit each {} s instead of {}, to spare the disk below btrfs: a cut while calm \
             may cost {bound_s} s",
            BTRFS_COMMIT_NS / 1_000_000_000,
            show_duration(wanted_ns)
        );
        Self { commit_ns: BTRFS_COMMIT_NS, commit_bytes, slowed: Some(slowed) }
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
    fn on_btrfs_commits_are_far_apart_and_the_bound_that_follows_is_told() {
        let cadence = Cadence::of(&Config::default(), &on(Kind::Btrfs));
        // Tree logs alone stay within what a calm day may cost: 47 MB.
        let per_day = 86_400_000_000_000 / cadence.commit_ns * cadence.commit_bytes;
        assert!(per_day <= 47_000_000, "{per_day}");
        let told = cadence.slowed.unwrap();
        assert!(told.contains("180 s instead of 10s") && told.contains("may cost 181 s"), "{told}");
    }

    #[test]
    fn elsewhere_and_where_the_owner_says_so_it_is_the_configured_one() {
        let config = Config::default();
        let cadence = Cadence::of(&config, &on(Kind::Ext4));
        assert_eq!((cadence.commit_ns, cadence.commit_bytes), (config.commit_ns, 4096));
        assert_eq!(cadence.slowed, None);
        let config = Config::check("commit = \"10s\"").unwrap();
        let cadence = Cadence::of(&config, &on(Kind::Btrfs));
        assert_eq!((cadence.commit_ns, cadence.slowed), (config.commit_ns, None));
        assert_eq!(cadence.commit_bytes, BTRFS_COMMIT_BYTES, "the budget pays all the same");
    }
}
