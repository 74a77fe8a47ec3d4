//! What cannot be measured here, and what it takes in brackets: it is absent from every sample, which
//! is not the same as 0.
//!
//! Some of it no driver of this kernel tells; some of it is there, and not for this process.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::{sys, textlogs};

/// What a machine may lack: name, and the places where it would show itself. A `*` stands for any
/// name in its folder. A file that exists and cannot be read is lacking too.
const OF_MACHINE: &[(&str, &[&str])] = &[
    ("pressure", &["proc/pressure/memory"]),
    ("memory controller", &["sys/fs/cgroup/memory.stat", "sys/fs/cgroup/memory/memory.stat"]),
    ("temperature", &["sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/*/temp1_input"]),
    ("frequency", &["sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq"]),
    (
        "undervoltage",
        &[
            "sys/class/hwmon/*/in0_lcrit_alarm",
            "sys/class/hwmon/*/in1_min_alarm",
            "sys/devices/platform/soc/soc:firmware/get_throttled",
        ],
    ),
    ("eMMC life time", &["sys/block/mmcblk*/device/life_time"]),
    ("watchdog", &["sys/class/watchdog/watchdog*/state"]),
    ("journal", &["var/log/journal/.", "run/log/journal/."]),
];

/// What a process may be kept from.
const OF_RIGHTS: [fn(&Path) -> Option<&'static str>; 7] =
    [processes, bytes_of_processes, kernel_lines, text_logs, pstore, host_processes, host_units];

/// The names, in one text.
pub(super) fn absent(root: &Path) -> Option<String> {
    let is_lacking = |paths: &[&str]| !paths.iter().any(|path| can_read(root, path));
    let of_machine = OF_MACHINE.iter().filter(|(_, paths)| is_lacking(paths));
    let of_rights = OF_RIGHTS.iter().filter_map(|look| look(root));
    let names: Vec<&str> = of_machine.map(|(name, _)| *name).chain(of_rights).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn can_read(root: &Path, path: &str) -> bool {
    let Some((folder, rest)) = path.split_once('*') else {
        let path = root.join(path);
        return path.is_dir() || fs::read(path).is_ok();
    };
    let (folder, begin) = folder.rsplit_once('/').unwrap_or(("", folder));
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let paths = names
        .filter(|name| name.starts_with(begin))
        .map(|name| root.join(folder).join(name + rest));
    // The class has links to the devices, and no more of them than a board has parts.
    paths.take(64).any(|path| fs::read(path).is_ok())
}

/// Process 1 is somebody else's.
fn processes(root: &Path) -> Option<&'static str> {
    (!can_read(root, "proc/1/stat")).then_some("processes of others (hidepid)")
}

/// Process 1 may be one that nobody may trace; process 2 is a thread of the kernel, unless it is this one.
fn bytes_of_processes(root: &Path) -> Option<&'static str> {
    if can_read(root, "proc/1/io") || (std::process::id() != 2 && can_read(root, "proc/2/io")) {
        return None;
    }
    // One's own may be read wherever the kernel counts them.
    Some(if can_read(root, "proc/self/io") {
        "bytes of processes of others (CAP_SYS_PTRACE)"
    } else {
        "bytes of processes"
    })
}

/// Number of `/dev/kmsg`: major 1, minor 11. Containers have other things of that name.
const KMSG: u64 = 0x010b;

fn kernel_lines(root: &Path) -> Option<&'static str> {
    let opened =
        OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(root.join("dev/kmsg"));
    match opened.and_then(|file| file.metadata()) {
        Ok(told) if told.file_type().is_char_device() && told.rdev() == KMSG => None,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Some("kernel lines (CAP_SYSLOG)")
        }
        _ => Some("kernel lines"),
    }
}

fn text_logs(root: &Path) -> Option<&'static str> {
    textlogs::are_refused(&root.join("var/log")).then_some("text logs (group adm)")
}

fn pstore(root: &Path) -> Option<&'static str> {
    match fs::read_dir(root.join("sys/fs/pstore")) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some("pstore (root)"),
        Err(_) => Some("pstore"),
    }
}

/// The machine's own namespaces have fixed numbers (include/linux/proc_ns.h of the kernel).
fn is_apart(root: &Path, kind: &str, number: &str) -> bool {
    let link = fs::read_link(root.join("proc/self/ns").join(kind));
    link.is_ok_and(|link| link.as_os_str().as_encoded_bytes() != number.as_bytes())
}

fn host_processes(root: &Path) -> Option<&'static str> {
    is_apart(root, "pid", "pid:[4026531836]").then_some("processes outside of this container")
}

fn host_units(root: &Path) -> Option<&'static str> {
    is_apart(root, "cgroup", "cgroup:[4026531835]").then_some("units outside of this container")
}

/// Whether a file is there that this process may not read.
pub(super) fn is_refused(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}
