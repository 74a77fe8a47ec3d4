//! A second recording on another disk: each goes on whatever the other does, and is whole without it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use flightrec_format::event::stop_reason;
use flightrec_recorder::budget::Allowance;
use flightrec_recorder::clock::Clock;
use flightrec_recorder::mirror::Mirror;
use flightrec_recorder::resume::{Starter, find_superblock};
use flightrec_recorder::sys::StaticCompressor;
use flightrec_recorder::writer::{Opener, Writer};
use flightrec_tests::image::Image;
use flightrec_tests::programs::{flightrec, flightrecd, say, wait_until};
use flightrec_tests::recovered::Recovered;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::{Mood, SimDisk};
use flightrec_tests::world::{End, Run, Tale, blank_recording, record_with};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// How long a disk is not there.
const OUTAGE_S: u64 = 2400;
const BEGIN_S: u64 = 60;

/// Two disks, and what each is to be like for a while.
struct Pair {
    clock: Arc<SimClock>,
    first: SimDisk,
    second: SimDisk,
}

impl Pair {
    fn new() -> Self {
        Self::with(blank_recording(8 * MIB), blank_recording(4 * MIB))
    }

    fn with(first: Image, second: Image) -> Self {
        let clock = Arc::new(SimClock::new(BEGIN_S * SECOND_NS, 1_795_333_133_000_000_000, true));
        let first = SimDisk::new(first, clock.clone());
        let second = SimDisk::new(second, clock.clone());
        Self { clock, first, second }
    }

    fn record(&self, run: &Run) -> Tale {
        let (mut disk, size) = (self.second.clone(), self.second.size());
        let opener: Opener = Box::new(move || {
            let superblock = find_superblock(&mut disk, size)?.unwrap();
            Ok((Box::new(disk), superblock))
        });
        let starter = Starter { boot_id: run.boot_id(), facts_crc: 0 };
        let clocks: (Arc<dyn Clock>, Arc<dyn Clock>) = (self.clock.clone(), self.second.clock());
        let writer = Writer::here(opener, starter, clocks, None).unwrap();
        let compressor = StaticCompressor::new().unwrap();
        let mirror = Mirror::new(
            &run.width.layout(),
            writer,
            compressor,
            (run.commit_ns, self.clock.boottime_ns()),
            Allowance::default(),
        );
        if run.end == End::Cut {
            self.second.cut_at(BEGIN_S * SECOND_NS + run.length_ns);
        }
        record_with(&self.first, &self.clock, run, |recorder| recorder.with_mirror(Some(mirror)))
    }

    fn recovered(&self) -> [Recovered; 2] {
        [&self.first, &self.second].map(|disk| {
            let recovered = Recovered::of(&disk.durable());
            recovered.assert_true();
            recovered
        })
    }
}

fn stopped(seconds: u64) -> Run {
    Run { end: End::Stop(stop_reason::SERVICE_STOP), ..Run::seconds(1, seconds) }
}

#[test]
fn both_hold_all_samples_and_how_the_run_ended() {
    let pair = Pair::new();
    pair.record(&stopped(2000));
    let both = pair.recovered();
    for recovered in &both {
        assert_eq!(recovered.samples.len(), 2000);
        assert_eq!(recovered.causes(), [""; 0]);
        assert_eq!(recovered.events_of("run_start").len(), 1);
        assert_eq!(recovered.events_of("stop")[0]["args"]["reason"], stop_reason::SERVICE_STOP);
    }
    assert_eq!(both[0].samples, both[1].samples);
}

/// The commonest death is the card itself: what the mirror holds then is the whole story.
#[test]
fn a_first_disk_that_is_stuck_or_gone_costs_the_mirror_nothing() {
    for mood in [Mood::Slow(u64::MAX), Mood::Gone, Mood::SyncFails(5)] {
        let pair = Pair::new();
        pair.first.be((BEGIN_S + 300) * SECOND_NS..u64::MAX, mood);
        let length_s = 300 + OUTAGE_S;
        pair.record(&Run::seconds(1, length_s));
        let [first, second] = pair.recovered();
        assert!(first.samples.len() < 320, "{mood:?}: the first did not fail");
        assert_eq!(second.causes(), [""; 0], "{mood:?}");
        let newest = second.samples.keys().last().unwrap().1;
        assert!(newest + 11 >= BEGIN_S + length_s, "{mood:?}: {newest}");
        assert!(u64::try_from(second.samples.len()).unwrap() + 12 > length_s, "{mood:?}");
        let told = ["commit_stuck", "commit_error"].map(|kind| second.events_of(kind).len());
        assert_eq!(told.iter().sum::<usize>(), 1, "{mood:?}: {told:?}");
    }
}

#[test]
fn a_mirror_that_is_stuck_or_gone_costs_the_first_nothing_and_is_told() {
    for (mood, why) in [
        (Mood::Slow(u64::MAX), "mirror: a commit is stuck"),
        (Mood::Gone, "mirror: the device is gone"),
        (Mood::WriteFails(30), "mirror: the file system is read-only"),
    ] {
        let pair = Pair::new();
        pair.second.be((BEGIN_S + 300) * SECOND_NS..u64::MAX, mood);
        let length_s = 300 + OUTAGE_S;
        let tale = pair.record(&Run::seconds(1, length_s));
        let [first, _] = pair.recovered();
        let acked: Vec<(u64, u64)> = tale.acked().collect();
        assert_eq!(first.missing(&acked), []);
        assert_eq!(first.causes(), [""; 0], "{mood:?}");
        let newest = first.samples.keys().last().unwrap().1;
        assert!(newest + 11 >= BEGIN_S + length_s, "{mood:?}: {newest}");
        let lost = first.events_of("source_lost");
        assert_eq!(lost.len(), 1, "{mood:?}: {lost:?}");
        assert_eq!(lost[0]["text"], why);
        assert_eq!(first.events_of("alert").len(), 0, "{mood:?}: no reason for alarm");
    }
}

/// It is used again, and what it missed is there as far as memory held it.
#[test]
fn a_mirror_that_comes_back_catches_up() {
    let pair = Pair::new();
    let gone = (BEGIN_S + 300) * SECOND_NS..(BEGIN_S + 300 + 3 * OUTAGE_S) * SECOND_NS;
    pair.second.be(gone, Mood::Gone);
    let length_s = 600 + 3 * OUTAGE_S;
    pair.record(&stopped(length_s));
    let [first, second] = pair.recovered();
    assert_eq!(first.events_of("source_found").len(), 1);
    assert_eq!(first.causes(), [""; 0]);
    assert!(second.causes().iter().all(|cause| *cause == "not durable"), "{:?}", second.causes());
    let ticks: Vec<u64> = second.samples.keys().map(|(_, tick)| *tick).collect();
    let apart = ticks.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(apart.unwrap() <= 60, "{apart:?}");
    let dropped = &second.lines.last().unwrap()["values"]["recorder.dropped_samples"];
    assert!(dropped.as_u64().unwrap() > 0, "it says its own: {dropped}");
    assert_eq!(first.lines.last().unwrap()["values"]["recorder.dropped_samples"], 0);
}

/// W10 holds in both.
#[test]
fn what_a_cut_left_unsealed_is_salvaged_in_both() {
    let pair = Pair::new();
    let tale = pair.record(&Run::seconds(1, 137));
    let acked: Vec<(u64, u64)> = tale.acked().collect();
    let pair = Pair::with(pair.first.durable(), pair.second.durable());
    pair.record(&Run { boot: 2, ..Run::seconds(2, 1500) });
    for recovered in pair.recovered() {
        assert_eq!(recovered.missing(&acked), []);
        assert_eq!(recovered.events_of("salvaged").len(), 1);
        assert_eq!(recovered.causes(), ["power off"]);
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

fn dump(path: &Path) -> Recovered {
    Recovered::of_file(path)
}

/// The programs themselves, two files, and an end without warning.
#[test]
fn two_real_files_are_recorded_into_and_status_tells_of_the_mirror() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [first, mirror] = ["first.frec", "mirror.frec"].map(|name| folder.path().join(name));
    for path in [&first, &mirror] {
        let made =
            say(flightrecd(), ["create", path.to_str().unwrap(), "--size", "2MiB", "--force"]);
        assert_eq!(made.code, Some(0), "{made:?}");
    }
    let config = folder.path().join("flightrec.toml");
    let text = format!(
        "recording = {first:?}\nmirror = {mirror:?}\ninterval = \"20ms\"\ncommit = \"100ms\"\n"
    );
    fs::write(&config, text).unwrap();
    let start = || {
        let mut command = Command::new(flightrecd());
        command.arg("run").arg("--config").arg(&config).stderr(Stdio::null());
        command.env_remove("NOTIFY_SOCKET").env("RUNTIME_DIRECTORY", folder.path());
        Recorder(command.spawn().unwrap())
    };
    let recorder = start();
    let status = || say(flightrec(), ["status", first.to_str().unwrap(), "--json"]).out;
    let age = || {
        let value: serde_json::Value = serde_json::from_str(&status()).ok()?;
        assert_eq!(value["mirror"]["path"], mirror.to_str().unwrap());
        value["mirror"]["newest_age_s"].as_u64()
    };
    assert!(wait_until(|| status().contains("mirror") && age().is_some()), "{}", status());
    let count = |path: &Path| dump(path).samples.len();
    assert!(wait_until(|| count(&mirror) > 100));
    assert!(age().unwrap() <= 5);
    let text = say(flightrec(), ["status", first.to_str().unwrap()]).out;
    assert!(text.contains("\nmirror     "), "{text}");
    // Each has one recorder; a second one finds both locked.
    let again = say(flightrecd(), ["run", "--recording", mirror.to_str().unwrap(), "--for", "1s"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    drop(recorder);
    let both = [&first, &mirror].map(|path| dump(path));
    let newest = both.each_ref().map(|own| *own.samples.keys().last().unwrap());
    assert!(newest[0].1.abs_diff(newest[1].1) < 25, "{newest:?}");
    let shared =
        both[1].samples.iter().filter(|(key, user)| both[0].samples.get(key) == Some(user));
    assert!(shared.count() + 10 > both[1].samples.len(), "the same samples in both");

    // Without its mirror it records all the same, and says so.
    fs::remove_file(&mirror).unwrap();
    let recorder = start();
    let lost = || {
        let told = dump(&first);
        let told = told.events_of("source_lost").into_iter().map(|event| event["text"].to_string());
        told.filter(|text| text.contains("mirror: there is no recording at")).count()
    };
    assert!(wait_until(|| lost() == 1));
    // And it does not wait for it at the end.
    let mut recorder = recorder;
    let pid = recorder.0.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    assert!(wait_until(|| recorder.0.try_wait().unwrap().is_some()), "it waits for its mirror");
    assert_eq!(dump(&first).events_of("stop").len(), 1);
}
