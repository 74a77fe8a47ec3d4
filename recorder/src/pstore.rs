//! What the kernel of an earlier boot wrote into memory that outlives a reset, as it died.
//!
//! It is read once, at the next boot, and never deleted: systemd-pstore or the owner does that. So
//! it may be there for many boots, and tells its own time.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bincode::{Decode, Encode};

/// Where the kernel shows it, and where systemd-pstore moves it.
const KERNEL: &str = "sys/fs/pstore";
const MOVED: &str = "var/lib/systemd/pstore";

/// Longest file that is looked at, bytes.
const FILE_LEN_MAX: u64 = 256 << 10;
/// Files and folders that are looked at.
const ENTRIES_MAX: usize = 256;
/// Files of one dump were written within this time, seconds.
const DUMP_S: i64 = 2;
/// Lines, their length, and all of them together, bytes: what leaves room for other events.
const LINES_MAX: usize = 16;
const LINE_LEN: usize = 200;
const TEXT_LEN: usize = 1600;

/// The line that the rest is about.
const GRAVE: [&str; 8] = [
    "Kernel panic",
    "Oops",
    "BUG: ",
    "Unable to handle",
    "Internal error",
    "soft lockup",
    "hard LOCKUP",
    "self-detected stall",
];

/// Lines that say nothing more.
const IDLE: [&str; 5] = ["Call Trace", "Call trace", "<TASK>", "</TASK>", "Modules linked in"];

/// What a kernel said as it died.
#[derive(Clone, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct LastWords {
    /// Line by line, from the one that tells why; none if nobody has left any.
    pub lines: Vec<String>,
    /// When it was written, by that kernel's clock; 0: unknown.
    pub realtime_s: i64,
}

/// The newest that is left, below `root`. What was moved in an earlier boot was told in that boot:
/// `boottime_ns` and `realtime_ns` are now.
#[must_use]
pub fn last_words(root: &Path, boottime_ns: u64, realtime_ns: i64) -> LastWords {
    let kept = files(&root.join(KERNEL));
    if !kept.is_empty() {
        return newest(kept);
    }
    let begin_s =
        realtime_ns.saturating_sub(i64::try_from(boottime_ns).unwrap_or(i64::MAX)) / 1_000_000_000;
    let of_this_boot =
        |path: &PathBuf| path.metadata().is_ok_and(|metadata| metadata.ctime() >= begin_s);
    let folders = entries(&root.join(MOVED)).into_iter().filter(of_this_boot);
    // The time of these files is that of the move.
    LastWords { realtime_s: 0, ..newest(folders.flat_map(|path| files(&path)).collect()) }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A dump, or a part of one, or the console.
struct File {
    text: String,
    realtime_s: i64,
    is_dump: bool,
}

impl File {
    fn read(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let is_dump = name.starts_with("dmesg");
        let metadata = fs::metadata(path).ok()?;
        // What the kernel could not unpack is named so.
        let is_text = (is_dump || name.starts_with("console")) && !name.ends_with(".enc.z");
        if !is_text || !metadata.is_file() || metadata.len() > FILE_LEN_MAX {
            return None;
        }
        let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
        Some(Self { text, realtime_s: metadata.mtime(), is_dump })
    }

    /// `Panic#2 Part1`: count of the dump, and part of it; the first part is the newest.
    fn place(&self) -> (u32, u32) {
        let head = self.text.lines().next().unwrap_or_default();
        let number = |mark: &str| {
            let digits = head.split_once(mark).map_or("", |(_, rest)| rest);
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            digits.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
        };
        (number("#"), number("Part"))
    }
}

/// Dumps and consoles in a folder and the folders in it.
fn files(folder: &Path) -> Vec<File> {
    let mut found = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            found.extend(entries(&path).iter().filter_map(|path| File::read(path)));
        } else {
            found.extend(File::read(&path));
        }
    }
    found
}

/// The newest dump, put together from its parts; a console, if that is all.
fn newest(mut files: Vec<File>) -> LastWords {
    if files.iter().any(|file| file.is_dump) {
        files.retain(|file| file.is_dump);
    }
    let is_dump = files.iter().any(|file| file.is_dump);
    let realtime_s = files.iter().map(|file| file.realtime_s).max().unwrap_or(0);
    files.retain(|file| file.realtime_s >= realtime_s - DUMP_S);
    files.sort_by_key(|file| {
        let (count, part) = file.place();
        (count, u32::MAX - part)
    });
    let lines = files.iter().flat_map(|file| file.text.lines().skip(usize::from(is_dump)));
    let lines: Vec<&str> = lines.map(without_level).filter(|line| says_something(line)).collect();
    let grave = lines.iter().position(|line| GRAVE.iter().any(|word| line.contains(word)));
    // A console without such a line was left by a reboot in order; of a dump its end is told.
    let begin = match grave {
        Some(at) => at,
        None if is_dump => lines.len().saturating_sub(LINES_MAX),
        None => return LastWords::default(),
    };
    let mut room = TEXT_LEN;
    let mut told = Vec::new();
    for line in lines.iter().skip(begin).take(LINES_MAX) {
        let line: String = line
            .chars()
            .scan(0, |len, c| {
                *len += c.len_utf8();
                (*len <= LINE_LEN).then_some(c)
            })
            .collect();
        let Some(left) = room.checked_sub(line.len()) else { break };
        room = left;
        told.push(line);
    }
    LastWords { lines: told, realtime_s }
}

/// `<4>[   12.3] text` without its level.
fn without_level(line: &str) -> &str {
    let level = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let rest = level.filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_digit()));
    rest.map_or(line, |(_, rest)| rest).trim()
}

/// Not an empty line, nor one of registers or code.
fn says_something(line: &str) -> bool {
    let text = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let text = text.map_or(line, |(_, text)| text).trim();
    let mut words = text.split_ascii_whitespace();
    let is_name = words.next().is_some_and(|word| word.ends_with(':'));
    let is_number =
        |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_registers = is_name && words.next().is_some_and(is_number);
    !text.is_empty()
        && !is_registers
        && !text.starts_with("Code:")
        && !IDLE.iter().any(|idle| text.starts_with(idle))
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
        assert_eq!(last_words(root.path(), 0, 0), LastWords::default());
        let long = PANIC.to_owned() + &"<0>[ 813.4]  päge fault +0x12/0x34\n".repeat(400);
        put(root.path(), "sys/fs/pstore/dmesg-ramoops-0", &long);
        let words = last_words(root.path(), 0, 0);
        assert!(words.lines[0].starts_with("[ 813.4] Kernel panic - not syncing"), "{words:?}");
        assert_eq!(words.lines[1], "[ 813.4]  päge fault +0x12/0x34");
        assert_eq!(words.lines.len(), LINES_MAX);
        let path = root.path().join("sys/fs/pstore/dmesg-ramoops-0");
        assert_eq!(words.realtime_s, path.metadata().unwrap().mtime());
        assert_eq!(fs::read_to_string(path).unwrap(), long);
    }

    /// As QEMU's board with ramoops left it after `sysrq c`, and Linux 6.1 on a Pi after an oops.
    #[test]
    fn what_the_kernel_says_as_it_starts_and_its_registers_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        let text = "Panic#1 Part1\n<6>[    0.597784] NMI watchdog: Perf NMI watchdog disabled\n\
            <1>[ 55.1] Unable to handle kernel NULL pointer dereference\n\
            <4>[ 55.2] x29: ffff80000a3bbb60 x28: 0000000000000000\n\
            <4>[ 55.2] RAX: ffffffffffffffda RBX: 0000000000000001\n<4>[ 55.3] Call trace:\n\
            <4>[ 55.3]  sysrq_handle_crash+0x24/0x30\n<0>[ 55.4] Code: d2800001 b4000041\n\
            <0>[ 55.5] Kernel panic - not syncing: Oops: Fatal exception\n";
        put(root.path(), "sys/fs/pstore/dmesg-ramoops-0", text);
        let words = last_words(root.path(), 0, 0);
        let expected = [
            "[ 55.1] Unable to handle kernel NULL pointer dereference",
            "[ 55.3]  sysrq_handle_crash+0x24/0x30",
            "[ 55.5] Kernel panic - not syncing: Oops: Fatal exception",
        ];
        assert_eq!(words.lines, expected);
    }

    /// EFI has room for a kilobyte or so in each of its variables; the end comes first.
    #[test]
    fn a_dump_in_parts_is_put_together() {
        let root = tempfile::tempdir().unwrap();
        let parts = [
            (1, "<4>[ 9.3]  panic+0x118/0x2f4\n"),
            (2, "<6>[ 9.1] usb 1-1: reset\n<0>[ 9.2] Kernel panic - not syncing: hung_task\n"),
        ];
        for (part, text) in parts {
            let path = format!("sys/fs/pstore/dmesg-efi_pstore-17000000000{part}001");
            put(root.path(), &path, &format!("Panic#1 Part{part}\n{text}"));
        }
        let words = last_words(root.path(), 0, 0);
        let expected =
            ["[ 9.2] Kernel panic - not syncing: hung_task", "[ 9.3]  panic+0x118/0x2f4"];
        assert_eq!(words.lines, expected);
    }

    /// Nobody deletes the older one.
    #[test]
    fn of_two_dumps_the_newer_is_told() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "sys/fs/pstore/dmesg-ramoops-0", PANIC);
        let old = fs::File::open(root.path().join("sys/fs/pstore/dmesg-ramoops-0")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000)).unwrap();
        put(root.path(), "sys/fs/pstore/dmesg-ramoops-1", "Oops#1 Part1\n<1>[ 7.0] BUG: newer\n");
        assert_eq!(last_words(root.path(), 0, 0).lines, ["[ 7.0] BUG: newer"]);
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
        let words = last_words(root.path(), 2 * 60_000_000_000, now_ns);
        assert_eq!((words.lines.len(), words.realtime_s), (1, 0));
        assert!(last_words(root.path(), 30_000_000_000, now_ns).lines.is_empty());
    }

    #[test]
    fn odd_files_are_passed_over() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "sys/fs/pstore/dmesg-a", "");
        put(root.path(), "sys/fs/pstore/dmesg-ramoops-0.enc.z", PANIC);
        fs::create_dir_all(root.path().join("sys/fs/pstore/dmesg-folder")).unwrap();
        fs::write(root.path().join("sys/fs/pstore/dmesg-z"), [0xff; 3000]).unwrap();
        let words = last_words(root.path(), 0, 0);
        let len: usize = words.lines.iter().map(String::len).sum();
        assert!(words.lines.len() <= LINES_MAX && len <= TEXT_LEN, "{words:?}");
        assert!(words.lines.iter().all(|line| line.len() <= LINE_LEN));
    }
}
