//! The card test: how long the disk takes for what the recorder does to it.
//!
//! Writes of one slot, each made durable, in two places by turns, as commits are. They go to a file
//! of our own beside the recording, which has no name any more once it is open: whatever ends the
//! test, nothing is left behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::{Finding, Grade, World, finding, per_day};
use crate::status::mb;
use crate::sys;
use crate::zone::Stopwatch;

/// Bytes of the file: the size of a tail.
const FILE_SIZE: usize = 4 << 20;
/// Bytes of one write.
const SLOT: usize = 4096;
/// Writes, if there is time for all.
const WRITES: usize = 200;
/// No longer than this, whatever the card is like.
const TIME_MAX: Duration = Duration::from_secs(30);

/// What is said before it begins.
pub(super) const ANNOUNCEMENT: &str =
    "card test: 5 MB into a file without a name beside it, 30 s at most";

/// Runs it; what cannot be done is a finding too. `commit_ns`: how often a calm machine commits.
pub(super) fn findings(world: &World, commit_ns: u64) -> Vec<Finding> {
    let device = world.mount().map(|mount| world.device_of(&mount));
    let measured = measure(&world.file, || written_bytes(world, device.as_deref()?));
    let reached = measured.as_ref().ok().and_then(|measured| measured.reached);
    let latency = match measured {
        Ok(measured) => of_latencies(measured.direct, measured.latencies),
        Err(error) => {
            let seen = format!("no test file beside the recording: {error}");
            finding("card", Grade::Unknown, seen, "Run as root")
        }
    };
    vec![latency, cache(world), expected(world, commit_ns, reached)]
}

/// What the writes of the test came to.
struct Measured {
    /// Whether they went past the page cache.
    direct: bool,
    latencies: Vec<Duration>,
    /// Bytes that reached the device for each of them, others' included.
    reached: Option<u64>,
}

/// Bytes written to a block device so far; field 7 of its `stat`, in sectors of 512 bytes.
fn written_bytes(world: &World, device: &str) -> Option<u64> {
    let text = fs::read_to_string(world.root.join("sys/class/block").join(device).join("stat"));
    let sectors: u64 = text.ok()?.split_ascii_whitespace().nth(6)?.parse().ok()?;
    sectors.checked_mul(512)
}

/// History of a busy machine, bytes a day: design.
const HISTORY_PER_DAY: u64 = 12_000_000;

/// What a calm day will write.
fn expected(world: &World, commit_ns: u64, reached: Option<u64>) -> Finding {
    let commits = per_day(commit_ns);
    let ours = commits.saturating_mul(4096).saturating_add(HISTORY_PER_DAY);
    let extra = world.below(world.mount().as_ref()).extra_per_day(commits);
    let device = extra.map_or_else(
        || "on the device unknown for this file system".to_owned(),
        |extra| format!("about {} on the device", mb(ours.saturating_add(extra))),
    );
    let reached = reached.map_or_else(String::new, |bytes| {
        format!(
            "; in the test {} KiB reached it for each 4 KiB, with what others wrote",
            bytes >> 10
        )
    });
    let seen = format!(
        "{} MB/day ours at a commit each {} s, {device}{reached}",
        mb(ours),
        commit_ns / 1_000_000_000
    );
    finding("expected", Grade::Ok, seen, "")
}

/// Writes as commits do; `written` tells how much has reached the device so far.
fn measure(recording: &Path, written: impl Fn() -> Option<u64>) -> io::Result<Measured> {
    let folder = recording.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let path = folder.join(format!(".flightrec-card-test-{}", std::process::id()));
    let filled = fill(&path);
    let direct = OpenOptions::new().write(true).custom_flags(sys::O_DIRECT).open(&path);
    let buffered = OpenOptions::new().write(true).open(&path);
    fs::remove_file(&path).ok();
    filled?;
    let mut bytes = vec![0x5a; 2 * SLOT];
    let begin = bytes.as_ptr().align_offset(SLOT);
    let slot = bytes.get_mut(begin..begin + SLOT).unwrap_or_default();
    let (direct, file) = match direct {
        Ok(file) if file.write_all_at(slot, 0).is_ok() => (true, file),
        _ => (false, buffered?),
    };
    let before = written();
    let whole = Stopwatch::start();
    let mut latencies = Vec::with_capacity(WRITES);
    for number in 0..WRITES {
        if whole.elapsed() > TIME_MAX {
            break;
        }
        if let Some(byte) = slot.first_mut() {
            *byte = byte.wrapping_add(1);
        }
        let one = Stopwatch::start();
        file.write_all_at(slot, place(number))?;
        file.sync_data()?;
        latencies.push(one.elapsed());
    }
    let count = u64::try_from(latencies.len()).unwrap_or(0);
    let grown = written().zip(before).and_then(|(after, before)| after.checked_sub(before));
    let reached = grown.and_then(|bytes| bytes.checked_div(count));
    Ok(Measured { direct, latencies, reached })
}

/// Lanes by turns, places one behind the other, as the spec has it (P1).
fn place(number: usize) -> u64 {
    let lane = FILE_SIZE / 2;
    let at = (number % 2) * lane + number / 2 * SLOT % lane;
    u64::try_from(at).unwrap_or(0)
}

/// Written whole first, so that no later write has to find room.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let zeros = vec![0; 64 << 10];
    for _ in 0..FILE_SIZE / zeros.len() {
        file.write_all(&zeros)?;
    }
    File::sync_all(&file)
}

fn of_latencies(direct: bool, mut latencies: Vec<Duration>) -> Finding {
    latencies.sort();
    let at = |percent: usize| {
        let index = latencies.len().saturating_sub(1) * percent / 100;
        latencies.get(index).copied().unwrap_or_default()
    };
    let (half, most, worst) = (at(50), at(99), at(100));
    let way = if direct { "past the page cache" } else { "through the page cache" };
    let seen = format!(
        "{} durable writes of 4 KiB {way}: p50 {}, p99 {}, worst {}",
        latencies.len(),
        shown(half),
        shown(most),
        shown(worst)
    );
    // A commit a second is what a dying machine needs.
    if worst > Duration::from_secs(1) {
        let remedy = "Samples wait in memory meanwhile; a better card shortens what a cut may cost";
        return finding("card", Grade::Warn, seen, remedy);
    }
    finding("card", Grade::Ok, seen, "")
}

fn shown(time: Duration) -> String {
    format!("{}.{} ms", time.as_millis(), time.subsec_micros() / 100 % 10)
}

/// Whether the disk says that it keeps writes in a cache of its own until it is told to flush.
fn cache(world: &World) -> Finding {
    const CHECK: &str = "cache";
    let name = world.mount().map(|mount| world.device_of(&mount)).unwrap_or_default();
    let device = fs::canonicalize(world.root.join("sys/class/block").join(name));
    let text = device.ok().and_then(|device| {
        let disk =
            if device.join("queue").exists() { Some(device.as_path()) } else { device.parent() };
        fs::read_to_string(disk?.join("queue/write_cache")).ok()
    });
    match text.as_deref().map(str::trim) {
        Some("write through") => {
            let seen = "none that it tells of: what it acknowledges, it says it has written".into();
            finding(CHECK, Grade::Ok, seen, "")
        }
        Some(text) => finding(CHECK, Grade::Ok, format!("{text}: flushed by each commit"), ""),
        None => finding(CHECK, Grade::Unknown, "the disk below cannot be asked".into(), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_leaves_nothing_behind_and_writes_as_commits_do() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let measured = measure(&folder.path().join("recording.frec"), || None).unwrap();
        assert!(!measured.latencies.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let places: std::collections::BTreeSet<u64> = (0..WRITES).map(place).collect();
        assert_eq!(places.len(), WRITES);
        assert!(places.iter().all(|place| *place < 4 << 20 && place % 4096 == 0));
    }

    #[test]
    fn percentiles_are_those_of_the_writes_and_a_slow_card_is_told() {
        let ms = |list: std::ops::RangeInclusive<u64>| list.map(Duration::from_millis).collect();
        let fast = of_latencies(true, ms(1..=101));
        assert!(fast.seen.contains("p50 51.0 ms, p99 100.0 ms, worst 101.0 ms"), "{fast:?}");
        assert_eq!(fast.grade, Grade::Ok);
        let slow = of_latencies(true, ms(1..=1001));
        assert_eq!(slow.grade, Grade::Warn);
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_panic() {
        let file = "/no/such/folder/recording.frec".into();
        let world = World { root: "/no/such/root".into(), file };
        let findings = findings(&world, 10_000_000_000);
        let grades: Vec<_> = findings.iter().map(|finding| finding.grade).collect();
        assert_eq!(grades, [Grade::Unknown, Grade::Unknown, Grade::Ok]);
    }
}
