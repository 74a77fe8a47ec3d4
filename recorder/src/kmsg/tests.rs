use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;
use crate::words::testing::Notes;

/// A folder whose `kmsg` holds one record; those that are put there later are read like the kernel's.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new(record: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kmsg"), record).unwrap();
        Self(folder)
    }

    fn put(&self, record: &[u8]) {
        let path = self.0.path().join("kmsg");
        OpenOptions::new().append(true).open(path).unwrap().write_all(record).unwrap();
    }
}

#[test]
fn lines_errors_and_what_is_grave_are_told_from_now_on() {
    let fake = Fake::new("3,7,1,-;mmc1: error -110 whilst initialising SD card\n");
    let mut kmsg = Kmsg::open(fake.0.path());
    let mut notes = Notes::default();
    kmsg.look(&mut notes);
    assert_eq!(notes.of("kmsg"), (0, 0), "what was said before is not ours");
    let (class, severity, text) = &notes.grave[0];
    assert_eq!((*class, *severity), (Some("before the start"), 3));
    assert!(
        text.starts_with("1 grave lines before")
            && text.ends_with("mmc1: error -110 whilst initialising SD card"),
        "{text}"
    );
    for record in [
        &b"6,8,5,-;usb 1-1: new device\n SUBSYSTEM=usb\n"[..],
        b"4,9,5,c;EXT4-fs (sda1): Remounting filesystem read-only\n",
        b"2,10,5,-;something critical of no class\n",
        b"11,11,5,-;a user says: mmc0: error -5\n",
        b"30,12,5,-;flightrecd[812]: 17 samples\n",
        b"4,20,5,-;net_ratelimit: 37 callbacks suppressed\n",
        b"",
        b"noise",
        b"1,2",
        b"99999999999999999999999,1,1,-;x\n",
    ] {
        fake.put(record);
        kmsg.look(&mut notes);
    }
    let counts = notes.sources["kmsg"];
    assert_eq!((counts.lines, counts.errors), (5, Some(2)));
    // Seven records were overwritten between 12 and 20.
    assert_eq!(counts.suppressed, Some(37 + 7));
    assert_eq!(notes.sources["kmsg:flightrecd"].lines, 1);
    let grave: Vec<_> = notes.grave.iter().skip(1).map(|(class, ..)| *class).collect();
    assert_eq!(grave, [Some("read-only"), None]);
    assert_eq!(notes.said()[0], "usb 1-1: new device");
}

/// Only the kernel's own words count: whoever writes to `/dev/kmsg` has another facility.
#[test]
fn lines_of_the_kernel_about_undervoltage_are_counted() {
    for (line, count) in [
        ("4,812,5118204,-;hwmon hwmon1: Undervoltage detected!\n", 1),
        ("1,9,5,-;Under-voltage detected! (0x00050005)\n", 1),
        ("12,9,5,-;a user says: Under-voltage detected!\n", 0),
        ("6,9,5,-;usb 1-1: new device\n", 0),
        ("", 0),
    ] {
        let fake = Fake::new(line);
        let mut kmsg = Kmsg::open(fake.0.path());
        assert_eq!(kmsg.undervoltage_lines(), Some(count), "{line}");
        fake.put(line.as_bytes());
        kmsg.look(&mut Notes::default());
        assert_eq!(kmsg.undervoltage_lines(), Some(2 * count), "{line}");
    }
}

/// Not to be had is something else than 0.
#[test]
fn without_a_kernel_log_there_is_no_source() {
    let mut kmsg = Kmsg::open(Path::new("/nonexistent"));
    let mut notes = Notes::default();
    kmsg.look(&mut notes);
    assert_eq!((kmsg.undervoltage_lines(), notes.sources.len()), (None, 0));
}

/// The real one, as root.
#[test]
fn what_is_written_to_the_real_kernel_log_is_read_back() {
    let Ok(mut kernel) = OpenOptions::new().write(true).open("/dev/kmsg") else {
        return println!("skipped: /dev/kmsg cannot be written to");
    };
    let mut kmsg = Kmsg::open(Path::new("/dev"));
    if kmsg.undervoltage_lines().is_none() {
        return println!("skipped: /dev/kmsg cannot be read");
    }
    let mut notes = Notes::default();
    kmsg.look(&mut notes);
    let before = notes.of("kmsg").0;
    let said = format!("flightrec test {}: a line with an error", std::process::id());
    if kernel.write_all(format!("<11>{said}\n").as_bytes()).is_err() {
        return println!("skipped: /dev/kmsg takes no lines");
    }
    kmsg.look(&mut notes);
    let counts = notes.sources["kmsg"];
    assert!(counts.lines > before && counts.errors >= Some(1), "{counts:?}");
    assert!(notes.messages.contains(&("kmsg".into(), 3, said.clone())));
    assert!(notes.grave.iter().all(|(.., text)| !text.contains(&said)), "it was not the kernel");
}
