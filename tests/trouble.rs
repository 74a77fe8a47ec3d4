//! Disks that fail for an hour, and heal: sampling goes on, tries are far apart, and the trouble is
//! data. On the simulated disk; and real file systems that gave up, for root.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use flightrec_recorder::disk::Disk;
use flightrec_recorder::sys::StaticCompressor;
use flightrec_tests::mount::{Mount, run};
use flightrec_tests::programs::{flightrecd, say, wait_until};
use flightrec_tests::recovered::{Recovered, flightrec};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::{Mood, SimDisk};
use flightrec_tests::world::{Run, blank_recording, record_through};

const HOUR_S: u64 = 3600;

/// Counts the jobs that fail: each ends with the first error.
struct Counted(Box<dyn Disk>, Arc<AtomicU64>);

impl Counted {
    fn count<T>(&self, outcome: std::io::Result<T>) -> std::io::Result<T> {
        self.1.fetch_add(u64::from(outcome.is_err()), SeqCst);
        outcome
    }
}

impl Disk for Counted {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        let outcome = self.0.write_at(bytes, offset);
        self.count(outcome)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        let outcome = self.0.sync();
        self.count(outcome)
    }
}

/// W7, V6: after an hour without a disk all that memory held is there, and the trouble is told.
#[test]
fn a_disk_that_fails_for_an_hour_is_tried_once_a_minute_and_heals() {
    let (from_s, to_s, end_s) = (200, 200 + HOUR_S, 600 + HOUR_S);
    for (mood, errno, meaning) in [
        (Mood::WriteFails(30), 30, "the file system is read-only"),
        (Mood::SyncFails(5), 5, "the disk reports an error"),
        (Mood::Gone, 19, "the device is gone"),
    ] {
        let clock = Arc::new(SimClock::new(60 * SECOND_NS, 1_795_333_133_000_000_000, true));
        let disk = SimDisk::new(blank_recording(8 << 20), clock.clone());
        disk.be(from_s * SECOND_NS..to_s * SECOND_NS, mood);
        let tries = Arc::new(AtomicU64::new(0));
        let counter = tries.clone();
        let run = Run::seconds(1, end_s - 60);
        let adapter = Box::new(move |disk| -> Box<dyn Disk> { Box::new(Counted(disk, counter)) });
        let tale = record_through(&disk, &clock, &run, adapter, StaticCompressor::new().unwrap());
        assert_eq!(tale.ended.unwrap().samples, end_s - 60 + 1, "sampling went on");
        // 1, 2, 4, ... 60 s apart.
        let tries = tries.load(SeqCst);
        assert!((60..70).contains(&tries), "{mood:?}: {tries} tries");
        let recovered = Recovered::of(&disk.durable());
        recovered.assert_true();
        let acked: Vec<(u64, u64)> = tale.acked().collect();
        assert_eq!(recovered.missing(&acked), []);
        assert!(recovered.causes().iter().all(|cause| *cause == "not durable"));
        let newest = recovered.samples.keys().last().unwrap().1;
        assert!(newest + 11 >= end_s, "{mood:?}: {newest}");

        let errors = recovered.events_of("commit_error");
        assert_eq!(errors.len(), 1, "{mood:?}: {errors:?}");
        assert_eq!(
            (&errors[0]["args"]["errno"], &errors[0]["text"]),
            (&errno.into(), &meaning.into())
        );
        let healed = recovered.events_of("commit_recovered");
        assert_eq!(healed.len(), 1, "{mood:?}: {healed:?}");
        let begin_ms = healed[0]["args"]["begin_ms"].as_u64().unwrap();
        assert!((from_s * 1000..(from_s + 11) * 1000).contains(&begin_ms), "{begin_ms}");
        let stuck_s = healed[0]["args"]["stuck_ms"].as_u64().unwrap() / 1000;
        assert!((HOUR_S - 11..HOUR_S + 61).contains(&stuck_s), "{mood:?}: {stuck_s} s");
    }
}

/// Design 4: the stall is data: beginning, length, writers of the seconds before.
#[test]
fn a_stall_is_told_with_its_length_and_who_wrote_before_it() {
    let clock = Arc::new(SimClock::new(60 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(8 << 20), clock.clone());
    disk.be(200 * SECOND_NS..211 * SECOND_NS, Mood::Slow(1000 * SECOND_NS));
    let compressor = StaticCompressor::new().unwrap();
    record_through(&disk, &clock, &Run::seconds(1, 1400), Box::new(|disk| disk), compressor);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stalled.frec");
    fs::write(&path, disk.durable().bytes()).unwrap();
    let recovered = Recovered::of_file(&path);
    let [stuck, healed] = ["commit_stuck", "commit_recovered"].map(|kind| {
        let events = recovered.events_of(kind);
        assert_eq!(events.len(), 1, "{kind}");
        events[0].clone()
    });
    assert_eq!(stuck["args"]["begin_ms"], healed["args"]["begin_ms"]);
    assert_eq!(healed["args"]["stuck_ms"], 1_000_000);
    let text = stuck["text"].as_str().unwrap();
    assert_eq!(healed["text"], text);
    // By the samples themselves.
    let begin_s = stuck["args"]["begin_ms"].as_u64().unwrap() / 1000;
    let written = |tick: u64| {
        let line = recovered.lines.iter().find(|line| line["tick"] == tick).unwrap();
        line["values"]["disk.mmcblk0.write_bytes"].as_u64().unwrap()
    };
    let kib = (written(begin_s) - written(begin_s - 10)) / 1024;
    assert_eq!(text, format!("mmcblk0 {kib} KiB"));
    let path = path.to_str().unwrap();
    for command in ["events", "dump"] {
        let (_, shown) = flightrec(&[command, path]);
        assert!(
            shown.contains(&format!("commit_recovered after 16 min 40 s; 10 s before: {text}")),
            "{shown}"
        );
    }
}

/// Ended by its pid when the test is over.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Records on a file system that `break_it` breaks for good; it is unmounted and mounted anew while
/// the recorder runs. Says whether writes failed at all.
fn survives(break_it: impl FnOnce(&Path) -> Result<(), String>, errno: i32) {
    let Some(mount) = Mount::with("ext4", &["-q", "-e", "remount-ro"], 16 << 20) else { return };
    let path = mount.point.join("recording.frec");
    let made = say(flightrecd(), ["create", path.to_str().unwrap(), "--size", "2MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let outside = tempfile::tempdir().unwrap();
    let ack_log = outside.path().join("ack.log");
    let mut recorder = Command::new(flightrecd());
    recorder.args(["run", "--interval", "100ms", "--commit", "500ms", "--recording"]).arg(&path);
    recorder.arg("--ack-log").arg(&ack_log).stderr(Stdio::null());
    recorder.env_remove("NOTIFY_SOCKET").env("RUNTIME_DIRECTORY", outside.path());
    let recorder = Recorder(recorder.spawn().unwrap());
    let acked = || fs::read_to_string(&ack_log).unwrap_or_default().lines().count();
    assert!(wait_until(|| acked() > 20), "nothing was committed");
    if let Err(reason) = break_it(&mount.point) {
        return println!("skipped: {reason}");
    }
    let before = acked();
    if wait_until(|| acked() > before + 20) {
        return println!("skipped: this kernel goes on writing past a broken file system");
    }
    // Nobody but the recorder has a file open there, and it lets go of it.
    let point = mount.point.to_str().unwrap();
    let unmounted = || run("umount", &[point]).is_ok();
    assert!(
        (0..20).any(|_| wait_until(unmounted)),
        "the recorder keeps the file system from being unmounted"
    );
    let image = mount.point.parent().unwrap().join("image");
    let image = image.to_str().unwrap();
    run("e2fsck", &["-fy", image]).ok();
    // As long as a mount namespace of somebody else holds the old one, it is that one again.
    let probe = mount.point.join("probe");
    let mounted = || {
        run("mount", &["-o", "loop", image, point]).is_ok()
            && (fs::write(&probe, "").is_ok() || run("umount", &[point]).is_err())
    };
    if !wait_until(mounted) {
        return println!("skipped: a mount namespace of somebody else holds the broken one");
    }
    // It says so itself; the next try is less than a minute away.
    let healed = || Recovered::of_file(&path).events_of("commit_recovered").len() == 1;
    assert!((0..7).any(|_| wait_until(healed)), "it does not record again");
    drop(recorder);

    let recovered = Recovered::of_file(&path);
    let errors = recovered.events_of("commit_error");
    assert!(errors.iter().any(|event| event["args"]["errno"] == errno), "{errors:?}");
    assert_eq!(recovered.causes(), [""; 0], "what was sampled meanwhile is there too");
    let ticks: Vec<u64> = recovered.samples.keys().map(|(_, tick)| *tick).collect();
    let log = fs::read_to_string(&ack_log).unwrap();
    let told: BTreeSet<u64> =
        log.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    let lost: Vec<&u64> = told.iter().filter(|tick| !ticks.contains(tick)).collect();
    assert_eq!(lost, [&0; 0], "what was acknowledged is there");
    println!("errno {errno}: {} samples without a gap, {} acknowledged", ticks.len(), told.len());
}

/// EROFS: ext4 found an error, as it does on a dying card, and turned read-only.
#[test]
fn a_file_system_that_turned_read_only_and_was_repaired_is_recorded_into_again() {
    let trigger = |point: &Path| {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let of = |line: &str| {
            let (device, rest) = line.split_once(' ')?;
            (rest.split(' ').next() == point.to_str()).then(|| device.to_owned())
        };
        let device = mounts.lines().find_map(of).ok_or("it is not in /proc/mounts")?;
        let name = device.rsplit('/').next().unwrap_or_default();
        let trigger = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        fs::write(&trigger, "1").map_err(|error| format!("{trigger}: {error}"))
    };
    survives(trigger, 30);
}

/// EIO: the file system was shut down, as it is when its device is gone.
#[test]
#[ignore = "takes two to four minutes, for EIO may pass; run by .ci/full"]
fn a_file_system_that_was_shut_down_and_mounted_anew_is_recorded_into_again() {
    let shut_down = |point: &Path| {
        // EXT4_IOC_SHUTDOWN, without a flush of its journal.
        let script = "import fcntl, os, struct, sys; \
             fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
        run("python3", &["-c", script, point.to_str().unwrap_or_default()])
    };
    survives(shut_down, 5);
}
