//! Section 13: a whole recording, byte for byte, and the lines that it makes.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use flightrec_format::body::Body;
use flightrec_format::facts::RunFacts;
use flightrec_format::frame::Header;
use flightrec_format::place::Area;
use flightrec_tests::example;

/// The bytes of every slot that is not zero, as the fences of section 13 have them: one fence a
/// slot, 16 bytes a line, lines of zeros left out.
fn hex_by_slot(recording: &[u8]) -> Vec<String> {
    let slots = recording.chunks(4096).zip(0..).filter(|(slot, _)| slot.iter().any(|b| *b != 0));
    let in_hex = |(slot, number): (&[u8], usize)| {
        let lines = slot.chunks(16).zip(0..).filter(|(line, _)| line.iter().any(|b| *b != 0));
        let line = |(bytes, row): (&[u8], usize)| {
            format!("{:06x}: {}", number * 4096 + row * 16, bytes_in_hex(bytes))
        };
        lines.map(line).collect::<Vec<_>>().join("\n")
    };
    slots.map(in_hex).collect()
}

fn bytes_in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_hex_of_section_13_is_the_recording_that_the_code_writes() {
    let built = hex_by_slot(&example::recording());
    let told = super::fences("hex");
    for (built, told) in built.iter().zip(&told) {
        assert!(built == told, "the text has\n{told}\n\nthe code writes\n{built}");
    }
    assert_eq!(built.len(), told.len(), "{}", built.join("\n\n"));
}

/// The table after the hex: the bytes at each offset are those that the row explains.
#[test]
fn what_the_table_of_section_13_explains_stands_there() {
    let recording = example::recording();
    let rows = super::table(&["offset", "bytes", "read as"]);
    assert!(rows.len() > 20);
    for row in rows {
        let offset = usize::from_str_radix(&row[0], 16).unwrap();
        let found = &recording[offset..offset + row[1].split(' ').count()];
        assert_eq!(bytes_in_hex(found), row[1], "at {}", row[0]);
    }
}

/// F3: a frame needs no other. F4: the archive holds events and facts, no samples.
#[test]
fn every_frame_of_the_example_decodes_alone() {
    let recording = example::recording();
    let mut found = Vec::new();
    for slot in recording.chunks(4096) {
        let Ok(header) = Header::read(slot) else { continue };
        let body = Body::of(&header, header.payload(slot).unwrap()).unwrap();
        let ticks = body.samples.map_or(Vec::new(), |samples| samples.ticks);
        let facts = body.facts.map(|facts| RunFacts::read(&facts).unwrap());
        let zone = facts.and_then(|facts| facts.get("zone").map(str::to_owned));
        found.push((header.area, ticks, body.events.len(), zone));
    }
    let zone = Some("UTC".to_owned());
    let expected = [
        (Area::Tail, vec![100, 102], 2, None),
        (Area::Tail, vec![100], 1, zone.clone()),
        (Area::Archive, vec![], 2, zone.clone()),
        (Area::History, vec![100, 102], 2, zone),
    ];
    assert_eq!(found, expected);
}

/// Runs a script of this folder; `None`, and a word about it, where it cannot run.
fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("python3").arg("-B").arg(folder.join(script)).args(arguments).output();
    let run = match run {
        Ok(run) => run,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: there is no python3");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let complaint = String::from_utf8_lossy(&run.stderr);
    if run.status.code() == Some(77) {
        println!("skipped: {complaint}");
        return None;
    }
    assert!(run.status.success(), "{complaint}");
    assert_eq!(complaint, "");
    Some(String::from_utf8(run.stdout).unwrap())
}

/// A stranger who has nothing but the text reads what the code wrote.
#[test]
fn the_decoder_of_the_text_reads_the_recording_into_the_lines_of_section_13() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.frec");
    std::fs::write(&path, example::recording()).unwrap();
    if let Some(lines) = python("spec_decoder.py", &[&path]) {
        let told = super::fences("jsonl");
        assert!(told.len() == 1 && lines.trim_end() == told[0], "the decoder reads\n{lines}");
    }
}

#[test]
fn the_decoder_of_the_text_passes_its_own_test() {
    if let Some(said) = python("spec_decoder_selftest.py", &[]) {
        assert_eq!(said, "ok\n");
    }
}
