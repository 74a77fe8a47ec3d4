//! Settings in which something is refused or is not there: the real recorder without rights, in namespaces
//! of its own, with files of the kernel hidden. It runs and records; `status` names what is missing,
//! with a remedy; and nothing else is called missing than where nothing is taken away.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use flightrec_tests::apart::{Running, find};
use flightrec_tests::dead_fs::RefusingFile;
use flightrec_tests::programs::{flightrec, flightrecd, say, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// Prepares a mount namespace (`$1`: `flightrecd`, `$2`: `flightrec`, `$3`: a folder to give
/// away): the programs lie where anybody may run them, and `/var/log` holds one log that anybody may read.
const PREPARE: &str = r#"
mount -t tmpfs -o mode=777 tmpfs /mnt || exit 77
[ ! -d /sys/fs/pstore ] || mount -t tmpfs tmpfs /sys/fs/pstore
mount -t tmpfs tmpfs /var/log && : >/var/log/syslog && mkdir -p /var/log/journal || exit 77
mkdir -p /mnt/run && chmod 777 /mnt/run && export RUNTIME_DIRECTORY=/mnt/run
cp "$1" "$1-core" "$2" /mnt/ && unset NOTIFY_SOCKET
give() { mount --bind "$1" "$2" || exit 77; }
"#;

/// Records, and reads what was recorded.
const RECORD: &str = r"
cd /mnt
./flightrecd create r.frec --size 1MiB --force >/dev/null 2>&1 || exit 1
./flightrecd run --recording /mnt/r.frec --interval 100ms --commit 500ms --for 2s 2>log || { cat log; exit 1; }
./flightrec status --json r.frec | tr -d '\n'; echo
./flightrec dump --format jsonl r.frec | wc -l
./flightrec status r.frec
";

/// A setting, and what it takes away.
#[derive(Clone, Copy, Default)]
struct Setting {
    /// More arguments of unshare.
    namespaces: &'static [&'static str],
    /// Run as root in them, before the recorder.
    prepare: &'static str,
    /// What the recorder is started by.
    by: &'static str,
    /// What is missing for it, by the name that `status` gives it.
    missing: &'static [&'static str],
    absent: &'static [&'static str],
    lost: &'static [&'static str],
}

/// What `status` calls missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Named {
    missing: BTreeSet<String>,
    absent: BTreeSet<String>,
    lost: BTreeSet<String>,
    text: String,
}

/// Runs the recorder there. The error is why the setting cannot be had here.
fn record(setting: &Setting, given: &Path) -> Result<Named, String> {
    let script = format!("{PREPARE}\n{}\n{} sh -c \"$RECORD\"", setting.prepare, setting.by);
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .args(setting.namespaces)
        .args(["sh", "-c", &script, "sh"])
        .args([flightrecd(), flightrec(), given])
        .env("RECORD", RECORD)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("no unshare: {error}"))?;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    match output.status.code() {
        Some(0) => {}
        // Of unshare, setpriv and ours for what cannot be had.
        Some(77 | 126 | 127) => return Err(err),
        Some(1) if err.starts_with("unshare:") => return Err(err),
        code => panic!("{code:?}: {out}{err}"),
    }
    let mut lines = out.lines();
    let status: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let samples: u64 = lines.next().unwrap().trim().parse().unwrap();
    assert!(samples >= 5, "{samples} samples: {out}");
    let names = |of: &str| {
        let names = status[of].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        names.map(|name| name.split(": ").next().unwrap().to_owned()).collect()
    };
    let text: String = lines.map(|line| line.to_owned() + "\n").collect();
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    let text = text.replace("\n           ", " ");
    Ok(Named {
        missing: names("missing"),
        absent: names("absent"),
        lost: names("lost_sources"),
        text,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is missing on this machine anyway, told as one who may mount.
fn plain() -> &'static Result<Named, String> {
    static PLAIN: OnceLock<Result<Named, String>> = OnceLock::new();
    PLAIN.get_or_init(|| record(&Setting::default(), Path::new("/")))
}

impl Setting {
    /// Records in it, and compares with what it takes away.
    fn hold(&self) {
        self.hold_with(Path::new("/"));
    }

    fn hold_with(&self, given: &Path) {
        let plain = match plain() {
            Ok(plain) => plain,
            Err(why) => return println!("skipped: no namespace of its own: {why}"),
        };
        let seen = match record(self, given) {
            Ok(seen) => seen,
            Err(why) => return println!("skipped: {why}"),
        };
        let with = |before: &BTreeSet<String>, more: &[&str]| {
            before.iter().cloned().chain(more.iter().map(|name| (*name).to_owned())).collect()
        };
        let expected = Named {
            missing: with(&plain.missing, self.missing),
            absent: with(&plain.absent, self.absent),
            lost: with(&plain.lost, self.lost),
            text: seen.text.clone(),
        };
        assert_eq!(seen, expected, "{}", seen.text);
        let lines =
            |head: &'static str| seen.text.lines().filter(move |line| line.starts_with(head));
        for line in lines("missing ").chain(lines("absent ")).chain(lines("lost ")) {
            assert!(line.contains(" Needs ") || line.contains(" Remedy: "), "no remedy: {line}");
        }
        assert_eq!(lines("missing ").count(), expected.missing.len(), "{}", seen.text);
        assert_eq!(lines("absent ").count(), expected.absent.len(), "{}", seen.text);
        assert_eq!(lines("lost ").count(), expected.lost.len(), "{}", seen.text);
    }
}

const BYTES: &str = "bytes of processes of others (CAP_SYS_PTRACE)";
const HIDDEN: &str = "processes of others (hidepid)";
const OUTSIDE: &str = "processes outside of this container";

/// Whether the kernel shows its log to root alone, as Debian has it.
fn is_log_restricted() -> bool {
    let told = fs::read_to_string("/proc/sys/kernel/dmesg_restrict");
    told.is_ok_and(|text| text.trim() != "0")
}

#[test]
fn another_user_without_any_right() {
    Setting {
        prepare: "chmod 640 /var/log/syslog; unset RUNTIME_DIRECTORY; ulimit -l 64; \
                  mount -t tmpfs -o mode=755 tmpfs /run; \
                  mount -t tmpfs -o mode=750 tmpfs /sys/fs/pstore || exit 77",
        by: "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all",
        missing: &["priority", "oom_score_adj", "io_flusher", "lock_memory", "marks"],
        absent: if is_log_restricted() {
            &[BYTES, "kernel lines (CAP_SYSLOG)", "text logs (group adm)", "pstore (root)"]
        } else {
            &[BYTES, "text logs (group adm)", "pstore (root)"]
        },
        ..Setting::default()
    }
    .hold();
}

#[test]
fn root_that_may_not_lock_memory() {
    Setting {
        prepare: "ulimit -l 64",
        by: "setpriv --bounding-set=-ipc_lock,-sys_resource",
        // Who has the one right can lift the limit that the other one is for.
        missing: &["lock_memory", "oom_score_adj", "io_flusher"],
        ..Setting::default()
    }
    .hold();
}

#[test]
fn root_without_sys_resource() {
    Setting {
        by: "setpriv --bounding-set=-sys_resource",
        missing: &["oom_score_adj", "io_flusher"],
        ..Setting::default()
    }
    .hold();
}

#[test]
fn root_without_sys_nice() {
    Setting {
        by: "setpriv --bounding-set=-sys_nice",
        missing: &["priority"],
        ..Setting::default()
    }
    .hold();
}

/// Earlier kernels take CAP_SYS_ADMIN for it, too.
#[test]
fn root_without_syslog() {
    Setting {
        by: "setpriv --bounding-set=-syslog,-sys_admin",
        absent: if is_log_restricted() { &["kernel lines (CAP_SYSLOG)"] } else { &[] },
        ..Setting::default()
    }
    .hold();
}

#[test]
fn root_without_sys_ptrace() {
    Setting { by: "setpriv --bounding-set=-sys_ptrace", absent: &[BYTES], ..Setting::default() }
        .hold();
}

/// Since Linux 5.8 each mount of `/proc` has its own options; before, those of a pid namespace have.
#[test]
fn a_proc_that_hides_the_processes_of_others() {
    Setting {
        namespaces: &["--pid", "--fork", "--kill-child"],
        prepare: "mount -t proc -o hidepid=2 proc /proc || exit 77; ulimit -l 64",
        // Whose group is root may look all the same.
        by: "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all",
        missing: &["priority", "oom_score_adj", "io_flusher", "lock_memory"],
        absent: if is_log_restricted() {
            &[HIDDEN, BYTES, OUTSIDE, "kernel lines (CAP_SYSLOG)"]
        } else {
            &[HIDDEN, BYTES, OUTSIDE]
        },
        ..Setting::default()
    }
    .hold();
}

/// `ProcSubset=pid` of a unit, so to say.
#[test]
fn a_proc_that_shows_processes_and_nothing_else() {
    Setting {
        prepare: "mount -t proc -o subset=pid proc /proc || exit 77; [ ! -e /proc/stat ] || exit 77",
        absent: &["pressure"],
        lost: &[
            "/proc/stat",
            "/proc/meminfo",
            "/proc/vmstat",
            "/proc/loadavg",
            "/proc/swaps",
            "/proc/sys/fs/file-nr",
            "/proc/net/dev",
            "/proc/net/snmp",
            "/proc/net/sockstat",
        ],
        ..Setting::default()
    }
    .hold();
}

#[test]
fn a_kernel_without_pressure() {
    Setting {
        prepare: "[ ! -e /proc/pressure ] || mount -t tmpfs tmpfs /proc/pressure || exit 77",
        absent: &["pressure"],
        ..Setting::default()
    }
    .hold();
}

/// Built in and switched off, a file of pressure opens and answers EOPNOTSUPP.
#[test]
fn a_kernel_whose_pressure_is_off() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("off");
    fs::write(&file, "").unwrap();
    let _off = match RefusingFile::mount(&file, 95) {
        Ok(off) => off,
        Err(why) => return println!("skipped: {why}"),
    };
    Setting {
        prepare: "for of in cpu io memory; do give \"$3\" /proc/pressure/$of; done",
        absent: &["pressure"],
        ..Setting::default()
    }
    .hold_with(&file);
}

/// `cgroup_disable=memory`, as the firmware of a Raspberry Pi has it.
#[test]
fn a_kernel_without_the_memory_controller() {
    Setting {
        prepare: "mount -t tmpfs tmpfs /sys/fs/cgroup || exit 77
            for of in controllers subtree_control; do echo cpu io pids >/sys/fs/cgroup/cgroup.$of; done",
        absent: &["memory controller"],
        ..Setting::default()
    }
    .hold();
}

/// A root file system of its own, all namespaces but that of users, and the rights that containers
/// usually have.
#[test]
fn a_container() {
    Setting {
        namespaces: &["--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--cgroup"],
        prepare: r"
            root=/mnt/root; mkdir $root && mount --bind $root $root; mkdir -p $root/usr $root/proc $root/sys $root/dev $root/tmp $root/mnt $root/etc
            for name in bin sbin lib lib32 lib64; do
                if [ -L /$name ]; then cp -a /$name $root/$name
                elif [ -d /$name ]; then mkdir $root/$name && give /$name $root/$name; fi
            done
            give /usr $root/usr
            mount -t proc proc $root/proc && mount -t sysfs -o ro sysfs $root/sys || exit 77
            for of in null zero urandom; do : >$root/dev/$of; give /dev/$of $root/dev/$of; done
            cp /mnt/flightrec* $root/mnt/; mkdir $root/mnt/run; ulimit -l 64",
        // Process 1 has the rights that all of a container have.
        by: "exec setpriv --bounding-set=-ipc_lock,-sys_resource,-sys_nice,-sys_ptrace,-syslog,-sys_admin \
             chroot /mnt/root",
        missing: &["priority", "oom_score_adj", "io_flusher", "lock_memory"],
        absent: &[OUTSIDE, "units outside of this container", "memory controller", "journal", "kernel lines"],
        ..Setting::default()
    }
    .hold();
}

/// Root of a user namespace, which anybody may make where the kernel is not told otherwise.
#[test]
fn a_container_of_a_user() {
    Setting {
        namespaces: &["--user", "--map-root-user", "--pid", "--fork", "--kill-child"],
        prepare: "mount -t proc proc /proc || exit 77; ulimit -l 64",
        missing: &["priority", "oom_score_adj", "io_flusher", "lock_memory"],
        absent: if is_log_restricted() {
            &[OUTSIDE, "kernel lines (CAP_SYSLOG)"]
        } else {
            &[OUTSIDE]
        },
        ..Setting::default()
    }
    .hold();
}

/// A group of tasks that may not be real-time, as every service is where the kernel has RT_GROUP_SCHED.
struct NoRealTime(std::path::PathBuf);

impl NoRealTime {
    fn new() -> Result<Self, String> {
        let root = Path::new("/sys/fs/cgroup/cpu");
        let own = root.join(format!("flightrec-test-{}", std::process::id()));
        fs::create_dir(&own).map_err(|error| format!("no cgroup of our own: {error}"))?;
        let own = Self(own);
        let budget = fs::read_to_string(own.0.join("cpu.rt_runtime_us"));
        match budget.as_deref().map(str::trim) {
            Ok("0") => Ok(own),
            _ => Err("a kernel without RT_GROUP_SCHED, or with cgroup v2 alone".into()),
        }
    }
}

impl Drop for NoRealTime {
    fn drop(&mut self) {
        // Those that were in it have ended.
        fs::remove_dir(&self.0).unwrap_or_default();
    }
}

/// It asks for no real-time policy, so that no kernel can refuse it.
#[test]
fn a_kernel_that_refuses_real_time_to_services() {
    let group = match NoRealTime::new() {
        Ok(group) => group,
        Err(why) => return println!("skipped: {why}"),
    };
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("recording.frec");
    let shown = path.to_str().unwrap();
    let made = say(flightrecd(), ["create", shown, "--size", "1MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let inside = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo $$ >\"$0/cgroup.procs\" && {script}")]);
        command.arg(&group.0).arg(flightrecd()).arg(shown);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    if find("chrt").is_some() {
        let refused = inside("! chrt --fifo 1 true").status().unwrap();
        assert!(refused.success(), "real time is not refused there: nothing is shown");
    }
    let mut recorder = inside("exec \"$1\" run --recording \"$2\" --interval 100ms --commit 500ms");
    let recorder = recorder.env("RUNTIME_DIRECTORY", folder.path()).env_remove("NOTIFY_SOCKET");
    let recorder = Running(recorder.spawn().unwrap());
    let status = || {
        let said = say(flightrec(), ["status", shown, "--json"]);
        serde_json::from_str::<Value>(&said.out).unwrap_or_default()
    };
    assert!(wait_until(|| status()["measured_s"].as_u64() > Some(0)));
    let tasks = fs::read_dir(format!("/proc/{}/task", recorder.0.id())).unwrap();
    let stats = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
    let policies: Vec<String> = stats
        .map(|stat| {
            let (_, fields) = stat.rsplit_once(')').unwrap();
            // Field 41 of all, of which the first two are gone.
            fields.split_ascii_whitespace().nth(41 - 3).unwrap().to_owned()
        })
        .collect();
    assert!(policies.len() >= 4 && policies.iter().all(|policy| policy == "0"), "{policies:?}");
    let missing = status()["missing"].clone();
    if let Ok(plain) = plain() {
        let named: Vec<&str> =
            missing.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let is_known = |name: &&str| plain.missing.contains(name.split(": ").next().unwrap());
        assert!(named.iter().all(is_known), "{named:?}");
    }
    drop(recorder);
}
