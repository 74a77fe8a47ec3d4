//! What Linux tells of a file's holders: `/proc/locks`, and the open descriptors.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::recording::Recording;

/// The id of the running kernel's boot, if it tells.
#[must_use]
pub fn current_boot_id() -> Option<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut id = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

/// Whether somebody holds a write lock on the recording, or has it open for writing.
///
/// `/proc/locks` tells everybody; where it does not know the file (btrfs numbers its devices in
/// another way there), the open descriptors do, as far as we may see them.
#[must_use]
pub fn is_held(recording: &Recording) -> bool {
    let Some(Ok(own)) = recording.file().map(fs::File::metadata) else { return false };
    let (major, minor) = device_numbers(own.dev());
    let place = format!("{major:02x}:{minor:02x}:{}", own.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|line| holds(line, &place)) || writer_of(own.dev(), own.ino()).is_some()
}

/// The process that has the recording open for writing, as far as we may see it.
#[must_use]
pub fn pid_of_holder(recording: &Recording) -> Option<u32> {
    let own = recording.file()?.metadata().ok()?;
    writer_of(own.dev(), own.ino())
}

/// A line such as `1: OFDLCK ADVISORY  WRITE -1 b3:02:1234 0 EOF`.
fn holds(line: &str, place: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let write = words.by_ref().any(|word| word == "WRITE");
    write && !line.contains("->") && words.any(|word| word == place)
}

/// The two numbers of a device, as the C library splits them.
const fn device_numbers(dev: u64) -> (u64, u64) {
    (((dev >> 8) & 0xfff) | ((dev >> 32) & !0xfff), (dev & 0xff) | ((dev >> 12) & !0xff))
}

fn writer_of(dev: u64, inode: u64) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let writes = fs::read_dir(process.path().join("fd")).ok()?.flatten().any(|descriptor| {
            // First what costs nothing: to stat a file of a dead network server may never end.
            is_writing(&process.path().join("fdinfo").join(descriptor.file_name()))
                && fs::metadata(descriptor.path())
                    .is_ok_and(|open| open.dev() == dev && open.ino() == inode)
        });
        writes.then_some(pid)
    })
}

/// The last octal digit of the flags is the access mode: 1 and 2 write.
fn is_writing(fdinfo: &std::path::Path) -> bool {
    let text = fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.is_some_and(|flags| flags.trim().ends_with(['1', '2']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_lock_counts_and_one_that_waits_does_not() {
        let place = "b3:02:1234";
        assert!(holds("1: OFDLCK ADVISORY  WRITE -1 b3:02:1234 0 EOF", place));
        assert!(!holds("1: OFDLCK ADVISORY  READ -1 b3:02:1234 0 EOF", place));
        assert!(!holds("1: OFDLCK ADVISORY  WRITE -1 b3:02:12345 0 EOF", place));
        assert!(!holds("1: -> POSIX ADVISORY  WRITE 77 b3:02:1234 0 EOF", place));
    }

    #[test]
    fn device_numbers_are_split_as_the_c_library_does() {
        assert_eq!(device_numbers(0xb302), (0xb3, 2));
        assert_eq!(device_numbers(0x0000_0000_0010_0803), (8, 0x103));
    }
}
