//! Who did it: real processes on the real kernel, found by the real recorder, named by the reader.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flightrec_tests::programs::{Said, flightrec, flightrecd, say};
use serde_json::Value;
use tempfile::TempDir;

/// A program that keeps a core and 512 MiB busy, under a name of ours; ended when it is dropped.
struct Culprit(Child);

impl Culprit {
    fn start(folder: &Path, name: &[u8]) -> Self {
        let program = folder.join(OsStr::from_bytes(name));
        let dd = ["/bin/dd", "/usr/bin/dd"].map(Path::new).into_iter().find(|dd| dd.exists());
        fs::copy(dd.expect("every machine has dd"), &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["if=/dev/zero", "of=/dev/null", "bs=512M"]).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Culprit {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Records for some seconds; the recording lies in the folder.
fn record(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("recording.frec");
    let text = path.to_str().unwrap();
    let said = say(flightrecd(), ["create", text, "--size", "1MiB", "--force"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = ["run", "--recording", text, "--interval", "100ms", "--commit", "1s", "--for", "18s"];
    let said = say(flightrecd(), run);
    assert_eq!(said.code, Some(0), "{said:?}");
    path
}

fn read(path: &Path, arguments: &[&str]) -> Said {
    let said =
        say(flightrec(), [&[arguments[0], path.to_str().unwrap()], &arguments[1..]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    said
}

/// A cgroup of our own, as systemd makes one for a unit; removed when it is dropped.
struct Unit(PathBuf);

impl Unit {
    fn holding(pid: u32) -> Result<(Self, String), String> {
        let name = format!("flightrec-test-{}.service", std::process::id());
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
        let root = roots.map(Path::new).into_iter().find(|root| root.join("cgroup.procs").exists());
        let folder = root.ok_or("no cgroups here")?.join(&name);
        fs::create_dir(&folder).map_err(|error| format!("no cgroup of our own: {error}"))?;
        let unit = Self(folder);
        fs::write(unit.0.join("cgroup.procs"), pid.to_string())
            .map_err(|error| format!("cannot move a process there: {error}"))?;
        Ok((unit, name))
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // The process in it has ended, or never was in it.
        fs::remove_dir(&self.0).unwrap_or_default();
    }
}

#[test]
fn the_culprit_is_named_with_its_unit() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let culprit = Culprit::start(folder.path(), b"culprit");
    let pid = culprit.0.id();
    let unit = Unit::holding(pid).map_err(|why| println!("skipped: units: {why}")).ok();
    let path = record(&folder);
    drop(culprit);

    let text = read(&path, &["dump", "--last", "8s", "--top", "9"]).out;
    // Its command line may stand above, among the events.
    let is_own = |line: &&str| line.starts_with("culprit ") && line.contains(&format!(" {pid} "));
    let line = text.lines().find(is_own).unwrap_or_else(|| panic!("it is not named:\n{text}"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    let top: Value = serde_json::from_str(&read(&path, &["top", "--json"]).out).unwrap();
    let processes = top["processes"].as_array().unwrap();
    let own = processes.iter().find(|process| process["pid"] == pid).unwrap();
    assert_eq!(own["name"], "culprit");
    assert!(own["cpu_percent"].as_f64().unwrap() > 2.0, "{own}");
    assert!(own["memory_bytes"].as_f64().unwrap() > 500e6, "{own}");
    if let Some((_, name)) = &unit {
        assert!(line.contains("flightrec-te"), "{line}");
        assert_eq!(own["unit"], name.as_str());
        let units = top["units"].as_array().unwrap();
        let unit = units.iter().find(|unit| unit["name"] == name.as_str()).unwrap();
        assert!(unit["cpu_percent"].as_f64().unwrap() > 2.0, "{unit}");
        assert!(unit["memory_bytes"].as_f64().unwrap() > 500e6, "{unit}");
    }
    let asked = ["events", "--kind", "process", "--format", "jsonl", "--command-lines"];
    let events = read(&path, &asked).out;
    let told = events.lines().find(|line| line.contains(&format!("\"pid\":{pid},")));
    assert!(told.is_some_and(|line| line.contains("culprit if=/dev/zero")), "{events}");

    let samples = read(&path, &["dump", "--boot", "all", "--format", "jsonl"]).out;
    assert!(!samples.contains("if=/dev/zero"), "a command line goes nowhere unasked");
    let total = samples.lines().rev().find_map(|line| {
        let sample: Value = serde_json::from_str(line).unwrap();
        sample["values"]["processes.total"].as_u64()
    });
    assert!(total.is_some_and(|total| total >= 2), "{total:?}");
}

/// Anybody may call a program what he likes, and the table is read on a terminal.
#[test]
fn a_hostile_name_commands_no_terminal_and_hides_nobody() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let name = b"x\x1b[2J) S 1\n\xff(";
    let culprit = Culprit::start(folder.path(), name);
    let pid = culprit.0.id();
    let path = record(&folder);
    drop(culprit);
    for command in [&["dump", "--last", "8s", "--top", "9"][..], &["top"][..]] {
        let text = read(&path, command).out;
        assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
        assert!(text.contains(&format!(" {pid} ")), "{text}");
    }
    let top: Value = serde_json::from_str(&read(&path, &["top", "--json"]).out).unwrap();
    let processes = top["processes"].as_array().unwrap();
    let own = processes.iter().find(|process| process["pid"] == pid).unwrap();
    assert_eq!(own["name"], "x\u{1b}[2J) S 1\n\u{fffd}(");
}

/// In namespaces of its own, so that no other `/proc` is hidden: two programs that burn time, root's
/// and nobody's, and a recorder that is nobody's. Prints the two process ids, then what is recorded.
const HIDDEN: &str = r#"
mount -t proc -o hidepid=2 proc /proc || exit 77
mount -t tmpfs -o mode=777 tmpfs /mnt || exit 77
cp "$1" /mnt/flightrecd && cp "$2" /mnt/flightrec
as_nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
dd if=/dev/zero of=/dev/null bs=4k 2>/dev/null & echo $!
$as_nobody dd if=/dev/zero of=/dev/null bs=4k 2>/dev/null & echo $!
sleep 0.5
cd /mnt
$as_nobody ./flightrecd create r.frec --size 1MiB --force >/dev/null 2>&1
$as_nobody ./flightrecd run --recording /mnt/r.frec --interval 100ms --commit 1s --for 4s 2>/dev/null
./flightrec boots --json r.frec | tr -d '\n'; echo
./flightrec top --json r.frec | tr -d '\n'; echo
"#;

/// Where `/proc` hides the processes of others, the rest is recorded, and it is said what is missing.
#[test]
fn who_is_hidden_from_the_recorder_is_told_to_be_missing() {
    let said = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", HIDDEN, "sh"])
        .args([flightrecd(), flightrec()])
        .output();
    let said = match said {
        Ok(said) if said.status.code() == Some(0) => said,
        other => return println!("skipped: no namespaces of our own: {other:?}"),
    };
    let text = String::from_utf8(said.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [of_root, of_nobody, boots, top] = &lines[..] else { panic!("{text}") };
    let absent = boots["boots"][0]["facts"]["absent"].as_str().unwrap();
    for name in ["processes of others (hidepid)", "bytes of processes of others (CAP_SYS_PTRACE)"] {
        assert!(absent.split(", ").any(|own| own == name), "{absent}");
    }
    let processes = top["processes"].as_array().unwrap();
    let has = |pid: &Value| processes.iter().any(|process| process["pid"] == *pid);
    assert!(has(of_nobody) && !has(of_root), "{top}");
}
