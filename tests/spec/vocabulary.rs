//! Lists: series, events, entities, sections, column modes, limits. Both ways: nothing may be
//! only in the text, and nothing only in the code.

use flightrec_format::body::section;
use flightrec_format::column::{self, Mode, Pen};
use flightrec_format::entity::{EntityKind, attribute};
use flightrec_format::event::{EventKind, stop_reason};
use flightrec_format::limits;
use flightrec_format::series::{self, Scale, SeriesKind};
use flightrec_format::varint::{Reader, Writer, zigzag};

const ENTITIES: [(EntityKind, &str); 10] = [
    (EntityKind::MACHINE, "machine"),
    (EntityKind::DISK, "disk"),
    (EntityKind::NET, "net"),
    (EntityKind::PROCESS, "process"),
    (EntityKind::UNIT, "unit"),
    (EntityKind::LOG, "log"),
    (EntityKind::THERMAL, "thermal"),
    (EntityKind::CORE, "core"),
    (EntityKind::FS, "fs"),
    (EntityKind::SWAP, "swap"),
];

/// S1.
#[test]
fn the_catalogue_of_series_is_the_table_of_section_7() {
    let rows =
        super::table(&["number", "name", "unit", "kind", "scale", "entity", "source", "since"]);
    let of_text: Vec<String> = rows.iter().map(|row| row[..6].join(" | ")).collect();
    let of_code: Vec<String> = series::CATALOGUE
        .iter()
        .map(|series| {
            let kind = match series.kind {
                SeriesKind::Counter => "counter",
                SeriesKind::Gauge => "gauge",
                SeriesKind::Signed => "signed",
            };
            let scale = match series.scale {
                Scale::Times(times) => times.to_string(),
                Scale::Over(over) => format!("1/{over}"),
            };
            let (_, entity) = ENTITIES.iter().find(|(kind, _)| *kind == series.entity).unwrap();
            let (number, name, unit) = (series.number, series.name, series.unit);
            format!("{number} | {name} | {unit} | {kind} | {scale} | {entity}")
        })
        .collect();
    assert_same(&of_text, &of_code);
}

/// Compares line by line, so that a failure names the line.
fn assert_same(of_text: &[String], of_code: &[String]) {
    for line in of_text {
        assert!(of_code.contains(line), "only in the text: {line}");
    }
    for line in of_code {
        assert!(of_text.contains(line), "only in the code: {line}");
    }
    assert_eq!(of_text, of_code, "another order");
}

#[test]
fn the_kinds_of_event_are_those_of_their_table() {
    let rows = super::table(&["kind", "event", "arguments", "text", "archived"]);
    let of_text: Vec<String> = rows
        .iter()
        .map(|row| [&row[0], &row[1], &row[2], &row[4]].map(String::as_str).join(" | "))
        .collect();
    let of_code: Vec<String> = EventKind::CATALOGUE
        .iter()
        .map(|row| {
            let archived = if row.archived { "yes" } else { "no" };
            let arguments = row.arguments.join(", ");
            format!("{} | {} | {arguments} | {archived}", row.kind.0, row.name)
        })
        .collect();
    assert_same(&of_text, &of_code);
}

#[test]
fn the_reasons_of_a_stop_are_those_of_the_text() {
    let reasons = super::between("`reason` of `stop`: ", ".");
    let code = [
        (stop_reason::MACHINE_SHUTDOWN, "machine shutdown"),
        (stop_reason::SERVICE_STOP, "service stop"),
        (stop_reason::SIGNAL, "signal"),
        (stop_reason::TIME_OVER, "time asked for is over"),
        (stop_reason::ERROR, "error"),
    ];
    assert_eq!(reasons, code.map(|(number, words)| format!("{number} {words}")).join(", "));
}

#[test]
fn entities_and_their_attributes_are_those_of_the_tables() {
    let rows = super::table(&["kind", "entity", "name", "key"]);
    let of_text: Vec<String> = rows.iter().map(|row| row[..2].join(" ")).collect();
    assert_same(&of_text, &ENTITIES.map(|(kind, name)| format!("{} {name}", kind.0)));
    let rows = super::table(&["attribute", "id", "meaning"]);
    let of_text: Vec<String> = rows.iter().map(|row| row[..2].join(" ")).collect();
    let of_code = [
        ("pid", attribute::PID),
        ("start_ticks", attribute::START_TICKS),
        ("unit", attribute::UNIT),
        ("memory_max_bytes", attribute::MEMORY_MAX_BYTES),
        ("restart", attribute::RESTART),
    ];
    assert_same(&of_text, &of_code.map(|(name, id)| format!("{name} {id}")));
    let words = (1..).zip(attribute::RESTART_WORDS).map(|(code, word)| format!("{code} {word}"));
    let words = words.collect::<Vec<_>>().join(", ");
    assert!(rows[4][2].contains(&format!(": {words}; absent")), "{rows:?}");
}

#[test]
fn sections_are_those_of_their_table() {
    let rows = super::table(&["kind", "section", "defined in"]);
    let of_text: Vec<String> = rows.iter().map(|row| row[..2].join(" ")).collect();
    let of_code = [
        (section::ENTITIES, "entities"),
        (section::SAMPLES, "samples"),
        (section::EVENTS, "events"),
        (section::FACTS, "run facts"),
        (section::MESSAGES, "messages"),
    ];
    assert_same(&of_text, &of_code.map(|(kind, name)| format!("{kind} {name}")));
}

#[test]
fn limits_are_those_of_section_12() {
    let number = |value: usize| u64::try_from(value).unwrap();
    let of_code = [
        ("size of a recording, bytes, at least", limits::RECORDING_SIZE_MIN),
        ("size of a recording, bytes, at most", limits::RECORDING_SIZE_MAX),
        ("slots of a history frame", limits::FRAME_SLOTS_MAX.into()),
        ("payload of a tail frame, bytes", number(limits::TAIL_PAYLOAD_MAX)),
        ("payload of a history frame, bytes", number(limits::HISTORY_PAYLOAD_MAX)),
        ("body of a frame, bytes", limits::BODY_LEN_MAX.into()),
        ("samples in a frame", limits::SAMPLES_MAX),
        ("readings in a frame", limits::READINGS_MAX),
        ("groups in a frame", limits::GROUPS_MAX),
        ("lists in the header of a group", limits::LISTS_MAX),
        ("entities in a frame", limits::ENTITIES_MAX),
        ("attributes of an entity", limits::ATTRIBUTES_MAX),
        ("events in a frame", limits::EVENTS_MAX),
        ("arguments of an event", limits::ARGUMENTS_MAX),
        ("messages in a frame", limits::MESSAGES_MAX),
        ("run facts, bytes", number(limits::FACTS_LEN_MAX)),
        ("text of an event or message, bytes", limits::TEXT_LEN_MAX),
        ("name of an entity, bytes", limits::NAME_LEN_MAX),
    ];
    let rows = super::table(&["what", "limit"]);
    let of_text: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
    assert_same(&of_text, &of_code.map(|(what, limit)| format!("{what} {limit}")));
}

/// The numbers of a column after its first value, word for word as the table of 6.2 has them.
fn by_table(mode: u8, v: &[u64]) -> Vec<u64> {
    let d = |i: usize| v[i].wrapping_sub(v[i - 1]).cast_signed();
    let e = |i: usize| d(i).wrapping_sub(d(i - 1));
    let numbers: Vec<u64> = match mode {
        0 => Vec::new(),
        1 | 3 => (1..v.len()).map(|i| zigzag(d(i))).collect(),
        2 | 4 => (1..v.len()).map(|i| zigzag(if i == 1 { d(1) } else { e(i) })).collect(),
        5 | 6 => (1..v.len()).map(|i| d(i).cast_unsigned()).collect(),
        _ => panic!("mode {mode}"),
    };
    if !matches!(mode, 3 | 4 | 6) {
        return numbers;
    }
    let runs = numbers.chunk_by(|one, other| *one == 0 && *other == 0);
    let as_run = |run: &[u64]| {
        if run[0] == 0 { vec![0, u64::try_from(run.len()).unwrap() - 1] } else { run.to_vec() }
    };
    runs.flat_map(as_run).collect()
}

/// R3: the bytes of a column in each mode.
#[test]
fn columns_are_written_as_the_table_of_modes_says() {
    let rows = super::table(&["mode", "name", "data"]);
    let of_text: Vec<String> = rows.iter().map(|row| row[..2].join(" ")).collect();
    let mut modes = Mode::ALL;
    modes.sort_by_key(|mode| mode.number());
    let of_code = modes.map(|mode| {
        let name = match mode {
            Mode::Constant => "constant",
            Mode::Delta => "delta",
            Mode::Delta2 => "delta2",
            Mode::DeltaRuns => "delta, runs",
            Mode::Delta2Runs => "delta2, runs",
            Mode::Up => "up",
            Mode::UpRuns => "up, runs",
        };
        format!("{} {name}", mode.number())
    });
    assert_same(&of_text, &of_code);
    let values = [7, 7, 7, 9, 11, 13, 12, u64::MAX, 1 << 63, 1 << 63, 0, 0];
    for mode in modes {
        let values = if mode == Mode::Constant { &[7; 5][..] } else { &values[..] };
        let mut expected = [0; 256];
        let mut out = Writer::new(&mut expected);
        out.number(zigzag(values[0].cast_signed()));
        for number in by_table(mode.number(), values) {
            out.number(number);
        }
        let used = out.finish().unwrap();
        let mut written = [0; 256];
        let mut pen = Pen::start(mode, 0, values[0], &mut written);
        for pair in values.windows(2) {
            pen.step(pair[1].wrapping_sub(pair[0]).cast_signed(), &mut written);
        }
        let end = pen.finish(&mut written);
        assert_eq!(written[..end], expected[..used], "{mode:?}");
        let read = column::read(&mut Reader::new(&expected[..used]), mode, values.len());
        assert_eq!(read.as_deref(), Ok(values), "{mode:?}");
    }
}

#[test]
fn the_version_is_the_newest_of_the_history_in_section_0() {
    let rows = super::table(&["version", "date", "what changed"]);
    let newest: u16 = super::number(&rows.last().unwrap()[0]);
    assert_eq!(newest, flightrec_format::VERSION);
}
