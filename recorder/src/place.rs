//! On what a recording would lie, and whether it would outlive the power there.
//!
//! Boards keep much in RAM that looks like a disk: `/tmp`, `/var/log` under log2ram or zram, a
//! whole root file system under an overlay. A recording there would be complete until the moment
//! that it is for.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use procfs::process::MountInfo;

use crate::sys;

/// What keeps the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// tmpfs, ramfs, devtmpfs.
    Ram,
    /// A file system or partition on compressed RAM, or on a RAM disk.
    Zram,
    /// An overlay whose writable layer lies in RAM, or where we cannot see.
    Overlay,
    /// btrfs, which copies on write unless told not to.
    Btrfs,
    /// ext2, ext3, ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// F2FS.
    F2fs,
    /// A partition or a whole disk, without a file system.
    BlockDevice,
    /// Anything else.
    Other,
}

/// Where a recording lies, or would lie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// What was asked about.
    pub path: PathBuf,
    /// What keeps the bytes.
    pub kind: Kind,
    /// Name of the file system, as in mountinfo; empty on a block device.
    pub file_system: String,
    /// Where it is mounted; empty on a block device.
    pub mount_point: PathBuf,
    /// Mount options, those of the file system behind those of the mount.
    pub options: String,
    /// Block device, as in `/sys/class/block`: `mmcblk0p2`.
    pub device: Option<String>,
    /// The disk that the device is a part of: `mmcblk0`.
    pub disk: Option<String>,
    /// Bytes that can still be allocated; 0 on a block device.
    pub free_bytes: u64,
    /// Seconds between journal commits, where the owner has set them.
    pub commit_s: Option<u32>,
    /// Whether ext4 keeps a journal; `None`: it is not ext4, or it does not tell.
    pub has_journal: Option<bool>,
    /// Where a recording would be safer, if this place is in RAM and we see one.
    pub better: Option<PathBuf>,
}

/// Looks at the place of `path`, which need not exist yet.
pub fn inspect(path: &Path) -> io::Result<Place> {
    let mounts = mounts();
    let mut place = match fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_block_device() => on_device(path, metadata.rdev()),
        _ => on_file_system(path, &mounts)?,
    };
    if refusal(&place).is_some() {
        place.better = better(&mounts);
    }
    Ok(place)
}

/// Why a recording at this place would not be there afterwards, and what to do. `None`: it would.
#[must_use]
pub fn refusal(place: &Place) -> Option<String> {
    let what = match place.kind {
        Kind::Ram => format!("in RAM ({})", place.file_system),
        Kind::Zram => format!("in RAM ({})", place.device.as_deref().unwrap_or("zram")),
        Kind::Overlay => "on an overlay whose upper layer is in RAM, or out of sight".to_owned(),
        _ => return None,
    };
    let advice = place.better.as_ref().map_or_else(
        || "Choose a path on a card or disk.".to_owned(),
        |path| format!("Choose a path on a card or disk, such as {}.", path.display()),
    );
    Some(format!("{} lies {what}: it would be gone with the power. {advice}", place.path.display()))
}

fn on_device(path: &Path, number: u64) -> Place {
    let (device, disk) =
        names_of(Path::new("/sys"), &format!("{}:{}", major(number), minor(number)));
    let kind =
        if device.as_deref().is_some_and(is_memory) { Kind::Zram } else { Kind::BlockDevice };
    Place {
        path: path.to_owned(),
        kind,
        file_system: String::new(),
        mount_point: PathBuf::new(),
        options: String::new(),
        device,
        disk,
        free_bytes: 0,
        commit_s: None,
        has_journal: None,
        better: None,
    }
}

fn on_file_system(path: &Path, mounts: &[MountInfo]) -> io::Result<Place> {
    let dir = File::open(existing_dir(path))?;
    let status = sys::file_system(&dir)?;
    let mount = mount_of(&dir, mounts);
    let (device, disk) = mount.map_or((None, None), |mount| device_of(mount, Path::new("/sys")));
    let kind = kind_of(status.magic, mount, device.as_deref(), mounts);
    let has_journal = device.as_deref().filter(|_| kind == Kind::Ext4).and_then(has_journal);
    let commit = mount.and_then(|mount| mount.super_options.get("commit")?.as_ref()?.parse().ok());
    Ok(Place {
        path: path.to_owned(),
        kind,
        file_system: mount.map(|mount| mount.fs_type.clone()).unwrap_or_default(),
        mount_point: mount.map(|mount| mount.mount_point.clone()).unwrap_or_default(),
        options: mount.map(options_of).unwrap_or_default(),
        device,
        disk,
        free_bytes: status.free_bytes,
        commit_s: commit,
        has_journal,
        better: None,
    })
}

fn kind_of(
    magic: u64,
    mount: Option<&MountInfo>,
    device: Option<&str>,
    mounts: &[MountInfo],
) -> Kind {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    const OVERLAYFS: u64 = 0x794c_7630;
    const BTRFS: u64 = 0x9123_683e;
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const F2FS: u64 = 0xf2f5_2010;
    match magic {
        TMPFS | RAMFS => Kind::Ram,
        OVERLAYFS if !mount.is_some_and(|mount| upper_is_durable(mount, mounts)) => Kind::Overlay,
        _ if device.is_some_and(is_memory) => Kind::Zram,
        BTRFS => Kind::Btrfs,
        EXT => Kind::Ext4,
        XFS => Kind::Xfs,
        F2FS => Kind::F2fs,
        _ => Kind::Other,
    }
}

/// Whether the writable layer of an overlay is seen to lie on a disk.
fn upper_is_durable(overlay: &MountInfo, mounts: &[MountInfo]) -> bool {
    let upper = overlay.super_options.get("upperdir").and_then(Option::as_ref);
    let mount = upper.and_then(|upper| mount_at(Path::new(upper), mounts));
    mount.is_some_and(|mount| is_durable(mount) && mount.mnt_id != overlay.mnt_id)
}

/// Whether a mount is a file system on a disk.
fn is_durable(mount: &MountInfo) -> bool {
    let (device, _) = device_of(mount, Path::new("/sys"));
    let on_disk = mount.mount_source.as_ref().is_some_and(|source| source.starts_with("/dev/"));
    on_disk && !device.as_deref().is_some_and(is_memory)
}

/// A file in the directory where recordings usually lie, or on some writable disk.
fn better(mounts: &[MountInfo]) -> Option<PathBuf> {
    let usual = Path::new("/var/lib/flightrec");
    let writable = |mount: &&MountInfo| is_durable(mount) && mount.mount_options.contains_key("rw");
    if mount_at(usual, mounts).as_ref().is_some_and(writable) {
        return Some(usual.join("recording.frec"));
    }
    let boot = |mount: &&MountInfo| mount.mount_point.starts_with("/boot");
    let mount = mounts.iter().filter(writable).find(|mount| !boot(mount))?;
    Some(mount.mount_point.join("flightrec/recording.frec"))
}

/// The mounts that we see. A line that procfs does not understand costs only itself.
fn mounts() -> Vec<MountInfo> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| MountInfo::from_line(line).ok()).collect()
}

/// The nearest directory upwards that exists.
fn existing_dir(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// The mount that an open directory lies in. The kernel tells its number, which is surer than to
/// compare paths: mounts hide each other.
fn mount_of<'a>(dir: &File, mounts: &'a [MountInfo]) -> Option<&'a MountInfo> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", dir.as_raw_fd())).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    let number: i32 = number.trim().parse().ok()?;
    mounts.iter().find(|mount| mount.mnt_id == number)
}

/// The mount that a path lies in, by comparing paths; of two on one point, the upper one.
fn mount_at<'a>(path: &Path, mounts: &'a [MountInfo]) -> Option<&'a MountInfo> {
    let holds = mounts.iter().filter(|mount| path.starts_with(&mount.mount_point));
    holds.max_by_key(|mount| mount.mount_point.as_os_str().len())
}

fn options_of(mount: &MountInfo) -> String {
    let mut options: Vec<String> = Vec::new();
    for part in [&mount.mount_options, &mount.super_options] {
        let mut named: Vec<_> = part
            .iter()
            .map(|(name, value)| {
                value.as_ref().map_or(name.clone(), |value| format!("{name}={value}"))
            })
            .filter(|option| !options.contains(option))
            .collect();
        named.sort_unstable();
        options.append(&mut named);
    }
    options.join(",")
}

/// Names of a mount's block device and of its disk. btrfs shows a device number of its own
/// making, so there the source of the mount has to tell.
fn device_of(mount: &MountInfo, sys_root: &Path) -> (Option<String>, Option<String>) {
    let (device, disk) = names_of(sys_root, &mount.majmin);
    if device.is_some() {
        return (device, disk);
    }
    let source = mount.mount_source.as_ref().filter(|source| source.starts_with("/dev/"));
    let node = source.and_then(|source| fs::metadata(source).ok()).map_or(0, |node| node.rdev());
    names_of(sys_root, &format!("{}:{}", major(node), minor(node)))
}

fn names_of(sys_root: &Path, number: &str) -> (Option<String>, Option<String>) {
    let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    let Ok(path) = fs::canonicalize(sys_root.join("dev/block").join(number)) else {
        return (None, None);
    };
    let disk = if path.join("partition").exists() { path.parent() } else { Some(path.as_path()) };
    (name(&path), disk.and_then(name))
}

/// Whether ext4 on this device keeps a journal: how it writes data beside it is told only then.
fn has_journal(device: &str) -> Option<bool> {
    let text = fs::read_to_string(format!("/proc/fs/ext4/{device}/options")).ok()?;
    Some(text.lines().any(|line| line.starts_with("data=")))
}

/// Whether a block device is made of RAM.
fn is_memory(device: &str) -> bool {
    device.starts_with("zram") || device.starts_with("ram")
}

/// Upper part of a device number. See makedev(3).
pub(crate) fn major(number: u64) -> u64 {
    ((number >> 32) & 0xffff_f000) | ((number >> 8) & 0xfff)
}

/// Lower part of a device number.
pub(crate) fn minor(number: u64) -> u64 {
    ((number >> 12) & 0xffff_ff00) | (number & 0xff)
}

#[cfg(test)]
mod tests;
