//! What the machine is made of, as far as it explains how it died.

use std::fs;
use std::path::Path;

use procfs::process::MountInfo;

/// The machine below `root`, and the disk that the recording lies on.
pub(super) struct Hardware<'a> {
    pub(super) root: &'a Path,
    pub(super) disk: Option<&'a str>,
}

/// Most local mounts that are told of.
const MOUNTS_MAX: usize = 8;

impl Hardware<'_> {
    /// The text of a small file; `None` if there is nothing.
    fn line(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A file below the recording's disk in `/sys/block`.
    fn of_disk(&self, path: &str) -> Option<String> {
        self.line(&format!("sys/block/{}/{path}", self.disk?))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Mount point, file system and `commit=` of what lies on disks.
    pub(super) fn mounts(&self) -> Option<String> {
        let text = fs::read(self.root.join("proc/self/mountinfo")).ok()?;
        let text = String::from_utf8_lossy(&text);
        let mounts = text.lines().filter_map(|line| MountInfo::from_line(line).ok());
        let on_disk = mounts.filter(|mount| {
            mount.mount_source.as_deref().is_some_and(|source| source.starts_with("/dev/"))
        });
        let mut seen = Vec::new();
        let mut told = Vec::new();
        for mount in on_disk {
            if seen.contains(&mount.majmin) || told.len() == MOUNTS_MAX {
                continue;
            }
            seen.push(mount.majmin.clone());
            let point = mount.mount_point.to_string_lossy();
            let commit = mount.super_options.get("commit").cloned().flatten();
            let commit = commit.map(|seconds| format!(" commit={seconds}")).unwrap_or_default();
            told.push(format!("{point} {}{commit}", mount.fs_type));
        }
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// The scheduler in use stands in brackets.
    pub(super) fn scheduler(&self) -> Option<String> {
        self.of_disk("queue/scheduler").as_deref().map(chosen)
    }

    pub(super) fn erase_bytes(&self) -> Option<String> {
        self.of_disk("device/preferred_erase_size")
    }

    pub(super) fn wear(&self) -> Option<String> {
        let life = self.of_disk("device/life_time")?;
        let reserve = self.of_disk("device/pre_eol_info").map(|word| format!(", reserve {word}"));
        Some(format!("life time {life}{}", reserve.unwrap_or_default()))
    }

    /// What the readings of units are: what their cgroups say, as far as controllers are on for
    /// them, else sums over processes.
    pub(super) fn units(&self) -> String {
        let folders = ["sys/fs/cgroup/system.slice", "sys/fs/cgroup"];
        let control = |folder: &str| self.line(&format!("{folder}/cgroup.subtree_control"));
        let controllers = folders.into_iter().find_map(control).unwrap_or_default();
        if !self.root.join("sys/fs/cgroup/cgroup.controllers").exists() && controllers.is_empty() {
            return "sums over processes (no cgroup v2)".to_owned();
        }
        // Time of the processor is told without its controller too.
        let is_on = |name: &&str| controllers.split_ascii_whitespace().any(|on| on == *name);
        let summed: Vec<&str> =
            ["memory", "io", "pids"].into_iter().filter(|name| !is_on(name)).collect();
        let own = if controllers.is_empty() { "no controllers on" } else { &controllers };
        let summed = match summed.as_slice() {
            [] => String::new(),
            names => format!("; sums over processes: {}", names.join(" ")),
        };
        format!("cgroup v2: {own}{summed}")
    }

    /// Size, algorithm and limit of each swap or file system in compressed memory.
    pub(super) fn zram(&self) -> Option<String> {
        let devices = self.names("sys/block").into_iter().filter(|name| name.starts_with("zram"));
        let told: Vec<String> = devices
            .filter_map(|name| {
                let file = |file: &str| self.line(&format!("sys/block/{name}/{file}"));
                let size: u64 = file("disksize")?.parse().ok().filter(|size| *size > 0)?;
                let algorithm = file("comp_algorithm").as_deref().map(chosen);
                // size of the original, compressed size, memory used, limit of it, ...
                let limit = file("mm_stat")
                    .and_then(|text| text.split_ascii_whitespace().nth(3).map(str::to_owned));
                let limit =
                    limit.filter(|limit| limit != "0").map(|limit| format!(" limit {limit}"));
                let backing = file("backing_dev").filter(|device| device != "none");
                let backing = backing.map(|device| format!(" backed by {device}"));
                Some(format!(
                    "{name} {size} {}{}{}",
                    algorithm.unwrap_or_default(),
                    limit.unwrap_or_default(),
                    backing.unwrap_or_default()
                ))
            })
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Who keeps the logs in memory, and loses them with the power.
    pub(super) fn ramlog(&self) -> Option<String> {
        let armbian = self.line("etc/default/armbian-ramlog").is_some_and(|text| {
            text.lines().any(|line| line.trim().trim_end_matches('"') == "ENABLED=true")
        });
        let log2ram = self.root.join("etc/log2ram.conf").exists();
        let folder2ram = self.root.join("etc/folder2ram/folder2ram.conf").exists();
        let products =
            [(armbian, "armbian-ramlog"), (log2ram, "log2ram"), (folder2ram, "folder2ram")];
        let told: Vec<_> =
            products.iter().filter(|(is_there, _)| *is_there).map(|(_, name)| *name).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    pub(super) fn watchdog(&self) -> Option<String> {
        let file = |file: &str| self.line(&format!("sys/class/watchdog/watchdog0/{file}"));
        let state = file("state")?;
        let identity = file("identity").map(|name| format!(", {name}")).unwrap_or_default();
        let timeout = file("timeout").map(|s| format!(", timeout {s} s")).unwrap_or_default();
        Some(format!("{state}{identity}{timeout}"))
    }

    /// Why the machine was reset: by its watchdog (`WDIOF_*` of linux/watchdog.h), or as a
    /// Raspberry Pi's firmware has it (RSTS).
    pub(super) fn reset(&self) -> Option<String> {
        const CAUSES: [(u32, &str); 6] = [
            (0x01, "overheated"),
            (0x02, "fan failed"),
            (0x04, "external 1"),
            (0x08, "external 2"),
            (0x10, "power bad"),
            (0x20, "watchdog"),
        ];
        let status = self.line("sys/class/watchdog/watchdog0/bootstatus");
        let status = status.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let causes = CAUSES.iter().filter(|(bit, _)| status & bit != 0);
        let mut told: Vec<String> = causes.map(|(_, cause)| (*cause).to_owned()).collect();
        let rsts = fs::read(self.root.join("proc/device-tree/chosen/bootloader/rsts")).ok();
        if let Some([a, b, c, d]) = rsts.as_deref() {
            // Device trees are big-endian.
            told.push(format!("RSTS {a:02x}{b:02x}{c:02x}{d:02x}"));
        }
        told.extend(self.line("sys/bus/platform/drivers/at91-reset/power_on_reason"));
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// `mq-deadline [none]`: none.
fn chosen(text: &str) -> String {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(word, _)| word).to_owned()
}
