//! What does not change during a run, gathered once at its start (spec section 6.4).
//!
//! This is the part that may allocate, read large files and take its time; the sampler has not
//! begun to matter yet. procfs does the parsing here.

use std::fs;
use std::path::{Path, PathBuf};

use flightrec_format::facts::RunFacts;
use flightrec_format::limits::FACTS_LEN_MAX;
use procfs::{CpuInfo, FromBufRead};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::place::Place;
use crate::sys;

mod absent;
mod hardware;

use hardware::Hardware;

/// Collects the facts of a run that begins now. `root` is `/` but for tests. The caller adds what
/// it knows (`missing`, `config_default`), then calls [`trim`].
#[must_use]
pub fn gather(config: &Config, place: &Place, realtime_ns: i64, root: &Path) -> RunFacts {
    let world = World { root };
    let cpus = world.cpus();
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push((name.to_owned(), value));
        }
    };
    tell("program", Some(concat!("flightrecd ", env!("CARGO_PKG_VERSION")).to_owned()));
    tell("hostname", world.line("proc/sys/kernel/hostname"));
    tell("kernel", world.kernel());
    tell("board", world.board(cpus.as_ref()));
    tell("zone", world.zone());
    let offset_s = sys::local_offset_s(realtime_ns.div_euclid(1_000_000_000));
    tell("zone_offset_s", offset_s.map(|offset| offset.to_string()));
    tell("recording", Some(place.path.to_string_lossy().into_owned()));
    tell("storage", world.storage(place));
    tell("file_system", Some(place.file_system.clone()));
    let mount = format!("{} {}", place.mount_point.display(), place.options);
    tell("mount", Some(mount.trim().to_owned()));
    tell("commit_s", place.commit_s.map(|seconds| seconds.to_string()));
    tell("journal", place.has_journal.filter(|has| !has).map(|_| "none".to_owned()));
    let hardware = Hardware { root, disk: place.disk.as_deref() };
    tell("mounts", hardware.mounts());
    tell("scheduler", hardware.scheduler());
    tell("erase_bytes", hardware.erase_bytes());
    tell("wear", hardware.wear());
    tell("swap", world.swaps());
    tell("zram", hardware.zram());
    tell("ramlog", hardware.ramlog());
    tell("units", Some(hardware.units()));
    tell("watchdog", hardware.watchdog());
    tell("reset", hardware.reset());
    tell("absent", absent::absent(root));
    tell("mirror", config.mirror.as_ref().map(|path| path.to_string_lossy().into_owned()));
    // Not where to: a recording is made to be shown to others.
    tell("beacon", config.beacon.map(|_| "udp".to_owned()));
    tell("pmsg", config.pmsg.then(|| "yes".to_owned()));
    tell("cmdline", world.line("proc/cmdline"));

    let core_count = cpus.map_or(0, |cpus| cpus.num_cores());
    RunFacts {
        version: 1,
        identity: identity(root),
        interval_ns: config.interval_ns,
        commit_ns: config.commit_ns,
        page_size: sys::page_size(),
        core_count: u32::try_from(core_count).unwrap_or(0),
        facts,
    }
}

/// Cuts the longest values until the record fits its limit, and marks them with an ellipsis.
pub fn trim(facts: &mut RunFacts) {
    let mut out = [0; FACTS_LEN_MAX];
    while facts.write(&mut out).is_none() {
        let values = facts.facts.iter_mut().map(|(_, value)| value);
        let longest = values.max_by_key(|value| value.len());
        if let Some(value) = longest.filter(|value| value.len() > VALUE_LEN_MIN) {
            cut(value, (value.len() * 7 / 8).max(VALUE_LEN_MIN));
        } else if facts.facts.pop().is_none() {
            return;
        }
    }
}

/// Values as short as this are not cut; if that does not help, there are too many of them.
const VALUE_LEN_MIN: usize = 32;
const ELLIPSIS: &str = "…";

/// Cuts a text to at most `len` bytes, the mark included.
fn cut(value: &mut String, len: usize) {
    let whole = value.strip_suffix(ELLIPSIS).unwrap_or(value).len();
    let most = len.saturating_sub(ELLIPSIS.len()).min(whole);
    let end = (0..=most).rev().find(|&at| value.is_char_boundary(at)).unwrap_or(0);
    value.truncate(end);
    value.push_str(ELLIPSIS);
}

/// Which machine this is, without telling: a hash over machine-id and the board's serial number.
/// Zero if it has neither, or has a number that is shown to root alone: half of the hash would be
/// another machine's.
#[must_use]
pub fn identity(root: &Path) -> [u8; 16] {
    let world = World { root };
    if SERIALS.iter().any(|path| absent::is_refused(&root.join(path))) {
        return [0; 16];
    }
    let machine_id = world.line("etc/machine-id").filter(|id| id != "uninitialized");
    let serial = SERIALS.iter().find_map(|path| world.line(path));
    if machine_id.is_none() && serial.is_none() {
        return [0; 16];
    }
    let mut hash = Sha256::new();
    for part in [Some("flightrec identity 1"), machine_id.as_deref(), serial.as_deref()] {
        hash.update(part.unwrap_or_default());
        hash.update([0]);
    }
    let mut identity = [0; 16];
    for (byte, hashed) in identity.iter_mut().zip(hash.finalize()) {
        *byte = hashed;
    }
    identity
}

const SERIALS: [&str; 3] = [
    "proc/device-tree/serial-number",
    "sys/class/dmi/id/board_serial",
    "sys/class/dmi/id/product_serial",
];

/// The machine's files, below a root.
struct World<'a> {
    root: &'a Path,
}

impl World<'_> {
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a small file, without the zero byte of a device tree and without blanks around
    /// it; `None` if there is nothing.
    fn line(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn cpus(&self) -> Option<CpuInfo> {
        CpuInfo::from_buf_read(fs::read(self.path("proc/cpuinfo")).ok()?.as_slice()).ok()
    }

    fn kernel(&self) -> Option<String> {
        let release = self.line("proc/sys/kernel/osrelease")?;
        Some(format!("{release} {}", std::env::consts::ARCH))
    }

    fn board(&self, cpus: Option<&CpuInfo>) -> Option<String> {
        let dmi = |name: &str| self.line(&format!("sys/class/dmi/id/{name}"));
        self.line("proc/device-tree/model")
            .or_else(|| Some(format!("{} {}", dmi("board_vendor")?, dmi("board_name")?)))
            .or_else(|| dmi("product_name"))
            .or_else(|| cpus?.model_name(0).map(str::to_owned))
    }

    /// The IANA name of the zone. `/etc/timezone` comes last: it is kept up to date nowhere but
    /// in Debian, and there only until Debian 12.
    fn zone(&self) -> Option<String> {
        let from_variable = std::env::var("TZ").ok().filter(|_| self.root == Path::new("/"));
        let from_variable = from_variable.map(|zone| zone.trim_start_matches(':').to_owned());
        let from_link = || {
            let target = fs::read_link(self.path("etc/localtime")).ok()?;
            let target = target.to_string_lossy();
            Some(target.split_once("zoneinfo/")?.1.to_owned())
        };
        from_variable
            .filter(|zone| !zone.is_empty() && !zone.starts_with('/'))
            .or_else(from_link)
            .or_else(|| self.line("etc/timezone"))
    }

    /// The disk behind the recording: name, and what it says it is.
    fn storage(&self, place: &Place) -> Option<String> {
        let disk = place.disk.as_ref()?;
        let device = format!("sys/block/{disk}/device");
        let words = ["vendor", "model", "type", "name", "manfid", "date"];
        let words = words.iter().filter_map(|word| {
            let text = self.line(&format!("{device}/{word}"))?;
            // A SCSI type is a bare number that tells nobody anything.
            if text.len() < 2 { None } else { Some(text) }
        });
        let mut told = vec![place.device.clone().unwrap_or_else(|| disk.clone())];
        told.extend(words);
        Some(told.join(" "))
    }

    /// Device, kind, size and priority of each swap.
    fn swaps(&self) -> Option<String> {
        let text = fs::read_to_string(self.path("proc/swaps")).ok()?;
        let swaps: Vec<_> = text
            .lines()
            .skip(1)
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let (device, kind) = (words.next()?, words.next()?);
                let (size, priority) = (words.next()?, words.nth(1)?);
                Some(format!("{device} {kind} {size} kB priority {priority}"))
            })
            .collect();
        Some(swaps.join("; "))
    }
}

#[cfg(test)]
mod tests;
