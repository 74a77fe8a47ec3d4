//! Both verdicts of each check, on trees of files.

use super::*;

const CARD: &str = "27 1 179:1 / / rw,noatime - ext4 /dev/mmcblk1p1 rw,errors=remount-ro";

fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let file = "/var/lib/flightrec/recording.frec".into();
    let world = World { root: folder.path().to_owned(), file };
    (folder, world)
}

/// Grade of one check on a machine with these files.
fn grade(check: &str, files: &[(&str, &str)]) -> Grade {
    let (_folder, world) = world(files);
    let findings = world.checks(10_000_000_000);
    let found = findings.iter().find(|finding| finding.check == check).unwrap();
    assert!(found.grade == Grade::Ok || !found.seen.is_empty());
    found.grade
}

fn mounted(lines: &[&str]) -> String {
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn a_place_in_ram_is_bad_whatever_it_is_called() {
    let on = |lines: &[&str]| grade("place", &[("proc/self/mountinfo", &mounted(lines))]);
    assert_eq!(on(&[CARD]), Grade::Ok);
    assert_eq!(on(&[CARD, "28 27 0:30 / /var/lib rw - tmpfs tmpfs rw"]), Grade::Bad);
    assert_eq!(on(&[CARD, "28 27 252:0 / /var rw - ext4 /dev/zram1 rw"]), Grade::Bad);
    let overlay =
        "29 1 0:40 / / rw - overlay overlay rw,lowerdir=/ro,upperdir=/rw/up,workdir=/rw/w";
    assert_eq!(on(&[overlay, "30 29 0:41 / /rw rw - tmpfs tmpfs rw"]), Grade::Bad);
    assert_eq!(on(&[overlay, "30 29 179:2 / /rw rw - ext4 /dev/mmcblk0p2 rw"]), Grade::Ok);
    assert_eq!(on(&["27 1 0:20 / / rw - btrfs /dev/sda2 rw"]), Grade::Warn);
    assert_eq!(grade("place", &[]), Grade::Unknown);
}

#[test]
fn a_short_commit_interval_is_told_with_what_it_costs() {
    let seen = |options: &str| {
        let (_folder, world) = world(&[("proc/self/mountinfo", &(CARD.to_owned() + options))]);
        let findings = world.checks(10_000_000_000);
        findings.into_iter().find(|finding| finding.check == "journal").unwrap()
    };
    assert_eq!(seen("").grade, Grade::Warn);
    assert!(seen("").seen.contains("106 MB a day"), "{:?}", seen(""));
    assert_eq!(seen(",commit=600").grade, Grade::Ok);
    assert!(seen(",commit=600").seen.contains("1 MB a day"));
    assert_eq!(seen(",commit=0").grade, Grade::Warn);
}

/// ext4 without a journal tells of no way to write data beside it.
#[test]
fn without_a_journal_none_is_charged() {
    let seen = |options: &str| {
        let files = [("proc/self/mountinfo", CARD), ("proc/fs/ext4/mmcblk1p1/options", options)];
        let (_folder, world) = world(&files);
        let findings = world.checks(10_000_000_000);
        findings.into_iter().find(|finding| finding.check == "journal").unwrap()
    };
    assert!(seen("rw\ncommit=5\ndata=ordered\n").seen.contains("106 MB a day"));
    let bare = seen("rw\ncommit=5\n");
    assert!(bare.grade == Grade::Ok && bare.seen.contains("35 MB a day"), "{bare:?}");
}

#[test]
fn swap_on_a_card_is_told_and_zram_is_not() {
    let on = |line: &str| {
        let swaps = format!("Filename Type Size Used Priority\n{line}");
        grade("swap", &[("proc/swaps", &swaps), ("proc/self/mountinfo", CARD)])
    };
    assert_eq!(on(""), Grade::Ok);
    assert_eq!(on("/dev/zram0 partition 100 0 5\n"), Grade::Ok);
    assert_eq!(on("/dev/mmcblk1p3 partition 100 0 -2\n"), Grade::Warn);
    assert_eq!(on("/swapfile file 100 0 -2\n"), Grade::Warn);
    assert_eq!(grade("swap", &[]), Grade::Unknown);
}

#[test]
fn an_sd_card_is_told_from_an_emmc() {
    let seen = |swap: &str, kind: &str| {
        let swaps = format!("Filename Type Size Used Priority\n{swap} file 100 0 -2\n");
        let (_folder, world) = world(&[
            ("proc/swaps", &swaps),
            ("proc/self/mountinfo", CARD),
            ("sys/block/mmcblk1/device/type", kind),
        ]);
        world.swap().seen
    };
    assert!(seen("/dev/mmcblk1p3", "SD\n").contains("on an SD card"));
    assert!(seen("/swapfile", "MMC\n").contains("on eMMC"));
    assert!(seen("/swapfile", "").contains("on a card or eMMC"));
}

/// The root file system may be mounted under a name that is no device: then its number tells.
#[test]
fn a_device_is_known_by_its_number() {
    let root = "27 1 179:1 / / rw - ext4 /dev/root rw";
    let swaps = "Filename Type Size Used Priority\n/swapfile file 100 0 -2\n";
    let device = "sys/devices/mmc/mmcblk1/mmcblk1p1/partition";
    let (folder, world) =
        world(&[("proc/self/mountinfo", root), ("proc/swaps", swaps), (device, "1")]);
    fs::create_dir_all(folder.path().join("sys/dev/block")).unwrap();
    let target = folder.path().join(device).parent().unwrap().to_owned();
    std::os::unix::fs::symlink(target, folder.path().join("sys/dev/block/179:1")).unwrap();
    assert_eq!(world.swap().grade, Grade::Warn);
}

#[test]
fn logs_in_ram_are_told() {
    let ramlog = mounted(&[CARD, "31 27 0:50 / /var/log rw - tmpfs log2ram rw"]);
    let kept = ("var/log/journal/1234/system.journal", "");
    assert_eq!(grade("logs", &[("proc/self/mountinfo", &ramlog), kept]), Grade::Warn);
    assert_eq!(grade("logs", &[("proc/self/mountinfo", CARD), kept]), Grade::Ok);
    assert_eq!(grade("logs", &[("proc/self/mountinfo", CARD)]), Grade::Warn);
    let volatile = ("etc/systemd/journald.conf", "[Journal]\n#Storage=auto\nStorage=volatile\n");
    assert_eq!(grade("logs", &[("proc/self/mountinfo", CARD), kept, volatile]), Grade::Warn);
}

/// Of all that sets `Storage=` the last by name counts, whatever its folder; a file in /etc hides
/// one of the same name elsewhere.
#[test]
fn drop_ins_of_journald_count() {
    let kept = ("var/log/journal/1234/system.journal", "");
    let main = ("etc/systemd/journald.conf", "[Journal]\nStorage=persistent\n");
    let vendor = ("usr/lib/systemd/journald.conf.d/20-ram.conf", "[Journal]\nStorage=volatile\n");
    let with = |more: &[(&'static str, &'static str)]| {
        let files = [&[("proc/self/mountinfo", CARD), kept, main, vendor], more].concat();
        let (_folder, world) = world(&files);
        world.logs()
    };
    let seen = with(&[]);
    assert_eq!(seen.grade, Grade::Warn);
    assert!(seen.seen.contains("20-ram.conf"), "{seen:?}");
    let hidden = ("etc/systemd/journald.conf.d/20-ram.conf", "# nothing\n");
    assert_eq!(with(&[hidden]).grade, Grade::Ok);
    let later = ("run/systemd/journald.conf.d/30-disk.conf", "[Journal]\n Storage = persistent\n");
    assert_eq!(with(&[later]).grade, Grade::Ok);
    let earlier = ("etc/systemd/journald.conf.d/10-disk.conf", "[Journal]\nStorage=auto\n");
    assert_eq!(with(&[earlier]).grade, Grade::Warn);
}

#[test]
fn the_clock_is_asked_of_the_kernel_and_not_of_an_old_sample() {
    let grades = [Ok(true), Ok(false), Err(std::io::ErrorKind::PermissionDenied.into())]
        .map(|answer| machine::clock(answer).grade);
    assert_eq!(grades, [Grade::Ok, Grade::Warn, Grade::Unknown]);
}

#[test]
fn a_watchdog_counts_when_somebody_feeds_it() {
    let state = |state| grade("watchdog", &[("sys/class/watchdog/watchdog0/state", state)]);
    assert_eq!((state("active\n"), state("inactive\n")), (Grade::Ok, Grade::Warn));
    assert_eq!(grade("watchdog", &[]), Grade::Warn);
    let hidden = grade("watchdog", &[("sys/class/watchdog/watchdog0/dev", "10:130\n")]);
    assert_eq!(hidden, Grade::Unknown);
}

#[test]
fn a_kernel_that_stands_still_after_a_panic_is_told() {
    let panic = |text| grade("panic", &[("proc/sys/kernel/panic", text)]);
    assert_eq!(
        (panic("0\n"), panic("10\n"), panic("x\n")),
        (Grade::Warn, Grade::Ok, Grade::Unknown)
    );
}

#[test]
fn hostile_texts_are_survived_and_shown_without_control_characters() {
    let noise = "\u{1b}[2J - \n27 1 - ext4\n - \n27 1 179:1 / / rw - \u{7} x";
    let (_folder, world) = world(&[("proc/self/mountinfo", noise), ("proc/swaps", noise)]);
    for finding in world.checks(10_000_000_000) {
        let line = finding.line();
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// What is full and holds less than a night is too small; what has just begun is not judged.
#[test]
fn a_recording_is_small_by_what_it_keeps() {
    let grade = |last: u64| {
        let mut builder = crate::testing::Builder::new(1 << 20);
        builder.record(&crate::testing::TestRun::of_boot(1), last, 10, 100);
        let file = builder.file();
        let (code, json, _) =
            crate::testing::flightrec(&["doctor", "--json", file.path().to_str().unwrap()]);
        assert_eq!(code, 0);
        let told: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(told["checks"][0]["check"], "recording");
        told["checks"][0]["grade"].as_str().unwrap().to_owned()
    };
    assert_eq!((grade(700).as_str(), grade(40_000).as_str()), ("ok", "warn"));
}
