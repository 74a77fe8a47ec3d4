use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::*;
use crate::clock::SystemClock;
use crate::words::testing::Notes;

/// A folder like `/var/log`, and what is heard of it.
struct Room {
    folder: tempfile::TempDir,
    logs: TextLogs,
    notes: Notes,
}

impl Room {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            put(&folder.path().join(name), text);
        }
        let logs = TextLogs::new(folder.path(), Arc::new(SystemClock));
        let mut room = Self { folder, logs, notes: Notes::default() };
        room.look();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.path(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Looks as often as a rotation needs to be noticed.
    fn look(&mut self) {
        self.notes.messages.clear();
        for _ in 0..2 {
            self.logs.look(&mut self.notes);
        }
    }

    fn of(&self, name: &str) -> (u64, u64) {
        self.notes.of(name)
    }
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// So many lines of ten bytes.
fn lines(count: usize) -> String {
    let lines: Vec<_> = (0..count).map(|number| format!("line {:04}\n", number % 10_000)).collect();
    lines.concat()
}

#[test]
fn what_logs_grow_by_is_counted_and_nothing_of_what_stood_there() {
    let mut room = Room::new(&[
        ("syslog", &lines(500)),
        ("app/app.log", "old\n"),
        ("wtmp", "x"),
        ("journal/system.log", "x"),
        ("syslog.1", "old\n"),
        ("old.log.gz", "x"),
    ]);
    room.look();
    assert_eq!((room.of("syslog"), room.of("app.log")), ((0, 0), (0, 0)));
    assert_eq!(room.notes.sources.len(), 2, "{:?}", room.notes.sources);
    room.append("syslog", "Nov 22 07:38:53 board vector[812]: one\n");
    room.append("syslog", "2026-11-22T07:38:53.003+00:00 board vector[812]: two\nthr");
    room.append("app/app.log", "plain words\n");
    room.look();
    assert_eq!(room.of("syslog"), (2, 95));
    assert_eq!(room.of("app.log"), (1, 12));
    let mut said = room.notes.said();
    said.sort_unstable();
    assert_eq!(said, ["plain words", "vector[812]: one", "vector[812]: two"]);
    room.append("syslog", "ee\n");
    room.look();
    assert_eq!(room.notes.said(), ["three"], "a line that came in two pieces");
    assert_eq!(room.of("syslog").0, 3);
}

#[test]
fn our_own_lines_are_counted_apart() {
    let mut room = Room::new(&[("syslog", "")]);
    let own = "Nov 22 07:38:53 board flightrecd[9]: 10 samples\n";
    room.append("syslog", &format!("{own}Nov 22 07:38:54 board cron[1]: x\n{own}"));
    room.look();
    assert_eq!(room.of("syslog"), (1, 33));
    assert_eq!(room.of(":flightrecd"), (2, 96));
    assert_eq!(room.notes.said(), ["cron[1]: x"]);
    let (half, rest) = own.split_at(40);
    room.append("syslog", half);
    room.look();
    room.append("syslog", rest);
    room.look();
    assert_eq!((room.of("syslog").0, room.of(":flightrecd").0), (1, 3));
}

/// copytruncate of logrotate, armbian-truncate-logs: the file is emptied under its writer.
#[test]
fn a_log_that_is_cut_begins_anew() {
    let mut room = Room::new(&[("syslog", &lines(500))]);
    room.append("syslog", &lines(3));
    room.look();
    File::options().write(true).truncate(true).open(room.path("syslog")).unwrap();
    room.look();
    room.append("syslog", "after the cut\n");
    room.look();
    assert_eq!(room.of("syslog"), (4, 44));
    // Cut and grown between two looks.
    File::options().write(true).truncate(true).open(room.path("syslog")).unwrap();
    room.append("syslog", "at once\n");
    room.look();
    assert_eq!(room.of("syslog"), (5, 52));
}

/// armbian-ramlog, after logrotate worked on the disk side: `cat /var/log.hdd/syslog > /var/log/syslog`.
#[test]
fn an_older_state_that_is_copied_back_is_not_counted_twice() {
    let mut room = Room::new(&[("syslog", &lines(100))]);
    let before = fs::read(room.path("syslog")).unwrap();
    room.append("syslog", &lines(50));
    room.look();
    assert_eq!(room.of("syslog").0, 50);
    fs::write(room.path("syslog"), &before).unwrap();
    room.look();
    assert_eq!(room.of("syslog").0, 50, "it is shorter, and nothing in it is new");
    room.append("syslog", "new\n");
    room.look();
    assert_eq!((room.of("syslog").0, room.notes.said()), (51, vec!["new"]));
}

/// log2ram's `rsync --inplace`, and whoever edits a log: the same file with other bytes in it.
#[test]
fn a_log_that_is_rewritten_in_place_goes_on_from_its_end() {
    let mut room = Room::new(&[("syslog", &lines(100))]);
    room.append("syslog", &lines(1));
    room.look();
    let file = File::options().write(true).open(room.path("syslog")).unwrap();
    file.write_all_at("other 000\n".repeat(300).as_bytes(), 0).unwrap();
    room.look();
    assert_eq!(room.of("syslog").0, 1, "what of it is new nobody knows");
    room.append("syslog", "new\n");
    room.look();
    assert_eq!((room.of("syslog").0, room.notes.said()), (2, vec!["new"]));
}

#[test]
fn a_log_that_is_rotated_is_read_to_its_end_and_then_the_new_one() {
    let mut room = Room::new(&[("syslog", &lines(100))]);
    room.look();
    // The daemon still writes to the old file while the new one stands there.
    let mut held = OpenOptions::new().append(true).open(room.path("syslog")).unwrap();
    fs::rename(room.path("syslog"), room.path("syslog.1")).unwrap();
    put(&room.path("syslog"), "first of the new\n");
    room.logs.look(&mut room.notes);
    held.write_all(b"last of the old\n").unwrap();
    room.look();
    room.append("syslog", "second of the new\n");
    room.look();
    assert_eq!(room.of("syslog").0, 3, "{:?}", room.notes);
    // Gone for good.
    fs::remove_file(room.path("syslog")).unwrap();
    for _ in 0..40 {
        room.logs.look(&mut room.notes);
    }
    assert!(room.logs.files.is_empty());
}

#[test]
fn a_log_that_appears_is_counted_from_its_start_unless_it_is_an_old_one() {
    let mut room = Room::new(&[]);
    room.look();
    put(&room.path("new.log"), "one\n");
    put(&room.path("folder/new.log"), "two\n");
    put(&room.path("copied.log"), &lines(100));
    let copied = File::options().write(true).open(room.path("copied.log")).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    copied.set_modified(long_ago).unwrap();
    room.look();
    room.append("copied.log", "three\n");
    room.look();
    let counted = ["/new.log", "copied.log"].map(|name| room.of(name).0);
    let all: u64 = room.notes.sources.values().map(|counts| counts.lines).sum();
    assert_eq!((counted[1], all), (1, 3), "{:?}", room.notes.sources);
}

/// One message of a megabyte is one line, and is heard by its beginning.
#[test]
fn a_line_of_a_megabyte_is_one_line() {
    let mut room = Room::new(&[("syslog", "")]);
    let mut heard = 0;
    for piece in 0..32 {
        let start = if piece == 0 { "long: " } else { "" };
        room.append("syslog", &(start.to_owned() + &"y".repeat(32 << 10)));
        room.look();
        heard += room.notes.messages.len();
    }
    room.append("syslog", "end\nnext\n");
    room.look();
    assert_eq!((room.of("syslog").0, heard), (2, 1));
    assert_eq!(room.notes.said(), ["next"]);
}

/// A storm that outruns what is read: bytes are exact, lines are at least.
#[test]
fn of_a_storm_all_bytes_and_at_least_the_newest_lines_are_counted() {
    let mut room = Room::new(&[("syslog", "")]);
    let storm = lines(100_000);
    room.append("syslog", &storm);
    room.append("syslog", "the newest\n");
    room.look();
    let (counted, bytes) = room.of("syslog");
    assert_eq!(bytes, u64::try_from(storm.len()).unwrap() + 11);
    assert!((6000..100_000).contains(&counted), "{counted}");
    assert_eq!(room.notes.said().last(), Some(&"the newest"));
}

/// kern.log of 28 GB, as on a board that did not boot any more.
#[test]
fn a_log_of_28_gigabytes_costs_nothing_at_the_start() {
    let mut room = Room::new(&[("other.log", "")]);
    let huge = File::create(room.path("kern.log")).unwrap();
    if huge.set_len(28_000_000_000).is_err() {
        return println!("skipped: no sparse file of 28 GB here");
    }
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    huge.set_modified(long_ago).unwrap();
    room.look();
    assert_eq!(room.of("kern.log"), (0, 0));
    room.append("kern.log", "\nmmc0: error\n");
    room.look();
    assert_eq!(room.of("kern.log"), (2, 13));
    assert_eq!(room.notes.said(), ["mmc0: error"]);
}

#[test]
fn what_is_no_plain_file_and_more_files_than_are_followed_are_passed_over() {
    let mut room = Room::new(&[]);
    for number in 0..100 {
        put(&room.path(&format!("a{number}.log")), "");
    }
    fs::create_dir(room.path("folder.log")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", room.path("zero.log")).unwrap();
    std::process::Command::new("mkfifo").arg(room.path("fifo.log")).status().unwrap();
    for _ in 0..3 {
        room.look();
    }
    assert_eq!(room.logs.files.len(), FILES_MAX);
    assert!(room.notes.sources.keys().all(|name| name.contains("/a")));
}
