//! Gaps and their causes (V6), and what counts as gone (V7).

use flightrec_format::event::EventKind;
use flightrec_format::place::Area;

use super::{MIB, dump, lines};
use crate::testing::{Builder, TestRun, flightrec};

/// Exit code and causes of the gaps in all of a recording.
fn causes(builder: &Builder) -> (u8, Vec<String>) {
    let (code, text, _) = dump(builder, &["--boot", "all", "--format", "jsonl"]);
    let cause = |line: &serde_json::Value| Some(line["gap"]["cause"].as_str()?.to_owned());
    (code, lines(&text).iter().filter_map(cause).collect())
}

/// Samples 10 to 29 in `area`, then none up to 500, which lies in the history at `seq`.
fn island(area: Area, seq: u64) -> Builder {
    let mut builder = Builder::new(MIB);
    let mut run = TestRun::of_boot(1);
    run.events = vec![(EventKind::RUN_START, 10, vec![0], "0.1")];
    builder.frame(&run, area, 10, 29);
    builder.history_seq = seq;
    builder.frame(&run, Area::History, 500, 519);
    builder
}

/// V6: 109 slots of history, of which 32 are the edge of the lap; the frame at seq 1 ends at 2.
#[test]
fn what_followed_a_frame_of_an_earlier_lap_was_overwritten_and_is_not_damaged() {
    let before_the_edge = 109 - 32;
    assert_eq!(causes(&island(Area::History, before_the_edge)), (3, vec!["damaged".into()]));
    let passed = island(Area::History, before_the_edge + 1);
    assert_eq!(causes(&passed), (0, vec!["overwritten".into()]));
    let (_, text, _) = dump(&passed, &["--last", "10m"]);
    assert!(text.contains("without samples: overwritten by newer samples"), "{text}");
    assert!(text.contains("lost: nothing that was once durable"), "{text}");
    let file = passed.file();
    assert_eq!(flightrec(&["verify", file.path().to_str().unwrap()]).0, 0);
}

/// V6: the samples before the gap were kept by an archive frame, those behind it in a skipped slot.
#[test]
fn what_came_before_a_frame_of_an_earlier_lap_was_overwritten_too() {
    let mut builder = island(Area::Archive, 60);
    assert_eq!(causes(&builder), (3, vec!["damaged".into()]));
    builder.history_seq = 143;
    builder.frame(&TestRun::of_boot(2), Area::History, 10, 29);
    assert_eq!(causes(&builder).1.first().unwrap(), "overwritten");
}

/// V6: so it is if the lap's last word is torn, or a frame salvaged from the tail.
#[test]
fn how_far_the_writer_came_is_told_by_torn_frames_and_salvage_marks_too() {
    let mut builder = island(Area::History, 60);
    builder.history_seq = 143;
    builder.frame(&TestRun::of_boot(1), Area::History, 520, 539);
    let at = builder.last_offset;
    builder.bytes[at + 200] ^= 1;
    assert_eq!(causes(&builder), (0, vec!["overwritten".into()]));
    // Now the frame at seq 60 is torn too, but by the writer's next round.
    let at = builder.superblock.geometry.offset_of(Area::History, 60) as usize;
    builder.bytes[at + 200] ^= 1;
    builder.history_seq = 218;
    builder.frame(&TestRun::of_boot(1), Area::History, 540, 559);
    let (_, text, _) = flightrec(&["verify", builder.file().path().to_str().unwrap()]);
    assert!(text.contains("1 slot is the rest of older frames"), "{text}");
    let mut builder = island(Area::History, 60);
    builder.frame(&TestRun::of_boot(1), Area::Tail, 520, 539);
    builder.history_seq = 143;
    builder.salvage_last();
    assert_eq!(causes(&builder), (0, vec!["overwritten".into()]));
}

/// V6: the tail has no laps of that kind, and without geometry none is known.
#[test]
fn a_loss_behind_a_sample_of_the_tail_or_without_geometry_is_damage() {
    assert_eq!(causes(&island(Area::Tail, 143)), (3, vec!["damaged".into()]));
    let mut builder = island(Area::History, 143);
    for slot in builder.superblock.geometry.superblock_slots() {
        builder.bytes[slot as usize * 4096 + 9] ^= 1;
    }
    assert_eq!(causes(&builder), (3, vec!["damaged".into()]));
}

/// V6: a run that does not begin with its first sample has lost its beginning, whatever came before.
#[test]
fn a_lost_beginning_of_a_later_run_is_named() {
    let later = |area: Area| {
        let mut builder = Builder::new(MIB);
        builder.frame(&TestRun::of_boot(1), Area::History, 10, 29);
        let mut later = TestRun::of_boot(2);
        later.begins = 100;
        builder.frame(&later, area, 140, 159);
        builder
    };
    let said = |cause: &str| vec!["power off".to_owned(), cause.to_owned()];
    assert_eq!(causes(&later(Area::History)), (3, said("damaged")));
    // The tail keeps no beginnings: what was not sealed there was left by salvage.
    assert_eq!(causes(&later(Area::Tail)), (0, said("overwritten")));
    let (_, text, _) = dump(&later(Area::History), &["--boot", "2"]);
    assert!(text.contains("were recorded, no longer readable (damaged)"), "{text}");
    assert!(text.contains("lost: 40 samples that were once durable"), "{text}");
}

/// V7: what cannot be read behind the newest frame widens the bound that is stated.
#[test]
fn damage_behind_the_newest_frame_widens_the_bound_and_counts_as_no_loss() {
    let mut builder = Builder::new(MIB);
    let run = TestRun::of_boot(1);
    builder.frame(&run, Area::Tail, 10, 29);
    let bound = |builder: &Builder| {
        let (code, boots, _) =
            flightrec(&["boots", builder.file().path().to_str().unwrap(), "--json"]);
        let boots: serde_json::Value = serde_json::from_str(&boots).unwrap();
        (code, boots["boots"][0]["age_bound_s"].as_u64().unwrap())
    };
    assert_eq!(bound(&builder), (0, 11));
    let geometry = builder.superblock.geometry;
    for (after, expected) in [(1, 11), (2, 21), (3, 31)] {
        let slot = geometry.slot_of(Area::Tail, builder.tail_seq - 1 + after);
        builder.bytes[geometry.offset_of(Area::Tail, slot) as usize] = 0xff;
        assert_eq!(bound(&builder), (0, expected), "{after} places");
    }
    let (_, text, _) = flightrec(&["verify", builder.file().path().to_str().unwrap()]);
    assert!(text.starts_with("sound, as far as anybody can know"), "{text}");
    assert!(text.contains("up to 2\n  commits that were durable may be gone"), "{text}");
}

/// One run that stopped for `reason` at tick 50, and what came of it.
fn stopped(events: Vec<crate::testing::TestEvent>, last: u64) -> Builder {
    let mut builder = Builder::new(MIB);
    let mut one = TestRun::of_boot(1);
    one.events = events;
    builder.frame(&one, Area::Tail, 10, last);
    builder.frame(&TestRun::of_boot(2), Area::Tail, 10, 20);
    builder
}

/// V6, V8: what a run says last counts as its end only if nothing follows.
#[test]
fn a_stop_counts_only_as_the_last_word_of_the_last_run() {
    let stop = (EventKind::STOP, 50, vec![2], "service stop");
    let end = |builder: &Builder| {
        let (_, boots, _) =
            flightrec(&["boots", builder.file().path().to_str().unwrap(), "--json"]);
        let boots: serde_json::Value = serde_json::from_str(&boots).unwrap();
        (causes(builder).1[0].clone(), boots["boots"][0]["end"].as_str().unwrap().to_owned())
    };
    let pair = |cause: &str, end: &str| (cause.to_owned(), end.to_owned());
    let ended = stopped(vec![stop.clone()], 50);
    assert_eq!(end(&ended), pair("recorder stopped", "stopped"));
    let went_on = stopped(vec![stop.clone()], 51);
    assert_eq!(end(&went_on), pair("power off", "cut"));
    let in_one_breath = stopped(vec![(EventKind::MARK, 50, vec![], "bye"), stop.clone()], 50);
    assert_eq!(end(&in_one_breath), pair("recorder stopped", "stopped"));
    let mut spoke_on = stopped(vec![stop.clone()], 50);
    let mut word = TestRun::of_boot(1);
    word.events = vec![(EventKind::MARK, 51, vec![], "still here")];
    spoke_on.frame(&word, Area::Archive, 50, 51);
    assert_eq!(end(&spoke_on), pair("power off", "cut"));
    let nameless = stopped(vec![(EventKind::STOP, 50, vec![], "")], 50);
    assert_eq!(end(&nameless), pair("recorder stopped", "stopped"));
    let mut came_back = stopped(vec![stop], 50);
    let mut again = TestRun::of_boot(1);
    (again.run_id, again.begins) = ([1; 8], 60);
    came_back.frame(&again, Area::Tail, 60, 70);
    assert_eq!(end(&came_back).1, "cut");
}
