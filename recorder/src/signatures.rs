//! Marks of others on a block device: what a partition must not be taken for free with.
//!
//! A table of our own: blkid's library knows more, but it is C, and what counts here is that no
//! partition in use on a board goes unnoticed. Order matters where one mark implies another.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Somebody's mark.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signature {
    /// Whose, with its article: "an ext file system".
    pub name: &'static str,
    /// Where it stands, in bytes from the start of the device.
    pub offset: u64,
    /// Its bytes.
    pub mark: &'static [u8],
}

const fn at(offset: u64, mark: &'static [u8], name: &'static str) -> Signature {
    Signature { name, offset, mark }
}

/// Marks that stand at a fixed distance from the start.
#[rustfmt::skip]
const FROM_START: &[Signature] = &[
    at(0,         b"LUKS\xba\xbe",           "a LUKS volume"),
    at(0,         b"XFSB",                   "an XFS file system"),
    at(0,         b"hsqs",                   "a squashfs image"),
    at(0,         b"sqsh",                   "a squashfs image"),
    at(0,         b"ANDROID!",               "an Android boot image"),
    at(0,         b"\xd0\x0d\xfe\xed",       "a FIT image or device tree"),
    at(0,         b"\x27\x05\x19\x56",       "a U-Boot image"),
    at(0,         b"bluestore block device", "a Ceph device"),
    at(3,         b"NTFS    ",               "an NTFS file system"),
    at(3,         b"EXFAT   ",               "an exFAT file system"),
    at(3,         b"-FVE-FS-",               "a BitLocker volume"),
    at(0x36,      b"FAT",                    "a FAT file system"),
    at(0x52,      b"FAT32",                  "a FAT file system"),
    at(0x400,     b"\x10\x20\xf5\xf2",       "an F2FS file system"),
    at(0x400,     b"\xe2\xe1\xf5\xe0",       "an EROFS image"),
    at(0x406,     b"\x34\x34",               "a NILFS2 file system"),
    at(0x438,     b"\x53\xef",               "an ext file system"),
    at(0x1018,    BCACHE,                    "a bcache or bcachefs device"),
    at(0x8000,    b"JFS1",                   "a JFS file system"),
    at(0x8001,    b"CD001",                  "an ISO 9660 image"),
    at(0x1_0034,  b"ReIsEr",                 "a ReiserFS file system"),
    at(0x1_0040,  b"_BHRfS_M",               "a btrfs file system"),
    // LVM writes its label into one of the first four sectors.
    at(0x018,     b"LVM2 001",               "an LVM volume"),
    at(0x218,     b"LVM2 001",               "an LVM volume"),
    at(0x418,     b"LVM2 001",               "an LVM volume"),
    at(0x618,     b"LVM2 001",               "an LVM volume"),
    // Swap has its mark at the end of the first page, whatever a page was.
    at(0x0ff6,    b"SWAPSPACE2",             "swap space"),
    at(0x1ff6,    b"SWAPSPACE2",             "swap space"),
    at(0x3ff6,    b"SWAPSPACE2",             "swap space"),
    at(0x7ff6,    b"SWAPSPACE2",             "swap space"),
    at(0xfff6,    b"SWAPSPACE2",             "swap space"),
    at(0x0ff6,    b"SWAP-SPACE",             "swap space"),
    at(0x0000,    RAID,                      "a RAID member"),
    at(0x1000,    RAID,                      "a RAID member"),
    // Of sectors of 512 and 4096 bytes.
    at(0x0200,    b"EFI PART",               "a partition table (GPT)"),
    at(0x1000,    b"EFI PART",               "a partition table (GPT)"),
    at(0x01fe,    b"\x55\xaa",               "a partition table (MBR) or boot sector"),
];

const RAID: &[u8] = b"\xfc\x4e\x2b\xa9";
const RAID_BIG_ENDIAN: &[u8] = b"\xa9\x2b\x4e\xfc";
const BCACHE: &[u8] = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf7\x3b\x31\xcd\xc9\x34";
const ZFS: [&[u8]; 2] = [b"\x0c\xb1\xba\x00\x00\x00\x00\x00", b"\x00\x00\x00\x00\x00\xba\xb1\x0c"];

/// Marks whose place follows from the size of the device.
fn from_end(len: u64) -> impl Iterator<Item = Signature> {
    // md 0.90: a 64 KiB block before the last whole one; 1.0: 8 KiB before the end, in 4 KiB steps.
    let old_raid = (len & !0xffff).saturating_sub(0x1_0000);
    let raid = len.saturating_sub(0x2000) & !0xfff;
    let gpt = [512, 4096].map(|sector| at(len.saturating_sub(sector), b"EFI PART", GPT_BACKUP));
    [
        at(old_raid, RAID, RAID_NAME),
        at(old_raid, RAID_BIG_ENDIAN, RAID_NAME),
        at(raid, RAID, RAID_NAME),
    ]
    .into_iter()
    .chain(gpt)
}

const RAID_NAME: &str = "a RAID member";
const GPT_BACKUP: &str = "the copy of a partition table (GPT)";

/// The ring of uberblocks in the first label of ZFS: any of them may be the one that was written.
fn zfs() -> impl Iterator<Item = Signature> {
    let offsets = (0..128).map(|index| 0x2_0000 + index * 1024);
    offsets.flat_map(|offset| ZFS.map(|mark| at(offset, mark, "a ZFS pool")))
}

/// The first known mark on a device of `len` bytes.
pub fn find(device: &File, len: u64) -> io::Result<Option<Signature>> {
    let known = FROM_START.iter().copied().chain(from_end(len)).chain(zfs());
    for signature in known {
        let mut bytes = [0; 32];
        let place = bytes.get_mut(..signature.mark.len()).unwrap_or_default();
        match device.read_exact_at(place, signature.offset) {
            Ok(()) if *place == *signature.mark => return Ok(Some(signature)),
            Ok(()) => {}
            // Too small a device to have it there.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each mark alone is found where it stands; zeros and a recording hold none.
    #[test]
    fn every_mark_is_found_and_zeros_hold_none() {
        let len = (8 << 20) + 512;
        let device = tempfile::tempfile().unwrap();
        device.set_len(len).unwrap();
        assert_eq!(find(&device, len).unwrap(), None);
        let all = FROM_START.iter().copied().chain(from_end(len)).chain(zfs().take(5));
        for signature in all {
            assert!(signature.mark.len() <= 32);
            device.write_all_at(signature.mark, signature.offset).unwrap();
            let found = find(&device, len).unwrap().unwrap();
            assert_eq!((found.name, found.offset), (signature.name, signature.offset));
            device.write_all_at(&[0; 32][..signature.mark.len()], signature.offset).unwrap();
        }
        device.set_len(600).unwrap();
        assert_eq!(find(&device, 600).unwrap(), None);
    }
}
