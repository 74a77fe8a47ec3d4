//! `flightrec snapshot`: what was held is told as it was told before the recording came round, and
//! nothing is ever half written, overwritten unasked or recorded over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use flightrec_format::snapshot::Note;
use flightrec_format::superblock::{Geometry, Superblock};
use flightrec_reader::outcome::Outcome;
use flightrec_tests::image::Image;
use flightrec_tests::noise::Noise;
use flightrec_tests::programs::{self, Said, say, wait_until};
use flightrec_tests::recovered::flightrec;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::SimDisk;
use flightrec_tests::world::{Run, blank_recording, record};
use serde_json::Value;
use tempfile::TempDir;

mod lives;

const TODAY_NS: i64 = 1_795_333_133_000_000_000;

/// A folder with a recording in it.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn of(image: &Image) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("recording.frec");
        fs::write(&path, image.bytes()).unwrap();
        Self { folder, path }
    }

    fn other(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn snapshot(&self, out: &Path, window: &[&str]) -> Option<Outcome> {
        let paths = [self.path.to_str().unwrap(), "-o", out.to_str().unwrap()];
        flightrec(&[&["snapshot"], &paths[..], window].concat()).0.ok()
    }
}

fn dump(path: &Path, window: &[&str]) -> (Option<Outcome>, String) {
    let path = path.to_str().unwrap();
    let (outcome, text) = flightrec(&[&["dump", path, "--format", "jsonl"], window].concat());
    (outcome.ok(), text)
}

fn json(command: &str, path: &Path) -> Value {
    let (_, text) = flightrec(&[command, path.to_str().unwrap(), "--format", "json"]);
    serde_json::from_str(&text).unwrap()
}

fn simulated(size: u64) -> (Arc<SimClock>, SimDisk) {
    let clock = Arc::new(SimClock::new(60 * SECOND_NS, TODAY_NS, true));
    let disk = SimDisk::new(blank_recording(size), clock.clone());
    (clock, disk)
}

#[test]
fn a_held_window_survives_the_wrap() {
    let (clock, disk) = simulated(1 << 20);
    record(&disk, &clock, &Run::seconds(1, 1200));
    let early = Place::of(&disk.durable());
    let window = ["--since", "2026-11-22 08:40", "--until", "2026-11-22 08:50"];
    let (outcome, before) = dump(&early.path, &window);
    assert!(outcome == Some(Outcome::Whole) && before.lines().count() > 500, "{before}");
    let held = early.other("held.frec");
    assert_eq!(early.snapshot(&held, &window), Some(Outcome::Whole));

    for number in 2..12 {
        record(&disk, &clock, &Run { boot: 2, ..Run::seconds(number, 1800) });
    }
    let late = Place::of(&disk.durable());
    assert!(dump(&late.path, &window).1.is_empty(), "the recording never came round");
    assert!(dump(&held, &window) == (Some(Outcome::Whole), before.clone()));
    assert!(dump(&held, &[]).1 == before, "what it was taken for is what it shows unasked");
    let verdict = json("verify", &held);
    assert_eq!(verdict["sound"], true, "{verdict}");
    assert_eq!(verdict["places"], serde_json::json!([]), "{verdict}");
}

/// A quarter of an hour of the real recorder, cut.
fn recorded() -> Place {
    let (clock, disk) = simulated(1 << 20);
    record(&disk, &clock, &Run::seconds(1, 900));
    Place::of(&disk.durable())
}

fn snapshot_said(path: &Path, arguments: &[&str]) -> Said {
    say(programs::flightrec(), [&["snapshot", path.to_str().unwrap()], arguments].concat())
}

/// Whatever else lies in the folder of a place.
fn beside(place: &Place) -> Vec<String> {
    let names = fs::read_dir(place.folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "recording.frec").collect();
    names.sort();
    names
}

#[test]
fn what_is_not_there_makes_no_file_and_what_is_there_is_not_overwritten() {
    let place = recorded();
    let out = place.other("out.frec");
    let to = out.to_str().unwrap();
    let said = snapshot_said(&place.path, &["-o", to, "--at", "1999-01-01 12:00"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.err.contains("no snapshot was made") && beside(&place).is_empty(), "{said:?}");
    let said = snapshot_said(&place.path, &["-o", to, "--boot", "77"]);
    assert!(said.code == Some(5) && beside(&place).is_empty(), "{said:?}");
    let said = snapshot_said(&place.path, &[]);
    assert!(said.code == Some(2) && said.err.contains("--to DIR"), "{said:?}");
    let said = snapshot_said(&place.other("none.frec"), &["-o", to]);
    assert!(said.code == Some(4) && beside(&place).is_empty(), "{said:?}");

    fs::write(&out, "precious").unwrap();
    let said = snapshot_said(&place.path, &["-o", to]);
    assert!(said.code == Some(2) && said.err.contains("exists"), "{said:?}");
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    let own = place.path.to_str().unwrap();
    let said = snapshot_said(&place.path, &["-o", own, "--force"]);
    assert!(said.code == Some(2) && said.err.contains("is the recording itself"), "{said:?}");
    let said = snapshot_said(&place.path, &["-o", to, "--force"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains(to) && said.out.lines().all(|line| !line.is_empty()), "{said:?}");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(beside(&place), ["out.frec"]);

    let nowhere = place.other("nowhere");
    let said = snapshot_said(&place.path, &["--to", nowhere.to_str().unwrap()]);
    assert!(said.code == Some(1) && said.err.contains("there is no folder"), "{said:?}");
    let folder = place.folder.path().to_str().unwrap();
    for expected in ["2026-11-22-083854-boot1.frec", "2026-11-22-083854-boot1-2.frec"] {
        let said = snapshot_said(&place.path, &["--to", folder, "--utc", "--tz", "Europe/Berlin"]);
        assert_eq!(said.code, Some(2), "one zone at a time: {said:?}");
        let said = snapshot_said(&place.path, &["--to", folder]);
        assert!(said.code == Some(0) && said.out.contains(expected), "{said:?}");
    }
    assert_eq!(beside(&place).len(), 3);
}

/// B5, E2: what was kept is not recorded over.
#[test]
fn no_recorder_writes_into_a_snapshot() {
    let place = recorded();
    let held = place.other("held.frec");
    assert_eq!(place.snapshot(&held, &[]), Some(Outcome::Whole));
    let before = fs::read(&held).unwrap();
    let path = held.to_str().unwrap();
    for arguments in [
        ["run", "--for", "1s", "--recording", path].as_slice(),
        &["create", path],
        &["resize", path, "--size", "2MiB"],
    ] {
        let said = say(programs::flightrecd(), arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}: {said:?}");
        assert!(said.err.contains("snapshot"), "{arguments:?}: {said:?}");
        assert!(fs::read(&held).unwrap() == before, "{arguments:?} wrote into it");
    }
    assert_eq!(beside(&place), ["held.frec"]);
    let said = say(programs::flightrec(), ["status", path]);
    assert!(said.code == Some(4) && said.err.contains("is a snapshot"), "{said:?}");
}

/// Exit 3, from the snapshot as from the recording.
#[test]
fn of_a_damaged_recording_a_snapshot_keeps_what_can_be_read_and_says_what_cannot() {
    let (clock, disk) = simulated(1 << 20);
    record(&disk, &clock, &Run::seconds(1, 1800));
    let mut image = disk.durable();
    let geometry = Geometry::for_size(1 << 20).unwrap();
    let history = usize::try_from(geometry.history_start).unwrap();
    // Samples that the tail has long forgotten, in the first lap, where nothing is excused.
    for slot in history + 10..history + 20 {
        image.put(slot, &[0x5e; 4096]);
    }
    let place = Place::of(&image);
    let held = place.other("held.frec");
    let said = snapshot_said(&place.path, &["-b", "all", "-o", held.to_str().unwrap()]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("are gone inside this window"), "{said:?}");
    let (outcome, text) = dump(&held, &["-b", "all"]);
    assert_eq!(outcome, Some(Outcome::Gone));
    assert!(text == dump(&place.path, &["-b", "all"]).1 && text.contains("\"damaged\""));
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let place = recorded();
    let small = place.other("small");
    fs::create_dir(&small).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=24k", "tmpfs", small.to_str().unwrap()];
    let mounted = Command::new("mount").args(mount).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: this user cannot mount");
        return;
    }
    let out = small.join("held.frec");
    let said = snapshot_said(&place.path, &["-b", "all", "-o", out.to_str().unwrap()]);
    let left = fs::read_dir(&small).unwrap().count();
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    assert_eq!((said.code, left), (Some(1), 0), "{said:?}");
    assert!(said.err.contains("no room") && said.err.lines().count() <= 3, "{said:?}");
}

/// Whatever a file says that calls itself a snapshot: words, and no panic.
#[test]
fn hostile_snapshots_end_in_words() {
    let place = recorded();
    let held = place.other("held.frec");
    assert_eq!(place.snapshot(&held, &["--last", "5m"]), Some(Outcome::Whole));
    let whole = fs::read(&held).unwrap();
    let superblock = Superblock::read(&whole).unwrap();
    let mut dice = Noise(11);
    let mut all = vec![whole[..4096].to_vec(), whole[..whole.len() / 2].to_vec()];
    for number in 0..40 {
        let mut bytes = whole.clone();
        let place = |dice: &mut Noise| {
            let ns = *dice.pick(&[0, 1, 300 * SECOND_NS, 900 * SECOND_NS, u64::MAX - 1, u64::MAX]);
            (*dice.pick(&[0, 1, 2, u32::MAX]), ns)
        };
        let note = Note {
            recorder_at_work: dice.below(2) == 0,
            taken_realtime_ns: *dice.pick(&[0, i64::MIN, i64::MAX, TODAY_NS]),
            taken_boot_id: [u8::try_from(dice.below(2)).unwrap(); 16],
            history_end: *dice.pick(&[0, 1, 100, 1 << 40, u64::MAX]),
            from: place(&mut dice),
            to: place(&mut dice),
        };
        for (copy, slot) in (0..).zip(superblock.geometry.superblock_slots()) {
            let mut slot_bytes = superblock.slot(copy);
            if number % 8 > 0 {
                note.write(&mut slot_bytes);
            }
            let at = usize::try_from(slot).unwrap() * 4096;
            bytes[at..at + 4096].copy_from_slice(&slot_bytes);
        }
        all.push(bytes);
    }
    for bytes in all {
        fs::write(&held, bytes).unwrap();
        let path = held.to_str().unwrap();
        let again = place.other("again.frec");
        for arguments in [
            ["dump"].as_slice(),
            &["dump", "-b", "all", "--format", "jsonl"],
            &["dump", "--last", "2m"],
            &["boots"],
            &["verify"],
            &["verify", "--json"],
            &["snapshot", "--force", "-o", again.to_str().unwrap()],
        ] {
            let (command, options) = arguments.split_first().unwrap();
            let (outcome, _) = flightrec(&[&[*command, path], options].concat());
            let words = outcome.err().map(|trouble| trouble.message);
            assert!(words.is_none_or(|words| !words.is_empty()), "{arguments:?}");
        }
    }
}

/// B5.
#[test]
fn a_note_is_told_by_any_copy_and_without_one_nothing_is_called_damage() {
    let place = recorded();
    let held = place.other("held.frec");
    assert_eq!(
        place.snapshot(&held, &["--since", "@1795333300", "--until", "@1795333400"]),
        Some(Outcome::Whole)
    );
    let told = dump(&held, &[]);
    let mut bytes = fs::read(&held).unwrap();
    bytes[140] ^= 1;
    fs::write(&held, &bytes).unwrap();
    assert!(dump(&held, &[]) == told);
    let last = bytes.len() - 4096 + 140;
    bytes[last] ^= 1;
    fs::write(&held, &bytes).unwrap();
    let verdict = json("verify", &held);
    assert!(verdict["notes"].to_string().contains("whose note is damaged"), "{verdict}");
    assert_eq!(
        (&verdict["sound"], &verdict["gone_samples"]),
        (&true.into(), &0.into()),
        "{verdict}"
    );
    let (_, text) = dump(&held, &["-b", "all"]);
    assert!(dump(&held, &[]).1 == text, "what it was taken for is not known, so all is shown");
    assert!(text.contains("\"left out\"") && text.lines().count() > 100, "{text}");
}

/// The real recorder, going round and round: each snapshot is sound, and tells of a machine that went on.
#[test]
fn snapshots_of_a_recorder_at_work_are_sound_and_no_bad_end() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("recording.frec");
    let path = path.to_str().unwrap();
    let made = say(programs::flightrecd(), ["create", path, "--size", "1MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let mut recorder = Command::new(programs::flightrecd());
    recorder.args(["run", "--recording", path, "--interval", "10ms", "--commit", "50ms"]);
    recorder.env_remove("NOTIFY_SOCKET").env("RUNTIME_DIRECTORY", folder.path().join("run"));
    let recorder = Recorder(recorder.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    assert!(
        wait_until(|| dump(Path::new(path), &[]).1.lines().count() > 50),
        "nothing is recorded"
    );
    let mut ends = Vec::new();
    for number in 0..12_usize {
        let held = folder.path().join(format!("{number}.frec"));
        let window = if number % 3 == 0 { ["-b", "all"] } else { ["--last", "1s"] };
        let paths = [path, "-o", held.to_str().unwrap()];
        let (outcome, _) = flightrec(&[&["snapshot"], &paths[..], &window].concat());
        assert!(matches!(outcome, Ok(Outcome::Whole)), "{number}: {outcome:?}");
        let verdict = json("verify", &held);
        assert_eq!(
            (&verdict["sound"], &verdict["gone_samples"]),
            (&true.into(), &0.into()),
            "{verdict}"
        );
        let boots = json("boots", &held);
        assert_eq!(boots["boots"][0]["end"], "running", "{number}: {boots}");
        let (_, text) = flightrec(&["boots", held.to_str().unwrap()]);
        assert!(text.contains("went on after this snapshot"), "{text}");
        ends.push(boots["boots"][0]["last"]["tick"].as_u64().unwrap());
        let tick = ends[number];
        let newest =
            || json("boots", Path::new(path))["boots"][0]["last"]["tick"].as_u64().unwrap();
        assert!(wait_until(|| newest() > tick), "nothing more is recorded");
    }
    drop(recorder);
    assert!(ends.is_sorted() && ends.first() < ends.last(), "{ends:?}");
}

/// A running recorder; never left behind.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A card holds the recording and pieces of it: the recording is what is found.
#[test]
fn carve_finds_the_recording_beside_its_snapshots() {
    let place = recorded();
    let held = place.other("held.frec");
    assert_eq!(place.snapshot(&held, &["--last", "3m"]), Some(Outcome::Whole));
    let [whole, piece] = [&place.path, &held].map(|path| fs::read(path).unwrap());
    let expected = dump(&place.path, &["-b", "all"]).1;
    for image in [[piece.clone(), whole.clone()].concat(), [whole, piece].concat()] {
        let card = place.other("card.img");
        fs::write(&card, [vec![7; 512], image].concat()).unwrap();
        let (_, text) = flightrec(&["carve", card.to_str().unwrap(), "--format", "jsonl"]);
        assert!(text == expected, "{} lines", text.lines().count());
    }
}
