//! The recording: is it there, does somebody record into it, is it this machine's, what protects
//! its recorder, and how long does it reach back?

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Finding, Grade, finding, place};
use crate::Output;
use crate::outcome::Outcome;
use crate::scan::{Depth, Scan};
use crate::status::{Status, days};
use crate::timeline::Timeline;
use crate::views::status::PROTECTIONS;
use crate::{sys, zone};

/// What the recording itself tells, and where nobody can read one, the exit code that follows.
pub(super) struct Told {
    pub(super) findings: Vec<Finding>,
    pub(super) outcome: Outcome,
    /// Time between commits of a calm machine, ns; `None`: nothing was recorded.
    pub(super) commit_ns: Option<u64>,
}

/// Opens and examines it.
pub(super) fn examine(file: &Path, root: &Path, on_btrfs: bool, output: &mut Output<'_>) -> Told {
    let now_ms = zone::boottime_ms();
    let (scan, mut timeline) = match crate::open(file, Depth::Headers, output) {
        Ok(opened) => opened,
        Err(trouble) => {
            let seen = trouble.message.lines().next().unwrap_or_default().to_owned();
            let missing = trouble.outcome == Outcome::NoRecording;
            let (grade, remedy) = if missing {
                (Grade::Bad, "systemctl enable --now flightrec makes one, or flightrecd create")
            } else {
                (Grade::Unknown, "Run as root")
            };
            let findings = vec![finding("recording", grade, seen, remedy)];
            return Told { findings, outcome: trouble.outcome, commit_ns: None };
        }
    };
    let status = Status::of(&scan, &mut timeline, now_ms);
    let mut findings =
        vec![size(&scan, &timeline, status.as_ref()), recorder(&timeline, status.as_ref())];
    findings.extend(whose(&timeline, identity(root)));
    if let Some(file) = timeline.recover.recording().file() {
        if on_btrfs {
            findings.push(place::nocow(sys::is_nocow(file)));
        }
        if let Some(superblock) = &timeline.recover.recording().superblock {
            let is_device = file.metadata().is_ok_and(|it| it.file_type().is_block_device());
            findings.push(if is_device {
                let apart = u64::from(superblock.geometry.lane_slots - 1) * 4;
                finding("lanes", Grade::Ok, format!("{apart} KiB apart on the device"), "")
            } else {
                place::lanes(file, &superblock.geometry)
            });
        }
    }
    findings.extend(status.iter().flat_map(protections));
    let commit_ns = status.and_then(|status| status.facts).map(|facts| facts.commit_ns);
    Told { findings, outcome: Outcome::Whole, commit_ns }
}

/// Half a day at least: what begins in the evening is looked at in the morning.
const KEPT_MIN_S: u64 = 12 * 3600;

fn size(scan: &Scan, timeline: &Timeline, status: Option<&Status>) -> Finding {
    const CHECK: &str = "recording";
    const REMEDY: &str = "flightrecd resize FILE --size 64MiB keeps about five days";
    let recording = timeline.recover.recording();
    let mib = recording.len() >> 20;
    let Some(status) = status else {
        return finding(CHECK, Grade::Ok, format!("{mib} MiB, and nothing in it yet"), "");
    };
    let later = status.kept_later_s.map(|s| format!(", about {} when full", days(s)));
    let seen = format!("{mib} MiB, {} kept{}", days(status.kept_s), later.unwrap_or_default());
    // One that is young is judged by what it will keep, as soon as that can be said.
    let slots = recording.superblock.map_or(0, |superblock| superblock.geometry.history_slots);
    let is_full = slots > 0 && scan.history_end >= u128::from(slots);
    let kept_s = status.kept_later_s.or(is_full.then_some(status.kept_s));
    if kept_s.is_some_and(|kept_s| kept_s < KEPT_MIN_S) {
        return finding(CHECK, Grade::Warn, seen, REMEDY);
    }
    finding(CHECK, Grade::Ok, seen, "")
}

fn recorder(timeline: &Timeline, status: Option<&Status>) -> Finding {
    const CHECK: &str = "recorder";
    const STUCK: &str = "dmesg tells of the disk, systemctl status flightrec of the recorder";
    if timeline.running.is_none() {
        let seen = "nobody records into it".into();
        return finding(CHECK, Grade::Bad, seen, "systemctl enable --now flightrec");
    }
    match status.and_then(|status| status.overdue_s) {
        Some(late_s) => {
            let seen = format!("at work, but a commit is {late_s} s overdue");
            finding(CHECK, Grade::Bad, seen, STUCK)
        }
        None => finding(CHECK, Grade::Ok, "at work".into(), ""),
    }
}

/// A card that was copied for another board takes the recording of the first one along.
fn whose(timeline: &Timeline, own: Option<[u8; 16]>) -> Option<Finding> {
    const CHECK: &str = "identity";
    let theirs = timeline.recover.recording().superblock?.identity;
    let Some(own) = own else {
        let seen = "only root can tell whether it is this machine's".into();
        return Some(finding(CHECK, Grade::Unknown, seen, "Run as root"));
    };
    if theirs == [0; 16] || own == [0; 16] {
        let seen = "a machine without machine-id and serial number: nobody can tell whose".into();
        return Some(finding(CHECK, Grade::Unknown, seen, ""));
    }
    Some(if own == theirs {
        finding(CHECK, Grade::Ok, "made on this machine".into(), "")
    } else {
        let seen = "made on another machine: a copied card? Its older boots are not this one's";
        let remedy = "The service sets a copied file aside when it starts; a partition needs \
                      flightrecd create --force";
        finding(CHECK, Grade::Warn, seen.into(), remedy)
    })
}

const SERIALS: [&str; 3] = [
    "proc/device-tree/serial-number",
    "sys/class/dmi/id/board_serial",
    "sys/class/dmi/id/product_serial",
];

/// Who this machine is (spec 6.4); `None`: a part of it may not be read. Zero: it has no name.
pub(super) fn identity(root: &Path) -> Option<[u8; 16]> {
    let line = |path: &str| {
        let bytes = match fs::read(root.join(path)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(()),
            Err(_) => return Ok(None),
        };
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        Ok((!text.is_empty()).then(|| text.to_owned()))
    };
    let machine_id = line("etc/machine-id").ok()?.filter(|id| id != "uninitialized");
    let mut serial = None;
    for path in SERIALS {
        serial = line(path).ok()?;
        if serial.is_some() {
            break;
        }
    }
    let mut identity = [0; 16];
    if machine_id.is_none() && serial.is_none() {
        return Some(identity);
    }
    let mut hash = Sha256::new();
    for part in
        ["flightrec identity 1", &machine_id.unwrap_or_default(), &serial.unwrap_or_default()]
    {
        hash.update(part);
        hash.update([0]);
    }
    for (byte, hashed) in identity.iter_mut().zip(hash.finalize()) {
        *byte = hashed;
    }
    Some(identity)
}

/// What the recorder could not have, and what it does otherwise for it.
fn protections(status: &Status) -> Vec<Finding> {
    const CHECK: &str = "protects";
    let mut findings = Vec::new();
    for missing in status.of_fact("missing") {
        let known = PROTECTIONS.iter().find(|(name, _, _)| missing.starts_with(name));
        let (costs, remedy) = known.map_or(("", ""), |(_, costs, remedy)| (*costs, *remedy));
        let seen = format!("{missing}; {costs}").trim_end_matches("; ").to_owned();
        findings.push(finding(CHECK, Grade::Warn, seen, remedy));
    }
    if findings.is_empty() {
        let seen = "locked into memory, first in turn, last to be ended: as configured".into();
        findings.push(finding(CHECK, Grade::Ok, seen, ""));
    }
    for wrong in status.of_fact("config_default") {
        let remedy = "flightrecd check-config tells what is allowed";
        findings.push(finding("config", Grade::Warn, wrong.to_owned(), remedy));
    }
    for lost in &status.lost_sources {
        findings.push(finding("source", Grade::Warn, lost.sentence(), lost.remedy()));
    }
    if let Some(slowed) = status.of_fact("cadence").next() {
        let remedy = "A raw partition, another file system, or commit = in /etc/flightrec.toml";
        findings.push(finding("cadence", Grade::Warn, slowed.to_owned(), remedy));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same hash as the recorder's, from the text of the specification.
    #[test]
    fn a_machine_is_known_by_its_id_and_its_serial_number() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(identity(folder.path()), Some([0; 16]));
        for (path, text) in [("etc/machine-id", "1234\n"), (SERIALS[0], "S7\0")] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let expected = Sha256::digest("flightrec identity 1\x001234\0S7\0");
        assert_eq!(identity(folder.path()).unwrap(), expected[..16]);
    }
}
