//! How a boot is introduced: when, how it ended, how old the newest durable sample is.

use flightrec_format::event::stop_reason;
use flightrec_format::facts::RunFacts;

use crate::date::{Clock, Dated, Dater};
use crate::merge::{EventAt, Joined};
use crate::timeline::{End, Timeline};
use crate::units;
use crate::views::stress::row_clock;
use crate::views::text::{WIDTH, escape, wrap};
use crate::zone::Zone;

/// One end of a boot: a sample and its date.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The sample.
    pub sample: Joined,
    /// Its date.
    pub dated: Dated,
}

impl Mark {
    /// Real time, ms since 1970.
    #[must_use]
    pub fn time_ms(&self) -> Option<i128> {
        self.dated.at(self.sample.time_ns)
    }
}

/// What is known of a boot as a whole.
#[derive(Clone, Debug)]
pub struct BootSummary {
    /// Its index in the timeline.
    pub index: usize,
    /// Counts the boots that this recording has seen.
    pub ordinal: u32,
    /// Of the kernel.
    pub boot_id: [u8; 16],
    /// Runs of the recorder in it.
    pub run_count: usize,
    /// First and last sample; absent if only events are left.
    pub bounds: Option<(Mark, Mark)>,
    /// How it ended.
    pub end: End,
    /// The stop that ended it.
    pub stop: Option<EventAt>,
    /// Whether this is the boot of the running kernel; in a snapshot, of when it was taken.
    pub current: bool,
    /// Whether it is looked at in a snapshot.
    pub in_snapshot: bool,
    /// Run facts of its newest run.
    pub facts: Option<RunFacts>,
    /// Commits that its newest run may have lost to damage (V7).
    pub doubtful_commits: u64,
}

impl BootSummary {
    /// Looks at the edges of a boot.
    pub fn of(timeline: &mut Timeline, index: usize) -> Option<Self> {
        let (ordinal, boot_id, run_count) = {
            let boot = timeline.boots.get(index)?;
            (boot.ordinal, boot.boot_id, boot.runs.len())
        };
        let first = timeline.first_sample(index);
        let last = timeline.last_sample(index);
        let date = |timeline: &mut Timeline, (run, sample): (usize, Joined)| {
            let dated = Dater::default().date(timeline, (index, run), &sample);
            Mark { sample: sample.without_copies(), dated }
        };
        let bounds = match (first, last) {
            (Some(first), Some(last)) => Some((date(timeline, first), date(timeline, last))),
            _ => None,
        };
        let end = timeline.end_of(index);
        let stop = timeline.stop_of_boot(index);
        if bounds.is_none() && stop.is_none() && !timeline.has_events(index) {
            return None;
        }
        let current = timeline.current == Some(index);
        let in_snapshot = timeline.recover.recording().snapshot.is_some();
        let facts = timeline.facts(index);
        let newest_run = timeline.run(index, run_count.saturating_sub(1));
        let doubtful_commits = newest_run.map_or(0, |run| run.doubtful_commits);
        Some(Self {
            index,
            ordinal,
            boot_id,
            run_count,
            bounds,
            end,
            stop,
            current,
            in_snapshot,
            facts,
            doubtful_commits,
        })
    }
}

impl BootSummary {
    /// Time from its first sample to its last.
    #[must_use]
    pub fn recorded_ns(&self) -> u128 {
        self.bounds
            .as_ref()
            .map_or(0, |(first, last)| last.sample.time_ns.saturating_sub(first.sample.time_ns))
    }

    /// At a cut: how much newer than the newest durable sample others may have been. The commit
    /// that was due or under way, and a tick; and commits whose frames may lie under damage.
    #[must_use]
    pub fn age_bound_s(&self) -> Option<u64> {
        let (_, last) = self.bounds.as_ref()?;
        Some(age_bound_s(&last.sample, self.facts.as_ref()?, self.doubtful_commits))
    }

    /// The lines that introduce the boot.
    #[must_use]
    pub fn lines(&self, zone: Zone) -> Vec<String> {
        let Some((first, last)) = &self.bounds else {
            return vec![format!("boot {}  only events of it are left", self.ordinal)];
        };
        let day = match first_shown(last, zone) {
            Some(time) => format!("  {}", time.format("%a %Y-%m-%d")),
            None => String::new(),
        };
        let mut thoughts = vec![format!("boot {}{day}  {}", self.ordinal, self.ending(zone))];
        let time = clock(&last.dated, last.sample.time_ns, zone);
        match (self.end, self.age_bound_s()) {
            (End::Cut, bound) => {
                thoughts.push(format!("no stop record; newest durable sample {time}"));
                thoughts.push(match bound {
                    Some(bound) if self.current => {
                        format!("at most {bound} s of samples after it is lost")
                    }
                    Some(bound) => {
                        format!("what happened in the at most {bound} s after it is lost")
                    }
                    None => "what came after it was not yet durable".to_owned(),
                });
            }
            (End::Stopped, _) => thoughts
                .push(format!("newest durable sample {time}; nothing is known of what followed")),
            _ => thoughts.push(format!("newest durable sample {time}")),
        }
        if last.dated.clock == Clock::Unsynced {
            thoughts.push(
                "clock never synchronised: times with ~ are what the board believed".to_owned(),
            );
        } else if first.dated.clock == Clock::Redated {
            thoughts.push(
                "dated back from its synchronised samples, from before it knew the time".to_owned(),
            );
        }
        let mut lines: Vec<String> =
            thoughts.iter().flat_map(|thought| wrap(thought, WIDTH, 2)).collect();
        if let Some(machine) = self.machine() {
            lines.extend(wrap(&machine, WIDTH, 2));
        }
        let absent = self.facts.as_ref().and_then(|facts| facts.get("absent"));
        if let Some(absent) = absent.filter(|absent| !absent.is_empty()) {
            let thought = format!("not measurable here: {}", escape(absent));
            lines.extend(wrap(&thought, WIDTH, 2));
        }
        lines
    }

    /// How it ended, in words.
    #[must_use]
    pub fn ending(&self, zone: Zone) -> String {
        let Some((_, last)) = &self.bounds else { return self.end.name().to_owned() };
        // The offset stands once, beside the last time told.
        let of_day = |time_ns| row_clock(&last.dated, time_ns, zone);
        let exact = |time_ns| {
            let offset = first_shown(last, zone).map(|time| time.format(" %:z").to_string());
            of_day(time_ns) + &offset.unwrap_or_default()
        };
        let newest_ns = last.sample.time_ns;
        let stopped_at = exact(self.stop.as_ref().map_or(newest_ns, EventAt::time_ns));
        match self.end {
            End::Running if self.in_snapshot => {
                "went on; it was being recorded when this snapshot was taken".to_owned()
            }
            End::Running => "is being recorded".to_owned(),
            End::Shutdown => format!("shut down in order at {stopped_at}"),
            End::Stopped => {
                let reason = self.stop.as_ref().map_or("", |stop| reason(stop));
                format!("recorder stopped ({reason}) at {stopped_at}")
            }
            End::Cut if self.current => {
                let runs = if self.in_snapshot { "ran on" } else { "runs" };
                format!("recorder gone since {}; the machine {runs}", exact(newest_ns))
            }
            End::Cut => match self.age_bound_s() {
                Some(bound) => {
                    let later_ns = newest_ns + u128::from(bound) * 1_000_000_000;
                    format!("power lost between {} and {}", of_day(newest_ns), exact(later_ns))
                }
                None => format!("power lost after {}", exact(newest_ns)),
            },
        }
    }

    /// The machine, as far as it said who it is.
    fn machine(&self) -> Option<String> {
        let facts = self.facts.as_ref()?;
        let get = |name| facts.get(name).filter(|value| !value.is_empty()).map(escape);
        let kernel = get("kernel").map(|kernel| format!("kernel {kernel}"));
        let parts: Vec<String> =
            [get("hostname"), get("board"), kernel].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// The same for the newest sample of a run.
#[must_use]
pub fn age_bound_s(newest: &Joined, facts: &RunFacts, doubtful_commits: u64) -> u64 {
    let vitals = &newest.vitals;
    let commit_ms = facts.commit_ns / 1_000_000;
    let tick_ms = newest.interval_ns / 1_000_000;
    let bound_ms = commit_ms
        .max(vitals.commit_last_ms)
        .saturating_add(vitals.commit_stuck_ms)
        .saturating_add(tick_ms)
        .saturating_add(commit_ms.saturating_mul(doubtful_commits));
    bound_ms.div_ceil(1000)
}

fn first_shown(mark: &Mark, zone: Zone) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    mark.time_ms().and_then(|time| zone.show(time))
}

/// Why the recorder stopped, in words.
fn reason(stop: &EventAt) -> &'static str {
    match stop.event.arguments.first().copied() {
        Some(stop_reason::MACHINE_SHUTDOWN) => "machine shutdown",
        Some(stop_reason::SERVICE_STOP) => "service stop",
        Some(stop_reason::SIGNAL) => "signal",
        Some(stop_reason::TIME_OVER) => "its time was over",
        Some(stop_reason::ERROR) => "error",
        _ => "unknown reason",
    }
}

/// Time of day; with `~` if nobody vouches for it, since boot if there is no date at all.
#[must_use]
pub fn clock(dated: &Dated, time_ns: u128, zone: Zone) -> String {
    match dated.at(time_ns).and_then(|time| zone.show(time)) {
        Some(time) if dated.clock == Clock::Unsynced => {
            let after_boot = units::since_boot(time_ns);
            let after_boot = after_boot.trim_start_matches('+');
            format!("~{}, {after_boot} after boot", time.format("%H:%M:%S"))
        }
        Some(time) => time.format("%H:%M:%S").to_string(),
        None => units::since_boot(time_ns),
    }
}
