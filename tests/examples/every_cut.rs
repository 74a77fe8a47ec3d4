//! Looks at cuts of small worlds until so many distinct states were seen.
//!
//! `every_cut [STATES] [SEED] [SCRIPT]` prints what was struck, what each fault cost at most, and
//! for each thing that did not hold the line that replays it.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use flightrec_tests::explore::{Explorer, FAULTS, Plan};
use flightrec_tests::script;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let states = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    let seed = arguments.next().map_or(1, |text| text.parse().unwrap());
    let only = arguments.next();
    for script in script::all() {
        if only.as_ref().is_some_and(|only| *only != script.name) {
            continue;
        }
        let plan = Plan {
            faults: FAULTS.to_vec(),
            variants_max: 40,
            restart_each: 40,
            depth: 2,
            later_variants: 2,
            seed,
            states_max: states,
        };
        let mut explorer = Explorer::new(plan);
        let begun = std::time::SystemTime::UNIX_EPOCH;
        explorer.script(&script);
        let _ = begun;
        let tally = &explorer.tally;
        println!("{}: {} states {:?}", script.name, tally.states.len(), tally.struck);
        for (fault, worst) in &tally.worst {
            if *worst > 0 {
                println!("    {fault}: {} states, at most {worst} lost", tally.tried[fault]);
            }
        }
        for (line, violation) in tally.failures.iter().take(4) {
            println!("  {line}: {violation}");
        }
    }
}
