//! The table fault - worst loss: what is promised, as numbers that stand here before anything is
//! run, and what the simulator has seen. `UPDATE=1 cargo test -p flightrec-tests guarantees` writes
//! `docs/guarantees.md` anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use flightrec_format::superblock::Geometry;
use flightrec_tests::cut::{HONEST, TREACHEROUS};
use flightrec_tests::explore::{Explorer, Plan, Tally};
use flightrec_tests::judge::judge;
use flightrec_tests::kernel::Width;
use flightrec_tests::ledger::Ledger;
use flightrec_tests::physics::{Fault, Flash};
use flightrec_tests::script::{self, Script};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::trace::Op;
use flightrec_tests::world::{Run, blank_with, record};

/// What a fault may cost of what was acknowledged.
enum Promise {
    /// So many commits of the run under way, and nothing else.
    Commits(usize),
    /// What stood there and nowhere else.
    WhatStoodThere(&'static str),
}

fn promise(fault: Fault) -> Promise {
    match fault {
        Fault::Dropped
        | Fault::Sectors
        | Fault::Torn(_)
        | Fault::Reordered
        | Fault::Page(4 | 16) => Promise::Commits(0),
        Fault::Late | Fault::RolledBack => Promise::Commits(1),
        Fault::LastWrites(k) | Fault::Stuck(k) => Promise::Commits(k),
        Fault::Unreadable(_) => Promise::WhatStoodThere(
            "the newest commit, if its frame lies there; else old history, a frame for each hit",
        ),
        Fault::Page(_) | Fault::EraseUnit(_) => Promise::WhatStoodThere(
            "in the tail what was not yet sealed, at most K commits (54 minutes in 64 MiB); in the \
             history what 4 MiB hold, 8 hours of old samples at 137 bytes each",
        ),
    }
}

/// In words, one line of physics each.
fn physics(fault: Fault) -> String {
    match fault {
        Fault::Dropped => "nothing of what was not yet acknowledged arrives".into(),
        Fault::Sectors => "each sector of it is old, new or noise".into(),
        Fault::Torn(unit) => format!(
            "it arrives in units of {unit} bytes, first to last or last to first, up to one that is \
             old or noise"
        ),
        Fault::Reordered => "its writes arrive whole or not at all, in any order".into(),
        Fault::Page(slots) => {
            format!("the flash page of {} KiB around a write in flight is noise", slots * 4)
        }
        Fault::Late => "what was acknowledged in the last 700 ms may be missing".into(),
        Fault::RolledBack => {
            "of the last three writes the middle one is old: new + old + new".into()
        }
        Fault::LastWrites(1) => "the last acknowledged write is noise".into(),
        Fault::LastWrites(k) => {
            format!("the last {k} acknowledged writes are noise, wherever they lie")
        }
        Fault::EraseUnit(slots) => format!(
            "the erase unit around a write in flight is noise ({} KiB here, for a small recording)",
            slots * 4
        ),
        Fault::Stuck(1) => "the last acknowledged write never arrived".into(),
        Fault::Stuck(k) => format!("the last {k} acknowledged writes never arrived"),
        Fault::Unreadable(slots) => format!("{} KiB in a row cannot be read", slots * 4),
    }
}

fn commits_in_words(count: usize) -> String {
    if count == 1 { "1 commit".into() } else { format!("{count} commits") }
}

fn explore(scripts: &[Script]) -> Tally {
    let mut explorer = Explorer::new(Plan {
        faults: HONEST.iter().chain(TREACHEROUS).copied().collect(),
        variants_max: 6,
        restart_each: 30,
        depth: 1,
        later_variants: 1,
        seed: 7,
        states_max: 0,
    });
    for script in scripts {
        explorer.plan.states_max = explorer.tally.states.len() + 500;
        explorer.script(script);
    }
    assert_eq!(explorer.tally.failures, []);
    explorer.tally
}

fn rows(tally: &Tally) -> String {
    let mut text = String::new();
    let tried: BTreeMap<_, _> = tally.tried.iter().collect();
    for fault in HONEST.iter().chain(TREACHEROUS) {
        let states = tried.get(fault).copied().copied().unwrap_or(0);
        let (samples, commits) = tally.worst.get(fault).copied().unwrap_or_default();
        let promised = match promise(*fault) {
            Promise::Commits(most) => {
                assert!(commits <= most, "{fault}: {commits} commits, promised were {most}");
                assert!(most > 0 || samples == 0, "{fault}: {samples} samples");
                if most == 0 { "**0**".into() } else { commits_in_words(most) }
            }
            Promise::WhatStoodThere(what) => what.to_owned(),
        };
        let seen = if samples == 0 { "0".into() } else { commits_in_words(commits) };
        writeln!(text, "| {} | {promised} | {seen} | {states} |", physics(*fault)).unwrap();
    }
    text
}

/// Samples each second, commits each 10 s, 64 MiB: what the tail may lose at once, and did.
fn erase_unit_of_a_standard_recording() -> (usize, usize) {
    let geometry = Geometry::for_size(64 << 20).unwrap();
    let clock = Arc::new(SimClock::new(30 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_with(geometry), clock.clone()).with_whole_trace();
    let commits = geometry.commits_per_seal_max();
    // The seal comes with the commit after these.
    let run = Run { width: Width::Narrow, ..Run::seconds(1, u64::from(commits) * 10) };
    let tale = Arc::new(record(&disk, &clock, &run));
    let trace = disk.trace();
    let flash = Flash::straight(16_384);
    let (fault, mut seen) = (Fault::EraseUnit(1024), 0);
    let writes = trace.ops.iter().enumerate().filter(|(_, op)| matches!(op, Op::Write(_)));
    let in_time = writes.filter(|(_, op)| op.begun_ns() <= tale.ended_ns);
    let ops = in_time.map(|(at, _)| at + 1).max();
    let moment = trace.moments(tale.ended_ns).find(|moment| Some(moment.ops) == ops);
    let moment = moment.unwrap();
    let ledger = Ledger::new(geometry).at(&tale, &trace, moment.ops);
    for variant in (0..fault.variants(&moment)).take(64) {
        let wreck = fault.wreck(&moment, &flash, variant);
        let (report, _) = judge(&ledger, &moment, fault, &wreck);
        assert_eq!(report.violations, []);
        seen = seen.max(report.lost.len());
    }
    (usize::try_from(commits).unwrap() * 10, seen)
}

const HEAD: &str = "\
# Guarantees

What a power cut, or a bad card, may cost of what was acknowledged. The promises are numbers in
`tests/guarantees.rs`, set before anything is run. Beside them stands what the crash simulator has seen: the real
recorder on a disk in memory, cut at each write, each outcome that the physics of a line allow, read back by the real
reader and compared with what went in; then the recorder started on what is left, and cut again. A test writes this page
(`UPDATE=1 cargo test -p flightrec-tests guarantees`) and fails where it does not hold. It looks at few states of each
kind; `cargo test` looks at tens of thousands, and what a million of them showed stands in [simulator.md](simulator.md).

Acknowledged is a sample when the sync of a frame that holds it has returned. How old the newest such sample is at most
when power goes is the *age bound*: the longer of the commit interval and the last write, plus the write in flight, plus
a tick. It is held against an outside clock at every acknowledgement of every run here.

One place is left out of all numbers: the 32 oldest slots of the history, which are about to be written over. Runs shorter
than a minute are kept only within an eighth of the history (W10).

## Power cuts and cards

The disk does what it is told until power goes.
";

const MOODS: &str = "
## Disks that stall, fail, fill up or go

The same cuts while the disk is in trouble. What it acknowledged before, meanwhile and after is there; what was taken and
never acknowledged is told as *not durable*.
";

#[test]
fn the_table_of_guarantees_holds_and_says_what_the_simulator_sees() {
    let calm = explore(&script::calm());
    let mut text = HEAD.to_owned();
    text.push_str("\n| what the medium does | may be gone | most seen | states |\n");
    text.push_str("|----------------------|-------------|-----------|-------:|\n");
    text.push_str(&rows(&calm));
    let (most, seen) = erase_unit_of_a_standard_recording();
    assert!(seen <= most, "{seen} samples, promised were {most}");
    writeln!(
        text,
        "| the erase unit of 4 MiB around a tail write of a 64 MiB recording is noise, at the worst \
         moment: just before a seal | {most} samples | {seen} samples | 64 |"
    )
    .unwrap();
    text.push_str(MOODS);
    text.push_str("\n| script | acknowledged samples gone, honest medium | states |\n");
    text.push_str("|--------|-----------------------------------------:|-------:|\n");
    for script in script::moody() {
        let tally = explore(std::slice::from_ref(&script));
        let honest = HONEST.iter().filter_map(|fault| tally.worst.get(fault));
        let gone: usize = honest.map(|(samples, _)| samples).sum();
        assert_eq!(gone, 0, "{}", script.name);
        writeln!(text, "| {} | {gone} | {} |", script.name, tally.states.len()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guarantees.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let told = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(told == text, "docs/guarantees.md is out of date: UPDATE=1 writes it anew");
}
