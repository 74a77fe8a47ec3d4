//! Long lives at random: weeks of ticks, hundreds of cuts, restarts without end, copies taken while
//! recording, clocks of all kinds, boots that cannot be told apart.
//!
//! Each life follows from one number: `FLIGHTREC_SEED=N` lives the one that a failure names.

#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "tests know their numbers"
)]

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use flightrec_format::event::stop_reason;
use flightrec_format::superblock::Geometry;
use flightrec_tests::cut::HONEST;
use flightrec_tests::judge::{Violation, judge};
use flightrec_tests::kernel::Width;
use flightrec_tests::ledger::Ledger;
use flightrec_tests::noise::Noise;
use flightrec_tests::observed::Observed;
use flightrec_tests::physics::{Fault, Flash};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::{Mood, SimDisk};
use flightrec_tests::trace::Op;
use flightrec_tests::world::{End, Run, blank_with, record};

/// Seeds of the lives to live: the one that was asked for, or the first so many.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("FLIGHTREC_SEED") {
        Ok(seed) => vec![seed.parse().expect("FLIGHTREC_SEED is a number")],
        Err(_) => (1..=count).collect(),
    }
}

/// Factor by which lives are longer than usual, for the slow half of CI.
fn patience() -> u64 {
    std::env::var("FLIGHTREC_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A clock as boards have them: right, at 1970, in 2033, fast asleep, stepping back or forth.
fn clock(noise: &mut Noise, length_ns: u64) -> Arc<SimClock> {
    let begin_ns = (5 + noise.below(60)) * SECOND_NS;
    let today_ns = 1_795_333_133_000_000_000;
    let realtime_ns = *noise.pick(&[today_ns, 3_000_000_000, 2_000_000_000_000_000_000]);
    let clock = SimClock::new(begin_ns, realtime_ns, noise.below(2) == 0);
    let hours = *noise.pick(&[-1_i64, 2, 24]) * 3_600_000_000_000;
    match noise.below(3) {
        0 => clock.step_at(begin_ns + noise.below(length_ns), hours, true),
        1 => clock.suspend_at(begin_ns + noise.below(length_ns), 600 * SECOND_NS),
        _ => {}
    }
    Arc::new(clock)
}

/// One life: run after run on one recording, each ended by a cut or a stop, each wreck an honest
/// one; after each run everything that is owed must be there.
fn live(seed: u64, runs: u64) {
    let mut noise = Noise(seed);
    let size = *noise.pick(&[1 << 20, 2 << 20, 8 << 20]);
    let geometry = Geometry::for_size(size).unwrap();
    let flash = Flash::straight(usize::try_from(size / 4096).unwrap());
    let (mut image, mut ledger) = (blank_with(geometry), Ledger::new(geometry));
    // Boots that cannot be told apart: boot_id unreadable, or the same in each.
    let same_boot = noise.below(4) == 0;
    for number in 1..=runs {
        let mut run =
            Run::seconds(number, 70 + noise.below(if number % 7 == 0 { 9000 } else { 600 }));
        run.boot = if same_boot { 0 } else { u8::try_from(number % 250).unwrap() + 1 };
        run.width = *noise.pick(&[Width::Narrow, Width::Loud, Width::Whole]);
        run.compare_readings = run.width != Width::Whole;
        run.commit_ns = (1 + noise.below(10)) * SECOND_NS;
        run.precision = if run.compare_readings { *noise.pick(&[0, 0, 5]) } else { 0 };
        run.end = *noise.pick(&[End::Cut, End::Cut, End::Stop(stop_reason::SIGNAL)]);
        let clock = clock(&mut noise, run.length_ns);
        let disk = SimDisk::new(image.clone(), clock.clone()).with_whole_trace();
        if noise.below(3) == 0 {
            let mood = *noise.pick(&[
                Mood::Slow(9 * SECOND_NS),
                Mood::Slow(60 * SECOND_NS),
                Mood::SyncFails(5),
                Mood::WriteFails(28),
            ]);
            let from_ns = (60 + noise.below(60)) * SECOND_NS;
            disk.be(from_ns..from_ns + 40 * SECOND_NS, mood);
        }
        let tale = Arc::new(record(&disk, &clock, &run));
        let told = format!("seed {seed}, run {number}, {run:?}");
        assert!(tale.ended.is_some(), "{told}: did not start");
        // Power goes at one of the last writes.
        let trace = disk.trace();
        let mut last = VecDeque::new();
        for moment in trace.moments(tale.ended_ns) {
            last.push_back(moment);
            last.drain(..last.len().saturating_sub(12));
        }
        let moment = noise.pick(last.make_contiguous());
        let fault = if run.end == End::Cut { *noise.pick(HONEST) } else { Fault::Dropped };
        let variants = fault.variants(moment);
        let (fault, variant) =
            if variants == 0 { (Fault::Dropped, 0) } else { (fault, noise.below(variants)) };
        let wreck = fault.wreck(moment, &flash, variant);
        let there = ledger.at(&tale, &trace, moment.ops);
        let (report, observed) = judge(&there, moment, fault, &wreck);
        let violations = report.violations.iter().filter(|what| {
            // Boots that cannot be told apart are one; its runs may come in any order.
            !(same_boot && matches!(what, Violation::Misordered(_)))
        });
        let violations: Vec<_> = violations.collect();
        if !violations.is_empty() {
            // Whoever asks for one life wants to see how it ended.
            for op in trace.ops.iter().filter(|_| std::env::var_os("FLIGHTREC_SEED").is_some()) {
                eprintln!("{op}");
            }
        }
        assert!(violations.is_empty(), "{told}, {fault} {variant}: {violations:?}");
        ledger = there.after(&wreck.image, &observed.unwrap(), !report.lost.is_empty());
        image = wreck.image;
    }
}

#[test]
fn lives_at_random_keep_what_was_acknowledged_through_every_cut() {
    for seed in seeds(12) {
        live(seed, 12 * patience());
    }
}

/// P4, W5: two weeks, many laps; the newest days are there without a hole.
#[test]
fn after_weeks_of_ticks_the_newest_days_are_there_without_a_hole() {
    let geometry = Geometry::for_size(8 << 20).unwrap();
    let clock = Arc::new(SimClock::new(30 * SECOND_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_with(geometry), clock.clone());
    let days = 14 * patience();
    let run =
        Run { width: Width::Loud, commit_ns: 60 * SECOND_NS, ..Run::seconds(1, days * 86_400) };
    let tale = record(&disk, &clock, &run);
    assert!(tale.acks.len() as u64 > days * 86_000);
    let newest = tale.acks.last().unwrap().tick;
    let observed = Observed::of(&disk.durable(), 0..0).unwrap();
    let kept: Vec<u64> = observed.keys().map(|(_, tick)| tick).collect();
    let kept = kept.into_iter().rev();
    let unbroken = kept.zip((0..=newest).rev()).take_while(|(kept, tick)| kept == tick).count();
    assert!(unbroken > 100_000, "{unbroken} samples, then a hole");
    assert_eq!(observed.gone, 0);
}

/// Section 2: a copy made from front to back while the recorder runs misses no sample.
#[test]
fn a_copy_made_while_recording_holds_all_that_was_durable_when_it_began() {
    for seed in seeds(40) {
        let mut noise = Noise(seed);
        let geometry = Geometry::for_size(1 << 20).unwrap();
        let clock = Arc::new(SimClock::new(30 * SECOND_NS, 1_795_333_133_000_000_000, true));
        let disk = SimDisk::new(blank_with(geometry), clock.clone()).with_whole_trace();
        let run = Run {
            width: Width::Loud,
            compare_readings: true,
            commit_ns: (1 + noise.below(5)) * SECOND_NS,
            ..Run::seconds(1, 1000)
        };
        let tale = Arc::new(record(&disk, &clock, &run));
        let trace = disk.trace();
        let ops = trace.ops.len() as u64;
        let begin = noise.below(ops);
        let end = begin + noise.below(ops - begin);
        let (mut copy, mut seen, mut done) = (blank_with(geometry), trace.base.clone(), 0);
        for (number, op) in (0..=end).zip(&trace.ops) {
            // How far the copy is when this op begins.
            let slots = copy.len() as u64;
            let far = number.saturating_sub(begin) * slots / (end - begin).max(1);
            while number >= begin && done < far.min(slots) as usize {
                copy.put(done, seen.slot(done));
                done += 1;
            }
            if let Op::Write(write) = op {
                seen.lay(&write.patch);
            }
        }
        for slot in done..copy.len() {
            copy.put(slot, seen.slot(slot));
        }
        let mut ledger = Ledger::new(geometry).at(&tale, &trace, begin as usize);
        ledger.history_end = Ledger::new(geometry).at(&tale, &trace, end as usize).history_end;
        let observed = Observed::of(&copy, 0..0).unwrap();
        let found: BTreeSet<_> = observed.keys().collect();
        let missing: Vec<_> = ledger
            .due
            .iter()
            .filter(|(key, position)| !found.contains(key) && !ledger.is_lapped(**position))
            .collect();
        assert!(missing.is_empty(), "seed {seed}, copied from op {begin} to {end}: {missing:?}");
    }
}
