//! A recording of 64 MiB, written over three times in a hundred boots by the real recorder.
//!
//! `big_recording FILE` runs it on a disk and a clock in memory, and puts what is durable in the
//! end into FILE. Every fifth boot is shut down in order, the others lose power. The input of
//! `bench/dump.sh`; the same bytes each time.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use std::sync::Arc;

use flightrec_format::event::stop_reason;
use flightrec_format::frame::Header;
use flightrec_format::place::Area;
use flightrec_format::superblock::Geometry;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{End, Run, blank_recording, record};

const SIZE: u64 = 64 << 20;
const BOOTS: u8 = 100;
const LAPS: u64 = 3;
/// Samples per boot; chosen so that the history goes round a little more than [`LAPS`] times.
const SECONDS: u64 = 58_500;
const DAY_ONE_NS: i64 = 1_795_333_440_000_000_000;

fn main() {
    let path = std::env::args().nth(1).expect("big_recording FILE");
    let mut image = blank_recording(SIZE);
    let mut samples = 0;
    let mut realtime_ns = DAY_ONE_NS;
    for boot in 1..=BOOTS {
        let clock = Arc::new(SimClock::new(20 * SECOND_NS, realtime_ns, true));
        let disk = SimDisk::new(image, clock.clone());
        let orderly = boot % 5 == 0;
        let end = if orderly { End::Stop(stop_reason::MACHINE_SHUTDOWN) } else { End::Cut };
        let commit_ns = if boot > 80 { 10 } else { 60 } * SECOND_NS;
        let run = Run { boot, end, commit_ns, ..Run::seconds(u64::from(boot), SECONDS) };
        samples += record(&disk, &clock, &run).acks.len();
        image = disk.durable();
        realtime_ns += i64::try_from((SECONDS + 60) * SECOND_NS).unwrap();
    }
    let bytes = image.bytes();
    let geometry = Geometry::for_size(SIZE).unwrap();
    let headers = bytes.chunks(4096).filter_map(|slot| Header::read(slot).ok());
    let newest = headers.filter(|header| header.area == Area::History).map(|header| header.seq);
    let laps = newest.max().unwrap() / u64::from(geometry.history_slots);
    std::fs::write(&path, &bytes).unwrap();
    println!("{path}: {BOOTS} boots, {samples} samples, {laps} laps of the history");
    assert!(laps >= LAPS, "the history went round {laps} times only: longer boots are needed");
}
