//! A real `systemd-journald` of our own, in a mount namespace of its own: it sees our folders where the
//! machine has its journal, and we see what it writes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::wait_until;

const PROGRAM: &str = "/usr/lib/systemd/systemd-journald";
const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef";

/// One journald.
#[derive(Debug)]
pub struct Journald {
    folder: TempDir,
    /// On a tmpfs, as `/run` is: from nowhere else does journald remove what it has flushed.
    run: TempDir,
    settings: String,
    environment: Vec<(&'static str, &'static str)>,
    child: Option<Child>,
}

/// One line as `journalctl` tells it: source, severity, message.
#[derive(Clone, Debug)]
pub struct Line {
    /// Unit, `kernel`, identifier, or `others`.
    pub source: String,
    /// `PRIORITY`.
    pub severity: Option<u8>,
    /// `MESSAGE`, if it is text.
    pub message: String,
}

impl Journald {
    /// Starts one; the error says what is missing here.
    pub fn start(
        settings: &str,
        environment: &[(&'static str, &'static str)],
    ) -> Result<Self, String> {
        let mut journald = Self::prepare(settings, environment)?;
        journald.run()?;
        Ok(journald)
    }

    /// Makes the folders, and starts nothing yet.
    pub fn prepare(
        settings: &str,
        environment: &[(&'static str, &'static str)],
    ) -> Result<Self, String> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if !status.lines().any(|line| line.starts_with("Uid:\t0\t0")) {
            return Err("a mount namespace needs root".to_owned());
        }
        let python = Command::new("python3").arg("--version").output();
        if !python.is_ok_and(|said| said.status.success()) {
            return Err("there is no python3".to_owned());
        }
        for program in [PROGRAM, "/usr/bin/journalctl", "/usr/bin/unshare"] {
            if !Path::new(program).exists() {
                return Err(format!("there is no {program}"));
            }
        }
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let run = TempDir::new_in("/dev/shm").map_err(|error| format!("/dev/shm: {error}"))?;
        for name in ["etc", "run/journal", "var"] {
            fs::create_dir_all(folder.path().join(name)).map_err(|error| error.to_string())?;
        }
        fs::create_dir(run.path().join("journal")).map_err(|error| error.to_string())?;
        fs::write(folder.path().join("machine-id"), format!("{MACHINE_ID}\n"))
            .map_err(|error| error.to_string())?;
        let settings = format!("[Journal]\nAudit=\n{settings}\n");
        Ok(Self { folder, run, settings, environment: environment.to_vec(), child: None })
    }

    /// Starts it, again perhaps.
    pub fn run(&mut self) -> Result<(), String> {
        let folder = self.folder.path();
        let at = |name: &str| folder.join(name).to_str().expect("a plain path").to_owned();
        fs::write(at("etc/journald.conf"), &self.settings).map_err(|error| error.to_string())?;
        // The folders are mounted where journald looks, for it alone.
        let script =
            "set -e; mount --make-rprivate /; mkdir -p /run/systemd /run/log /var/log/journal
            mount --bind \"$1/etc\" /etc/systemd; mount --bind \"$1/machine-id\" /etc/machine-id
            mount --bind \"$1/run\" /run/systemd; mount --bind \"$3\" /run/log
            mount --bind \"$1/var\" /var/log/journal; exec \"$2\"";
        let child = Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh", folder.to_str().expect("a plain path"), PROGRAM])
            .arg(self.run.path())
            .envs(self.environment.iter().copied())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("stderr")).map_err(|error| error.to_string())?)
            .spawn()
            .map_err(|error| error.to_string())?;
        let socket = folder.join("run/journal/socket");
        let streams = folder.join("run/journal/stdout");
        fs::remove_file(&socket).ok();
        fs::remove_file(&streams).ok();
        let pid = child.id();
        self.child = Some(child);
        let is_up = wait_until(|| {
            fs::metadata(&socket).is_ok_and(|metadata| metadata.file_type().is_socket())
                && UnixDatagram::unbound().is_ok_and(|own| own.connect(&socket).is_ok())
                && UnixStream::connect(&streams).is_ok()
                && is_listening_to_signals(pid)
        });
        let said = fs::read_to_string(at("stderr")).unwrap_or_default();
        if is_up { Ok(()) } else { Err(format!("journald does not start here: {said}")) }
    }

    /// The folder below which it keeps its journals on the disk.
    #[must_use]
    pub fn var(&self) -> PathBuf {
        self.folder.path().join("var")
    }

    /// The same in memory.
    #[must_use]
    pub fn run_log(&self) -> PathBuf {
        self.run.path().join("journal")
    }

    /// One of its files.
    #[must_use]
    pub fn var_file(&self, name: &str) -> PathBuf {
        self.var().join(MACHINE_ID).join(name)
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends it a signal: USR1 flushes, USR2 rotates, RTMIN+1 synchronises.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{signal} to {pid}");
    }

    /// Asks it something, and waits until it is done: `--relinquish-var` moves to memory, as log2ram and
    /// armbian-ramlog do; `--sync` writes what has been sent.
    pub fn ask(&self, what: &str) {
        let pid = self.pid().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-m", "-t", &pid, "journalctl", what]).stderr(Stdio::null());
        // While it starts it hears nothing.
        let is_done = wait_until(|| command.status().is_ok_and(|status| status.success()));
        assert!(is_done, "journalctl {what}");
    }

    /// A stream as of a service: lines, each with its severity in front. The process at its other end
    /// is one of its own, for journald remembers the unit of each.
    #[must_use]
    pub fn stream(&self, identifier: &str, unit: &str) -> Stream {
        let program = "import socket, sys
out = socket.socket(socket.AF_UNIX)
out.connect(sys.argv[1])
out.sendall(sys.argv[2].encode())
print(flush=True)
while part := sys.stdin.buffer.read1(65536):
    out.sendall(part)
";
        let socket = self.folder.path().join("run/journal/stdout");
        let head = format!("{identifier}\n{unit}\n6\n1\n0\n0\n0\n");
        let mut child = Command::new("python3")
            .args(["-c", program])
            .arg(socket)
            .arg(head)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        // A line says that it is connected.
        let mut said = [0];
        child.stdout.take().expect("a pipe").read_exact(&mut said).expect("a connection");
        let input = child.stdin.take().expect("a pipe");
        Stream { child, input: Some(input) }
    }

    /// One entry by the native protocol, field by field.
    pub fn native(&self, fields: &[(&str, &str)]) {
        let mut bytes = Vec::new();
        for (name, value) in fields {
            bytes.extend(name.as_bytes());
            bytes.push(b'\n');
            bytes.extend(u64::try_from(value.len()).expect("a length").to_le_bytes());
            bytes.extend(value.as_bytes());
            bytes.push(b'\n');
        }
        let socket = UnixDatagram::unbound().expect("a socket");
        let sent = socket.send_to(&bytes, self.folder.path().join("run/journal/socket"));
        assert!(sent.is_ok(), "{sent:?}");
    }

    /// One entry by way of `logger`, which passes large ones in a file.
    pub fn logger(&self, uid: u32, fields: &str) {
        let pid = self.pid().to_string();
        let is_sent = wait_until(|| {
            let mut logger = Command::new("nsenter")
                .args(["-m", "-t", &pid, "setpriv", "--clear-groups", "--reuid", &uid.to_string()])
                .args(["logger", "--journald"])
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("nsenter");
            let mut input = logger.stdin.take().expect("a pipe");
            let is_read = input.write_all(fields.as_bytes()).is_ok();
            drop(input);
            logger.wait().is_ok_and(|status| status.success()) && is_read
        });
        assert!(is_sent, "logger cannot send as {uid}");
    }

    /// All lines that its files hold, each once.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut command = Command::new("journalctl");
        command.args(["--no-pager", "--quiet", "-a", "-o", "json"]);
        command.arg("--output-fields=_SYSTEMD_UNIT,_TRANSPORT,SYSLOG_IDENTIFIER,PRIORITY,MESSAGE");
        for folder in [self.var(), self.run_log()] {
            let folder = folder.join(MACHINE_ID);
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                command.arg("--file").arg(entry.path());
            }
        }
        let said = command.output().expect("journalctl");
        assert!(said.status.success(), "{said:?}");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let values = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        values.map(|value| line(&value)).collect()
    }

    /// Ends it, as the service manager would.
    pub fn stop(&mut self) {
        if self.child.is_some() {
            self.signal("TERM");
        }
        if let Some(mut child) = self.child.take() {
            child.wait().ok();
        }
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.stop();
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether SIGUSR1 no longer ends it: its sockets are there some time before.
fn is_listening_to_signals(pid: u32) -> bool {
    const SIGUSR1: u64 = 1 << 9;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    blocked.is_some_and(|mask| mask & SIGUSR1 != 0)
}

/// Lines of one service.
#[derive(Debug)]
pub struct Stream {
    child: Child,
    input: Option<ChildStdin>,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.input.as_mut().expect("open until it is dropped").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.input.take();
        self.child.wait().ok();
    }
}

fn line(value: &Value) -> Line {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let kernel = text("_TRANSPORT").filter(|transport| transport == "kernel");
    let source = text("_SYSTEMD_UNIT").or(kernel).or(text("SYSLOG_IDENTIFIER"));
    Line {
        source: source.unwrap_or_else(|| "others".to_owned()),
        severity: text("PRIORITY").and_then(|digits| digits.parse().ok()),
        message: text("MESSAGE").unwrap_or_default(),
    }
}
