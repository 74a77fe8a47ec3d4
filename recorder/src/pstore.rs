//! What the kernel of an earlier boot wrote into memory that outlives a reset, as it died.
//!
//! It is read once, at the next boot, and never deleted: systemd-pstore or the owner does that.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the kernel shows it, and where systemd-pstore moves it.
const KERNEL: &str = "sys/fs/pstore";
const MOVED: &str = "var/lib/systemd/pstore";

/// Longest file that is looked at, bytes.
const FILE_LEN_MAX: u64 = 256 << 10;
/// Files and folders that are looked at.
const ENTRIES_MAX: usize = 256;
/// Bytes of a part, and how many parts there may be: what one event carries, and what leaves room
/// for others.
const PART_LEN: usize = 200;
const PARTS_MAX: usize = 8;

/// The line that the rest is about.
const GRAVE: [&str; 6] =
    ["Kernel panic", "Oops", "BUG:", "Unable to handle", "watchdog: ", "Internal error"];

/// The most telling words, in parts; none if nobody has left any. What was moved in an earlier
/// boot was told in that boot: `boottime_ns` and `realtime_ns` are now.
#[must_use]
pub fn last_words(root: &Path, boottime_ns: u64, realtime_ns: i64) -> Vec<String> {
    let begin_s =
        realtime_ns.saturating_sub(i64::try_from(boottime_ns).unwrap_or(i64::MAX)) / 1_000_000_000;
    let of_this_boot =
        |path: &PathBuf| path.metadata().is_ok_and(|metadata| metadata.ctime() >= begin_s);
    let kept = files(&root.join(KERNEL));
    let kept = if kept.is_empty() {
        let folders = entries(&root.join(MOVED));
        folders.iter().filter(|folder| of_this_boot(folder)).flat_map(|path| files(path)).collect()
    } else {
        kept
    };
    kept.iter().find_map(|path| telling(path)).map(|text| parts(&text)).unwrap_or_default()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Dumps and consoles in a folder and the folders in it; dumps first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let begins = |path: &Path, with: &str| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(with))
    };
    let (folders, mut files): (Vec<_>, Vec<_>) =
        entries(folder).into_iter().partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| entries(folder)).filter(|path| path.is_file()));
    let dumps = files.iter().filter(|path| begins(path, "dmesg"));
    let consoles = files.iter().filter(|path| begins(path, "console"));
    dumps.chain(consoles).cloned().collect()
}

/// The text from the grave line on; of a dump that has none, its end. A console that has none was
/// left by a reboot in order.
fn telling(path: &Path) -> Option<String> {
    if fs::metadata(path).ok()?.len() > FILE_LEN_MAX {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let most = PART_LEN * PARTS_MAX;
    let at = GRAVE.iter().filter_map(|word| text.find(word)).min();
    let is_dump =
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"dmesg"));
    let at = at.or_else(|| is_dump.then(|| text.len().saturating_sub(most)))?;
    let begin = text.get(..at).and_then(|before| before.rfind('\n')).map_or(at, |end| end + 1);
    let begin = (begin..=text.len()).find(|&at| text.is_char_boundary(at))?;
    text.get(begin..).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn parts(text: &str) -> Vec<String> {
    let mut rest = text;
    let mut parts = Vec::new();
    while !rest.is_empty() && parts.len() < PARTS_MAX {
        let end = (0..=PART_LEN.min(rest.len())).rev().find(|&at| rest.is_char_boundary(at));
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        parts.push(part.to_owned());
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str = "Panic#1 Part1\n<6>[ 812.1] usb 1-1: reset\n\
        <0>[ 813.4] Kernel panic - not syncing: Fatal exception in interrupt\n\
        <0>[ 813.4] Call trace:\n";

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_words_begin_with_the_line_that_tells_why() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "sys/fs/pstore/console-ramoops-0", "Restarting system.\n");
        assert!(last_words(root.path(), 0, 0).is_empty());
        let long = PANIC.to_owned() + &"<0>[ 813.4]  päge fault +0x12/0x34\n".repeat(400);
        put(root.path(), "sys/fs/pstore/dmesg-ramoops-0", &long);
        let words = last_words(root.path(), 0, 0);
        assert!(words[0].starts_with("<0>[ 813.4] Kernel panic - not syncing"), "{words:?}");
        assert_eq!(words.len(), PARTS_MAX);
        assert!(words.iter().all(|part| part.len() <= PART_LEN));
        assert!(long.contains(&words.concat()));
        assert_eq!(
            fs::read_to_string(root.path().join("sys/fs/pstore/dmesg-ramoops-0")).unwrap(),
            long
        );
    }

    /// systemd-pstore empties the kernel's folder into one of its own, and keeps them for ever.
    #[test]
    fn what_was_moved_is_told_in_the_boot_in_which_it_was_moved() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "var/lib/systemd/pstore/1700000000/001/dmesg-efi-170000", PANIC);
        let moved = root.path().join("var/lib/systemd/pstore/1700000000").metadata().unwrap();
        let moved_ns = moved.ctime() * 1_000_000_000;
        let minute_ns = 60_000_000_000;
        let now_ns = moved_ns + minute_ns;
        assert_eq!(last_words(root.path(), 2 * 60_000_000_000, now_ns).len(), 1);
        assert!(last_words(root.path(), 30_000_000_000, now_ns).is_empty());
    }

    #[test]
    fn odd_files_are_passed_over() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "sys/fs/pstore/dmesg-a", "");
        fs::create_dir_all(root.path().join("sys/fs/pstore/dmesg-folder")).unwrap();
        fs::write(root.path().join("sys/fs/pstore/dmesg-z"), [0xff; 3000]).unwrap();
        let words = last_words(root.path(), 0, 0);
        assert!(words.len() <= PARTS_MAX && words.iter().all(|part| part.len() <= PART_LEN));
    }
}
