//! Every cut of small worlds: the real recorder on a disk in memory, power cut at each write, each
//! outcome that the physics allow, the recorder started again on what is left, and cut again.
//!
//! How to replay a line that a failure prints: `FLIGHTREC_CUT='LINE' cargo test -p flightrec-tests
//! --test all power_cut::a_named_cut -- --show-output`. More of it:
//! `cargo run --release -p flightrec-tests --example every_cut`.

use std::sync::Arc;

use flightrec_format::frame::Header;
use flightrec_format::place::Area;
use flightrec_format::superblock::{Geometry, Superblock};
use flightrec_recorder::create::fill;
use flightrec_tests::cut::{HONEST, TREACHEROUS};
use flightrec_tests::explore::{Explorer, Plan};
use flightrec_tests::kernel::Width;
use flightrec_tests::noise::Noise;
use flightrec_tests::observed::Observed;
use flightrec_tests::physics::Flash;
use flightrec_tests::script::{self, Script};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{Run, blank_with, record};

/// Looks at about so many states of each script.
fn explore(scripts: &[Script], states: usize) {
    let mut seen = 0;
    for script in scripts {
        let mut explorer = Explorer::new(Plan {
            faults: HONEST.iter().chain(TREACHEROUS).copied().collect(),
            variants_max: 12,
            restart_each: 25,
            depth: 2,
            later_variants: 1,
            seed: 1,
            states_max: states,
        });
        explorer.script(script);
        for (line, violation) in &explorer.tally.failures {
            eprintln!("FLIGHTREC_CUT='{line}': {violation}");
        }
        assert!(explorer.tally.failures.is_empty(), "{}: the lines above replay it", script.name);
        seen += explorer.tally.states.len();
    }
    let wanted = states * scripts.len() * 9 / 10;
    assert!(seen >= wanted, "{seen} states of {wanted}: the scripts have become too short");
}

/// W2 - W10, V1 - V7, by the properties of `kit/judge.rs`.
#[test]
fn every_cut_of_commits_seals_laps_and_restarts_leaves_what_was_acknowledged() {
    explore(&script::calm(), 1000);
}

/// W3, W7: the same while the disk is slow, fails, is full, or is gone.
#[test]
fn every_cut_while_the_disk_stalls_or_fails_leaves_what_was_acknowledged() {
    explore(&script::moody(), 1000);
}

/// Replays what a failure has printed.
#[test]
fn a_named_cut_is_replayed() {
    replay(&std::env::var("FLIGHTREC_CUT").unwrap_or("restart:0:1:Page(16):3".into()));
}

/// W10: what the first commit says is left to its fate was written over by that commit, so that a
/// cut took both.
#[test]
fn a_run_that_is_left_to_its_fate_is_owed_until_a_durable_commit_says_so() {
    let before = "restarts-of-a-full-tail:1:2:Unreadable(1):45 \
                  restarts-of-a-full-tail:2:28:LastWrites(4):0 ";
    for cut in ["1:Page(16):22", "14:LastWrites(7):0", "15:LastWrites(7):0", "16:LastWrites(8):1"] {
        replay(&format!("{before}restarts-of-a-full-tail:3:{cut}"));
    }
}

fn replay(line: &str) {
    let mut explorer = Explorer::new(Plan::default());
    explorer.replay(line).unwrap();
    assert_eq!(explorer.tally.failures, []);
}

/// W1, B2: creation over an old recording, cut at every write: the old samples as they were, or a
/// new recording that can be recorded into, or neither; never a mixture.
#[test]
fn every_cut_of_a_creation_leaves_the_old_recording_or_a_new_one_and_no_mixture() {
    let geometry = Geometry::for_size(1 << 20).unwrap();
    let clock = Arc::new(SimClock::new(30 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let old = SimDisk::new(blank_with(geometry), clock.clone());
    let run = Run { compare_readings: true, width: Width::Narrow, ..Run::seconds(1, 300) };
    let tale = Arc::new(record(&old, &clock, &run));
    let clock = Arc::new(SimClock::new(SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(old.durable(), clock.clone()).with_whole_trace();
    let superblock = Superblock {
        recording_id: [0x77; 16],
        identity: [0; 16],
        created_realtime_ns: 0,
        geometry,
        compatible_flags: 0,
    };
    let mut told = disk.clone();
    fill::forget(&mut told, geometry.size).unwrap();
    fill::overwrite(&mut told, geometry.size).unwrap();
    fill::superblocks(&mut told, &superblock).unwrap();
    let flash = Flash::straight(disk.durable().len());
    let mut ends = [0; 3];
    let mut noise = Noise(5);
    for moment in disk.trace().moments(u64::MAX) {
        for fault in HONEST {
            let variants = fault.variants(&moment);
            for _ in 0..variants.min(40) {
                let wreck = fault.wreck(&moment, &flash, noise.below(variants));
                let new = [0, 145, 255].map(|slot| Superblock::read(wreck.image.slot(slot)));
                let is_new = new.contains(&Ok(superblock));
                match Observed::of(&wreck.image, 0..0) {
                    Err(_) => ends[0] += 1,
                    Ok(observed) if is_new => {
                        assert_eq!(observed.entries.len(), 0, "{fault}: old in new");
                        ends[2] += 1;
                    }
                    Ok(observed) => {
                        for sample in observed.samples() {
                            let made = tale.made.iter().find(|made| made.tick == sample.tick);
                            let read = sample.readings.iter().filter(|(series, _)| *series > 18);
                            assert!(read.eq(&made.unwrap().readings), "{fault}: altered");
                        }
                        ends[1] += 1;
                    }
                }
            }
        }
    }
    assert!(ends.iter().all(|count| *count > 20), "refused, old, new: {ends:?}");
    let tale = record(&SimDisk::new(disk.durable(), clock.clone()), &clock, &run);
    assert!(tale.acks.len() > 200);
}

/// A forged frame, with checksums that hold, whose seq is the last of all: the recorder goes on.
#[test]
fn a_forged_seq_does_not_stop_the_recorder() {
    let geometry = Geometry::for_size(1 << 20).unwrap();
    let clock = || Arc::new(SimClock::new(30 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let first = clock();
    let disk = SimDisk::new(blank_with(geometry), first.clone());
    record(&disk, &first, &Run::seconds(1, 200));
    let mut image = disk.durable();
    for slot in 0..image.len() {
        let mut bytes = image.slot(slot).to_vec();
        let Ok(mut header) = Header::read(&bytes) else { continue };
        let lap = match header.area {
            Area::Tail => u64::from(geometry.lane_slots) * 2,
            Area::Archive => u64::from(geometry.archive_slots),
            Area::History => u64::from(geometry.history_slots),
        };
        // The same slot, as late as can be.
        header.seq += (u64::MAX - header.seq) / lap * lap;
        if header.slots == 1 {
            header.seal(&mut bytes);
            image.put(slot, &bytes);
        }
    }
    let second = clock();
    let disk = SimDisk::new(image, second.clone());
    let tale = record(&disk, &second, &Run { boot: 2, ..Run::seconds(2, 400) });
    assert!(tale.acks.len() > 380, "{:?}", tale.ended);
}
