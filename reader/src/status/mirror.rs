//! The second recording, as `status` sees it: what it is, and how old its newest sample.

use std::path::Path;

use flightrec_format::facts::RunFacts;

use crate::holder;
use crate::progress::nobody;
use crate::recording::Recording;
use crate::scan::Depth;
use crate::views::text::escape;

/// A second recording.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mirror {
    /// Where it is.
    pub path: String,
    /// Age of its newest durable sample, s; or why there is none.
    pub newest_age_s: Result<u64, String>,
}

impl Mirror {
    /// The one that a run has, at boot time `now_ms` of this machine.
    pub(super) fn of(facts: &RunFacts, now_ms: Option<u64>) -> Option<Self> {
        let (_, path) = facts.facts.iter().find(|(name, _)| name == "mirror")?;
        Some(Self { path: path.clone(), newest_age_s: newest_age_s(Path::new(path), now_ms) })
    }

    /// In words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let path = escape(&self.path);
        match &self.newest_age_s {
            Ok(age_s) => format!("{path}, durable sample {age_s} s old"),
            Err(why) => format!("{path}: {why}"),
        }
    }
}

fn newest_age_s(path: &Path, now_ms: Option<u64>) -> Result<u64, String> {
    let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let recording = Recording::open(path, &mut nobody);
    let ordered =
        recording.and_then(|recording| crate::order(recording, Depth::Headers, &mut nobody));
    let (_, mut timeline) = ordered.map_err(|trouble| first_line(&trouble.message))?;
    let newest = timeline.boots.len().checked_sub(1);
    let boot = newest.ok_or("nothing is recorded in it yet")?;
    let is_now = timeline.boots.get(boot).map(|boot| boot.boot_id) == holder::current_boot_id();
    let last = timeline.last_sample(boot).map(|(_, sample)| sample.time_ns);
    let age = last.zip(now_ms.filter(|_| is_now));
    let (last_ns, now_ms) = age.ok_or("nothing of this boot is recorded in it yet")?;
    let age_ns = (u128::from(now_ms) * 1_000_000).saturating_sub(last_ns);
    Ok(u64::try_from(age_ns / 1_000_000_000).unwrap_or(u64::MAX))
}
