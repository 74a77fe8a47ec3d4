//! Sources that stopped answering in a run, or never did: which, why, and what would help.

use flightrec_format::event::EventKind;
use flightrec_format::facts::RunFacts;
use flightrec_format::place::Area;

use crate::merge::Merge;
use crate::scan::Frame;
use crate::timeline::Timeline;

/// Slots of the newest run's history that are searched for sources that were lost: three hours of
/// a busy machine. What was lost earlier is told by `dump`, which takes its time.
const SEARCHED_SLOTS: u64 = 384;

/// Files of the kernel that are there or not by a switch of its own.
const PRESSURE: &str = "/proc/pressure/";

/// A source that does not answer any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost {
    /// Its name.
    pub source: String,
    /// What the kernel said, in words; of the journal, what is wrong with which file.
    pub reason: String,
    /// Whether it did not answer when the run began either.
    pub from_start: bool,
}

/// What may be wrong with the journal, by how its reason begins, and what would help.
const JOURNAL_REMEDIES: [(&str, &str); 5] = [
    ("no permission", "run the recorder as root, or with Group=systemd-journal in its unit"),
    ("unknown flag", "this journald is newer than flightrec: look for a newer flightrec"),
    ("the disk does not give it", "see dmesg: the card or disk may be failing"),
    ("too many", "journalctl --vacuum-files=8 leaves fewer"),
    ("", "journalctl --verify names what is broken, journalctl --rotate begins a new file"),
];

impl Lost {
    /// What is lost, in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { source, reason, from_start } = self;
        let space = if reason.is_empty() { "" } else { ", " };
        if source == "journal" {
            return format!("journal: {reason}; lines and messages of services are missing");
        }
        if *from_start {
            return format!("{source} has not answered since the start{space}{reason}");
        }
        format!("{source} does not answer any more{space}{reason}")
    }

    /// What would help.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        if self.source != "journal" {
            return if self.from_start {
                "none if this kernel has no such file; else do not hide it from the recorder"
            } else {
                "dmesg may tell why"
            };
        }
        let known = JOURNAL_REMEDIES.iter().find(|(begin, _)| self.reason.starts_with(begin));
        known.map_or("", |(_, remedy)| remedy)
    }
}

/// Those of a run, in the order in which they were lost; without those that its facts call absent,
/// where there is a better remedy.
pub(super) fn sources(
    timeline: &mut Timeline,
    at: (usize, usize),
    facts: Option<&RunFacts>,
) -> Vec<Lost> {
    let mut lost: Vec<Lost> = Vec::new();
    let frames = timeline.run(at.0, at.1).map(|run| run.frames.as_slice()).unwrap_or_default();
    let history = frames.iter().filter(|frame| frame.area == Area::History);
    let sealed = history.clone().map(|frame| frame.last_tick).max();
    let mut slots = 0;
    let newest = history.rev().take_while(|frame| {
        slots += u64::from(frame.slots);
        slots <= SEARCHED_SLOTS
    });
    // What is sealed has its events with it; of the tail only what is newer counts.
    let open = frames.iter().filter(|frame| {
        frame.area == Area::Tail && sealed.is_none_or(|sealed| frame.last_tick > sealed)
    });
    let mut searched: Vec<Frame> = newest.chain(open).copied().collect();
    searched.sort_by_key(|frame| frame.first_tick);
    let mut merge = Merge::new(&searched, 0, u64::MAX);
    while merge.next(&mut timeline.recover).is_some() {}
    let events = merge.events_until(u64::MAX);
    let start = events.iter().find(|told| told.event.kind == EventKind::RUN_START);
    let start_tick = start.map(|told| told.event.tick);
    for told in events {
        // Of the journal it is told what is wrong with which file.
        let text = told.event.text;
        let (source, why) = text.split_once(": ").unwrap_or((&text, ""));
        let is_lost = told.event.kind == EventKind::SOURCE_LOST;
        if is_lost || told.event.kind == EventKind::SOURCE_FOUND {
            lost.retain(|lost| lost.source != source);
        }
        if is_lost {
            let errno = told.event.arguments.first().and_then(|errno| i32::try_from(*errno).ok());
            let error = errno.map(|errno| std::io::Error::from_raw_os_error(errno).to_string());
            let reason = if why.is_empty() { error.unwrap_or_default() } else { why.to_owned() };
            let from_start = start_tick == Some(told.event.tick);
            lost.push(Lost { source: source.to_owned(), reason, from_start });
        }
    }
    let absent = facts.and_then(|facts| facts.get("absent")).unwrap_or_default();
    if absent.split(", ").any(|name| name == "pressure") {
        lost.retain(|lost| !lost.source.starts_with(PRESSURE));
    }
    lost
}
