//! A disk that is stuck for a night: what is there afterwards, from the first frame that got through
//! to the last of the backlog (spec W3, W13, V6).

use std::ops::Range;
use std::process::Command;
use std::sync::Arc;

use flightrec_format::body::Body;
use flightrec_format::frame::{Header, flag};
use flightrec_format::superblock::Geometry;
use flightrec_reader::outcome::Outcome;
use flightrec_tests::image::Image;
use flightrec_tests::recovered::{Recovered, flightrec};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::{Mood, SimDisk};
use flightrec_tests::world::{Run, Tale, blank_recording, record};
use serde_json::Value;

const SIZE: u64 = 8 << 20;
const HOUR_S: u64 = 3600;
/// Boot time at which the recorder starts.
const BEGIN_S: u64 = 60;
/// Boot time at which the disk gets stuck: the first commit from then on hangs.
const STUCK_S: u64 = BEGIN_S + 120;

/// Records until `end_ms` of boot time, on a disk whose sync hangs for so long; then power goes.
fn stalled(stall_s: u64, end_ms: u64) -> (SimDisk, Tale) {
    let clock = Arc::new(SimClock::new(BEGIN_S * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(SIZE), clock.clone());
    let stuck = STUCK_S * SECOND_NS..(STUCK_S + 11) * SECOND_NS;
    disk.be(stuck, Mood::Slow(stall_s * SECOND_NS));
    let mut run = Run::seconds(1, 0);
    run.length_ns = end_ms * 1_000_000 - BEGIN_S * SECOND_NS;
    let tale = record(&disk, &clock, &run);
    (disk, tale)
}

/// Boot times between which the commit hung, in seconds: from the samples of the tale.
fn of_stall(tale: &Tale, stall_s: u64) -> Range<u64> {
    let began = tale.acks.iter().find(|ack| ack.at_ns > (STUCK_S + stall_s) * SECOND_NS);
    let ended_s = began.unwrap().at_ns / SECOND_NS;
    ended_s - stall_s..ended_s
}

/// Ticks of a recording, in order.
fn ticks(recovered: &Recovered) -> Vec<u64> {
    recovered.samples.keys().map(|(_, tick)| *tick).collect()
}

/// Longest time between two of them, within a range.
fn longest_step(ticks: &[u64], within: Range<u64>) -> u64 {
    let inside: Vec<u64> = ticks.iter().copied().filter(|tick| within.contains(tick)).collect();
    inside.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(u64::MAX)
}

/// Design 4: at least 8 hours. The begin is there second by second, and no half hour is empty.
#[test]
fn a_stall_of_nine_hours_is_recorded_from_its_first_second_to_its_last() {
    for stall_s in [9 * HOUR_S, 24 * HOUR_S] {
        let end_s = STUCK_S + stall_s + 120;
        let (disk, tale) = stalled(stall_s, end_s * 1000);
        // One more in the dark.
        assert_eq!(tale.ended.unwrap().samples, end_s - BEGIN_S + 1, "sampling went on");
        let recovered = Recovered::of(&disk.durable());
        recovered.assert_true();
        let acked: Vec<(u64, u64)> = tale.acked().collect();
        assert_eq!(recovered.missing(&acked), []);
        assert!(recovered.causes().iter().all(|cause| *cause == "not durable"));

        let stall = of_stall(&tale, stall_s);
        let ticks = ticks(&recovered);
        let first_minutes = stall.start..stall.start + 300;
        assert_eq!(longest_step(&ticks, first_minutes), 1, "how it began");
        let eight_hours = stall.start..stall.start + 8 * HOUR_S;
        let coarsest = longest_step(&ticks, eight_hours);
        let held = ticks.iter().filter(|tick| stall.contains(tick)).count();
        println!("{stall_s} s: {held} samples, at most {coarsest} s apart in the first 8 hours");
        assert!(coarsest <= 300, "{coarsest} s without a sample in the first eight hours");
        assert!(longest_step(&ticks, stall.clone()) <= 1800);
        let newest = ticks.last().unwrap();
        assert!(newest + 11 >= end_s, "{newest} of {end_s}: it did not catch up");
        let of_newest = &recovered.lines.last().unwrap()["values"];
        let told = |name: &str| of_newest[name].as_u64().unwrap();
        let kept = told("recorder.samples") - told("recorder.dropped_samples");
        assert_eq!(Ok(kept), u64::try_from(ticks.len()), "what is not there was told as dropped");
    }
}

/// The newest tail frame of an image, and the ticks in it.
fn newest_tail(image: &Image) -> (Header, Vec<u64>) {
    let bytes = image.bytes();
    let geometry = Geometry::for_size(SIZE).unwrap();
    let slots = geometry.tail_start..geometry.tail_start + 2 * geometry.lane_slots;
    let slot_of = |slot: u32| {
        let at = usize::try_from(slot).unwrap() * 4096;
        &bytes[at..at + 4096]
    };
    let frames = slots.filter_map(|slot| Some((Header::read(slot_of(slot)).ok()?, slot)));
    let (header, slot) = frames.max_by_key(|(header, _)| header.seq).unwrap();
    let payload = header.payload(slot_of(slot)).unwrap();
    let body = match header.codec {
        flightrec_format::frame::Codec::Plain => payload.to_vec(),
        flightrec_format::frame::Codec::Zstd => {
            zstd::bulk::decompress(payload, usize::try_from(header.body_len).unwrap()).unwrap()
        }
    };
    let body = Body::read(&body, header.first_tick, header.last_tick).unwrap();
    (header, body.samples.unwrap().ticks)
}

/// W13: whatever comes after it, one frame of 4 KiB tells the stall from end to end.
#[test]
fn the_first_frame_after_a_stall_holds_the_newest_samples_and_a_line_over_all_of_it() {
    let stall_s = 8 * HOUR_S;
    let (_, tale) = stalled(stall_s, (STUCK_S + stall_s + 120) * 1000);
    let stall = of_stall(&tale, stall_s);
    // The sync has returned; the commit of that tick is done, and no other.
    let (disk, _) = stalled(stall_s, stall.end * 1000 + 500);
    let (header, ticks) = newest_tail(&disk.durable());
    assert_ne!(header.compatible_flags & flag::SPARSE, 0);
    println!("{ticks:?} of {stall:?}");
    assert!(ticks[0] <= stall.start + 1, "{ticks:?} of {stall:?}: not from its begin");
    let (line, dense) = ticks.split_at(ticks.len() / 2);
    assert!(dense.len() >= 3 && line.len() >= 3, "{ticks:?}");
    // In memory the newest samples of a long stall are minutes apart, but for the very newest.
    assert!(dense[0] + HOUR_S > stall.end && *dense.last().unwrap() >= stall.end, "{ticks:?}");
    let mean = (dense[0] - line[0]) / u64::try_from(line.len()).unwrap();
    assert!(longest_step(&ticks, 0..stall.end) <= 2 * mean, "{ticks:?}");
}

/// V6: power that goes while the backlog is written costs nothing that was acknowledged, what is
/// missing is called by its name, and the next start keeps what only the tail has (W10).
#[test]
fn a_cut_at_any_second_after_a_stall_is_told_as_it_was() {
    let stall_s = HOUR_S;
    let (_, tale) = stalled(stall_s, (STUCK_S + stall_s + 120) * 1000);
    let stall = of_stall(&tale, stall_s);
    let mut unfinished = 0;
    for second in 0..6 {
        let (disk, tale) = stalled(stall_s, (stall.end + second) * 1000 + 500);
        let acked: Vec<(u64, u64)> = tale.acked().collect();
        let check = |image: &Image, when: &str| {
            let recovered = Recovered::of(image);
            recovered.assert_true();
            assert_eq!(recovered.missing(&acked), [], "{when}, second {second}");
            let causes = recovered.causes();
            let lawful = |cause: &&str| ["not durable", "power off"].contains(cause);
            assert!(causes.iter().all(lawful), "{when}, second {second}: {causes:?}");
            read_alike(image, &format!("{when}, second {second}"));
            causes.len()
        };
        let image = disk.durable();
        unfinished += usize::from(check(&image, "at the cut") > 0);
        // The next start salvages; then the slots that held the frames are written over.
        let clock = Arc::new(SimClock::new(30 * SECOND_NS, 1_795_353_133_000_000_000, true));
        let disk = SimDisk::new(image, clock.clone());
        let next = Run { boot: 2, ..Run::seconds(2, 700) };
        record(&disk, &clock, &next);
        check(&disk.durable(), "after the next start");
    }
    assert!(unfinished >= 2, "the backlog was written at once: nothing was shown");
}

/// The decoder that was written from the specification reads the same, and nothing is called gone.
fn read_alike(image: &Image, when: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.frec");
    std::fs::write(&path, image.bytes()).unwrap();
    let path = path.to_str().unwrap();
    let (outcome, ours) = flightrec(&["dump", path, "--boot", "all", "--format", "jsonl"]);
    assert_eq!(outcome.unwrap(), Outcome::Whole, "{when}");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/spec_decoder.py");
    let Ok(output) = Command::new("python3").arg(script).arg(path).output() else {
        return println!("skipped: there is no python3");
    };
    if output.status.code() == Some(77) {
        return println!("skipped: python3 has no zstd module");
    }
    let theirs = String::from_utf8(output.stdout).unwrap();
    let gaps = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("{\"gap\""));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    assert_eq!(theirs.lines().count(), ours.lines().count(), "{when}: lines");
    assert_eq!(gaps(&theirs), gaps(&ours), "{when}");
}
