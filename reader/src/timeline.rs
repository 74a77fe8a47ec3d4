//! Boots and runs in their order (V4), what their first and last samples say, how they ended (V8).

use crate::gap::Stand;
use crate::merge::{EventAt, Joined, Merge};
use crate::outcome::{Outcome, Trouble};
use crate::recover::Recover;
use crate::scan::{Frame, Scan, Verdict};
use std::cmp::Reverse;

use flightrec_format::event::{EventKind, stop_reason};
use flightrec_format::facts::RunFacts;
use flightrec_format::place::Area;
use flightrec_format::superblock::Geometry;

/// One run of the recorder.
#[derive(Clone, Debug)]
pub struct Run {
    /// Random, one per start of the recorder.
    pub run_id: [u8; 8],
    /// Sampling interval.
    pub interval_ns: u64,
    /// Its frames, ascending by first tick.
    pub frames: Vec<Frame>,
    /// Its torn frames.
    pub torn: Vec<Frame>,
    /// How many places behind that of the next tail frame hold nothing that can be read: so many
    /// commits may have been durable and be gone (V7).
    pub doubtful_commits: u64,
}

/// One run of the kernel.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Of the kernel.
    pub boot_id: [u8; 16],
    /// Counts the boots that this recording has seen.
    pub ordinal: u32,
    /// Runs in their order.
    pub runs: Vec<Run>,
}

/// How a boot ended (V8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The machine was shut down in order.
    Shutdown,
    /// The recorder was stopped; from then on nothing is known.
    Stopped,
    /// Not ended: the recorder is at work.
    Running,
    /// Anything else: the power was cut, or everything hung.
    Cut,
}

impl End {
    /// Its name in the spec.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Cut => "cut",
        }
    }
}

/// Everything in a recording, in order, decoded when asked for.
pub struct Timeline {
    /// Boots in their order.
    pub boots: Vec<Boot>,
    /// Decodes frames.
    pub recover: Recover,
    /// Index of the boot that a recorder is writing right now.
    pub running: Option<usize>,
    /// Index of the boot of the running kernel.
    pub current: Option<usize>,
    /// Ordinals that two boots share; reported (V4).
    pub shared_ordinals: Vec<u32>,
    /// History seqs up to this one belong to laps that the writer has passed; negative in the
    /// first lap, unknown without geometry (V6).
    pub passed: Option<i128>,
    /// Whether the scan met any slot that is not what it ought to be.
    damaged: bool,
}

impl Timeline {
    /// Orders what a scan found.
    #[must_use]
    pub fn new(scan: &Scan, recover: Recover) -> Self {
        let mut runs: Vec<Run> = scan
            .runs
            .iter()
            .map(|key| Run {
                run_id: key.run_id,
                interval_ns: key.interval_ns,
                frames: Vec::new(),
                torn: Vec::new(),
                doubtful_commits: 0,
            })
            .collect();
        for frame in &scan.frames {
            if let Some(run) = runs.get_mut(frame.run) {
                run.frames.push(*frame);
            }
        }
        for frame in &scan.torn {
            if let Some(run) = runs.get_mut(frame.run) {
                run.torn.push(*frame);
            }
        }
        let mut boots: Vec<Boot> = scan
            .boots
            .iter()
            .map(|boot_id| Boot { boot_id: *boot_id, ordinal: 0, runs: Vec::new() })
            .collect();
        for (key, mut run) in scan.runs.iter().zip(runs) {
            run.frames.sort_by_key(|frame| (frame.first_tick, frame.slot));
            if let Some(boot) = boots.get_mut(key.boot).filter(|_| !run.frames.is_empty()) {
                boot.runs.push(run);
            }
        }
        boots.retain(|boot| !boot.runs.is_empty());
        let superblock = recover.recording().superblock;
        let snapshot = recover.recording().snapshot;
        let passed = superblock.map(|superblock| {
            // Of a snapshot: how far its recording had come.
            let noted = snapshot.map_or(0, |note| u128::from(note.history_end));
            let end = i128::try_from(scan.history_end.max(noted)).unwrap_or(i128::MAX);
            end.saturating_sub(i128::from(superblock.geometry.history_slots))
        });
        if let Some(superblock) = &superblock {
            for run in boots.iter_mut().flat_map(|boot| &mut boot.runs) {
                let lost = lost_slots(run, scan, &superblock.geometry).len();
                run.doubtful_commits = u64::try_from(lost).unwrap_or(0).saturating_sub(1);
            }
        }
        let mut timeline = Self {
            boots,
            recover,
            running: None,
            current: None,
            shared_ordinals: Vec::new(),
            passed,
            damaged: !scan.places.is_empty(),
        };
        timeline.order();
        if let Some(note) = snapshot {
            // It tells of the machine as it was when it was taken, wherever it is read.
            timeline.current =
                timeline.boots.iter().rposition(|boot| boot.boot_id == note.taken_boot_id);
            timeline.running = timeline.current.filter(|_| note.recorder_at_work);
        }
        timeline
    }

    /// Why there is nothing to show.
    #[must_use]
    pub fn nothing(&self) -> Trouble {
        let recording = self.recover.recording();
        let path = crate::views::text::escape(&recording.path().to_string_lossy());
        let size = recording.slots() * crate::recording::SLOT_SIZE_U64;
        let message = if recording.len() < size {
            format!(
                "{path} is cut short: {} of {size} bytes are there, and no sample is in them.\n\
                 Copy it again, as a whole.",
                recording.len()
            )
        } else if self.damaged || !self.recover.bad().is_empty() {
            format!(
                "no sample in {path} can be read: it is damaged.\n\
                 `flightrec verify` says where."
            )
        } else {
            "the recording is sound, and nothing is recorded in it yet.\n\
             Is flightrecd running? `systemctl status flightrec` tells."
                .to_owned()
        };
        Trouble::new(Outcome::Nothing, message)
    }

    /// The run `run` of the boot `boot`.
    #[must_use]
    pub fn run(&self, boot: usize, run: usize) -> Option<&Run> {
        self.boots.get(boot)?.runs.get(run)
    }

    /// Seqs of the newest live frames of a run in the tail, or copied from there, first and last:
    /// of one frame, or of those in a row at the end that leave samples out (V6).
    pub fn newest_tail_seqs(&mut self, (boot, run): (usize, usize)) -> Option<(u64, u64)> {
        let frames = &self.boots.get(boot)?.runs.get(run)?.frames;
        let of_tail = frames.iter().filter(|frame| frame.area == Area::Tail);
        let mut newest_first: Vec<&Frame> = of_tail.collect();
        newest_first.sort_by_key(|frame| Reverse(frame.seq));
        let mut live = newest_first.into_iter().filter(|frame| self.recover.load(frame).is_some());
        let last = live.next()?;
        if !last.is_sparse {
            return Some((last.seq, last.seq));
        }
        let first = live.take_while(|frame| frame.is_sparse).last();
        Some((first.map_or(last.seq, |frame| frame.seq), last.seq))
    }

    /// The samples `from ..= to` of a run.
    #[must_use]
    pub fn merge(&self, boot: usize, run: usize, from: u64, to: u64) -> Merge {
        Merge::new(self.run(boot, run).map(|run| &run.frames).into_iter().flatten(), from, to)
    }

    /// First sample of a run at or after `from` that `fits`.
    pub fn first_in_run(
        &mut self,
        (boot, run): (usize, usize),
        from: u64,
        fits: impl Fn(&Joined) -> bool,
    ) -> Option<Joined> {
        let mut merge = self.merge(boot, run, from, u64::MAX);
        loop {
            let sample = merge.next(&mut self.recover)?;
            if fits(&sample) {
                return Some(sample);
            }
        }
    }

    /// Last sample of a run before `before` (`None`: its end) that `fits`.
    ///
    /// Goes back frame by frame: what lies between the first ticks of two neighbours is looked
    /// at once, and mostly the newest frame answers.
    pub fn last_in_run(
        &mut self,
        (boot, run): (usize, usize),
        before: Option<u64>,
        fits: impl Fn(&Joined) -> bool,
    ) -> Option<Joined> {
        let mut to = match before {
            Some(before) => before.checked_sub(1)?,
            None => u64::MAX,
        };
        // Frames of the tail overlap: going back by one each time would decode each of them often.
        let mut step = 1;
        loop {
            let frames = &self.run(boot, run)?.frames;
            let begins = frames.partition_point(|frame| frame.first_tick <= to);
            let newest = frames.get(begins.checked_sub(1)?.saturating_sub(step - 1))?;
            let from = newest.first_tick;
            step = (step * 2).min(64);
            let mut merge = self.merge(boot, run, from, to);
            let mut found = None;
            while let Some(sample) = merge.next(&mut self.recover) {
                if fits(&sample) {
                    found = Some(sample);
                }
            }
            if found.is_some() {
                return found;
            }
            to = from.checked_sub(1)?;
        }
    }

    /// First sample of a boot, with its run.
    pub fn first_sample(&mut self, boot: usize) -> Option<(usize, Joined)> {
        let count = self.boots.get(boot)?.runs.len();
        (0..count).find_map(|run| Some((run, self.first_in_run((boot, run), 0, |_| true)?)))
    }

    /// Last sample of a boot, with its run.
    pub fn last_sample(&mut self, boot: usize) -> Option<(usize, Joined)> {
        let count = self.boots.get(boot)?.runs.len();
        let last = |run| Some((run, self.last_in_run((boot, run), None, |_| true)?));
        (0..count).rev().find_map(last)
    }

    /// The last sample before a run begins.
    pub fn last_before(&mut self, (boot, run): (usize, usize)) -> Option<Stand> {
        let own = (0..run).rev().map(|run| (boot, run));
        let runs = |boot: usize| self.boots.get(boot).map_or(0, |boot| boot.runs.len());
        let others = (0..boot).rev().flat_map(|b| (0..runs(b)).rev().map(move |run| (b, run)));
        let earlier: Vec<_> = own.chain(others).collect();
        earlier.into_iter().find_map(|at| {
            let sample = self.last_in_run(at, None, |_| true)?;
            Some(Stand { at, sample })
        })
    }

    /// The stop that a run ends with, if it does: no event and no sample of it is after it (V6).
    pub fn stop_of(&mut self, boot: usize, run: usize) -> Option<EventAt> {
        let last_tick = self.last_in_run((boot, run), None, |_| true).map(|sample| sample.tick);
        let events = self.events_from(boot, run, last_tick.unwrap_or(0));
        let moment = |told: &EventAt| (told.event.tick, told.event.offset_ms);
        let newest = events.last().map(moment)?;
        let mut last = events.into_iter().rev().take_while(|told| moment(told) == newest);
        last.find(|told| told.event.kind == EventKind::STOP)
    }

    /// Events of a run at `tick` and later, in order.
    pub fn events_from(&mut self, boot: usize, run: usize, tick: u64) -> Vec<EventAt> {
        let mut merge = self.merge(boot, run, tick, u64::MAX);
        while merge.next(&mut self.recover).is_some() {}
        merge.events_until(u64::MAX)
    }

    /// Whether any event of a boot is left.
    pub fn has_events(&mut self, boot: usize) -> bool {
        let count = self.boots.get(boot).map_or(0, |boot| boot.runs.len());
        (0..count).any(|run| !self.events_from(boot, run, 0).is_empty())
    }

    /// The stop that a boot ends with: that of its last run.
    pub fn stop_of_boot(&mut self, boot: usize) -> Option<EventAt> {
        let last = self.boots.get(boot)?.runs.len().checked_sub(1)?;
        self.stop_of(boot, last)
    }

    /// How a boot ended (V8).
    pub fn end_of(&mut self, boot: usize) -> End {
        match self.stop_of_boot(boot).map(|stop| stop.event.arguments.first().copied()) {
            Some(Some(stop_reason::MACHINE_SHUTDOWN)) => End::Shutdown,
            Some(_) => End::Stopped,
            None if self.running == Some(boot) => End::Running,
            None => End::Cut,
        }
    }

    /// The run facts of the newest run of a boot that has any (R8).
    pub fn facts(&mut self, boot: usize) -> Option<RunFacts> {
        let count = self.boots.get(boot)?.runs.len();
        (0..count).rev().find_map(|run| self.facts_of_run(boot, run))
    }

    fn facts_of_run(&mut self, boot: usize, run: usize) -> Option<RunFacts> {
        let crc = self.run(boot, run)?.frames.last()?.facts_crc;
        let holds = |frame: &&Frame| frame.has_facts && frame.facts_crc == crc;
        let all = self.boots.iter().flat_map(|boot| boot.runs.iter().flat_map(|run| &run.frames));
        let mut holders: Vec<Frame> = all.filter(holds).copied().collect();
        // All say the same, and a small one is decoded soonest.
        holders.sort_by_key(|frame| Reverse(frame.slots));
        holders.iter().rev().find_map(|frame| {
            let decoded = self.recover.load(frame)?;
            RunFacts::read(decoded.facts.as_ref()?).ok()
        })
    }
}

/// The places in a row, from that of the tail frame after the newest live one of a run on, that hold
/// neither frames nor blanks, but nothing that can be read. The first of all is the write in flight.
#[must_use]
pub fn lost_slots(run: &Run, scan: &Scan, geometry: &Geometry) -> Vec<u64> {
    let in_tail = |frame: &&Frame| frame.area == Area::Tail && frame.rank.0 == 0;
    let Some(newest) = run.frames.iter().filter(in_tail).map(|frame| frame.seq).max() else {
        return Vec::new();
    };
    let slot_of = |seq: u64| u64::from(geometry.tail_start + geometry.slot_of(Area::Tail, seq));
    let is_lost = |slot: &u64| {
        scan.places.iter().any(|place| {
            matches!(place.verdict, Verdict::Damaged | Verdict::Unreadable)
                && (place.slot..place.slot + place.count).contains(slot)
        })
    };
    let lap = u64::from(geometry.lane_slots) * 2;
    let next = newest.saturating_add(1)..newest.saturating_add(lap);
    next.map(slot_of).take_while(is_lost).collect()
}
