//! Counters that wrap at 2^32, as those of 32-bit kernels do: read as they stand, and shown without a
//! rate where they fall.

use std::path::PathBuf;
use std::sync::Arc;

use flightrec_recorder::clock::Clock;
use flightrec_recorder::disk::Disk;
use flightrec_recorder::sample::Sample;
use flightrec_recorder::sources::{self, Roots, Source};
use flightrec_tests::kernel::Width;
use flightrec_tests::programs::{flightrec, say};
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::blank_recording;

use super::assert_agreed;
use super::tree::Tree;
use crate::threads::{BEGIN_NS, record_sources};

const WRAP: u64 = 1 << 32;

/// A 32-bit kernel whose counters of disk, network and memory all stand at `count`.
fn at(count: u64) -> Tree {
    let disk = vec![count.to_string(); 17].join(" ");
    let traffic = vec![count.to_string(); 16].join(" ");
    Tree::captured("debian12-armhf")
        .with("sys/block/vda/stat", &format!("{disk}\n"))
        .with_lines("proc/diskstats", |line| match line.split_once(" vda ") {
            Some((number, _)) => format!("{number} vda {disk}"),
            None => line.to_owned(),
        })
        .with_lines("proc/net/dev", |line| match line.split_once("eth0:") {
            Some(_) => format!("  eth0: {traffic}"),
            None => line.to_owned(),
        })
        .with_lines("proc/vmstat", |line| match line.split_once(' ') {
            Some((key, _)) if key.starts_with("pg") || key.starts_with("psw") => {
                format!("{key} {count}")
            }
            _ => line.to_owned(),
        })
}

#[test]
fn procfs_agrees_on_both_sides_of_the_wrap() {
    for (count, faults) in [
        (WRAP - 1, 4_294_967_295),
        (0, 0),
        (1, 1),
        // What a 64-bit kernel goes on with.
        (WRAP, 4_294_967_296),
        (WRAP + 1, 4_294_967_297),
    ] {
        let values = assert_agreed(&at(count)).values;
        assert_eq!(values[&(String::new(), 100)], faults);
        assert_eq!(values[&("eth0".to_owned(), 160)], faults / 1024);
        assert_eq!(values[&("vda".to_owned(), 141)], faults / 8);
    }
}

/// Shows the machine as it is at a tick, before the others look.
struct Growing {
    root: PathBuf,
    step: u64,
}

/// When the counters of [`Growing`] wrap, and how many samples are taken.
const WRAP_TICK: u64 = BEGIN_NS / SECOND_NS + 20;
const SAMPLES: u64 = 35;

impl Source for Growing {
    fn name(&self) -> &'static str {
        "narrator"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let count = WRAP + self.step * sample.tick - self.step * WRAP_TICK;
        at(count % WRAP).unpack_into(&self.root);
        Ok(())
    }
}

/// Series, its growth a second when each counter grows by `step`.
fn rates_of(step: u64) -> [(&'static str, u64); 5] {
    [
        ("disk.vda.reads", step),
        ("disk.vda.read_bytes", step * 512),
        ("disk.vda.write_ms", step),
        ("net.eth0.rx_bytes", step),
        ("vm.page_faults", step),
    ]
}

/// What happened in the second of the wrap could be told only by guessing that it was one, and not a
/// device that came anew. So it has no rate, and every other second has its own.
#[test]
fn a_counter_that_wraps_has_no_rate_for_one_sample_and_no_spike() {
    let step = 8192;
    let folder = at(0).unpack();
    let layout = Width::Whole.layout();
    let [proc, sys] = ["proc", "sys"].map(|name| folder.path().join(name));
    let roots = Roots { proc: &proc, sys: &sys };
    let (mut sources, _) = sources::all(&layout, roots, SECOND_NS);
    sources.insert(0, Box::new(Growing { root: folder.path().to_owned(), step }));
    let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
    let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
    let (here, of_disk): (Arc<dyn Clock>, _) = (clock, disk.clock());
    let sim: Box<dyn Disk> = Box::new(disk.clone());
    let ended = record_sources(sources, &here, (sim, Some(of_disk)), SAMPLES);
    assert_eq!(ended.samples, SAMPLES);

    let path = folder.path().join("recording.frec");
    std::fs::write(&path, disk.durable().bytes()).unwrap();
    let path = path.to_str().unwrap();
    let said = say(flightrec(), ["dump", path, "--rates", "--format", "jsonl"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines =
        said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let samples: Vec<_> = lines.filter(|line| line["values"].is_object()).collect();
    assert_eq!(samples.len(), usize::try_from(SAMPLES).unwrap());
    let ticks: Vec<u64> = samples.iter().map(|sample| sample["tick"].as_u64().unwrap()).collect();
    assert!(ticks[0] < WRAP_TICK - 2 && ticks.contains(&WRAP_TICK));
    // The first sample has none before it to be compared with.
    let is_known = |tick: &u64| *tick != ticks[0] && *tick != WRAP_TICK;
    for (name, rate) in rates_of(step) {
        let told = samples.iter().map(|sample| &sample["values"][&format!("{name}_per_s")]);
        let told: Vec<Option<u64>> = told.map(serde_json::Value::as_u64).collect();
        let expected = ticks.iter().map(|tick| is_known(tick).then_some(rate));
        assert_eq!(told, expected.collect::<Vec<_>>(), "{name}");
    }

    // In the rows, what is summed over several disks is not known either: `-`, not 0.
    let said = say(flightrec(), ["dump", path, "--every", "1s"]);
    let words = said.out.lines().map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let rows = words.filter(|row| row.len() == 12 && row[0].starts_with("07:"));
    let disks: Vec<[&str; 2]> = rows.map(|row| [row[7], row[8]]).collect();
    let expected = ticks.iter().map(|tick| if is_known(tick) { ["4.0M"; 2] } else { ["-"; 2] });
    assert_eq!(disks, expected.collect::<Vec<_>>(), "{}", said.out);
}
