//! Looks at cuts of small worlds until so many distinct states were seen.
//!
//! `every_cut [STATES] [SEED] [SCRIPT]` prints what was struck, what each fault cost at most, and
//! for each thing that did not hold the line that replays it; `every_cut replay LINE` does so.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use flightrec_tests::cut::{HONEST, TREACHEROUS};
use flightrec_tests::explore::{Explorer, Plan};
use flightrec_tests::script;

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut plan = Plan {
        faults: HONEST.iter().chain(TREACHEROUS).copied().collect(),
        variants_max: 40,
        restart_each: 40,
        depth: 2,
        later_variants: 2,
        seed: 1,
        states_max: 100_000,
    };
    if arguments.next_if(|word| word == "replay").is_some() {
        let line: Vec<String> = arguments.collect();
        let mut explorer = Explorer::new(plan);
        explorer.replay(&line.join(" ")).unwrap();
        for (line, violation) in &explorer.tally.failures {
            println!("{line}: {violation}");
        }
        return;
    }
    plan.states_max = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    plan.seed = arguments.next().map_or(1, |text| text.parse().unwrap());
    let only = arguments.next().filter(|word| word != "all");
    if arguments.next().is_some_and(|word| word == "honest") {
        plan.faults = HONEST.to_vec();
    }
    for script in script::all() {
        if only.as_ref().is_some_and(|only| *only != script.name) {
            continue;
        }
        let mut explorer = Explorer::new(plan.clone());
        explorer.script(&script);
        let tally = &explorer.tally;
        println!("{}: {} states {:?}", script.name, tally.states.len(), tally.struck);
        for (fault, worst) in &tally.worst {
            if *worst > 0 {
                let tried = tally.tried.get(fault).copied().unwrap_or(0);
                println!("    {fault}: {tried} states, at most {worst} lost");
            }
        }
        for (line, violation) in tally.failures.iter().take(4) {
            println!("  {line}: {violation}");
        }
    }
}
