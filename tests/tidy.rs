//! House rules that no compiler knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file that still fits one head.
const LINES_MAX: usize = 450;

/// Files that are one long table, the same shape in every line.
const LONG_TABLES: [&str; 1] = ["format/src/series.rs"];

/// Files that wait to be cut in two.
const LONG_YET: &[&str] = &[];

/// Rules of the specification that no source or test cites yet.
const NOT_YET: &[&str] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below the four crates, as (path from the root, text).
fn sources(extension: &str) -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> =
        ["format", "recorder", "reader", "tests"].map(|name| root().join(name)).into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 10 || extension != "rs");
    found
}

/// A rule id is a capital letter and a number.
fn is_rule(word: &str) -> bool {
    word.strip_prefix(|c: char| c.is_ascii_uppercase())
        .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

/// The rules of the specification, in its order: `**G1**` and so on.
fn rules() -> Vec<&'static str> {
    let bold = crate::spec::TEXT.split("**").skip(1).step_by(2);
    let rules: Vec<&str> = bold.filter(|word| is_rule(word)).collect();
    let once: BTreeSet<&str> = rules.iter().copied().collect();
    assert_eq!(once.len(), rules.len(), "a rule id stands twice in the specification");
    assert!(rules.len() > 40);
    rules
}

/// The rules that a line of comment cites; `P1 - P3` cites P2 too.
fn cited(comment: &str) -> Vec<String> {
    let words: Vec<&str> = comment
        .split(|c: char| !c.is_alphanumeric() && c != '-' && c != '–')
        .filter(|word| !word.is_empty())
        .collect();
    let mut cited = Vec::new();
    for (at, word) in words.iter().enumerate().filter(|(_, word)| is_rule(word)) {
        cited.push((*word).to_owned());
        if let [_, "-" | "–", last, ..] = words[at..]
            && is_rule(last)
            && last[..1] == word[..1]
        {
            let numbers = [word, last].map(|rule| rule[1..].parse::<u32>().unwrap());
            cited.extend((numbers[0]..numbers[1]).map(|number| format!("{}{number}", &word[..1])));
        }
    }
    cited
}

#[test]
fn every_rule_of_the_specification_is_cited_and_no_other() {
    let rules = rules();
    let letters: BTreeSet<&str> = rules.iter().map(|rule| &rule[..1]).collect();
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in sources("rs") {
        let comments = text.lines().filter_map(|line| line.split_once("//"));
        let rules = comments.flat_map(|(_, comment)| cited(comment));
        for rule in rules.filter(|rule| letters.contains(&rule[..1]) && name != "tests/tidy.rs") {
            places.entry(rule).or_default().insert(name.clone());
        }
    }
    for (rule, files) in &places {
        assert!(rules.contains(&rule.as_str()), "{files:?} cite {rule}, which is no rule");
    }
    let uncited: Vec<&str> =
        rules.iter().copied().filter(|rule| !places.contains_key(*rule)).collect();
    let late: Vec<&&str> = NOT_YET.iter().filter(|rule| !uncited.contains(rule)).collect();
    println!("cited by nothing: {uncited:?}; cited by now: {late:?}");
    let unknown: Vec<&str> = uncited.into_iter().filter(|rule| !NOT_YET.contains(rule)).collect();
    assert!(unknown.is_empty(), "no source and no test cites {unknown:?}");
}

/// The unit tests of a module are part of its story: their first lines may do without.
#[test]
fn every_source_file_says_first_what_it_is() {
    for (name, text) in sources("rs") {
        assert!(
            text.starts_with("//! ") || name.ends_with("/tests.rs"),
            "{name} does not begin with `//!`"
        );
    }
}

#[test]
fn no_source_file_is_too_long_to_keep_in_mind() {
    for (name, text) in sources("rs") {
        let lines = text.lines().count();
        let may = LONG_TABLES.contains(&name.as_str()) || LONG_YET.contains(&name.as_str());
        assert!(lines <= LINES_MAX || may, "{name} has {lines} lines, more than {LINES_MAX}");
    }
}

/// Recorder and reader know the format; the format knows nobody; neither knows the other.
#[test]
fn the_arrows_between_the_crates_point_one_way() {
    let strangers_of = [
        ("format", ["flightrec-recorder", "flightrec-reader", "flightrec-tests"].as_slice()),
        ("recorder", &["flightrec-reader", "flightrec-tests"]),
        ("reader", &["flightrec-recorder", "flightrec-tests"]),
    ];
    for (name, strangers) in strangers_of {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for stranger in strangers {
            assert!(!manifest.contains(stranger), "{name} depends on {stranger}");
        }
    }
}

#[test]
fn every_fixture_has_its_sentence() {
    let folder = root().join("fixtures");
    let names = fs::read_dir(&folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // A recording and the texts beside it share the name before the first dot.
    let names: BTreeSet<String> = names
        .filter(|name| name != "README.md")
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
        .collect();
    assert!(names.len() > 10);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    for name in names {
        assert!(readme.contains(&name), "fixtures/README.md does not tell what {name} is");
    }
}

/// What is left over is an issue or is done; it is not a note in a file.
#[test]
fn no_leftover_markers() {
    let markers = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"], ["W", "IP"]];
    let markers = markers.map(|pieces| pieces.concat());
    for (name, text) in ["rs", "py", "toml", "md"].iter().flat_map(|kind| sources(kind)) {
        for (number, line) in (1..).zip(text.lines()) {
            let words = line.split(|c: char| !c.is_alphanumeric());
            let found = words.into_iter().find(|word| markers.iter().any(|marker| marker == word));
            assert_eq!(found, None, "{name}:{number}: a leftover marker");
        }
    }
}
