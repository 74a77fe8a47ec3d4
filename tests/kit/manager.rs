//! A real systemd of our own: process 1 of namespaces of its own, which runs units of ours and a
//! journald that writes where we see it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::apart::Running;
use crate::programs::wait_until;

const PROGRAM: &str = "/lib/systemd/systemd";

/// What makes journald a unit of it: until that runs, process 1 says nothing to any journal.
const JOURNALD: [(&str, &str); 2] = [
    (
        "systemd-journald.socket",
        "[Unit]
DefaultDependencies=no
[Socket]
ListenStream=/run/systemd/journal/stdout
ListenDatagram=/run/systemd/journal/socket
PassCredentials=yes
Service=systemd-journald.service
",
    ),
    (
        "systemd-journald.service",
        "[Unit]
DefaultDependencies=no
Requires=systemd-journald.socket
After=systemd-journald.socket
[Service]
Type=notify
ExecStart=/lib/systemd/systemd-journald
Sockets=systemd-journald.socket
StandardOutput=null
",
    ),
];

/// Becomes process 1: mounts what it needs over the machine's, for itself alone.
const SCRIPT: &str = "set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /var/log/journal
mount --bind \"$1/run\" /run
mount --bind \"$1/etc\" /etc/systemd
mount --bind \"$1/machine-id\" /etc/machine-id
mount --bind \"$1/log/journal\" /var/log/journal
export container=test SYSTEMD_UNIT_PATH=\"$1/units\"
exec \"$2\" --system --unit=test.target --log-target=journal --show-status=no";

/// One systemd; it and all that it runs end when it is dropped.
#[derive(Debug)]
pub struct Systemd {
    folder: TempDir,
    cgroup: PathBuf,
    child: Option<Running>,
}

impl Systemd {
    /// Starts one that runs these units: names, and what stands in their files. The error says what is
    /// missing here.
    pub fn start(units: &[(&str, &str)]) -> Result<Self, String> {
        for program in [PROGRAM, "/lib/systemd/systemd-journald", "/usr/bin/unshare"] {
            if !Path::new(program).exists() {
                return Err(format!("there is no {program}"));
            }
        }
        let text = |error: std::io::Error| error.to_string();
        let folder = TempDir::new().map_err(text)?;
        let at = |name: &str| folder.path().join(name);
        // Users of it must find their way.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(text)?;
        for name in ["run/systemd/journal", "run/log/journal", "etc", "log/journal", "units"] {
            fs::create_dir_all(at(name)).map_err(text)?;
        }
        fs::write(at("machine-id"), "0123456789abcdef0123456789abcdef\n").map_err(text)?;
        let settings = "[Journal]\nStorage=persistent\nAudit=\nReadKMsg=no\n";
        fs::write(at("etc/journald.conf"), settings).map_err(text)?;
        // It writes to the disk from the beginning.
        fs::write(at("run/systemd/journal/flushed"), "").map_err(text)?;
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
        let target = format!(
            "[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service {}\n",
            names.join(" ")
        );
        let own = [("test.target", target.as_str())];
        for (name, text) in JOURNALD.iter().chain(units).chain(&own) {
            fs::write(at("units").join(name), text).map_err(|error| error.to_string())?;
        }
        let cgroup = cgroup_root().ok_or("no cgroup v2")?;
        let unique = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let cgroup = cgroup.join(format!("flightrec-test-{}", unique.trim_start_matches('.')));
        fs::create_dir(&cgroup).map_err(|error| format!("no cgroup of our own: {error}"))?;
        let mut own = Self { folder, cgroup, child: None };
        let apart =
            "echo 0 >\"$0/cgroup.procs\" && exec unshare --cgroup sh -c \"$3\" sh \"$1\" \"$2\"";
        let child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net"])
            .args(["sh", "-c", apart])
            .arg(&own.cgroup)
            .arg(own.folder.path())
            .args([PROGRAM, SCRIPT])
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(own.folder.path().join("stderr")).map_err(text)?)
            .spawn()
            .map_err(text)?;
        own.child = Some(Running(child));
        let journal = own.var().join("0123456789abcdef0123456789abcdef/system.journal");
        let is_up = wait_until(|| journal.exists());
        let said = fs::read_to_string(own.folder.path().join("stderr")).unwrap_or_default();
        if is_up { Ok(own) } else { Err(format!("systemd does not start here: {said}")) }
    }

    /// The folder below which its journald keeps journals on the disk.
    #[must_use]
    pub fn var(&self) -> PathBuf {
        self.var_log().join("journal")
    }

    /// What it takes for `/var/log`.
    #[must_use]
    pub fn var_log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The same in memory.
    #[must_use]
    pub fn run_log(&self) -> PathBuf {
        self.folder.path().join("run/log/journal")
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // Without its process 1 a namespace ends.
        drop(self.child.take());
        wait_until(|| {
            remove(&self.cgroup);
            !self.cgroup.exists()
        });
    }
}

/// Removes a cgroup and those in it, as far as they are empty.
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    fs::remove_dir(cgroup).ok();
}

fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    mounts.find(|words| words.get(2) == Some(&"cgroup2")).map(|words| PathBuf::from(words[1]))
}
