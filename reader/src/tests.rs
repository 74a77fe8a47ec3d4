//! Whole commands over small recordings: windows, ends, losses, exit codes, and hostile bytes.

use flightrec_format::event::EventKind;
use flightrec_format::place::Area;

use crate::testing::{Builder, TestRun, file, flightrec};

mod gaps;
mod hostile;
mod units;

const MIB: u64 = 1 << 20;

/// Boot 1 shut down in order; boot 2 cut at tick 2000 (06:33:20 after its start).
fn two_boots() -> Builder {
    let mut builder = Builder::new(8 * MIB);
    let mut one = TestRun::of_boot(1);
    one.events = vec![
        (EventKind::RUN_START, 10, vec![0], "0.1"),
        (EventKind::STOP, 1000, vec![1], "shutdown"),
    ];
    let unsealed = builder.record(&one, 1000, 10, 400);
    builder.frame(&one, Area::History, unsealed, 1000);
    let mut two = TestRun::of_boot(2);
    two.synced_from = 40;
    two.events = vec![
        (EventKind::RUN_START, 10, vec![0], "0.1"),
        (EventKind::ALERT, 1900, vec![0, 2], "swap traffic"),
        (EventKind::KERNEL, 1950, vec![2], "mmc0: \x1b[31mtimeout"),
    ];
    builder.tail_seq += 32;
    builder.record(&two, 2000, 10, 400);
    builder
}

fn dump(builder: &Builder, arguments: &[&str]) -> (u8, String, String) {
    let file = builder.file();
    let path = file.path().to_str().unwrap();
    flightrec(&[&["dump", path], arguments].concat())
}

fn lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_default_is_the_last_half_hour_of_the_newest_bad_end() {
    let (code, text, _) = dump(&two_boots(), &["--format", "jsonl"]);
    let all = lines(&text);
    let ticks: Vec<u64> = all.iter().filter_map(|line| line["tick"].as_u64()).collect();
    assert_eq!(code, 0);
    assert_eq!((ticks.first(), ticks.last(), ticks.len()), (Some(&201), Some(&2000), 1800));
    assert!(all.iter().all(|line| line["boot"] == 2 || line["event"]["boot"] == 2));
}

#[test]
fn every_sample_is_shown_once_and_in_order() {
    let (code, text, _) = dump(&two_boots(), &["--boot", "all", "--format", "jsonl"]);
    let all = lines(&text);
    let keys: Vec<(u64, u64)> = all
        .iter()
        .filter_map(|line| Some((line["boot"].as_u64()?, line["tick"].as_u64()?)))
        .collect();
    let expected: Vec<(u64, u64)> =
        (10..=1000).map(|tick| (1, tick)).chain((10..=2000).map(|tick| (2, tick))).collect();
    assert_eq!(code, 0);
    assert!(keys == expected, "{} samples, not {}", keys.len(), expected.len());
    let gaps: Vec<_> = all.iter().filter(|line| line["gap"].is_object()).collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0]["gap"]["cause"], "power off");
}

/// V5: what lies before the clock was synchronised is dated by it.
#[test]
fn samples_from_before_the_clock_was_right_are_redated() {
    let (_, text, _) = dump(&two_boots(), &["--boot", "2", "--format", "jsonl"]);
    let all = lines(&text);
    let sample = |tick: u64| all.iter().find(|line| line["tick"] == tick).unwrap();
    assert_eq!(sample(39)["clock"], "redated");
    assert_eq!(sample(40)["clock"], "synced");
    assert_eq!(sample(10)["time"], "2026-11-22T08:00:10.001Z");
}

#[test]
fn the_table_fits_80_columns_and_says_how_the_boot_ended() {
    let (code, text, _) = dump(&two_boots(), &[]);
    assert_eq!(code, 0);
    let first = text.lines().next().unwrap();
    assert_eq!(first, "boot 2  Sun 2026-11-22  power lost between 09:33:20 and 09:33:31 +01:00");
    assert!(text.contains("no stop record; newest durable sample 09:33:20"), "{text}");
    assert!(text.contains("what happened in the at most 11 s after it is lost"), "{text}");
    assert!(text.contains("! alert calm -> dying: swap traffic"), "{text}");
    assert!(text.contains("lost: nothing that was once durable"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('\x1b'), "an escape of the recording came through");
    let rows = text.lines().filter(|line| line.starts_with("09:")).count();
    assert!(rows <= 70, "{rows} rows");
}

/// Every line of a header is one thought, also where nobody vouches for the clock.
#[test]
fn the_header_of_a_board_without_a_clock_says_so_once() {
    let mut builder = Builder::new(MIB);
    let mut run = TestRun::of_boot(3);
    run.synced_from = u64::MAX;
    run.events = vec![(EventKind::SALVAGED, 10, vec![1, 0], "")];
    builder.record(&run, 3700, 10, 400);
    let (_, text, _) = dump(&builder, &["--boot", "3"]);
    let header: Vec<&str> = text.lines().take(5).collect();
    let expected = [
        "boot 3  Sun 2026-11-22  power lost between ~11:01:40 and ~11:01:51 +01:00",
        "no stop record; newest durable sample ~11:01:40, 1:01:40 after boot",
        "what happened in the at most 11 s after it is lost",
        "clock never synchronised: times with ~ are what the board believed",
        "pi, kernel 6.1",
    ];
    assert_eq!(header, expected, "{text}");
    assert!(text.contains("- salvaged 1 frame of the dead run\n"), "{text}");
}

#[test]
fn windows_are_cut_by_wall_time_in_the_zone_of_the_board() {
    let window = ["--since", "2026-11-22 09:10", "--until", "09:11", "--format", "jsonl"];
    let (code, text, _) = dump(&two_boots(), &window);
    let ticks: Vec<u64> = lines(&text).iter().filter_map(|line| line["tick"].as_u64()).collect();
    assert_eq!(code, 0);
    assert_eq!((ticks.first(), ticks.last()), (Some(&600), Some(&660)));
    let (code, text, _) = dump(&two_boots(), &["--at", "09:10", "--format", "jsonl"]);
    assert_eq!(code, 0);
    assert_eq!(text.lines().count(), 241);
    let (code, ..) = dump(&two_boots(), &["--since", "2026-12-01"]);
    assert_eq!(code, 5);
}

/// Design 7: a board in a reboot loop has its story spread over many boots.
#[test]
fn the_window_reaches_back_over_short_boots_that_ended_badly() {
    let mut builder = Builder::new(8 * MIB);
    for ordinal in 1..=4 {
        let mut run = TestRun::of_boot(ordinal);
        run.events = vec![(EventKind::RUN_START, 10, vec![0], "0.1")];
        if ordinal == 1 {
            run.events.push((EventKind::STOP, 309, vec![1], "shutdown"));
        }
        builder.record(&run, 309, 10, 100);
        builder.tail_seq += 32;
    }
    let (_, text, _) = dump(&builder, &["--last", "12m", "--format", "jsonl"]);
    let boots: Vec<u64> = lines(&text).iter().filter_map(|line| line["boot"].as_u64()).collect();
    assert_eq!((boots.first(), boots.last()), (Some(&2), Some(&4)));
    let (_, text, _) = dump(&builder, &["--last", "20m", "--format", "jsonl"]);
    let boots: Vec<u64> = lines(&text).iter().filter_map(|line| line["boot"].as_u64()).collect();
    assert_eq!(boots.first(), Some(&2), "boot 1 was shut down in order");
}

#[test]
fn boots_are_named_by_number_by_id_and_backwards() {
    let builder = two_boots();
    for (name, ordinal) in [("1", 1), ("-1", 1), ("0", 2), ("02000000-0707", 2)] {
        let (_, text, _) = dump(&builder, &["--boot", name, "--format", "jsonl"]);
        assert_eq!(lines(&text).last().unwrap()["boot"].as_u64().unwrap_or(1), ordinal, "{name}");
    }
    assert_eq!(dump(&builder, &["--boot", "9"]).0, 5);
    assert_eq!(dump(&builder, &["--boot", "-x"]).0, 2);
}

/// V2.
#[test]
fn the_torn_last_slot_of_a_cut_is_ordinary() {
    let mut builder = two_boots();
    let two = TestRun::of_boot(2);
    builder.frame(&two, Area::Tail, 1991, 2010);
    let at = builder.last_offset;
    builder.bytes[at + 150..at + 4096].fill(0xee);
    let file = builder.file();
    let path = file.path().to_str().unwrap();
    let (code, text, _) = flightrec(&["verify", path]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ordinary after a cut"), "{text}");
    assert!(text.contains(&format!("{at:#010x} ({at})")), "{text}");
    assert_eq!(flightrec(&["dump", path]).0, 0);
}

/// V7: the run went on after the torn frame, so that one had been durable.
#[test]
fn two_torn_frames_at_the_end_are_one_commit_gone() {
    let mut builder = two_boots();
    let two = TestRun::of_boot(2);
    for last in [2010, 2020] {
        builder.frame(&two, Area::Tail, last - 19, last);
        let at = builder.last_offset;
        builder.bytes[at + 150..at + 4096].fill(0xee);
    }
    let (code, text, _) = dump(&builder, &[]);
    assert_eq!(code, 3);
    assert!(text.contains("lost: 10 samples"), "{text}");
}

/// V6: the damage in old history is told, and only where it is asked for.
#[test]
fn damaged_history_is_a_gap_with_its_cause_and_exit_3() {
    let mut builder = two_boots();
    let geometry = builder.superblock.geometry;
    let history = geometry.offset_of(Area::History, 0) as usize;
    // Wipe all of the history, and the tail but for its newest frames.
    let end = history + geometry.history_slots as usize * 4096;
    let cut: Vec<usize> = (history..end).step_by(4096).collect();
    for at in cut {
        let tick = u64::from_le_bytes(builder.bytes[at + 72..at + 80].try_into().unwrap());
        let ordinal = builder.bytes[at + 112];
        if ordinal == 2 && tick > 1210 && tick < 1700 {
            builder.bytes[at + 200] ^= 1;
        }
    }
    // The newest lap of the tail holds ticks 1360 and later; break those that cover the gap.
    let tail = geometry.offset_of(Area::Tail, 0) as usize;
    for slot in 0..geometry.lane_slots as usize * 2 {
        let at = tail + slot * 4096;
        let tick = u64::from_le_bytes(builder.bytes[at + 72..at + 80].try_into().unwrap());
        if builder.bytes[at + 112] == 2 && tick < 1700 {
            builder.bytes[at + 200] ^= 1;
        }
    }
    let (code, text, _) = dump(&builder, &["--format", "jsonl"]);
    assert_eq!(code, 3);
    let all = lines(&text);
    let gap = all.iter().find(|line| line["gap"].is_object()).unwrap();
    assert_eq!(gap["gap"]["cause"], "damaged");
    let (code, text, _) = dump(&builder, &["--last", "2m"]);
    assert_eq!(code, 0, "{text}");
    let (code, text, _) = dump(&builder, &["--at", "09:25", "--format", "jsonl"]);
    assert_eq!((code, lines(&text)[0]["gap"]["cause"].as_str()), (3, Some("damaged")));
    assert_eq!(dump(&builder, &["--at", "09:10"]).0, 0);
    let file = builder.file();
    let (code, text, _) = flightrec(&["verify", file.path().to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(text.starts_with("DAMAGED"), "{text}");
}

/// B2: the superblocks are a convenience.
#[test]
fn without_any_superblock_the_same_samples_are_shown() {
    let mut builder = two_boots();
    let (_, whole, _) = dump(&builder, &["--boot", "all", "--format", "jsonl"]);
    for slot in builder.superblock.geometry.superblock_slots() {
        builder.bytes[slot as usize * 4096 + 9] ^= 1;
    }
    let (code, text, _) = dump(&builder, &["--boot", "all", "--format", "jsonl"]);
    assert_eq!(code, 0);
    assert!(text == whole);
}

#[test]
fn a_salvaged_copy_speaks_for_a_lost_tail() {
    let mut builder = Builder::new(MIB);
    let run = TestRun::of_boot(1);
    builder.frame(&run, Area::Tail, 10, 29);
    builder.salvage_last();
    let at = builder.last_offset;
    builder.bytes[at..at + 4096].fill(0);
    let (code, text, _) = dump(&builder, &["--format", "jsonl"]);
    assert_eq!((code, text.lines().count()), (0, 20));
}

/// 9.6: a process that changed its name within a frame is one process, called what it was first.
#[test]
fn one_process_under_two_names_is_one_object() {
    let mut builder = Builder::new(MIB);
    let mut run = TestRun::of_boot(1);
    run.twins = true;
    builder.frame(&run, Area::Tail, 10, 29);
    let (_, text, _) = dump(&builder, &["--format", "jsonl"]);
    let first = text.lines().next().unwrap();
    let processes =
        first.split_once("\"processes\":").unwrap().1.split_once(",\"units\"").unwrap().0;
    let expected = concat!(
        r#"[{"name":"ag\u001b[2Jent","pid":77,"start_ticks":1234,"unit":null,"#,
        r#""values":{"process.user":10,"process.rss_bytes":114688,"disk.ag\u001b[2Jent.reads":10}}]"#
    );
    assert_eq!(processes, expected);
}

#[test]
fn rates_are_growth_per_second_and_absent_where_a_counter_went_back() {
    let arguments = ["--rates", "--series", "vm.swap_in*", "--format", "jsonl", "--last", "5s"];
    let (_, text, _) = dump(&two_boots(), &arguments);
    let all = lines(&text);
    assert_eq!(all[0]["values"]["vm.swap_in_pages_per_s"], serde_json::Value::Null);
    let rate = all[1]["values"]["vm.swap_in_pages_per_s"].as_f64().unwrap();
    assert!((rate - 2.0).abs() < 0.01, "{rate}");
}

#[test]
fn chosen_series_become_columns_and_csv_has_one_row_a_sample() {
    let builder = two_boots();
    let (_, text, _) =
        dump(&builder, &["--last", "5s", "--series", "load.1m", "--series", "disk.*"]);
    let title = "time       load.1m  disk.mmcblk0.read_bytes  disk.mmcblk0.write_bytes";
    assert!(text.contains(title), "{text}");
    let (code, text, _) = dump(&builder, &["--last", "5s", "--format", "csv"]);
    assert_eq!((code, text.lines().count()), (0, 6));
    let width = text.lines().next().unwrap().split(',').count();
    assert!(text.lines().all(|line| line.split(',').count() == width), "{text}");
}

#[test]
fn the_json_document_is_one_document() {
    let (_, text, _) = dump(&two_boots(), &["--json", "--last", "1m"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["boots"][0]["end"], "cut");
    assert!(document["timeline"].as_array().unwrap().len() >= 60);
}

#[test]
fn boots_lists_every_end() {
    let builder = two_boots();
    let file = builder.file();
    let path = file.path().to_str().unwrap();
    let (code, text, _) = flightrec(&["boots", path]);
    assert_eq!(code, 0);
    assert!(text.contains("shut down Sun 08:16:40"), "{text}");
    assert!(text.contains("! power lost Sun 09:33:20"), "{text}");
    let (_, text, _) = flightrec(&["boots", path, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["boots"][0]["end"], "shutdown");
    assert_eq!(document["boots"][1]["age_bound_s"], 11);
}

#[test]
fn what_is_no_recording_is_refused_with_4_and_a_hint() {
    let code = |bytes: &[u8]| {
        let file = file(bytes);
        let (code, text, message) = flightrec(&["dump", file.path().to_str().unwrap()]);
        assert!(text.is_empty() && !message.is_empty() && message.lines().count() <= 3);
        code
    };
    assert_eq!(code(b""), 4);
    assert_eq!(code(b"#!/bin/sh\n"), 4);
    assert_eq!(code(&vec![0; 1 << 20]), 4);
    assert_eq!(code(&vec![0xff; 70_000]), 4);
    assert_eq!(code(&Builder::new(MIB).bytes), 5);
    assert_eq!(flightrec(&["dump", "/nonexistent/x"]).0, 4);
    assert_eq!(flightrec(&["dump", "/tmp"]).0, 4);
    assert_eq!(flightrec(&["dump", "--last", "30"]).0, 2);
    let mut newer = Builder::new(MIB).bytes;
    for slot in Builder::new(MIB).superblock.geometry.superblock_slots() {
        let at = slot as usize * 4096;
        newer[at + 12] = 9;
        let crc = flightrec_format::crc::checksum(&newer[at + 12..at + 128]);
        newer[at + 8..at + 12].copy_from_slice(&crc.to_le_bytes());
    }
    assert_eq!(code(&newer), 4);
}

#[test]
fn a_recording_cut_short_is_read_as_far_as_it_goes() {
    let mut builder = two_boots();
    let whole = builder.bytes.clone();
    let history = builder.superblock.geometry.history_start as usize * 4096;
    builder.bytes.truncate(history + 4096 * 3 + 77);
    let (code, text, _) = dump(&builder, &["--last", "5m"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the file is short"), "{text}");
    builder.bytes = whole;
    builder.bytes.extend([0xaa; 9000]);
    let (code, text, _) = dump(&builder, &["--last", "5m"]);
    assert_eq!(code, 0, "{text}");
}

/// Not a test: a recording of 64 MiB, three laps and 100 boots, to measure with.
/// `FLIGHTREC_BENCH=FILE cargo test --release -- --ignored`
#[test]
#[ignore = "writes a file to measure with"]
fn a_full_recording_to_measure_with() {
    let path = std::env::var("FLIGHTREC_BENCH").unwrap();
    let mut builder = Builder::new(64 * MIB);
    for ordinal in 1..=100 {
        let mut run = TestRun::of_boot(ordinal);
        run.noise = 60;
        run.synced_from = 40;
        run.events = vec![(EventKind::RUN_START, 10, vec![0], "0.1")];
        let unsealed = builder.record(&run, 13_000, 10, 440);
        builder.frame(&run, Area::History, unsealed, 13_000);
        builder.tail_seq += 32;
    }
    std::fs::write(path, &builder.bytes).unwrap();
}
