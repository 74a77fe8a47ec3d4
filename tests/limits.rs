//! The recorder's limits on itself, each driven until it is reached: what waits then, what is said of
//! it, and that no sample is missing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use flightrec_recorder::budget::Allowance;
use flightrec_recorder::limits::Limits;
use flightrec_tests::apart::Running;
use flightrec_tests::appetite::Appetite;
use flightrec_tests::image::Image;
use flightrec_tests::programs::{flightrec, flightrecd, say, wait_until};
use flightrec_tests::recovered::Recovered;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::{Mood, SimDisk};
use flightrec_tests::world::{Run, Tale, blank_recording, record};
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const BEGIN_NS: u64 = 60 * SECOND_NS;

/// A machine that was switched on a minute ago.
struct Machine {
    clock: Arc<SimClock>,
    disk: SimDisk,
}

impl Machine {
    fn new() -> Self {
        Self::with(blank_recording(4 * MIB))
    }

    fn with(image: Image) -> Self {
        let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
        let disk = SimDisk::new(image, clock.clone());
        Self { clock, disk }
    }

    fn record(&self, run: &Run) -> Tale {
        let tale = record(&self.disk, &self.clock, run);
        assert!(
            tale.made.windows(2).all(|pair| pair[1].tick == pair[0].tick + 1),
            "a tick is missing"
        );
        tale
    }

    fn recovered(&self) -> Recovered {
        let recovered = Recovered::of(&self.disk.durable());
        recovered.assert_true();
        recovered
    }

    fn status(&self) -> (Value, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording.frec");
        std::fs::write(&path, self.disk.durable().bytes()).unwrap();
        status(&path)
    }
}

/// What `status` says: for machines; and for people, without the places at which lines end.
fn status(path: &Path) -> (Value, String) {
    let path = path.to_str().unwrap();
    let said = say(flightrec(), ["status", "--json", path]);
    let json = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let text = say(flightrec(), ["status", path]).out;
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    (json, text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Events about this limit: when, in seconds of the run, and whether it was reached.
fn changes(recovered: &Recovered, limit: &str) -> Vec<(u64, bool)> {
    let events = recovered.events_of("limit").into_iter();
    let own = events.filter(|event| event["text"].as_str().unwrap().starts_with(limit));
    own.map(|event| {
        let second = event["tick"].as_u64().unwrap() - BEGIN_NS / SECOND_NS;
        (second, event["args"]["reached"] == 1)
    })
    .collect()
}

fn reading(line: &Value, series: &str) -> u64 {
    line["values"][series].as_u64().unwrap_or_else(|| panic!("no {series} in {line}"))
}

/// Design 4: a machine that is dying for hours uses its budget up; then commits come each 2, 4, 8 s, no
/// slower than calm. What is left is known to the next run, and to the reader.
#[test]
fn a_dying_machine_uses_up_its_budget_and_the_level_outlives_restarts() {
    let machine = Machine::new();
    let writes = Allowance { capacity_bytes: 1_000_000, daily_bytes: 0, reserve_percent: 33 };
    let limits = Limits { writes, ..Limits::default() };
    let dying = Run { limits, dying_from_ns: Some(BEGIN_NS), ..Run::seconds(1, 1500) };
    let tale = machine.record(&dying);
    let mut last_ns = BEGIN_NS;
    let gaps: Vec<(u64, u64)> = tale
        .acks
        .iter()
        .filter_map(|ack| {
            let gap_s = (ack.at_ns - last_ns + SECOND_NS / 2) / SECOND_NS;
            let begun_s = (std::mem::replace(&mut last_ns, ack.at_ns) - BEGIN_NS) / SECOND_NS;
            (gap_s > 0).then_some((begun_s, gap_s))
        })
        .collect();
    // A commit each second costs 3.7 kB beyond calm: 1 MB lasts some 270 s.
    let at = |second: u64| gaps.iter().rev().find(|(begun, _)| *begun <= second).unwrap().1;
    assert_eq!(at(200), 1, "{gaps:?}");
    assert!([2, 4, 8].iter().all(|gap| gaps.iter().any(|(_, own)| own == gap)), "{gaps:?}");
    assert_eq!(at(1400), 8, "{gaps:?}");
    assert!(gaps.iter().all(|(_, gap)| *gap <= 10), "{gaps:?}");

    let recovered = machine.recovered();
    let told = changes(&recovered, "write_budget: ");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((200..400).contains(&told[0].0) && told[0].1, "{told:?}");
    let cadence = recovered.events_of("cadence");
    assert!(cadence.iter().any(|event| event["args"]["commit_ms"] == 8000), "{cadence:?}");
    let left = reading(recovered.lines.last().unwrap(), "recorder.budget_bytes");
    assert!(left < 20_000, "{left}");

    // Power goes and comes back: the bucket is as empty as before.
    let machine = Machine::with(machine.disk.durable());
    machine.record(&Run { limits, boot: 2, ..Run::seconds(2, 120) });
    let recovered = machine.recovered();
    let line = recovered.lines.last().unwrap();
    assert!(reading(line, "recorder.budget_bytes") <= left, "{line}");
    let (json, text) = machine.status();
    assert_eq!(json["limits"]["write_budget_bytes"], 1_000_000);
    assert!(json["budget_percent"].as_u64().unwrap() <= 2, "{json}");
    assert!(text.contains("0 of 1 MB left (33 % for dying)"), "{text}");
}

/// A crowd whose looks would take 6 % of a core: they are put off until the whole stays within 2 %,
/// while every sample is taken; and once the crowd is gone nothing waits.
#[test]
fn looks_wait_when_the_share_of_the_processor_is_used_up() {
    let machine = Machine::new();
    let appetite = Appetite {
        from_ns: BEGIN_NS + 100 * SECOND_NS,
        to_ns: BEGIN_NS + 2100 * SECOND_NS,
        sample_ms: 5,
        look_ms: 60,
        memory_bytes: 4 << 20,
    };
    let run = Run { appetite: Some(appetite), ..Run::seconds(1, 2400) };
    let tale = machine.record(&run);
    let recovered = machine.recovered();
    let told = changes(&recovered, "cpu_max: ");
    let [(begun, true), (ended, false)] = told[..] else { panic!("{told:?}") };
    assert!((100..160).contains(&begun) && (2150..2250).contains(&ended), "{told:?}");
    let at = |second: u64, series: &str| {
        let tick = BEGIN_NS / SECOND_NS + second;
        let line = recovered.lines.iter().find(|line| line["tick"] == tick).unwrap();
        reading(line, series)
    };
    let used_ms = at(2000, "recorder.cpu_ms") - at(500, "recorder.cpu_ms");
    assert!((27_000..=30_100).contains(&used_ms), "2 % of 1500 s are 30 s: {used_ms}");
    let put_off = at(2000, "recorder.looks_put_off") - at(500, "recorder.looks_put_off");
    assert!((1000..1300).contains(&put_off), "three of four: {put_off}");
    assert_eq!((at(1000, "recorder.limits"), at(2390, "recorder.limits")), (2, 0));
    assert_eq!(at(2390, "recorder.looks_put_off"), at(2200, "recorder.looks_put_off"));
    assert_eq!(tale.said.len(), 2, "{:?}", tale.said);
    assert!(tale.said[0].starts_with("a limit is reached ("), "{:?}", tale.said);
}

/// However bad it gets, one look of sixteen is taken: what is not read for 30 s would be left out.
#[test]
fn where_samples_alone_take_more_than_the_share_they_are_taken_all_the_same() {
    let machine = Machine::new();
    let appetite = Appetite {
        to_ns: u64::MAX,
        sample_ms: 100,
        look_ms: 1,
        memory_bytes: 4 << 20,
        ..Appetite::default()
    };
    let run = Run { appetite: Some(appetite), ..Run::seconds(1, 1000) };
    let tale = machine.record(&run);
    assert!(tale.made.len() >= 999, "{}", tale.made.len());
    let recovered = machine.recovered();
    let looks = |line: &Value| {
        let samples = reading(line, "recorder.samples");
        samples - reading(line, "recorder.looks_put_off")
    };
    let middle = recovered.lines.iter().find(|line| reading(line, "recorder.samples") == 200);
    let taken = looks(recovered.lines.last().unwrap()) - looks(middle.unwrap());
    assert!((47..=51).contains(&taken), "one of sixteen of 800: {taken}");
}

#[test]
fn memory_beyond_its_limit_lets_logs_go_and_is_told_once() {
    let machine = Machine::new();
    let appetite = Appetite {
        from_ns: BEGIN_NS + 100 * SECOND_NS,
        to_ns: BEGIN_NS + 200 * SECOND_NS,
        sample_ms: 5,
        look_ms: 0,
        memory_bytes: 9 << 20,
    };
    let limits = Limits { memory_max_bytes: 8 << 20, ..Limits::default() };
    let run = Run { limits, appetite: Some(appetite), ..Run::seconds(1, 150) };
    machine.record(&run);
    let (json, text) = machine.status();
    assert_eq!(json["limits"]["reached"], serde_json::json!(["memory_max"]), "{json}");
    assert!(text.contains("9 of 8 MiB resident"), "{text}");
    assert!(text.contains("reached: text logs and the journal"), "{text}");
    let told = changes(&machine.recovered(), "memory_max: ");
    let [(begun, true)] = told[..] else { panic!("{told:?}") };
    assert!((109..=112).contains(&begun), "after ten samples: {told:?}");
}

/// A card that fails again and again: each time a line, until there have been enough of them.
#[test]
fn its_own_lines_to_the_log_are_rationed_and_what_is_not_said_is_counted() {
    let machine = Machine::new();
    for round in 0..60 {
        let from_ns = BEGIN_NS + (100 + 60 * round) * SECOND_NS;
        machine.disk.be(from_ns..from_ns + 30 * SECOND_NS, Mood::SyncFails(5));
    }
    let limits = Limits { log_lines_max: 10, ..Limits::default() };
    let appetite = Some(Appetite::default());
    let run = Run { limits, appetite, ..Run::seconds(1, 3700) };
    let tale = machine.record(&run);
    let last = "this hour's lines are used up (log_lines_max): `flightrec events` tells the rest";
    assert_eq!(tale.said.iter().filter(|line| *line == last).count(), 1, "{:?}", tale.said);
    assert_eq!(tale.said.iter().position(|line| line == last), Some(9), "{:?}", tale.said);
    assert!(
        tale.said[0].starts_with("a commit failed; it is tried again (5 errno)"),
        "{:?}",
        tale.said
    );
    let recovered = machine.recovered();
    let errors = u64::try_from(recovered.events_of("commit_error").len()).unwrap();
    let line = recovered.lines.last().unwrap();
    let unsaid = reading(line, "recorder.log_lines_unsaid");
    assert!(errors > 40 && unsaid > errors, "{errors} {unsaid}");
    // The next hour has begun in the last minute.
    let told = changes(&recovered, "log_lines_max: ");
    assert!(matches!(told[..], [(_, true), (3600.., false)]), "{told:?}");
    let (json, text) = machine.status();
    assert_eq!(json["limits"]["log_lines_unsaid"], unsaid);
    assert!(text.contains(" not said"), "{text}");
}

/// The real recorder with fewer threads, less memory and less time than it takes, and no line too many.
#[test]
fn a_real_recorder_keeps_to_its_threads_and_status_shows_what_is_reached() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("recording.frec");
    let config = folder.path().join("flightrec.toml");
    let keys = "threads_max = 4\nmemory_max = \"1MiB\"\ncpu_max = \"0.1%\"\nlog_lines_max = 5\n";
    std::fs::write(&config, keys).unwrap();
    let made = say(flightrecd(), ["create", path.to_str().unwrap(), "--size", "1MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let recorder = Command::new(flightrecd())
        .args(["run", "--interval", "10ms", "--commit", "200ms"])
        .arg("--config")
        .arg(&config)
        .arg("--recording")
        .arg(&path)
        .env("RUNTIME_DIRECTORY", folder.path())
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let recorder = Running(recorder);
    // A look at processes was put off, as soon as there was one.
    assert!(wait_until(|| {
        let said = say(flightrec(), ["status", "--json", path.to_str().unwrap()]);
        let json: Value = serde_json::from_str(&said.out).unwrap_or_default();
        let limits = &json["limits"];
        let reached = limits["reached"].to_string();
        let all = ["cpu_max", "memory_max", "threads_max"];
        all.iter().all(|own| reached.contains(own)) && limits["looks_put_off"].as_u64() > Some(0)
    }));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", recorder.0.id())).unwrap();
    assert_eq!(tasks.count(), 4, "sampler, writer, slow, census");
    let (json, text) = status(&path);
    assert_eq!(json["limits"]["threads_max"], 4);
    assert_eq!(json["limits"]["threads"], 4, "{json}");
    assert!(json["limits"]["log_lines"].as_u64().unwrap() <= 5, "{json}");
    assert!(text.contains("threads_max 4 of 4; reached"), "{text}");
    assert!(text.contains("leave out the kernel's messages; text logs and the journal"), "{text}");
    assert!(text.contains("a larger threads_max in /etc/flightrec.toml"), "{text}");
}
