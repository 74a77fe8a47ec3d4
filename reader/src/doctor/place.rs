//! Where the recording lies: would it be there afterwards, what does a commit cost there, and do
//! the two lanes of its tail lie apart?

use std::fs::File;
use std::io;
use std::path::Path;

use flightrec_format::superblock::Geometry;

use super::{Finding, Grade, Mount, World, finding};
use crate::sys::{self, Extent};
use crate::wear::Below;

impl World {
    /// Is it gone with the power?
    pub(super) fn place(&self, mount: Option<&Mount>) -> Finding {
        const CHECK: &str = "place";
        if self.file.starts_with("/dev") {
            let seen = format!("{} is a raw partition", self.file.display());
            return finding(CHECK, Grade::Ok, seen, "");
        }
        let Some(mount) = mount else {
            return finding(CHECK, Grade::Unknown, "no mount table to be read".into(), "");
        };
        let in_ram = matches!(mount.kind.as_str(), "tmpfs" | "ramfs" | "devtmpfs")
            || mount.source.contains("zram")
            || (mount.kind == "overlay" && self.is_upper_in_ram(mount));
        let seen = format!("{} on {}", mount.kind, mount.point.display());
        if in_ram {
            let seen = seen + ", which lies in RAM and is gone with the power";
            return finding(CHECK, Grade::Bad, seen, "Record below /var/lib, on a disk or card");
        }
        if mount.kind == "btrfs" {
            let seen = seen
                + ", where a commit of 4 KiB costs the disk 80 to 400 KB: a calm machine is \
                   committed each 180 s, unless told otherwise";
            let remedy = "A raw partition or another file system; or commit = \"10s\" in \
                          /etc/flightrec.toml, for 1.3 GB a day";
            return finding(CHECK, Grade::Warn, seen, remedy);
        }
        finding(CHECK, Grade::Ok, seen, "")
    }

    fn is_upper_in_ram(&self, overlay: &Mount) -> bool {
        let upper = overlay.options.split(',').find_map(|option| option.strip_prefix("upperdir="));
        // A layer that we cannot see is most likely in RAM: that is what live systems do.
        upper.and_then(|upper| self.mount_of(Path::new(upper))).is_none_or(|mount| {
            matches!(mount.kind.as_str(), "tmpfs" | "ramfs") || mount.source.contains("zram")
        })
    }

    /// What lies below the recording, as far as it costs.
    pub(super) fn below(&self, mount: Option<&Mount>) -> Below {
        match mount {
            _ if self.file.starts_with("/dev") => Below::Raw,
            Some(mount) if mount.kind == "ext4" && !self.has_journal(mount) => Below::Ext4Bare,
            Some(mount) if mount.kind == "ext4" => {
                let options = mount.options.split(',');
                Below::ext4(options.filter_map(|option| option.strip_prefix("commit=")).next_back())
            }
            Some(mount) if mount.kind == "btrfs" => Below::Btrfs,
            _ => Below::Other,
        }
    }

    /// ext4 tells how it writes data beside its journal only if it has one.
    fn has_journal(&self, mount: &Mount) -> bool {
        let path = format!("proc/fs/ext4/{}/options", self.device_of(mount));
        self.text(&path).is_none_or(|text| text.lines().any(|line| line.starts_with("data=")))
    }

    /// What the journal of ext4 costs because our writes change a time stamp.
    pub(super) fn journal(&self, mount: Option<&Mount>, commits_per_day: u64) -> Finding {
        const CHECK: &str = "journal";
        const GOOD_S: u64 = 30;
        let below = self.below(mount);
        let mb = below.extra_per_day(commits_per_day).unwrap_or(0) / 1_000_000;
        match below {
            Below::Ext4 { commit_s } => {
                let seen = format!("commit={commit_s}: the journal adds {mb} MB a day to ours");
                if commit_s < GOOD_S {
                    let remedy = "Mount with commit=120 or more (/etc/fstab)";
                    return finding(CHECK, Grade::Warn, seen, remedy);
                }
                finding(CHECK, Grade::Ok, seen, "")
            }
            Below::Ext4Bare => {
                let seen = format!("ext4 without a journal: its inode adds {mb} MB a day to ours");
                finding(CHECK, Grade::Ok, seen, "")
            }
            _ => finding(CHECK, Grade::Ok, "no journal of ext4 below the recording".into(), ""),
        }
    }
}

/// On btrfs: is copy-on-write really off for this file? It stays on where the flag was set too late.
pub(super) fn nocow(is_nocow: io::Result<bool>) -> Finding {
    const CHECK: &str = "nocow";
    match is_nocow {
        Ok(true) => {
            let seen = "copy-on-write is off for the recording".into();
            finding(CHECK, Grade::Ok, seen, "A snapshot of its subvolume turns it on for a while")
        }
        Ok(false) => finding(
            CHECK,
            Grade::Warn,
            "copy-on-write is on for the recording: it is scattered, and may run out of room"
                .into(),
            "flightrecd resize FILE --size 64MiB makes it anew, with copy-on-write off",
        ),
        Err(error) => finding(CHECK, Grade::Unknown, format!("cannot be told: {error}"), ""),
    }
}

/// A flash page and what is programmed with it, bytes: what a cut destroys at most around a write.
const PAGE_BYTES: u64 = 64 << 10;

/// How far apart on the device the slots lie that are written one after the other.
pub(super) fn lanes(file: &File, geometry: &Geometry) -> Finding {
    const CHECK: &str = "lanes";
    let start = u64::from(geometry.tail_start) * 4096;
    let lane = u64::from(geometry.lane_slots) * 4096;
    let extents = match sys::extents(file, start, 2 * lane) {
        Ok(extents) => extents,
        Err(error) => {
            let seen = format!("where the tail lies on the device cannot be told: {error}");
            return finding(CHECK, Grade::Unknown, seen, "");
        }
    };
    let Some(apart) = apart(&extents, start, u64::from(geometry.lane_slots)) else {
        let seen = "where the tail lies on the device is not told for all of it".into();
        return finding(CHECK, Grade::Unknown, seen, "");
    };
    let pieces = extents.len();
    let pieces = format!("{pieces} piece{}", if pieces == 1 { "" } else { "s" });
    let seen = format!("{} KiB apart at least on the device ({pieces})", apart >> 10);
    if apart < PAGE_BYTES {
        let seen = seen + ": one page that a cut destroys may hold both newest frames";
        let remedy = "flightrecd resize FILE --size 64MiB lays it anew, where there is more room";
        return finding(CHECK, Grade::Warn, seen, remedy);
    }
    finding(CHECK, Grade::Ok, seen, "")
}

/// Least distance of two slots that are written one after the other, whose lanes take turns (P1).
fn apart(extents: &[Extent], start: u64, lane_slots: u64) -> Option<u64> {
    let at = |slot: u64| {
        let logical = start + slot * 4096;
        let index = extents.partition_point(|extent| extent.logical <= logical).checked_sub(1)?;
        let extent = extents.get(index)?;
        let inside = logical.checked_sub(extent.logical).filter(|at| *at < extent.length)?;
        extent.physical.checked_add(inside)
    };
    let mut least = u64::MAX;
    for slot in 0..lane_slots {
        let (first, second) = (at(slot)?, at(lane_slots + slot)?);
        let next = at((slot + 1) % lane_slots)?;
        least = least.min(first.abs_diff(second)).min(second.abs_diff(next));
    }
    (least < u64::MAX).then_some(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: u64 = 48;

    fn extent(slot: u64, physical_slot: u64, slots: u64) -> Extent {
        Extent { logical: slot * 4096, physical: physical_slot * 4096, length: slots * 4096 }
    }

    #[test]
    fn lanes_in_one_piece_lie_a_lane_apart_less_the_step_to_the_next_slot() {
        assert_eq!(apart(&[extent(1, 1001, 2 * LANE)], 4096, LANE), Some((LANE - 1) * 4096));
    }

    #[test]
    fn lanes_that_a_full_disk_has_laid_side_by_side_are_seen() {
        // Each second slot of the device: 0 2 4 ... for one lane, 1 3 5 ... for the other.
        let slots = 0..2 * LANE;
        let place = |slot: u64| if slot < LANE { 2 * slot } else { 2 * (slot - LANE) + 1 };
        let extents: Vec<_> = slots.map(|slot| extent(1 + slot, 500 + place(slot), 1)).collect();
        assert_eq!(apart(&extents, 4096, LANE), Some(4096));
    }

    #[test]
    fn a_hole_in_the_tail_is_not_told_as_a_distance() {
        assert_eq!(apart(&[extent(1, 1001, LANE)], 4096, LANE), None);
        assert_eq!(apart(&[], 4096, LANE), None);
        let hostile = Extent { logical: 0, physical: u64::MAX, length: u64::MAX };
        assert_eq!(apart(&[hostile], 4096, LANE), None);
    }
}
