//! What the real reader makes of a recording: the lines of `dump --boot all --format jsonl`.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser;
use flightrec_reader::args::Arguments;
use flightrec_reader::outcome::{Outcome, Trouble};
use flightrec_reader::{Output, run};
use serde_json::Value;

use crate::image::Image;
use crate::kernel::marker;

/// Everything that was read back.
#[derive(Debug, Default)]
pub struct Recovered {
    /// `cpu.user` of each sample, by run and tick.
    pub samples: BTreeMap<(u64, u64), u64>,
    /// Samples in their order, whole.
    pub lines: Vec<Value>,
    /// Events in their order.
    pub events: Vec<Value>,
    /// Messages in their order.
    pub messages: Vec<Value>,
    /// Gaps in their order.
    pub gaps: Vec<Value>,
}

/// Runs the reader with these arguments; returns how it ended and what it printed.
pub fn flightrec(arguments: &[&str]) -> (Result<Outcome, Trouble>, String) {
    let (mut data, mut remarks) = (Vec::new(), Vec::new());
    let arguments = Arguments::try_parse_from(["flightrec"].iter().chain(arguments))
        .expect("arguments that can be");
    let mut output =
        Output { data: &mut data, remarks: &mut remarks, color: false, watched: false };
    let outcome = run(&arguments, &mut output);
    (outcome, String::from_utf8(data).expect("UTF-8"))
}

impl Recovered {
    /// Reads a whole recording.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        let path = path.to_str().expect("a plain path");
        let (outcome, text) = flightrec(&["dump", path, "--boot", "all", "--format", "jsonl"]);
        outcome.unwrap_or_else(|trouble| panic!("the reader gave up: {trouble:?}"));
        let mut recovered = Self::default();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).expect("JSON");
            if let Some(gap) = value.get("gap") {
                recovered.gaps.push(gap.clone());
            } else if let Some(event) = value.get("event") {
                recovered.events.push(event.clone());
            } else if let Some(message) = value.get("message") {
                recovered.messages.push(message.clone());
            } else {
                let run = run_number(&value);
                let tick = value["tick"].as_u64().expect("a tick");
                let user = value["values"]["cpu.user"].as_u64().unwrap_or(0);
                recovered.samples.insert((run, tick), user);
                recovered.lines.push(value);
            }
        }
        recovered
    }

    /// Reads an image of a recording.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("recording.frec");
        std::fs::write(&path, image.bytes()).expect("room for it");
        Self::of_file(&path)
    }

    /// Which of these samples are not here.
    #[must_use]
    pub fn missing(&self, acked: &[(u64, u64)]) -> Vec<(u64, u64)> {
        acked.iter().filter(|key| !self.samples.contains_key(key)).copied().collect()
    }

    /// Nothing invented or altered: every sample carries the reading that its tick had.
    pub fn assert_true(&self) {
        for (&(run, tick), &user) in &self.samples {
            assert_eq!(user, marker(run, tick), "run {run} tick {tick} was altered");
        }
    }

    /// Causes of the gaps, in order.
    #[must_use]
    pub fn causes(&self) -> Vec<&str> {
        self.gaps.iter().filter_map(|gap| gap["cause"].as_str()).collect()
    }

    /// Events of a kind.
    #[must_use]
    pub fn events_of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["kind"] == kind).collect()
    }
}

fn run_number(line: &Value) -> u64 {
    let hex = line["run"].as_str().expect("a run");
    u64::from_str_radix(hex, 16).expect("hex").swap_bytes()
}
