//! The real recorder on a simulated disk and clock, read back by the real reader: what was
//! acknowledged is there, unaltered, and whatever is not has a cause (spec sections 8 and 9).

use std::sync::Arc;

use flightrec_format::event::stop_reason;
use flightrec_format::frame::Header;
use flightrec_format::superblock::Geometry;
use flightrec_recorder::pstore::LastWords;
use flightrec_tests::image::Image;
use flightrec_tests::kernel::Width;
use flightrec_tests::noise::Noise;
use flightrec_tests::recovered::{Recovered, flightrec};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{End, Run, blank_recording, record};

const MIB: u64 = 1 << 20;

/// A machine that was switched on a minute ago, its clock synchronised.
struct World {
    clock: Arc<SimClock>,
    disk: SimDisk,
    /// Acknowledged samples, in order: run and tick.
    acked: Vec<(u64, u64)>,
}

impl World {
    fn new(size: u64) -> Self {
        Self::with(blank_recording(size), 60 * SECOND_NS, Vec::new())
    }

    fn with(image: Image, boottime_ns: u64, acked: Vec<(u64, u64)>) -> Self {
        let clock = Arc::new(SimClock::new(boottime_ns, 1_795_333_133_000_000_000, true));
        let disk = SimDisk::new(image, clock.clone());
        Self { clock, disk, acked }
    }

    fn record(&mut self, run: &Run) {
        let tale = record(&self.disk, &self.clock, run);
        self.acked.extend(tale.acked());
    }

    /// Records, then switches the machine on again with what is left on the disk.
    fn then(mut self, run: &Run) -> Self {
        self.record(run);
        Self::with(self.disk.durable(), 30 * SECOND_NS, self.acked)
    }

    fn recovered(&self) -> Recovered {
        let recovered = Recovered::of(&self.disk.durable());
        recovered.assert_true();
        recovered
    }
}

/// W2, W8, V6: the promise itself, over a lap and more.
#[test]
fn every_acknowledged_sample_of_a_run_that_was_cut_is_recovered_as_it_was() {
    let world = World::new(8 * MIB).then(&Run::seconds(1, 3000));
    let (recovered, acked) = (world.recovered(), &world.acked);
    assert!(acked.len() > 2980, "{}", acked.len());
    assert_eq!(recovered.missing(acked), []);
    assert_eq!(recovered.causes(), [""; 0]);
    assert_eq!(recovered.events_of("run_start").len(), 1);
}

/// Design 4, the age bound: at a cut at any moment the newest durable sample is at most a commit
/// interval, the write in flight and a tick old.
#[test]
fn at_any_cut_the_newest_durable_sample_is_no_older_than_the_bound() {
    for cut_s in 30..41 {
        for sync_ms in [3, 900] {
            let world = World::new(MIB);
            world.disk.sync_takes(sync_ms * 1_000_000);
            let mut run = Run::seconds(1, cut_s);
            run.length_ns += 499_000_000;
            let cut_ns = 60 * SECOND_NS + run.length_ns;
            let world = world.then(&run);
            let newest = world.recovered().samples.keys().last().unwrap().1;
            let bound_ns = 10 * SECOND_NS + sync_ms * 1_000_000 + SECOND_NS;
            let age_ns = cut_ns - newest * SECOND_NS;
            assert!(age_ns <= bound_ns, "cut at {cut_s} s, syncs of {sync_ms} ms: {age_ns} ns");
        }
    }
}

/// A commit that ended between two samples was never stuck, however far apart they are.
#[test]
fn a_long_sampling_interval_is_no_stuck_commit() {
    let mut run = Run::seconds(1, 3000);
    run.interval_ns = 30 * SECOND_NS;
    run.commit_ns = 60 * SECOND_NS;
    let recovered = World::new(MIB).then(&run).recovered();
    assert!(recovered.lines.iter().all(|line| line["values"]["recorder.commit_stuck_ms"] == 0));
    assert_eq!(recovered.events_of("alert").len() + recovered.events_of("commit_stuck").len(), 0);
}

#[test]
fn a_grave_error_of_the_kernel_brings_a_commit_each_second_but_not_while_the_recorder_starts() {
    let mut run = Run::seconds(1, 400);
    let begun_ns = 60 * SECOND_NS;
    run.kernel_errors_ns = vec![begun_ns + 3 * SECOND_NS];
    let recovered = World::new(MIB).then(&run).recovered();
    assert_eq!(recovered.events_of("kernel").len(), 1);
    assert_eq!(recovered.events_of("alert").len(), 0);
    run.kernel_errors_ns.push(begun_ns + 100 * SECOND_NS);
    let recovered = World::new(MIB).then(&run).recovered();
    let alerts = recovered.events_of("alert");
    assert_eq!(alerts.len(), 2, "up and down again: {alerts:?}");
    assert_eq!(alerts[0]["text"], "a grave error of the kernel");
}

/// A recorder that is restarted finds the same text in pstore, which nobody deletes.
#[test]
fn the_last_words_of_a_dead_kernel_are_told_once_in_a_boot() {
    let mut run = Run::seconds(1, 100);
    run.last_words = LastWords {
        lines: vec!["[ 8.1] Kernel panic - not syncing".into(), "[ 8.1] CPU: 0 PID: 1".into()],
        realtime_s: 1_700_000_000,
    };
    let again = Run { number: 2, ..run.clone() };
    let later = Run { number: 3, boot: run.boot + 1, ..run.clone() };
    let recovered = World::new(MIB).then(&run).then(&again).then(&later).recovered();
    let told = recovered.events_of("pstore");
    let runs: Vec<_> =
        told.iter().map(|event| event["run"].as_str().unwrap()[..2].to_owned()).collect();
    assert_eq!(runs, ["01", "01", "03", "03"]);
    assert_eq!(told[1]["text"], "[ 8.1] CPU: 0 PID: 1");
    let expected = serde_json::json!({ "part": 2, "parts": 2, "realtime_s": 1_700_000_000 });
    assert_eq!(told[1]["args"], expected);
}

/// P4, W5: three laps of the history; what is gone is the oldest, and nothing in between.
#[test]
fn after_many_laps_the_newest_samples_are_there_without_a_hole() {
    let world = World::new(MIB).then(&Run::seconds(1, 30_000));
    let (recovered, acked) = (world.recovered(), &world.acked);
    let kept = recovered.samples.len();
    assert!((1000..20_000).contains(&kept), "{kept}");
    // What a lap leaves at the end of the area, and where it skipped, is older still: it comes
    // before a gap that is no damage.
    assert!(recovered.causes().iter().all(|cause| *cause == "overwritten"));
    let (last, ticks) = (acked.last().unwrap().1, recovered.samples.keys());
    let unbroken = ticks.rev().zip((0..=last).rev()).take_while(|(key, tick)| key.1 == *tick);
    assert!(unbroken.count() > 1000, "a hole near the end");
}

/// W7: samples of a failed sync go out again, and the error is told.
#[test]
fn samples_whose_sync_failed_are_written_again() {
    let world = World::new(8 * MIB);
    world.disk.fail_syncs(5..9, 5);
    let world = world.then(&Run::seconds(1, 600));
    let (recovered, acked) = (world.recovered(), &world.acked);
    assert_eq!(recovered.missing(acked), []);
    assert!(acked.len() > 580);
    assert_eq!(recovered.events_of("commit_error")[0]["args"]["errno"], 5);
    assert_eq!(recovered.events_of("commit_recovered").len(), 1);
}

/// Design 4: while a commit is stuck sampling goes on, and nothing that was taken is lost.
#[test]
fn a_disk_that_stalls_for_a_minute_costs_no_sample_that_was_taken() {
    for stall_s in [9, 60, 600] {
        let world = World::new(8 * MIB);
        let mut run = Run::seconds(1, 300);
        run.end = End::Stop(stop_reason::SIGNAL);
        world.disk.sync_takes(stall_s * SECOND_NS);
        let world = world.then(&run);
        let (recovered, acked) = (world.recovered(), &world.acked);
        assert!(!acked.is_empty(), "stall of {stall_s} s");
        assert_eq!(recovered.missing(acked), [], "stall of {stall_s} s");
    }
}

/// W9, W10: each start salvages what only the tail of the dead run had.
#[test]
fn samples_of_dead_runs_survive_restarts_at_random_moments() {
    for seed in 1..=12 {
        let mut noise = Noise(seed);
        let mut world = World::new(8 * MIB);
        for number in 1..=8 {
            let mut run = Run::seconds(number, 1 + noise.below(200));
            run.boot = u8::try_from(number).unwrap();
            run.commit_ns = (1 + noise.below(10)) * SECOND_NS;
            world = world.then(&run);
        }
        let missing = world.recovered().missing(&world.acked);
        assert_eq!(missing, [], "seed {seed}");
    }
}

/// W10: a recorder in a restart loop does not wipe the night that it was started for.
#[test]
fn thousands_of_restarts_and_the_incident_is_still_there() {
    let restarts = std::env::var("FLIGHTREC_RESTARTS").ok().and_then(|count| count.parse().ok());
    let mut world = World::new(MIB).then(&Run::seconds(1, 900));
    let incident = world.acked.len();
    for number in 2..2 + restarts.unwrap_or(1000_u64) {
        let mut run = Run::seconds(number, 2);
        run.boot = 2;
        world = world.then(&run);
    }
    assert!(incident > 880);
    assert_eq!(world.recovered().missing(&world.acked[..incident]), []);
}

/// W11, V8: an orderly end is told twice, once per lane, and known for what it was.
#[test]
fn a_stop_stands_in_both_lanes_with_its_reason() {
    let mut run = Run::seconds(1, 95);
    run.end = End::Stop(stop_reason::MACHINE_SHUTDOWN);
    let world = World::new(8 * MIB).then(&run);
    let bytes = world.disk.durable().bytes();
    let geometry = Geometry::for_size(8 * MIB).unwrap();
    let newest_of = |lane: u32| {
        let slots = lane * geometry.lane_slots..(lane + 1) * geometry.lane_slots;
        let frames = slots.filter_map(|slot| {
            let at = usize::try_from(geometry.tail_start + slot).unwrap() * 4096;
            Header::read(&bytes[at..at + 4096]).ok()
        });
        frames.max_by_key(|header| header.seq).unwrap()
    };
    let (a, b) = (newest_of(0), newest_of(1));
    assert_eq!(a.seq.abs_diff(b.seq), 1);
    assert_eq!(a.last_tick, b.last_tick);
    let recovered = world.recovered();
    let stops = recovered.events_of("stop");
    assert_eq!(stops.len(), 1);
    assert_eq!(stops[0]["args"]["reason"], 1);
    assert_eq!(recovered.events.last().unwrap()["kind"], "stop");
}

/// V5: a board without a clock starts an hour off; what it did before the time came is dated by it.
#[test]
fn a_clock_that_is_set_back_is_told_and_the_samples_before_are_dated_by_the_right_time() {
    let world = World::new(8 * MIB);
    world.clock.step(3600 * 1_000_000_000, false);
    world.clock.step_at(110 * SECOND_NS, -3600 * 1_000_000_000, true);
    let world = world.then(&Run::seconds(1, 100));
    let recovered = world.recovered();
    let clocks: Vec<&str> =
        recovered.lines.iter().map(|line| line["clock"].as_str().unwrap()).collect();
    assert_eq!(clocks[0], "redated");
    assert_eq!(*clocks.last().unwrap(), "synced");
    let times: Vec<&str> =
        recovered.lines.iter().map(|line| line["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "real time runs on through the step");
    let steps = recovered.events_of("clock_step");
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0]["args"]["step_ms"], -3_600_000);
}

/// V6: every gap has one cause.
#[test]
fn a_machine_that_slept_has_a_gap_called_suspended() {
    let world = World::new(8 * MIB);
    world.clock.suspend_at(100 * SECOND_NS, 3600 * SECOND_NS);
    let mut run = Run::seconds(1, 3700);
    run.end = End::Stop(stop_reason::SERVICE_STOP);
    let recovered = world.then(&run).recovered();
    assert_eq!(recovered.causes(), ["suspended"]);
}

/// V6, V8: what lies between two boots, and between two runs of one, is told apart.
#[test]
fn power_off_and_a_stopped_recorder_are_different_gaps() {
    let mut stopped = Run::seconds(1, 50);
    stopped.end = End::Stop(stop_reason::SERVICE_STOP);
    let mut second = Run::seconds(2, 50);
    second.end = End::Stop(stop_reason::MACHINE_SHUTDOWN);
    let mut next_boot = Run::seconds(3, 50);
    next_boot.boot = 2;
    let mut world = World::new(8 * MIB);
    world.record(&stopped);
    world.clock.pass(7 * SECOND_NS);
    let recovered = world.then(&second).then(&next_boot).recovered();
    assert_eq!(recovered.causes(), ["recorder stopped", "power off"]);
}

/// Design 4: dying commits each second, so the newest durable sample is at most two seconds old.
#[test]
fn a_dying_machine_is_committed_every_second() {
    let mut run = Run::seconds(1, 300);
    run.dying_from_ns = Some(200 * SECOND_NS);
    let world = World::new(8 * MIB).then(&run);
    let (recovered, acked) = (world.recovered(), &world.acked);
    assert!(recovered.events_of("alert").iter().any(|event| event["args"]["to"] == 2));
    assert_eq!(recovered.missing(acked), []);
    let newest = acked.last().unwrap().1;
    assert!(newest >= 358, "tick {newest} of 360");
}

/// F3 of the reading side: any slot, any verdict; bad sectors cost the slots they hit.
#[test]
fn one_destroyed_page_anywhere_in_the_tail_costs_no_acknowledged_sample() {
    let world = World::new(8 * MIB).then(&Run::seconds(1, 1500));
    let (image, acked) = (world.disk.durable(), &world.acked);
    let geometry = Geometry::for_size(8 * MIB).unwrap();
    let mut noise = Noise(99);
    for page in 0..geometry.lane_slots * 2 / 16 {
        let mut torn = image.clone();
        let start = usize::try_from(geometry.tail_start + page * 16).unwrap();
        (start..start + 16).for_each(|slot| torn.garble(slot, &mut noise));
        let recovered = Recovered::of(&torn);
        recovered.assert_true();
        // The newest commit stands in one frame only: its page is the one in flight.
        let missing = recovered.missing(acked);
        assert!(missing.len() <= 10, "page {page}: {} lost", missing.len());
        assert!(missing.iter().all(|(_, tick)| tick + 11 > acked.last().unwrap().1));
    }
}

/// W3, 6.5: last words come last. However much logs say, and however large samples are, each
/// acknowledged sample but those of the newest commit stands in two frames.
#[test]
fn logs_that_never_stop_endanger_no_sample() {
    for width in [Width::Whole, Width::Loud] {
        let mut run = Run::seconds(1, 400);
        (run.width, run.talkative) = (width, true);
        let world = World::new(MIB).then(&run);
        let (image, acked) = (world.disk.durable(), &world.acked);
        let whole = world.recovered();
        assert_eq!(whole.missing(acked), []);
        assert_eq!(whole.causes(), [""; 0]);
        let keys = whole.messages.iter().map(|own| (own["tick"].as_u64(), own["text"].to_string()));
        let distinct: std::collections::BTreeSet<_> = keys.collect();
        assert!(distinct.len() > 100, "{} messages", distinct.len());
        assert_eq!(distinct.len(), whole.messages.len(), "R9: copies are one message");
        let newest = acked.last().unwrap().1;
        let cut_tick = 60 + 400;
        assert!(newest + 11 >= cut_tick, "{width:?}: {newest} of {cut_tick}");
        let geometry = Geometry::for_size(MIB).unwrap();
        for slot in 0..geometry.lane_slots * 2 {
            let mut torn = image.clone();
            torn.garble(usize::try_from(geometry.tail_start + slot).unwrap(), &mut Noise(7));
            let missing = Recovered::of(&torn).missing(acked);
            assert!(missing.iter().all(|(_, tick)| tick + 11 > newest), "{slot}: {missing:?}");
        }
    }
}

/// R7, R8: facts that no reader knows are shown, also of a later run that left them out.
#[test]
fn facts_of_an_unknown_name_are_shown() {
    let mut run = Run::seconds(1, 300);
    run.end = End::Stop(stop_reason::SERVICE_STOP);
    let mut again = Run::seconds(2, 300);
    again.boot = 2;
    let world = World::new(MIB).then(&run).then(&again);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("facts.frec");
    std::fs::write(&path, world.disk.durable().bytes()).unwrap();
    let (_, text) = flightrec(&["boots", path.to_str().unwrap(), "--format", "json"]);
    assert_eq!(text.matches("\"unheard_of\":\"shown all the same\"").count(), 2, "{text}");
}

/// Exit codes of design 10 on what a cut leaves.
#[test]
fn a_recording_that_was_cut_reads_whole() {
    let world = World::new(8 * MIB).then(&Run::seconds(1, 300));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.frec");
    std::fs::write(&path, world.disk.durable().bytes()).unwrap();
    let (outcome, text) = flightrec(&["dump", path.to_str().unwrap(), "--last", "2m"]);
    assert_eq!(outcome.unwrap(), flightrec_reader::outcome::Outcome::Whole);
    assert!(text.contains("no stop record"), "{text}");
}
