//! Every fixture is read as its name says, tells what the text beside it tells, and is read alike
//! by the decoder that was written from the specification alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flightrec_tests::recovered::flightrec;
use serde_json::Value;
use tempfile::TempDir;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures")
}

/// Names of the fixtures that begin with `kind`.
fn names(kind: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".frec.zst")?.to_owned()))
        .filter(|name| name.starts_with(kind))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no fixture is called {kind}-*");
    names
}

/// Unpacks a fixture; the folder goes with the value.
fn unpacked(name: &str) -> (TempDir, String) {
    let packed = fs::read(folder().join(format!("{name}.frec.zst"))).unwrap();
    let bytes = zstd::bulk::decompress(&packed, 64 << 20).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join(format!("{name}.frec"));
    fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (temporary, path)
}

fn golden(name: &str, command: &str, arguments: &[&str]) {
    let (temporary, path) = unpacked(name);
    let (outcome, text) = flightrec(&[&[command, &path], arguments].concat());
    let outcome = outcome.map_or_else(|trouble| format!("{trouble:?}"), |seen| format!("{seen:?}"));
    let shown = text.replace(temporary.path().to_str().unwrap(), "DIR");
    let said = format!("{shown}[{outcome}]\n");
    let beside = folder().join(format!("{name}.{command}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&beside, &said).unwrap();
    }
    let expected = fs::read_to_string(&beside).unwrap_or_default();
    assert_eq!(said, expected, "{name}: `flightrec {command}` tells something else than before");
}

/// E3: what was read once is read for ever.
#[test]
fn every_good_fixture_tells_what_it_told_before() {
    for name in names("good") {
        // As JSON: the text would say more on the machine that it was recorded on.
        golden(&name, "boots", &["--format", "json"]);
        golden(&name, "verify", &[]);
    }
}

#[test]
fn bad_and_unsupported_fixtures_are_refused_with_their_reason() {
    for (kind, words) in [("bad", "not a recording"), ("unsupported", "newer")] {
        for name in names(kind) {
            let (_temporary, path) = unpacked(&name);
            for command in ["dump", "boots", "verify"] {
                let (outcome, text) = flightrec(&[command, &path]);
                let trouble = outcome.expect_err(&name);
                assert_eq!(trouble.outcome.code(), 4, "{name}");
                assert!(trouble.message.contains(words), "{name}: {}", trouble.message);
                assert_eq!(text, "", "{name}: `{command}` printed data");
            }
        }
    }
}

/// The spec is complete: a decoder that knows nothing else reads the same.
#[test]
fn the_decoder_of_the_specification_reads_every_good_fixture_alike() {
    let script = folder().parent().unwrap().join("tests/spec_decoder.py");
    for name in names("good") {
        let (_temporary, path) = unpacked(&name);
        let run = Command::new("python3").arg(&script).arg(&path).output();
        let Ok(output) = run else {
            println!("skipped: there is no python3");
            return;
        };
        if output.status.code() == Some(77) {
            println!("skipped: python3 has no zstd module");
            return;
        }
        let (_, ours) = flightrec(&["dump", &path, "--boot", "all", "--format", "jsonl"]);
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(theirs.lines().count(), ours.lines().count(), "{name}: lines");
        assert!(ours.lines().count() > 100, "{name}");
        for (number, (their, our)) in theirs.lines().zip(ours.lines()).enumerate() {
            let [their, our]: [Value; 2] =
                [their, our].map(|line| serde_json::from_str(line).unwrap());
            assert_eq!(their, our, "{name}: line {}", number + 1);
        }
    }
}

/// What only the newest commit held is lost by a cut in its write, and nothing else.
#[test]
fn a_cut_in_a_frame_costs_the_commit_that_was_in_flight_and_nothing_else() {
    let lines = |name| {
        let (_temporary, path) = unpacked(name);
        let arguments = ["dump", &path, "--boot", "all", "--format", "jsonl"];
        let (outcome, text) = flightrec(&arguments);
        assert_eq!(outcome.unwrap(), flightrec_reader::outcome::Outcome::Whole, "{name}");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = lines("good-compile-load");
    let cut = lines("good-cut-in-frame");
    assert!(whole.starts_with(&cut), "something else was lost");
    assert!((1..=31).contains(&(whole.len() - cut.len())), "{} lines", whole.len() - cut.len());
    assert_eq!(lines("good-superblocks-gone"), whole);
}
