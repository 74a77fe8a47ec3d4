//! Section 9: the reader's words are those of the text, and its lines those of section 13.

use std::collections::BTreeSet;

use clap::Parser;
use flightrec_reader::Output;
use flightrec_reader::args::Arguments;
use flightrec_reader::gap::Cause;
use flightrec_reader::outcome::Outcome;
use flightrec_reader::scan::Verdict;
use flightrec_tests::example;

/// The table of 9.1. *Outside* is what the text does not judge.
#[test]
fn the_verdicts_of_the_reader_are_those_of_the_table() {
    let rows = super::table(&["#", "condition", "verdict", "the reader"]);
    let of_text: BTreeSet<&str> = rows.iter().map(|row| row[2].as_str()).collect();
    let judged = Verdict::ALL.iter().filter(|verdict| **verdict != Verdict::Outside);
    assert_eq!(of_text, judged.map(|verdict| verdict.name()).collect());
    let numbers: Vec<usize> = rows.iter().map(|row| super::number(&row[0])).collect();
    assert_eq!(numbers, (1..=rows.len()).collect::<Vec<_>>());
}

/// V6.
#[test]
fn the_causes_of_gaps_are_those_of_the_table() {
    let rows = super::table(&["case", "cause"]);
    let of_text: BTreeSet<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    let of_code = [
        Cause::RecorderStopped,
        Cause::PowerOff,
        Cause::RecorderOff,
        Cause::NotDurable,
        Cause::Damaged,
        Cause::Suspended,
        Cause::SamplerLate,
        Cause::Overwritten,
        Cause::LeftOut,
    ];
    assert_eq!(of_text, of_code.iter().map(|cause| cause.name()).collect());
}

#[test]
fn the_reader_makes_the_lines_of_section_13() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.frec");
    std::fs::write(&path, example::recording()).unwrap();
    let words = ["flightrec", "dump", "--format", "jsonl", "--boot", "all"];
    let words = words.into_iter().map(Into::into).chain([path.into_os_string()]);
    let arguments = Arguments::try_parse_from(words).unwrap();
    let (mut data, mut remarks) = (Vec::new(), Vec::new());
    let mut output =
        Output { data: &mut data, remarks: &mut remarks, color: false, watched: false };
    let outcome = flightrec_reader::run(&arguments, &mut output);
    assert!(matches!(outcome, Ok(Outcome::Whole)));
    let lines = String::from_utf8(data).unwrap();
    assert_eq!(lines.trim_end(), super::fences("jsonl").concat());
}
