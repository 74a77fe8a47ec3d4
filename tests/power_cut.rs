//! Every cut of small worlds: the real recorder on a disk in memory, power cut at each write, each
//! outcome that the physics allow, the recorder started again on what is left, and cut again.
//!
//! How to replay a line that a failure prints: `FLIGHTREC_CUT='LINE' cargo test -p flightrec-tests
//! --test all power_cut::a_named_cut -- --show-output`. More of it:
//! `cargo run --release -p flightrec-tests --example every_cut`.

use flightrec_tests::cut::{HONEST, TREACHEROUS};
use flightrec_tests::explore::{Explorer, Plan};
use flightrec_tests::script::{self, Script};

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
    let line = std::env::var("FLIGHTREC_CUT").unwrap_or("restart:0:1:Page(16):3".into());
    let plan = Plan {
        faults: Vec::new(),
        variants_max: 0,
        restart_each: 0,
        depth: 0,
        later_variants: 0,
        seed: 0,
        states_max: 1,
    };
    let mut explorer = Explorer::new(plan);
    explorer.replay(&line).unwrap();
    assert_eq!(explorer.tally.failures, []);
}
