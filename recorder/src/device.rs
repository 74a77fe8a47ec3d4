//! Block devices, as `/sys/dev/block` shows them: a raw partition that is or becomes a recording.
//!
//! Opened exclusively (O_EXCL) a device has one user: the kernel refuses it while it is mounted, is
//! swap, or belongs to a volume, and refuses all of these while we have it.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::place::{major, minor};

/// A block device that exists.
#[derive(Clone, Debug)]
pub struct Device {
    number: u64,
    /// Its folder below `/sys`.
    sys: PathBuf,
}

impl Device {
    /// The block device at `path`; `None`: something else is there, or nothing.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let number = metadata.file_type().is_block_device().then(|| metadata.rdev())?;
        Some(Self { number, sys: Path::new("/sys/dev/block").join(shown(number)) })
    }

    /// Whether it is a partition, and not a whole disk, a loop device or a volume.
    #[must_use]
    pub fn is_partition(&self) -> bool {
        self.sys.join("partition").exists()
    }

    /// How many partitions it is divided into.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions().count()
    }

    /// Whether it refuses writes: a switch on the card, or the owner's wish.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.ask("ro") == Some(1)
    }

    /// Bytes of the smallest write that it does whole.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        // A partition has the queue of its disk.
        let ask = |file| self.ask(file);
        ask("queue/logical_block_size")
            .or_else(|| ask("../queue/logical_block_size"))
            .unwrap_or(512)
    }

    /// Who uses it or a part of it, to continue "it is"; `None`: nobody that can be seen.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mounts = String::from_utf8_lossy(&mounts);
        let swaps = fs::read("/proc/swaps").unwrap_or_default();
        let swaps = String::from_utf8_lossy(&swaps);
        let parts = self.partitions().filter_map(|part| {
            let name = part.file_name()?.to_string_lossy().into_owned();
            Some((fs::read_to_string(part.join("dev")).ok()?.trim().to_owned(), part, Some(name)))
        });
        let own = (shown(self.number), self.sys.clone(), None);
        std::iter::once(own).chain(parts).find_map(|(number, sys, name)| {
            let of =
                name.map_or_else(String::new, |name| format!(", at least its partition {name}"));
            let used = used_as(&number, &sys, &mounts, &swaps)?;
            Some(format!("{used}{of}"))
        })
    }

    fn partitions(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.sys).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.join("partition").exists())
    }

    fn ask(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.sys.join(file)).ok()?.trim().parse().ok()
    }
}

/// What a device with this number is used as.
fn used_as(number: &str, sys: &Path, mounts: &str, swaps: &str) -> Option<String> {
    let mut fields = mounts.lines().map(|line| line.split(' ').skip(2));
    let point = fields.find_map(|mut words| {
        let of = words.next()?;
        words.nth(1).filter(|_| of == number)
    });
    if let Some(point) = point {
        return Some(format!("mounted on {point}"));
    }
    let is_swap = |line: &str| {
        let path = line.split_ascii_whitespace().next().unwrap_or_default();
        path.starts_with('/')
            && fs::metadata(path).is_ok_and(|node| {
                node.file_type().is_block_device() && shown(node.rdev()) == number
            })
    };
    if swaps.lines().any(is_swap) {
        return Some("used as swap".to_owned());
    }
    let holder = fs::read_dir(sys.join("holders")).ok()?.flatten().next()?.file_name();
    Some(format!("a part of {}", holder.to_string_lossy()))
}

fn shown(number: u64) -> String {
    format!("{}:{}", major(number), minor(number))
}

/// Bytes of an open file or device; the metadata of a device says 0.
pub fn len_of(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_a_device_is_told() {
        let mounts = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
                      40 36 8:1 / /boot rw - vfat /dev/sda1 rw\nnoise\n";
        let sys = Path::new("/no/such/folder");
        assert_eq!(used_as("8:1", sys, mounts, "").as_deref(), Some("mounted on /boot"));
        assert_eq!(used_as("98:0", sys, mounts, "").as_deref(), Some("mounted on /mnt2"));
        assert_eq!(used_as("8:2", sys, mounts, "Filename Type\n/swapfile file 1 0 -2\n"), None);
        assert!(Device::at(Path::new("/dev/null")).is_none());
        assert!(Device::at(Path::new("/no/such/device")).is_none());
    }
}
