//! When units begin and end: the log rotation, the nightly backup, the copy of a log from memory to
//! the card. A unit lives as long as systemd keeps its cgroup.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use flightrec_format::entity::EntityName;
use flightrec_format::event::EventKind;

use crate::report::Report;
use crate::sys::{self, FolderWatch};

/// Units that are known at once; of more the others are passed over.
const UNITS_MAX: usize = 256;

/// Looks between two tries to open a folder that is not there, and after which one is listed even if
/// the kernel told of no change.
const RETRY_LOOKS: u32 = 60;

/// Most reports in one look: a restart loop shall not push out what is graver.
const REPORTS_PER_LOOK: usize = 4;

/// One unit that is there.
#[derive(Clone, Copy, Debug)]
struct Living {
    name: EntityName,
    /// Boot time at which it was seen first; `None`: it was there before us.
    since_ns: Option<u64>,
    seen: bool,
}

/// The units of `system.slice`. Memory is taken at start.
#[derive(Debug)]
pub(super) struct Lifetimes {
    folders: [PathBuf; 3],
    dir: Option<File>,
    /// Tells of a change; `None`: the folder is listed in each look.
    watch: Option<FolderWatch>,
    looks: u32,
    living: Vec<Living>,
    entries: Box<[u8]>,
    is_first: bool,
    reports: SyncSender<Report>,
}

impl Lifetimes {
    /// Looks into the cgroup tree below `sys_root`; what it sees goes to `reports`.
    #[must_use]
    pub(super) fn new(sys_root: &Path, reports: SyncSender<Report>) -> Self {
        let cgroup = sys_root.join("fs/cgroup");
        let folders = ["system.slice", "systemd/system.slice", "unified/system.slice"];
        Self {
            folders: folders.map(|folder| cgroup.join(folder)),
            dir: None,
            watch: None,
            looks: 0,
            living: Vec::with_capacity(UNITS_MAX),
            entries: vec![0; 4096].into_boxed_slice(),
            is_first: true,
            reports,
        }
    }

    /// Looks once, and tells of units that came or went since the last look.
    pub(super) fn look(&mut self, now_ns: u64) {
        let is_turn = self.looks.is_multiple_of(RETRY_LOOKS);
        self.looks = self.looks.wrapping_add(1);
        if self.dir.is_none() && is_turn {
            // The watch comes first: what happens while it is listed is told.
            let there = self.folders.iter().find(|folder| folder.exists());
            self.watch = there.and_then(|folder| FolderWatch::of_names(folder).ok());
            self.dir = there.and_then(|folder| File::open(folder).ok());
        }
        let is_same = self.watch.as_mut().is_some_and(|watch| !watch.has_happened());
        if is_same && !is_turn {
            return;
        }
        let Self { dir, living, entries, is_first, reports, .. } = self;
        let Some(open) = dir else { return };
        let mut told = 0;
        let mut tell = |report: Report| {
            told += 1;
            told > REPORTS_PER_LOOK || reports.try_send(report).is_ok()
        };
        let listed = sys::list_dir(open, entries, |name| {
            // Files of the folder itself are `cgroup.procs`, `memory.max` and so on.
            let is_unit = [&b".service"[..], b".mount", b".scope"];
            if !is_unit.iter().any(|kind| name.ends_with(kind)) {
                return;
            }
            let name = EntityName::new(name);
            if let Some(known) = living.iter_mut().find(|known| known.name == name) {
                known.seen = true;
            } else if living.len() < living.capacity() {
                let since_ns = (!*is_first).then_some(now_ns);
                living.push(Living { name, since_ns, seen: true });
                if since_ns.is_some() {
                    let report = Report::new(EventKind::UNIT_START, now_ns, [0, 0]);
                    tell(report.with(name.as_bytes()));
                }
            }
        });
        if listed.is_err() {
            // ENODEV: the tree was mounted anew.
            *dir = None;
            return;
        }
        living.retain_mut(|unit| {
            if !unit.seen {
                let lived_ns = unit.since_ns.map_or(0, |since| now_ns.saturating_sub(since));
                let lived_ms = i64::try_from(lived_ns / 1_000_000).unwrap_or(i64::MAX);
                let report = Report::new(EventKind::UNIT_END, now_ns, [lived_ms, 0]);
                tell(report.with(unit.name.as_bytes()));
            }
            std::mem::take(&mut unit.seen)
        });
        *is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    #[test]
    fn a_unit_that_comes_and_goes_is_told_with_the_time_that_it_lived() {
        let tree = tempfile::tempdir().unwrap();
        let slice = tree.path().join("fs/cgroup/system.slice");
        std::fs::create_dir_all(slice.join("ssh.service")).unwrap();
        std::fs::create_dir_all(slice.join("memory.pressure")).unwrap();
        let (sender, receiver) = report::channel();
        let mut lifetimes = Lifetimes::new(tree.path(), sender);
        let mut look = |second: u64| {
            lifetimes.look(second * 1_000_000_000);
            let told = receiver.try_iter().map(|report| {
                let text = String::from_utf8(report.text().to_vec()).unwrap();
                (report.kind.name(), text, report.arguments().to_vec())
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(look(1), [], "what is there before us does not begin");
        std::fs::create_dir(slice.join("logrotate.service")).unwrap();
        let started = ("unit_start".to_owned(), "logrotate.service".to_owned(), vec![]);
        assert_eq!(look(2), [started]);
        assert_eq!(look(3), []);
        std::fs::remove_dir(slice.join("logrotate.service")).unwrap();
        let ended = ("unit_end".to_owned(), "logrotate.service".to_owned(), vec![7000]);
        assert_eq!(look(9), [ended]);
        std::fs::remove_dir(slice.join("ssh.service")).unwrap();
        assert_eq!(look(10).first().unwrap().2, [0], "its beginning is not known");
    }
}
