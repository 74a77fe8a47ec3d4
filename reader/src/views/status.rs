//! The status, for people: a line for each thing, what is missing with its remedy, and the sentence
//! at the end.

use std::path::Path;

use crate::status::{Status, days, mb};
use crate::views::limits;
use crate::views::text::{WIDTH, escape, wrap};
use crate::wear::Below;

/// A protection that may be missing, what it is for, and what gives it.
pub const PROTECTIONS: [(&str, &str, &str); 7] = [
    (
        "lock_memory",
        "a machine out of memory may push the recorder out",
        "LimitMEMLOCK=infinity in its unit, or start it as root",
    ),
    (
        "priority",
        "it waits for its turn with everybody else",
        "start it as root, or give it CAP_SYS_NICE",
    ),
    (
        "oom_score_adj",
        "it may be ended when memory is gone",
        "OOMScoreAdjust=-900 in its unit, or start it as root",
    ),
    (
        "io_flusher",
        "its allocations may wait for the disk",
        "CAP_SYS_RESOURCE, and Linux 5.6 or later",
    ),
    ("small program", "it takes more memory", "install flightrecd-core beside flightrecd"),
    ("threads_max", "what they see is not recorded", "a larger threads_max in /etc/flightrec.toml"),
    (
        "marks",
        "flightrec mark reaches nobody",
        "RuntimeDirectory=flightrec in its unit, or start it as root",
    ),
];

/// What a board may lack (run fact `absent`), why, and what would help.
const ABSENT: [(&str, &str, &str); 18] = [
    ("pressure", "the kernel keeps no PSI", "psi=1 on its command line, if it was built with it"),
    (
        "memory controller",
        "the kernel counts no memory by service",
        "cgroup_enable=memory on its command line",
    ),
    ("temperature", "no driver of a sensor", "look for one: modprobe, or the device tree"),
    ("frequency", "no cpufreq driver", "none needed where it is fixed, as in most VMs"),
    ("undervoltage", "no sensor tells", "a Raspberry Pi has one; elsewhere a good power supply"),
    ("eMMC life time", "no eMMC that tells", "none: SD cards do not tell how worn they are"),
    ("watchdog", "no driver, or one without sysfs", "load the board's driver"),
    ("pstore", "a kernel that panics leaves no words", "ramoops in the device tree, or EFI"),
    ("journal", "no journald writes here", "none needed: the kernel and /var/log are read"),
    (
        "processes of others (hidepid)",
        "/proc shows it its own alone",
        "start it as root, or mount /proc with gid= of a group of its own",
    ),
    (
        "bytes of processes of others (CAP_SYS_PTRACE)",
        "what others read and write, and what they wait in, is told to root alone",
        "start it as root, or give it CAP_SYS_PTRACE",
    ),
    ("bytes of processes", "the kernel does not count them", "one with TASK_IO_ACCOUNTING"),
    (
        "kernel lines (CAP_SYSLOG)",
        "the kernel shows its log to root alone",
        "start it as root, or give it CAP_SYSLOG",
    ),
    (
        "kernel lines",
        "there is no /dev/kmsg",
        "let the container have it, or record on the machine itself",
    ),
    (
        "text logs (group adm)",
        "some in /var/log are not for this user",
        "start it as root, or in the group that they belong to",
    ),
    ("pstore (root)", "what a dead kernel left is shown to root alone", "start it as root"),
    (
        "processes outside of this container",
        "it has a namespace of its own",
        "record on the machine itself",
    ),
    (
        "units outside of this container",
        "it has a namespace of its own",
        "record on the machine itself",
    ),
];

/// All lines.
#[must_use]
pub fn lines(status: &Status, file: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |head: &str, text: &str| {
        lines.extend(wrap(&format!("{head:<10} {text}"), WIDTH, 11));
    };
    let fact = |name| status.of_fact(name).next().map(escape).unwrap_or_default();
    let own = |name: &str| own(status, name);
    tell(
        "recording",
        &format!(
            "{}, {} MiB, {} {}",
            escape(&file.to_string_lossy()),
            status.size_bytes >> 20,
            fact("file_system"),
            fact("storage")
        ),
    );
    tell("recorder", &recorder(status));
    tell("process", &process(status));
    tell("cadence", &cadence(status));
    if let Some(age_s) = status.newest_age_s {
        let overdue = status.overdue_s.map(|late_s| {
            format!(
                "; a commit is {late_s} s overdue: the disk is stuck, or the recorder is \
                 (see dmesg, and systemctl status flightrec)"
            )
        });
        tell("newest", &format!("durable sample {age_s} s old{}", overdue.unwrap_or_default()));
    }
    if let Some(mirror) = &status.mirror {
        tell("mirror", &mirror.sentence());
    }
    tell(
        "samples",
        &format!("{} ticks missed, {} dropped", own("missed_ticks"), own("dropped_samples")),
    );
    let stuck = match own("commit_stuck_ms") {
        0 => String::new(),
        ms => format!("; one was stuck for {} s at the newest sample", ms / 1000),
    };
    tell(
        "commits",
        &format!(
            "last {} ms, worst {} ms, {} failed{stuck}",
            own("commit_last_ms"),
            own("commit_worst_ms"),
            own("commit_errors")
        ),
    );
    let later = status.kept_later_s.map(|s| format!(" so far; about {} when full", days(s)));
    tell("kept", &format!("{}{}", days(status.kept_s), later.unwrap_or_default()));
    if let Some(ours) = status.ours_per_day {
        let of = if status.measured_s < 86_400 {
            format!(" (from {})", days(status.measured_s))
        } else {
            String::new()
        };
        let below = status.facts.as_ref().map_or(Below::Other, Below::of_facts);
        let device =
            status.device_per_day.map_or_else(String::new, |device| format!("{} ", mb(device)));
        let device = format!("{device}on the device, {}", below.words());
        tell("written", &format!("{} MB/day ours{of}, {device}", mb(ours)));
    }
    lines.extend(limits::lines(&status.limits, status.size_bytes));
    lines.extend(missing(status));
    lines.push(String::new());
    lines.extend(wrap(&status.sentence(), WIDTH, 2));
    lines
}

fn own(status: &Status, name: &str) -> u64 {
    status.own.iter().find(|(own, _)| *own == name).map_or(0, |(_, value)| *value)
}

fn recorder(status: &Status) -> String {
    let program = status.of_fact("program").next().map(escape).unwrap_or_default();
    if !status.running {
        return format!(
            "nobody records here; the newest samples are of boot {} ({program}). \
             Start it: systemctl start flightrec",
            status.boot
        );
    }
    let process = status.process.as_ref().map_or_else(
        || "pid not told (only to root)".to_owned(),
        |process| format!("pid {}, since {} ago", process.pid, days(process.age_s)),
    );
    format!("at work, {program}, boot {}, {process}", status.boot)
}

/// What it uses, beside what it may.
fn process(status: &Status) -> String {
    let kib = |bytes: u64| bytes >> 10;
    let faults = own(status, "major_faults");
    let Some(process) = &status.process else {
        let resident = kib(own(status, "rss_bytes"));
        return format!("{resident} KiB resident, {faults} major faults, at the newest sample");
    };
    let limit = process
        .locked_limit_bytes
        .map_or_else(|| "no limit".to_owned(), |limit| format!("limit {} KiB", kib(limit)));
    // Room that is reserved counts as locked, too, though nothing is there.
    let locked = if process.locked_bytes >= process.resident_bytes {
        "all of it".to_owned()
    } else {
        format!("{} KiB", kib(process.locked_bytes))
    };
    let share = process.cpu_percent_hundredths().map_or_else(String::new, |share| {
        format!(", {}.{:02} % of a core", share / 100, share % 100)
    });
    format!(
        "{} KiB resident, {locked} locked ({limit}), {faults} major faults, {} threads{share}, \
         nice {}, oom_score_adj {}",
        kib(process.resident_bytes),
        process.threads,
        process.nice,
        process.oom_score_adj
    )
}

fn cadence(status: &Status) -> String {
    let commit_ms = status.facts.as_ref().map_or(0, |facts| facts.commit_ns / 1_000_000);
    let shown = |ms: u64| {
        if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
    };
    // The fact repeats how often, and says why.
    let commits = status
        .of_fact("cadence")
        .next()
        .map_or_else(|| format!("a commit each {} while calm", shown(commit_ms)), escape);
    format!("a sample each {}, {commits}", shown(status.interval_ms))
}

/// What is missing, why, and what would help.
fn missing(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |head: &str, text: &str| {
        lines.extend(wrap(&format!("{head:<10} {text}"), WIDTH, 11));
    };
    for missing in status.of_fact("missing") {
        let known = PROTECTIONS.iter().find(|(name, _, _)| missing.starts_with(name));
        let known = known.map(|(_, costs, remedy)| format!("; {costs}. Needs {remedy}"));
        tell("missing", &format!("{}{}", escape(missing), known.unwrap_or_default()));
    }
    for bad in status.of_fact("config_default") {
        tell("default", &format!("{} (see flightrecd check-config)", escape(bad)));
    }
    for lost in &status.lost_sources {
        let (sentence, remedy) = (lost.sentence(), lost.remedy());
        tell("lost", &format!("{}. Tried again all the time. Remedy: {remedy}", escape(&sentence)));
    }
    match own(status, "slow_age_s") {
        0..30 => {}
        age_s => tell("slow", &format!("its thread hangs for {age_s} s: a file system or driver")),
    }
    for name in status.absent() {
        let known = ABSENT.iter().find(|(known, _, _)| *known == name);
        let known = known.map(|(_, reason, remedy)| format!(": {reason}. Remedy: {remedy}"));
        tell("absent", &format!("{}{}", escape(name), known.unwrap_or_default()));
    }
    lines
}
