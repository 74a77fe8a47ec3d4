//! Canaries: a recorder with one rule broken on purpose, which the explorer must catch. Beside each
//! the honest recorder runs through the same cuts, and nothing is found.

use std::sync::Arc;

use flightrec_tests::broken::Rule;
use flightrec_tests::explore::{Explorer, Plan};
use flightrec_tests::image::Image;
use flightrec_tests::judge::Violation;
use flightrec_tests::physics::Fault;
use flightrec_tests::script::{self, Script};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{Run, blank_with, record};

fn script(name: &str) -> Script {
    script::all().into_iter().find(|script| script.name == name).unwrap()
}

/// Looks at a script, at faults of these kinds; what did not hold, with the lines that replay it.
fn explore(
    script: &Script,
    faults: &[Fault],
    broken: Option<Rule>,
    remains: Option<Image>,
) -> Vec<(String, Violation)> {
    let plan = Plan {
        faults: faults.to_vec(),
        // Of the sectors of a write every combination.
        variants_max: if faults == [Fault::Sectors] { 6561 } else { 64 },
        restart_each: 30,
        depth: 1,
        later_variants: 2,
        seed: 11,
        states_max: 7000,
    };
    let mut explorer = Explorer::new(plan);
    explorer.broken = broken;
    explorer.remains = remains;
    explorer.script(script);
    explorer.tally.failures
}

/// The canary sings on this script, at these faults, as expected; the honest recorder does not.
fn assert_caught(
    rule: Rule,
    (name, remains): (&str, Option<Image>),
    faults: &[Fault],
    expected: impl Fn(&Violation) -> bool,
) {
    let script = script(name);
    let honest = explore(&script, faults, None, remains.clone());
    assert!(honest.is_empty(), "{rule:?}, unbroken: {honest:?}");
    let caught = explore(&script, faults, Some(rule), remains);
    assert!(caught.iter().any(|(_, what)| expected(what)), "{rule:?}: nothing but {caught:?}");
}

fn loses(violation: &Violation) -> bool {
    matches!(violation, Violation::Lost(_))
}

const PAGES: &[Fault] = &[Fault::Page(4), Fault::Page(16)];

#[test]
fn canary_a_sync_that_is_dropped_loses_what_was_acknowledged() {
    assert_caught(Rule::SyncDropped, ("first-commits", None), &[Fault::Reordered], loses);
}

#[test]
fn canary_a_sync_error_that_is_ignored_loses_what_was_acknowledged() {
    assert_caught(Rule::SyncErrorIgnored, ("sync-fails-once", None), &[Fault::Dropped], loses);
}

#[test]
fn canary_the_newest_copy_overwritten_is_lost_in_a_torn_write() {
    assert_caught(Rule::NewestOverwritten, ("first-commits", None), &[Fault::Torn(512)], loses);
}

#[test]
fn canary_checksums_unchecked_let_altered_samples_in() {
    let altered =
        |what: &Violation| matches!(what, Violation::Altered(..) | Violation::Invented(_));
    assert_caught(Rule::ChecksumUnchecked, ("loud-seals", None), &[Fault::Sectors], altered);
}

#[test]
fn canary_one_lane_loses_the_newest_commit_to_its_neighbour() {
    assert_caught(Rule::OneLane, ("first-commits", None), PAGES, loses);
}

#[test]
fn canary_lanes_ignored_after_a_restart_lose_the_dead_runs_newest_commit() {
    assert_caught(Rule::LanesIgnoredAfterRestart, ("restart", None), PAGES, loses);
}

#[test]
fn canary_lanes_that_are_physically_adjacent_die_together() {
    assert_caught(Rule::LanesAdjacent, ("first-commits", None), PAGES, loses);
}

#[test]
fn canary_reuse_before_the_seal_loses_what_comes_round() {
    assert_caught(Rule::ReuseBeforeSeal, ("history-wraps", None), &[Fault::Dropped], loses);
}

#[test]
fn canary_salvage_over_sealed_frames_loses_them() {
    let faults = [Fault::Dropped];
    assert_caught(Rule::SalvageOverwrites, ("restart-of-8-MiB", None), &faults, loses);
}

#[test]
fn canary_seqs_used_again_overwrite_the_dead_run() {
    assert_caught(Rule::SeqReused, ("restart", None), &[Fault::Dropped], loses);
}

#[test]
fn canary_an_ordinal_used_again_is_reported() {
    assert_caught(Rule::OrdinalReused, ("restart", None), &[Fault::Dropped], |what| {
        matches!(what, Violation::FalseAlarm(_) | Violation::Misordered(_))
    });
}

#[test]
fn canary_frames_of_another_recording_accepted_are_invented_samples() {
    let script = script("first-commits");
    // Another recording lay on the same place; only its superblocks were replaced.
    let clock = Arc::new(SimClock::new(30 * SECOND_NS, 1_700_000_000_000_000_000, true));
    let disk = SimDisk::new(blank_with(script.geometry), clock.clone());
    record(&disk, &clock, &Run::seconds(77, 400));
    let mut remains = blank_with(script.geometry);
    let before = disk.durable();
    for slot in 0..before.len() {
        let mut bytes = before.slot(slot).to_vec();
        if let Ok(mut header) = flightrec_format::frame::Header::read(&bytes)
            && header.slots == 1
        {
            header.recording_id = [0x66; 16];
            header.seal(&mut bytes);
            remains.put(slot, &bytes);
        }
    }
    let faults = [Fault::Dropped];
    assert_caught(Rule::ForeignAccepted, ("first-commits", Some(remains)), &faults, |what| {
        matches!(what, Violation::Invented(_))
    });
}

#[test]
fn canary_superblocks_in_one_unit_stop_the_next_recorder() {
    assert_caught(Rule::SuperblocksTogether, ("first-commits", None), PAGES, |what| {
        matches!(what, Violation::Stopped(_) | Violation::Refused(_))
    });
}

#[test]
fn canary_precision_in_the_encoder_makes_copies_that_differ() {
    assert_caught(
        Rule::PrecisionInTheEncoder,
        ("first-commits", None),
        &[Fault::Dropped],
        |what| matches!(what, Violation::Altered(..)),
    );
}
