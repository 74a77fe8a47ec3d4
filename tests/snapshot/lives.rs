//! Windows of many lives: whatever happened to clocks, boots and slots, a snapshot tells its window as
//! the recording did, by every command.
//!
//! Each life follows from one number: `FLIGHTREC_SEED=N` lives the one that a failure names.

use std::path::Path;
use std::sync::Arc;

use flightrec_format::event::stop_reason;
use flightrec_format::superblock::Geometry;
use flightrec_reader::outcome::Outcome;
use flightrec_tests::image::Image;
use flightrec_tests::kernel::Width;
use flightrec_tests::noise::Noise;
use flightrec_tests::recovered::flightrec;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{End, Run, blank_with, record};
use serde_json::Value;

use super::{Place, TODAY_NS, dump, json};

/// Many boots and runs on one recording: clocks that learn the time late, stops and cuts, restarts.
fn lived(noise: &mut Noise) -> Image {
    let geometry = Geometry::for_size(1 << 20).unwrap();
    let mut image = blank_with(geometry);
    let (mut boot, mut begin_ns, mut real_ns) = (0, 0, 0);
    for number in 1..=3 + noise.below(6) {
        let length = 20 + noise.below(900);
        let known = noise.below(3) > 0;
        if boot == 0 || noise.below(2) == 0 {
            boot += 1;
            begin_ns = (5 + noise.below(60)) * SECOND_NS;
            // Boots follow one another by an hour, or seem to lie in 1970.
            real_ns = if noise.below(4) == 0 { 3_000_000_000 } else { TODAY_NS };
            real_ns += i64::try_from(number * 3600 * SECOND_NS).unwrap();
        }
        let clock = SimClock::new(begin_ns, real_ns, known);
        if !known && noise.below(3) > 0 {
            let at_ns = begin_ns + noise.below(length) * SECOND_NS;
            clock.step_at(at_ns, 90_000_000_000, true);
        }
        let clock = Arc::new(clock);
        let disk = SimDisk::new(image.clone(), clock.clone());
        let stop = *noise.pick(&[stop_reason::SIGNAL, stop_reason::MACHINE_SHUTDOWN]);
        let end = *noise.pick(&[End::Cut, End::Cut, End::Stop(stop)]);
        let width = *noise.pick(&[Width::Loud, Width::Whole]);
        record(&disk, &clock, &Run { boot, end, width, ..Run::seconds(number, length) });
        image = disk.durable();
        let passed_ns = (length + 20 + noise.below(100)) * SECOND_NS;
        begin_ns += passed_ns;
        real_ns += i64::try_from(passed_ns).unwrap();
    }
    // Some damage: noise in a few slots, a flipped bit in others.
    for _ in 0..noise.below(2) * noise.below(12) {
        let slot = usize::try_from(1 + noise.below(250)).unwrap();
        let mut bytes = image.slot(slot).to_vec();
        if noise.below(2) == 0 {
            noise.fill(&mut bytes);
        } else {
            bytes[200] ^= 4;
        }
        image.put(slot, &bytes);
    }
    image
}

/// The windows that people ask for: of what is there, and of random hours.
fn windows(noise: &mut Noise, path: &Path) -> Vec<Vec<String>> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut windows = ["", "--last 3m", "--last 40m", "--boot all"].map(words).to_vec();
    windows[0].clear();
    let boots = json("boots", path);
    for boot in boots["boots"].as_array().unwrap() {
        windows.push(words(&format!("--boot {}", boot["boot"])));
        windows.push(words(&format!("--boot {} --last 2m", boot["boot"])));
        let Some(time) = boot["first"]["time"].as_str() else { continue };
        let length = boot["recorded_s"].to_string();
        let length: u64 = length.split('.').next().unwrap().parse().unwrap();
        let begin = ms_of(time) / 1000 + i64::try_from(noise.below(length + 60)).unwrap();
        let end = begin + i64::try_from(noise.below(600)).unwrap();
        windows.push(words(&format!("--since @{} --until @{end}", begin - 30)));
        windows.push(words(&format!("--at @{begin}")));
    }
    windows
}

/// RFC 3339 in UTC, as the reader prints it, to ms since 1970.
fn ms_of(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (year, month) = if month > 2 { (year, month) } else { (year - 1, month + 12) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month - 457) / 5 + day;
    let seconds = (days - 719_469) * 86_400 + number(11..13) * 3600 + number(14..16) * 60;
    (seconds + number(17..19)) * 1000 + number(20..23)
}

/// Seeds of the lives to live: the one that was asked for, or the first so many.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("FLIGHTREC_SEED") {
        Ok(seed) => vec![seed.parse().expect("FLIGHTREC_SEED is a number")],
        Err(_) => (1..=count).collect(),
    }
}

/// B5: gaps, dates, ends and losses of a window are told as by the whole recording.
#[test]
fn a_snapshot_of_any_window_tells_it_as_the_recording_did() {
    assert_eq!(ms_of("2026-11-22T07:38:53.003Z"), 1_795_333_133_003);
    let mut taken = 0;
    for seed in seeds(5) {
        let mut noise = Noise(seed);
        let place = Place::of(&lived(&mut noise));
        let sound = json("verify", &place.path);
        let boots = json("boots", &place.path);
        for (number, window) in windows(&mut noise, &place.path).into_iter().enumerate() {
            let told = format!("seed {seed}, {window:?}");
            let window: Vec<&str> = window.iter().map(String::as_str).collect();
            let expected = dump(&place.path, &window);
            let held = place.other(&format!("{number}.frec"));
            let outcome = place.snapshot(&held, &window);
            if expected.1.lines().all(|line| line.starts_with("{\"gap\"")) {
                assert!(outcome.is_none() && !held.exists(), "{told}: {outcome:?}");
                continue;
            }
            taken += 1;
            assert_eq!(outcome, expected.0, "{told}");
            same(&dump(&held, &window), &expected, &told);
            let dated = window.iter().any(|word| word.starts_with('@'));
            if !dated {
                same(&dump(&held, &[]), &expected, &format!("{told}, unasked"));
            }
            let verdict = json("verify", &held);
            let gone = |verdict: &Value| verdict["gone_samples"].as_u64().unwrap();
            assert!(gone(&verdict) <= gone(&sound), "{told}: {verdict}");
            for boot in json("boots", &held)["boots"].as_array().unwrap() {
                let own = boots["boots"].as_array().unwrap();
                let own = own.iter().find(|own| own["boot_id"] == boot["boot_id"]).unwrap();
                for field in ["boot", "end", "first", "last", "recorded_s", "age_bound_s"] {
                    assert_eq!(boot[field], own[field], "{told}: {field} of boot {}", boot["boot"]);
                }
            }
            // A snapshot of a snapshot vouches for no more than that did.
            if number % 5 == 0 {
                let again = place.other("again.frec");
                let paths = [held.to_str().unwrap(), "-o", again.to_str().unwrap(), "--force"];
                let (outcome, _) = flightrec(&[&["snapshot"], &paths[..], &["-b", "all"]].concat());
                assert!(outcome.is_ok(), "{told}: {outcome:?}");
                same(&dump(&again, &["-b", "all"]), &dump(&held, &["-b", "all"]), &told);
            }
        }
    }
    assert!(taken > 20, "{taken}");
}

/// The first line that differs is worth more than both texts.
fn same(one: &(Option<Outcome>, String), other: &(Option<Outcome>, String), told: &str) {
    let lines = one.1.lines().zip(other.1.lines());
    if let Some((a, b)) = lines.into_iter().find(|(a, b)| a != b) {
        let short = |line: &str| line.chars().take(300).collect::<String>();
        panic!("{told}:\n  {}\n  {}", short(a), short(b));
    }
    let last =
        |text: &str| text.lines().last().unwrap_or_default().chars().take(200).collect::<String>();
    let (one_count, count) = (one.1.lines().count(), other.1.lines().count());
    assert!(
        one_count == count,
        "{told}: {one_count} lines, {count}\n{}\n{}",
        last(&one.1),
        last(&other.1)
    );
    assert_eq!(one.0, other.0, "{told}: outcome");
}
