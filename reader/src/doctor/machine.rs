//! The machine: would it start again by itself, what swaps where, who keeps the logs, what time is
//! it?

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::{Finding, Grade, World, finding};

impl World {
    /// Does somebody start the machine again when it hangs?
    pub(super) fn watchdog(&self) -> Finding {
        const CHECK: &str = "watchdog";
        const REMEDY: &str = "RuntimeWatchdogSec=1min in /etc/systemd/system.conf makes a machine \
                              that hangs start again by itself";
        const DRIVER: &str = "Load the board's driver; without one a machine that hangs waits for \
                              somebody to pull the plug";
        let folder = "sys/class/watchdog/watchdog0";
        if !self.root.join(folder).exists() {
            return finding(CHECK, Grade::Warn, "no hardware watchdog".into(), DRIVER);
        }
        match self.text(&format!("{folder}/state")).as_deref() {
            Some("active") => finding(CHECK, Grade::Ok, "active".into(), ""),
            Some(_) => finding(CHECK, Grade::Warn, "there, and nobody feeds it".into(), REMEDY),
            None => finding(CHECK, Grade::Unknown, "the kernel does not tell its state".into(), ""),
        }
    }

    /// Does swap lie on flash that is slow to write, and wears?
    pub(super) fn swap(&self) -> Finding {
        const CHECK: &str = "swap";
        const REMEDY: &str = "Use zram, or limit what may grow (MemoryMax=)";
        let Some(text) = self.text("proc/swaps") else {
            return finding(CHECK, Grade::Unknown, "no /proc/swaps".into(), "");
        };
        let swaps: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        let flash = swaps.iter().find_map(|swap| Some((swap, self.flash_below(swap)?)));
        match flash {
            Some((swap, Flash::Card)) => {
                let seen = format!(
                    "{swap} lies on an SD card: a full memory turns into hours of I/O wait, and \
                     wears it"
                );
                finding(CHECK, Grade::Warn, seen, REMEDY)
            }
            Some((swap, Flash::Emmc)) => {
                let seen =
                    format!("{swap} lies on eMMC: a full memory is slow there, and wears it");
                finding(CHECK, Grade::Warn, seen, REMEDY)
            }
            Some((swap, Flash::Untold)) => {
                let seen = format!("{swap} lies on a card or eMMC: slow, and worn by it");
                finding(CHECK, Grade::Warn, seen, REMEDY)
            }
            None if swaps.is_empty() => finding(CHECK, Grade::Ok, "none".into(), ""),
            None => finding(CHECK, Grade::Ok, swaps.join(", "), ""),
        }
    }

    /// The card or eMMC that a swap device or file lies on.
    fn flash_below(&self, swap: &str) -> Option<Flash> {
        let device = if swap.starts_with("/dev/") {
            swap.trim_start_matches("/dev/").to_owned()
        } else {
            // A file lies where its mount does.
            self.device_of(&self.mount_of(Path::new(swap))?)
        };
        let number = device.strip_prefix("mmcblk")?;
        let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let disk = format!("mmcblk{}", number.get(..digits)?);
        Some(match self.text(&format!("sys/block/{disk}/device/type")).as_deref() {
            Some("SD") => Flash::Card,
            Some("MMC") => Flash::Emmc,
            _ => Flash::Untold,
        })
    }

    /// Are the logs still there after a cut?
    pub(super) fn logs(&self) -> Finding {
        const CHECK: &str = "logs";
        const REMEDY: &str = "That saves the card; flightrec keeps the last minutes. To keep logs \
             too: Storage=persistent in /etc/systemd/journald.conf.d/keep.conf";
        if let Some(mount) = self.mount_of(Path::new("/var/log"))
            && mount.point == Path::new("/var/log")
            && (mount.kind == "tmpfs" || mount.source.contains("zram"))
        {
            let seen = "/var/log lies in RAM: what was not copied is gone with the power".into();
            return finding(CHECK, Grade::Warn, seen, REMEDY);
        }
        let (storage, place) = self.journal_storage();
        let persistent = match storage.as_str() {
            "persistent" => true,
            "auto" => self.root.join("var/log/journal").is_dir(),
            _ => false,
        };
        if persistent {
            return finding(CHECK, Grade::Ok, "the journal is kept on the disk".into(), "");
        }
        let why = match storage.as_str() {
            "auto" => "there is no /var/log/journal".to_owned(),
            _ => format!("Storage={storage} in {place}"),
        };
        let seen = format!("the journal is gone with the power ({why})");
        finding(CHECK, Grade::Warn, seen, REMEDY)
    }

    /// `Storage=` of journald, and the file that says so: of the main file and the drop-ins, by
    /// their names whatever their folder, the last one counts (journald.conf(5)).
    fn journal_storage(&self) -> (String, String) {
        let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
        for folder in CONFIG_FOLDERS {
            let folder = format!("{folder}/journald.conf.d");
            for entry in fs::read_dir(self.root.join(&folder)).into_iter().flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                if Path::new(&name).extension().is_some_and(|it| it == "conf") {
                    // The first folder hides files of one name in the others.
                    drop_ins.entry(name.clone()).or_insert(format!("{folder}/{name}"));
                }
            }
        }
        let main = CONFIG_FOLDERS.iter().map(|folder| format!("{folder}/journald.conf"));
        let main = main.into_iter().find(|path| self.root.join(path).exists());
        let mut told = ("auto".to_owned(), String::new());
        for path in main.into_iter().chain(drop_ins.into_values()) {
            let text = self.text(&path).unwrap_or_default();
            let values = text.lines().filter_map(|line| line.trim().strip_prefix("Storage"));
            let mut values = values.filter_map(|rest| rest.trim_start().strip_prefix('='));
            if let Some(storage) = values.next_back() {
                // An empty value takes back what was said before.
                let storage = storage.trim();
                told = (
                    if storage.is_empty() { "auto" } else { storage }.to_owned(),
                    "/".to_owned() + &path,
                );
            }
        }
        told
    }

    /// Does a kernel that panics start again?
    pub(super) fn panic(&self) -> Finding {
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

/// What a swap wears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flash {
    /// An SD card.
    Card,
    /// Soldered, and a little better at it.
    Emmc,
    /// The kernel does not say which of the two.
    Untold,
}

/// Where journald's settings are, the most important first.
const CONFIG_FOLDERS: [&str; 4] =
    ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];

/// Whether the kernel trusts its clock, now: no old sample is asked.
pub(super) fn clock(is_synced: io::Result<bool>) -> Finding {
    const CHECK: &str = "clock";
    match is_synced {
        Ok(true) => finding(CHECK, Grade::Ok, "synchronised".into(), ""),
        Ok(false) => finding(
            CHECK,
            Grade::Warn,
            "not synchronised: times are what the board believes".into(),
            "timedatectl set-ntp true; the order of events does not depend on it",
        ),
        Err(error) => {
            finding(CHECK, Grade::Unknown, format!("the kernel does not tell: {error}"), "")
        }
    }
}
