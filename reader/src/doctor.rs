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
use crate::scan::Depth;
use crate::timeline::Timeline;
use crate::views::text::{WIDTH, escape, wrap};

mod card;

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

/// Runs all checks.
pub fn run(wish: &Wish, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let world = World { root: PathBuf::from("/"), file: wish.file.clone() };
    let mut findings = world.checks();
    findings.extend(of_recording(&wish.file, output));
    if wish.card_test {
        writeln!(output.remarks, "flightrec: {}", card::ANNOUNCEMENT).unwrap_or_default();
        findings.extend(card::findings(&world));
    }
    if wish.json || wish.format == ShortFormat::Json {
        writeln!(output.data, "{}", document(&findings))?;
    } else {
        for finding in &findings {
            let FindingText(line) = FindingText::of(finding);
            for line in wrap(&line, WIDTH, 18) {
                writeln!(output.data, "{line}")?;
            }
        }
    }
    Ok(Outcome::Whole)
}

struct FindingText(String);

impl FindingText {
    fn of(finding: &Finding) -> Self {
        let Finding { check, grade, seen, remedy } = finding;
        let remedy = if remedy.is_empty() { String::new() } else { format!(". {remedy}") };
        Self(format!("{:<7} {check:<9} {}{remedy}", grade.name(), escape(seen)))
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
    point: PathBuf,
    kind: String,
    source: String,
    options: String,
}

impl World {
    /// What the machine's files tell.
    #[must_use]
    pub fn checks(&self) -> Vec<Finding> {
        let mount = self.mount();
        vec![
            self.place(mount.as_ref()),
            journal(mount.as_ref()),
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
            let point = front.split(' ').nth(4)?.replace("\\040", " ");
            let own = front.split(' ').nth(5)?.to_owned();
            let mut back = back.split(' ');
            let (kind, source) = (back.next()?.to_owned(), back.next()?.to_owned());
            let options = own + "," + back.next().unwrap_or_default();
            Some(Mount { point: point.into(), kind, source, options })
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

    fn place(&self, mount: Option<&Mount>) -> Finding {
        const CHECK: &str = "place";
        if self.file.starts_with("/dev") {
            let seen = format!("{} is a raw partition", self.file.display());
            return finding(CHECK, Grade::Ok, seen, "");
        }
        let Some(mount) = mount else {
            return finding(CHECK, Grade::Unknown, "no mount table to be read".into(), "");
        };
        let in_ram = matches!(mount.kind.as_str(), "tmpfs" | "ramfs" | "devtmpfs")
            || mount.source.contains("zram")
            || (mount.kind == "overlay" && self.is_upper_in_ram(mount));
        let seen = format!("{} on {}", mount.kind, mount.point.display());
        if in_ram {
            let seen = seen + ", which lies in RAM and is gone with the power";
            return finding(CHECK, Grade::Bad, seen, "Record below /var/lib, on a disk or card");
        }
        if mount.kind == "btrfs" {
            let seen = seen + ", which copies on write: each commit costs the device 80 KiB";
            let remedy = "flightrecd create sets NOCOW; a snapshot of the subvolume undoes it: \
                          give it a subvolume of its own, or a raw partition";
            return finding(CHECK, Grade::Warn, seen, remedy);
        }
        finding(CHECK, Grade::Ok, seen, "")
    }

    fn is_upper_in_ram(&self, overlay: &Mount) -> bool {
        let upper = overlay.options.split(',').find_map(|option| option.strip_prefix("upperdir="));
        // A layer that we cannot see is most likely in RAM: that is what live systems do.
        upper.and_then(|upper| self.mount_of(Path::new(upper))).is_none_or(|mount| {
            matches!(mount.kind.as_str(), "tmpfs" | "ramfs") || mount.source.contains("zram")
        })
    }

    fn watchdog(&self) -> Finding {
        const CHECK: &str = "watchdog";
        const REMEDY: &str = "RuntimeWatchdogSec=1min in /etc/systemd/system.conf makes a machine \
                              that hangs start again by itself";
        let folder = "sys/class/watchdog/watchdog0";
        if !self.root.join(folder).exists() {
            return finding(CHECK, Grade::Warn, "no hardware watchdog".into(), "");
        }
        match self.text(&format!("{folder}/state")).as_deref() {
            Some("active") => finding(CHECK, Grade::Ok, "active".into(), ""),
            Some(_) => finding(CHECK, Grade::Warn, "there, and nobody feeds it".into(), REMEDY),
            None => finding(CHECK, Grade::Unknown, "the kernel does not tell its state".into(), ""),
        }
    }

    fn swap(&self) -> Finding {
        const CHECK: &str = "swap";
        let Some(text) = self.text("proc/swaps") else {
            return finding(CHECK, Grade::Unknown, "no /proc/swaps".into(), "");
        };
        let swaps: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        let is_card = |name: &str| name.trim_start_matches("/dev/").starts_with("mmcblk");
        let on_card = swaps.iter().find(|swap| {
            // A file lies where its mount does.
            is_card(swap)
                || (!swap.starts_with("/dev/")
                    && self.mount_of(Path::new(swap)).is_some_and(|mount| is_card(&mount.source)))
        });
        match on_card {
            Some(swap) => finding(
                CHECK,
                Grade::Warn,
                format!("{swap} lies on a card: a full memory turns into hours of I/O wait"),
                "Use zram, or limit what may grow (MemoryMax=)",
            ),
            None if swaps.is_empty() => finding(CHECK, Grade::Ok, "none".into(), ""),
            None => finding(CHECK, Grade::Ok, swaps.join(", "), ""),
        }
    }

    fn logs(&self) -> Finding {
        const CHECK: &str = "logs";
        const REMEDY: &str = "That saves the card; flightrec keeps the last minutes. To keep logs too: \
             Storage=persistent in /etc/systemd/journald.conf";
        if let Some(mount) = self.mount_of(Path::new("/var/log"))
            && mount.point == Path::new("/var/log")
            && (mount.kind == "tmpfs" || mount.source.contains("zram"))
        {
            let seen = "/var/log lies in RAM: what was not copied is gone with the power".into();
            return finding(CHECK, Grade::Warn, seen, REMEDY);
        }
        let conf = self.text("etc/systemd/journald.conf").unwrap_or_default();
        let storage = conf.lines().rev().find_map(|line| line.trim().strip_prefix("Storage="));
        let persistent = match storage.unwrap_or("auto").trim() {
            "persistent" => true,
            "auto" => self.root.join("var/log/journal").is_dir(),
            _ => false,
        };
        if persistent {
            finding(CHECK, Grade::Ok, "the journal is kept on the disk".into(), "")
        } else {
            let seen = "the journal lies in RAM and is gone with the power".into();
            finding(CHECK, Grade::Warn, seen, REMEDY)
        }
    }

    fn panic(&self) -> Finding {
        const CHECK: &str = "panic";
        match self.text("proc/sys/kernel/panic").and_then(|text| text.parse::<i64>().ok()) {
            Some(0) => finding(
                CHECK,
                Grade::Warn,
                "a kernel that panics stands still for ever".into(),
                "kernel.panic=10 in /etc/sysctl.d makes it start again",
            ),
            Some(_) => finding(CHECK, Grade::Ok, "a kernel that panics starts again".into(), ""),
            None => finding(CHECK, Grade::Unknown, "kernel.panic cannot be read".into(), ""),
        }
    }
}

/// What the journal of ext4 costs because our writes change a time stamp: 12 KiB a commit.
fn journal(mount: Option<&Mount>) -> Finding {
    const CHECK: &str = "journal";
    /// Measured, bytes.
    const COMMIT_BYTES: u64 = 12 << 10;
    /// We commit no more often while calm.
    const OURS_S: u64 = 10;
    const GOOD_S: u64 = 30;
    let Some(mount) = mount.filter(|mount| mount.kind == "ext4") else {
        return finding(CHECK, Grade::Ok, "no journal of ext4 below the recording".into(), "");
    };
    let given = mount.options.split(',').find_map(|option| option.strip_prefix("commit="));
    let interval_s: u64 = given.and_then(|text| text.parse().ok()).filter(|s| *s > 0).unwrap_or(5);
    let mb_per_day = 86_400 / interval_s.max(OURS_S) * COMMIT_BYTES / 1_000_000;
    let seen = format!("commit={interval_s}: the journal adds {mb_per_day} MB a day to ours");
    if interval_s < GOOD_S {
        return finding(CHECK, Grade::Warn, seen, "Mount with commit=120 or more (/etc/fstab)");
    }
    finding(CHECK, Grade::Ok, seen, "")
}

/// What the recording itself tells.
fn of_recording(file: &Path, output: &mut Output<'_>) -> Vec<Finding> {
    let mut timeline = match crate::open(file, Depth::Headers, output) {
        Ok((_, timeline)) => timeline,
        Err(trouble) => {
            let seen = trouble.message.lines().next().unwrap_or_default().to_owned();
            let remedy = "flightrecd create makes one; the service does by itself";
            return vec![finding("recording", Grade::Bad, seen, remedy)];
        }
    };
    let recorder = if timeline.running.is_some() {
        finding("recorder", Grade::Ok, "at work".into(), "")
    } else {
        let seen = "nobody records into it".into();
        finding("recorder", Grade::Bad, seen, "systemctl enable --now flightrec")
    };
    vec![recorder, clock(&mut timeline)]
}

fn clock(timeline: &mut Timeline) -> Finding {
    const CHECK: &str = "clock";
    let newest = timeline.boots.len().checked_sub(1);
    match newest.and_then(|boot| timeline.last_sample(boot)) {
        Some((_, last)) if last.vitals.synced => {
            finding(CHECK, Grade::Ok, "synchronised".into(), "")
        }
        Some(_) => finding(
            CHECK,
            Grade::Warn,
            "not synchronised when the newest sample was taken: times are what the board believed"
                .into(),
            "timedatectl set-ntp true; the order of events does not depend on it",
        ),
        None => finding(CHECK, Grade::Unknown, "nothing was recorded yet".into(), ""),
    }
}

#[cfg(test)]
mod tests;
