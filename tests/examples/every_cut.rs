//! Looks at cuts of small worlds until so many distinct states were seen.
//!
//! `every_cut [STATES] [SEED] [SCRIPT]` prints what was struck, what each fault cost at most, and
//! for each thing that did not hold the line that replays it; `every_cut replay LINE` does so.
//! Ends with 1 if anything did not hold. States of different scripts, seeds and depths are counted
//! once, by hash of the medium and of where the recorder stands.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use std::process::ExitCode;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_tests::cut::{HONEST, TREACHEROUS};
use flightrec_tests::explore::{Explorer, Plan};
use flightrec_tests::script;

/// States of one script in one round, before the next one has its turn.
const QUOTA: usize = 4000;

/// Scripts of which every outcome of every cut is looked at: the combinations of old, new and noise
/// in the sectors of each slot that was being written are 3 to the power of 8, and in a seal there
/// are three slots, the others all old, all new or all noise.
const EXHAUSTIVE: &[&str] = &["stall-in-a-seal", "stall-9s", "restart", "seal"];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let plan = Plan {
        faults: HONEST.iter().chain(TREACHEROUS).copied().collect(),
        variants_max: 40,
        restart_each: 40,
        depth: 2,
        later_variants: 2,
        seed: 1,
        states_max: 0,
    };
    if arguments.next_if(|word| word == "replay").is_some() {
        let line: Vec<String> = arguments.collect();
        let mut explorer = Explorer::new(plan);
        explorer.replay(&line.join(" ")).unwrap();
        return tell(&explorer);
    }
    let states = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    let seed: u64 = arguments.next().map_or(1, |text| text.parse().unwrap());
    let only = arguments.next();
    let scripts: Vec<_> = script::all()
        .into_iter()
        .filter(|script| only.as_ref().is_none_or(|only| *only == script.name))
        .collect();
    let begun_ns = SystemClock.boottime_ns();
    let mut explorer = Explorer::new(plan);
    // Stalls first: where nothing has stalled yet, the states are the same, and count once.
    let named = |name: &&str| scripts.iter().find(|script| script.name == *name);
    for script in EXHAUSTIVE.iter().filter_map(named) {
        let plan = &mut explorer.plan;
        // At most half of all: the other half is for what comes after a cut.
        (plan.variants_max, plan.restart_each, plan.states_max) = (100_000, 0, states / 2);
        explorer.script(script);
        println!("{}: {} states so far", script.name, explorer.tally.states.len());
    }
    // Rounds differ in how widely they look: at many outcomes of each cut, or at many cuts of what
    // a cut has left.
    let widths = [(300, 400, 2, 1), (40, 40, 2, 2), (12, 10, 2, 1)];
    let mut round = 0;
    while explorer.tally.states.len() < states && explorer.tally.failures.is_empty() {
        let Some(wide) = widths.get(round % widths.len()).copied() else { break };
        let before = explorer.tally.states.len();
        for script in &scripts {
            let plan = &mut explorer.plan;
            (plan.variants_max, plan.restart_each, plan.depth, plan.later_variants) = wide;
            plan.seed = seed + u64::try_from(round).unwrap();
            plan.states_max = states.min(explorer.tally.states.len() + QUOTA);
            explorer.reseed();
            explorer.script(script);
        }
        round += 1;
        if before == explorer.tally.states.len() && round >= widths.len() {
            break;
        }
    }
    let seconds = (SystemClock.boottime_ns() - begun_ns) / 1_000_000_000;
    println!("seed {seed}, {round} rounds, {seconds} s");
    tell(&explorer)
}

fn tell(explorer: &Explorer) -> ExitCode {
    let tally = &explorer.tally;
    println!("{} distinct states", tally.states.len());
    for (struck, count) in &tally.struck {
        println!("{:>10}  {struck:?} ({} %)", count, count * 100 / tally.states.len().max(1));
    }
    println!("of each fault: states, and most acknowledged samples lost");
    for (fault, tried) in &tally.tried {
        let (samples, commits) = tally.worst.get(fault).copied().unwrap_or_default();
        println!("{tried:>10}  {samples:>4} of {commits} commits  {fault}");
    }
    for (line, violation) in &tally.failures {
        println!("FLIGHTREC_CUT='{line}': {violation}");
    }
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
