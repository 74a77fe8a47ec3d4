//! Fixed places: the offset tables, the places of frames, the run facts, the checksum.

use flightrec_format::crc::{checksum, checksum_of};
use flightrec_format::facts::RunFacts;
use flightrec_format::frame::{Codec, HEADER_SIZE, Header, flag};
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::place::Area;
use flightrec_format::salvage::{MARK_SIZE, Mark};
use flightrec_format::snapshot::{NOTE_SIZE, Note};
use flightrec_format::superblock::{self, Geometry, SUPERBLOCK_SIZE, Superblock};

/// One row of an offset table.
#[derive(Debug)]
struct Field {
    offset: usize,
    size: usize,
    name: String,
}

/// The four offset tables: superblock, note of a snapshot, salvage mark, frame header.
fn layouts() -> [Vec<Field>; 4] {
    let tables = super::tables(&["Offset", "Size", "Field", "Type", "Meaning"]);
    assert_eq!(tables.len(), super::tables(&["Offset"]).len());
    let layouts: Vec<Vec<Field>> =
        tables.iter().map(|rows| rows.iter().map(|row| field(row)).collect()).collect();
    layouts.try_into().unwrap()
}

fn field(row: &[String]) -> Field {
    let field = Field {
        offset: super::number(&row[0]),
        size: super::number(&row[1]),
        name: row[2].clone(),
    };
    let typed = match row[3].as_str() {
        "bytes" => field.size,
        "u8" => 1,
        "u16" => 2,
        "u32" => 4,
        "u64" | "i64" => 8,
        other => panic!("{}: a type {other:?}", field.name),
    };
    assert_eq!(field.size, typed, "{}: size and type", field.name);
    field
}

#[test]
fn the_fields_tile_their_structures() {
    let [superblock, note, mark, header] = layouts();
    for (fields, start, end) in [
        (superblock, 0, SUPERBLOCK_SIZE),
        (note, SUPERBLOCK_SIZE, SUPERBLOCK_SIZE + NOTE_SIZE),
        (mark, SLOT_SIZE - MARK_SIZE, SLOT_SIZE),
        (header, 0, HEADER_SIZE),
    ] {
        let mut at = start;
        for field in fields {
            assert_eq!(field.offset, at, "{}: a gap or an overlap before it", field.name);
            at += field.size;
        }
        assert_eq!(at, end);
    }
}

/// Finds each field of the table in `bytes` and each of `values` in the table.
fn agree(layout: &[Field], bytes: &[u8], values: &[(&str, &[u8])]) {
    let names: Vec<&str> = layout.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, values.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (field, (_, value)) in layout.iter().zip(values) {
        let found = &bytes[field.offset..field.offset + field.size];
        assert_eq!(found, *value, "{}", field.name);
    }
}

#[test]
fn a_superblock_lies_as_its_table_says() {
    let [layout, ..] = layouts();
    let superblock = Superblock {
        recording_id: *b"recording number",
        identity: *b"identity of host",
        created_realtime_ns: -0x0102_0304_0506_0708,
        geometry: Geometry {
            size: 0x1112_1314_1516_1718,
            tail_start: 0x2122_2324,
            lane_slots: 0x2526_2728,
            archive_start: 0x292a_2b2c,
            archive_slots: 0x2d2e_2f30,
            history_start: 0x3132_3334,
            history_slots: 0x3536_3738,
        },
        compatible_flags: 0x4142,
    };
    let slot = superblock.slot(2);
    agree(
        &layout,
        &slot,
        &[
            ("magic", &[0xf8, 0x46, 0x4c, 0x54, 0x52, 0x45, 0x43, 0x0a]),
            ("crc", &checksum(&slot[12..128]).to_le_bytes()),
            ("version", &[1, 0]),
            ("incompatible_flags", &[0, 0]),
            ("compatible_flags", &[0x42, 0x41]),
            ("copy", &[2, 0]),
            ("slot_size", &4096_u32.to_le_bytes()),
            ("recording_id", b"recording number"),
            ("identity", b"identity of host"),
            ("size", &0x1112_1314_1516_1718_u64.to_le_bytes()),
            ("created_realtime_ns", &(-0x0102_0304_0506_0708_i64).to_le_bytes()),
            ("tail_start", &0x2122_2324_u32.to_le_bytes()),
            ("lane_slots", &0x2526_2728_u32.to_le_bytes()),
            ("archive_start", &0x292a_2b2c_u32.to_le_bytes()),
            ("archive_slots", &0x2d2e_2f30_u32.to_le_bytes()),
            ("history_start", &0x3132_3334_u32.to_le_bytes()),
            ("history_slots", &0x3536_3738_u32.to_le_bytes()),
            ("reserved", &[0; 32]),
        ],
    );
    assert!(slot[SUPERBLOCK_SIZE..].iter().all(|&byte| byte == 0));
    let magic = super::between("| 0 | 8 | `magic` | bytes | `", "`");
    assert_eq!(magic, hex(&slot[..8]));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// A header whose fields are all different.
fn header() -> Header {
    Header {
        compatible_flags: flag::CUT,
        area: Area::History,
        codec: Codec::Zstd,
        recording_id: *b"recording number",
        boot_id: *b"boot id of linux",
        run_id: *b"this run",
        seq: 0x0102_0304_0506_0708,
        first_tick: 0x1112,
        last_tick: 0x1314,
        interval_ns: 0x2122_2324_2526,
        boottime_ns: 0x3132_3334_3536_3738,
        monotonic_ns: 0x4142_4344_4546_4748,
        realtime_ns: -0x5152_5354_5556_5758,
        boot_ordinal: 0x6162_6364,
        slot: 0x6566_6768,
        slots: 2,
        synced: true,
        payload_len: 4096,
        body_len: 0x7172,
        payload_crc: 0,
        facts_crc: 0x7576_7778,
        budget_kib: 0x797a_7b7c,
    }
}

#[test]
fn a_frame_header_lies_as_its_table_says() {
    let [_, _, _, layout] = layouts();
    let mut frame = vec![9; 2 * SLOT_SIZE];
    header().seal(&mut frame);
    let payload = &frame[HEADER_SIZE..HEADER_SIZE + 4096];
    agree(
        &layout,
        &frame,
        &[
            ("magic", &[0xf8, 0x46, 0x52, 0x31]),
            ("header_crc", &checksum(&frame[8..144]).to_le_bytes()),
            ("version", &[1, 0]),
            ("incompatible_flags", &[0, 0]),
            ("compatible_flags", &[2, 0]),
            ("area", &[3]),
            ("codec", &[1]),
            ("recording_id", b"recording number"),
            ("boot_id", b"boot id of linux"),
            ("run_id", b"this run"),
            ("seq", &0x0102_0304_0506_0708_u64.to_le_bytes()),
            ("first_tick", &0x1112_u64.to_le_bytes()),
            ("last_tick", &0x1314_u64.to_le_bytes()),
            ("interval_ns", &0x2122_2324_2526_u64.to_le_bytes()),
            ("boottime_ns", &0x3132_3334_3536_3738_u64.to_le_bytes()),
            ("monotonic_ns", &0x4142_4344_4546_4748_u64.to_le_bytes()),
            ("realtime_ns", &(-0x5152_5354_5556_5758_i64).to_le_bytes()),
            ("boot_ordinal", &0x6162_6364_u32.to_le_bytes()),
            ("slot", &0x6566_6768_u32.to_le_bytes()),
            ("slots", &[2, 0]),
            ("clock_flags", &[1, 0]),
            ("payload_len", &4096_u32.to_le_bytes()),
            ("body_len", &0x7172_u32.to_le_bytes()),
            ("payload_crc", &checksum(payload).to_le_bytes()),
            ("facts_crc", &0x7576_7778_u32.to_le_bytes()),
            ("budget_kib", &0x797a_7b7c_u32.to_le_bytes()),
        ],
    );
    let read = Header::read(&frame).unwrap();
    assert_eq!(read, Header { payload_crc: checksum(payload), ..header() });
    let areas = "1 tail, 2 archive, 3 history |";
    assert!(super::TEXT.contains(areas), "the numbers of the areas");
    for (area, number) in [(Area::Tail, 1), (Area::Archive, 2), (Area::History, 3)] {
        assert_eq!((area.number(), Area::from_number(number)), (number, Some(area)));
    }
}

#[test]
fn a_salvage_mark_lies_as_its_table_says() {
    let [_, _, layout, _] = layouts();
    let mut slot = [5; SLOT_SIZE];
    slot[4..8].copy_from_slice(b"hcrc");
    let seq = 0x0102_0304_0506_0708_u64.to_le_bytes();
    Mark { area: Area::Archive, seq: 0x0102_0304_0506_0708 }.write(&mut slot);
    agree(
        &layout,
        &slot,
        &[
            ("magic", b"SLV"),
            ("area", &[2]),
            ("crc", &checksum_of(&[b"hcrc", &[2], &seq]).to_le_bytes()),
            ("seq", &seq),
        ],
    );
}

/// B5.
#[test]
fn the_note_of_a_snapshot_lies_as_its_table_says() {
    let [_, layout, ..] = layouts();
    let mut slot = [0; SLOT_SIZE];
    Note {
        recorder_at_work: true,
        taken_realtime_ns: -0x0102_0304_0506_0708,
        taken_boot_id: *b"identity of boot",
        history_end: 0x1112_1314_1516_1718,
        from: (0x2122_2324, 0x3132_3334_3536_3738),
        to: (0x4142_4344, 0x5152_5354_5556_5758),
    }
    .write(&mut slot);
    agree(
        &layout,
        &slot,
        &[
            ("note_crc", &checksum(&slot[132..208]).to_le_bytes()),
            ("note_flags", &[1, 0, 0, 0]),
            ("taken_realtime_ns", &(-0x0102_0304_0506_0708_i64).to_le_bytes()),
            ("taken_boot_id", b"identity of boot"),
            ("history_end", &0x1112_1314_1516_1718_u64.to_le_bytes()),
            ("from_ordinal", &0x2122_2324_u32.to_le_bytes()),
            ("to_ordinal", &0x4142_4344_u32.to_le_bytes()),
            ("from_ns", &0x3132_3334_3536_3738_u64.to_le_bytes()),
            ("to_ns", &0x5152_5354_5556_5758_u64.to_le_bytes()),
            ("note_reserved", &[0; 16]),
        ],
    );
    assert!(slot[..128].iter().chain(&slot[208..]).all(|&byte| byte == 0));
    assert!(super::TEXT.contains("Bit 0: a snapshot (3.1)"));
    assert_eq!(superblock::flag::SNAPSHOT, 1);
}

/// P1, P2, P3: the table of places.
#[test]
fn frames_lie_where_the_table_of_places_says() {
    let rows = super::table(&["area", "seq", "L", "A", "H", "slot"]);
    let some = Geometry::for_size(64 << 20).unwrap();
    for row in &rows {
        let [seq, lane, archive, history, slot]: [u32; 5] =
            row[1..].iter().map(|cell| super::number(cell)).collect::<Vec<_>>().try_into().unwrap();
        let geometry =
            Geometry { lane_slots: lane, archive_slots: archive, history_slots: history, ..some };
        let area = match row[0].as_str() {
            "tail" => Area::Tail,
            "archive" => Area::Archive,
            "history" => Area::History,
            other => panic!("an area {other:?}"),
        };
        assert_eq!(geometry.slot_of(area, seq.into()), slot, "{row:?}");
    }
    assert!(rows.len() >= 6);
}

#[test]
fn run_facts_lie_as_their_table_says() {
    let facts = RunFacts {
        version: 1,
        identity: *b"identity of host",
        interval_ns: 0x1112_1314_1516_1718,
        commit_ns: 0x2122_2324_2526_2728,
        page_size: 0x3132_3334,
        core_count: 0x3536_3738,
        facts: vec![("zone".into(), "UTC".into())],
    };
    let mut bytes = [0; 3072];
    let used = facts.write(&mut bytes).unwrap();
    let mut rest = &bytes[..used];
    let list = b"\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0zone\x03\0\0\0\0\0\0\0UTC";
    let values: [(&str, &[u8]); 7] = [
        ("version", &[1, 0]),
        ("identity", b"identity of host"),
        ("interval_ns", &0x1112_1314_1516_1718_u64.to_le_bytes()),
        ("commit_ns", &0x2122_2324_2526_2728_u64.to_le_bytes()),
        ("page_size", &0x3132_3334_u32.to_le_bytes()),
        ("core_count", &0x3536_3738_u32.to_le_bytes()),
        ("facts", list),
    ];
    let tables = super::tables(&["part", "form", "meaning"]);
    let rows = tables.iter().find(|rows| rows[0][0] == "version").unwrap();
    assert_eq!(rows.len(), values.len());
    for (row, (name, value)) in rows.iter().zip(values) {
        let size = match row[1].as_str() {
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            "16 bytes" => 16,
            "list" => list.len(),
            other => panic!("a form {other:?}"),
        };
        let (field, behind) = rest.split_at(size);
        assert_eq!((row[0].as_str(), field), (name, value));
        rest = behind;
    }
    assert!(rest.is_empty());
}

#[test]
fn the_check_value_of_the_checksum_holds() {
    let text = super::between("Check value: `\"", "`");
    let value = super::between("`\"123456789\"` gives 0x", ".");
    assert_eq!(text, "123456789\"");
    assert_eq!(checksum(b"123456789"), u32::from_str_radix(&value, 16).unwrap());
}
