//! What reaches the device for what the recorder writes: measured, docs/benchmarks.md section 1.
//!
//! An estimate, for the file system adds to each commit, and the flash adds to that.

use flightrec_format::facts::RunFacts;

const DAY_S: u64 = 86_400;
/// A commit of the recorder.
const COMMIT_BYTES: u64 = 4096;
/// A journal commit of ext4 because a write of ours changed a time stamp.
const JOURNAL_COMMIT_BYTES: u64 = 12 << 10;
/// How often ext4 makes one if `commit=` is not given, s.
pub const JOURNAL_COMMIT_S: u64 = 5;
/// Without a journal the inode goes out with each sync.
const INODE_BYTES: u64 = 4096;
/// btrfs: time between commits, s, and bytes of one; its transactions are shared by those that
/// come fast.
const BTRFS: [(u64, u64); 4] = [(100, 424_619), (20, 331_776), (5, 152_576), (0, 80_555)];

/// What lies below a recording, as far as it costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Below {
    /// A partition or a disk: what we write, and nothing else.
    Raw,
    /// ext4, with the time between its journal commits, s.
    Ext4 {
        /// `commit=`.
        commit_s: u64,
    },
    /// ext4 without a journal.
    Ext4Bare,
    /// btrfs, NOCOW or not.
    Btrfs,
    /// What nobody has measured.
    Other,
}

impl Below {
    /// As a run has told it.
    #[must_use]
    pub fn of_facts(facts: &RunFacts) -> Self {
        match facts.get("file_system") {
            None | Some("") => Self::Raw,
            Some("ext4") if facts.get("journal") == Some("none") => Self::Ext4Bare,
            Some("ext4") => Self::ext4(facts.get("commit_s")),
            Some("btrfs") => Self::Btrfs,
            Some(_) => Self::Other,
        }
    }

    /// ext4 with this `commit=`; 0 means the default, as for the kernel.
    #[must_use]
    pub fn ext4(commit_s: Option<&str>) -> Self {
        let given = commit_s.and_then(|text| text.parse().ok()).filter(|s| *s > 0);
        Self::Ext4 { commit_s: given.unwrap_or(JOURNAL_COMMIT_S) }
    }

    /// Bytes a day that come to ours; `None`: nobody has measured it.
    #[must_use]
    pub fn extra_per_day(self, commits_per_day: u64) -> Option<u64> {
        match self {
            Self::Raw => Some(0),
            Self::Ext4 { commit_s } => {
                let journal_commits = (DAY_S / commit_s.max(1)).min(commits_per_day);
                Some(journal_commits * JOURNAL_COMMIT_BYTES)
            }
            Self::Ext4Bare => Some(commits_per_day.saturating_mul(INODE_BYTES)),
            Self::Btrfs => {
                let apart_s = DAY_S / commits_per_day.max(1);
                let bytes = BTRFS.iter().find(|(least_s, _)| apart_s >= *least_s);
                let bytes = bytes.map_or(0, |(_, bytes)| bytes - COMMIT_BYTES);
                Some(commits_per_day.saturating_mul(bytes))
            }
            Self::Other => None,
        }
    }

    /// What it is that adds, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Raw => "a raw partition adds nothing",
            Self::Ext4 { .. } => "the journal included",
            Self::Ext4Bare => "no journal; the inode included",
            Self::Btrfs => "the trees of btrfs included",
            Self::Other => "unknown for this file system",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mb(below: Below, commits_per_day: u64) -> u64 {
        below.extra_per_day(commits_per_day).unwrap() / 1_000_000
    }

    #[test]
    fn the_journal_costs_by_its_interval_and_ours_whichever_is_longer() {
        assert_eq!(mb(Below::ext4(None), 8640), 106);
        assert_eq!(mb(Below::ext4(Some("0")), 8640), 106);
        assert_eq!(mb(Below::ext4(Some("600")), 8640), 1);
        assert_eq!(mb(Below::ext4(None), 480), 5);
    }

    #[test]
    fn without_a_journal_none_is_charged() {
        assert_eq!(mb(Below::Ext4Bare, 8640), 35);
        assert_eq!(mb(Below::Raw, 8640), 0);
        assert_eq!(Below::Other.extra_per_day(8640), None);
    }

    #[test]
    fn btrfs_costs_less_in_a_day_when_commits_are_far_apart() {
        assert_eq!((mb(Below::Btrfs, 8640), mb(Below::Btrfs, 480)), (1282, 201));
        assert!(
            Below::Btrfs.extra_per_day(0).is_some()
                && Below::Btrfs.extra_per_day(u64::MAX).is_some()
        );
    }

    #[test]
    fn a_run_tells_what_lies_below_it() {
        let of = |facts: &[(&str, &str)]| {
            let facts = facts.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            Below::of_facts(&RunFacts { facts, ..RunFacts::default() })
        };
        assert_eq!(of(&[]), Below::Raw);
        assert_eq!(of(&[("file_system", "ext4")]), Below::Ext4 { commit_s: 5 });
        let tuned = [("file_system", "ext4"), ("commit_s", "120")];
        assert_eq!(of(&tuned), Below::Ext4 { commit_s: 120 });
        let bare = [("file_system", "ext4"), ("commit_s", "120"), ("journal", "none")];
        assert_eq!(of(&bare), Below::Ext4Bare);
        assert_eq!(of(&[("file_system", "xfs")]), Below::Other);
    }
}
