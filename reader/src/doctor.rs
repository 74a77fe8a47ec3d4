//! `flightrec doctor`: what on this machine stands between the owner and the last minutes.
//!
//! Each check is one line, and names its remedy. What cannot be looked at is told as such, and is
//! never "ok".

use std::fs;
use std::path::{Path, PathBuf};

use crate::Output;
use crate::args::{Doctor as Wish, ShortFormat};
use crate::export::json;
use crate::outcome::{Outcome, Trouble};
use crate::sys;
use crate::views::text::{WIDTH, escape, wrap};

mod card;
mod machine;
mod place;
mod recording;

/// How a check went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It costs something, or a part of the evidence.
    Warn,
    /// The evidence would be lost.
    Bad,
    /// It cannot be seen here.
    Unknown,
}

impl Grade {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "BAD",
            Self::Unknown => "unknown",
        }
    }
}

/// One check and what came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub grade: Grade,
    /// What was seen, in a sentence.
    pub seen: String,
    /// What to do about it; empty if there is nothing to do.
    pub remedy: &'static str,
}

fn finding(check: &'static str, grade: Grade, seen: String, remedy: &'static str) -> Finding {
    Finding { check, grade, seen, remedy }
}

/// Runs all checks. Without a recording they are told all the same, and the exit code says so.
pub fn run(wish: &Wish, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let world = World { root: PathBuf::from("/"), file: wish.file.clone() };
    let mount = world.mount();
    let on_btrfs = mount.as_ref().is_some_and(|mount| mount.kind == "btrfs");
    let told = recording::examine(&wish.file, &world.root, on_btrfs, output);
    let commit_ns = told.commit_ns.unwrap_or(if on_btrfs { BTRFS_COMMIT_NS } else { COMMIT_NS });
    let mut findings = told.findings;
    findings.extend(world.checks(commit_ns));
    findings.push(machine::clock(sys::is_clock_synced()));
    if wish.card_test {
        writeln!(output.remarks, "flightrec: {}", card::ANNOUNCEMENT).unwrap_or_default();
        findings.extend(card::findings(&world, commit_ns));
    }
    if wish.json || wish.format == ShortFormat::Json {
        writeln!(output.data, "{}", document(&findings))?;
    } else {
        for finding in &findings {
            for line in wrap(&finding.line(), WIDTH, 18) {
                writeln!(output.data, "{line}")?;
            }
        }
    }
    Ok(told.outcome)
}

/// Time between commits of a calm machine where nothing was recorded yet.
const COMMIT_NS: u64 = 10_000_000_000;
/// The same on btrfs.
const BTRFS_COMMIT_NS: u64 = 180_000_000_000;

impl Finding {
    fn line(&self) -> String {
        let Self { check, grade, seen, remedy } = self;
        let remedy = if remedy.is_empty() { String::new() } else { format!(". {remedy}") };
        format!("{:<7} {check:<9} {}{remedy}", grade.name(), escape(seen))
    }
}

fn document(findings: &[Finding]) -> String {
    let mut out = "{\"schema\":1,\"checks\":[".to_owned();
    for (number, finding) in findings.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        put!(&mut out, "{{\"check\":\"{}\",\"grade\":\"{}\"", finding.check, finding.grade.name());
        out.push_str(",\"seen\":");
        json::quote(&mut out, &finding.seen);
        out.push_str(",\"remedy\":");
        json::quote(&mut out, finding.remedy);
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// A machine: its files below a root, which is `/` but for tests, and its recording.
#[derive(Clone, Debug)]
pub struct World {
    /// Where `/proc`, `/sys` and `/etc` are.
    pub root: PathBuf,
    /// The recording, as the machine itself names it.
    pub file: PathBuf,
}

/// A line of `mountinfo` (proc(5)).
#[derive(Clone, Debug)]
struct Mount {
    number: String,
    point: PathBuf,
    kind: String,
    source: String,
    options: String,
}

impl World {
    /// What the machine's files tell, where a calm machine is committed so often.
    #[must_use]
    pub fn checks(&self, commit_ns: u64) -> Vec<Finding> {
        let mount = self.mount();
        vec![
            self.place(mount.as_ref()),
            self.journal(mount.as_ref(), per_day(commit_ns)),
            self.watchdog(),
            self.swap(),
            self.logs(),
            self.panic(),
        ]
    }

    fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn mounts(&self) -> Vec<Mount> {
        let text = self.text("proc/self/mountinfo").unwrap_or_default();
        let mount = |line: &str| {
            let (front, back) = line.split_once(" - ")?;
            let mut front = front.split(' ').skip(2);
            let number = front.next()?.to_owned();
            let point = front.nth(1)?.replace("\\040", " ");
            let own = front.next()?.to_owned();
            let mut back = back.split(' ');
            let (kind, source) = (back.next()?.to_owned(), back.next()?.to_owned());
            let options = own + "," + back.next().unwrap_or_default();
            Some(Mount { number, point: point.into(), kind, source, options })
        };
        text.lines().filter_map(mount).collect()
    }

    /// The mount that a path lies in: of the longest ones the last, which covers the others.
    fn mount_of(&self, path: &Path) -> Option<Mount> {
        let mounts = self.mounts();
        let fitting = mounts.into_iter().filter(|mount| path.starts_with(&mount.point));
        fitting.max_by_key(|mount| mount.point.components().count())
    }

    fn mount(&self) -> Option<Mount> {
        let path = fs::canonicalize(&self.file)
            .or_else(|_| std::path::absolute(&self.file))
            .unwrap_or_else(|_| self.file.clone());
        self.mount_of(&path)
    }

    /// Name of the block device of a mount: by its number, for the source may be `/dev/root`; by
    /// the source where the number is of the file system's own making, as on btrfs.
    fn device_of(&self, mount: &Mount) -> String {
        let by_number = fs::canonicalize(self.root.join("sys/dev/block").join(&mount.number));
        let path = by_number.unwrap_or_else(|_| PathBuf::from(&mount.source));
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// How often a day something happens that happens each `ns`.
fn per_day(ns: u64) -> u64 {
    (86_400_000_000_000 / ns.max(1)).max(1)
}

#[cfg(test)]
mod tests;
