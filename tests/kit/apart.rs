//! The real recorder with a `/var/log` of our own, in a mount namespace; and other programs that must
//! not outlive a test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::programs::{flightrecd, say, wait_until};

/// A process of ours; never left behind.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .expect("every machine has kill")
                .success()
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A program, where it is installed.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.exists())
}

/// Runs the recorder with a folder of ours in the place of `/var/log`, in a mount namespace, into
/// `recording.frec` of `folder`. `None`: there is no namespace to be had.
#[must_use]
pub fn record(folder: &Path, var_log: &Path) -> Option<Running> {
    let recording = folder.join("recording.frec");
    let recording = recording.to_str().expect("a path of ours");
    let made = say(flightrecd(), ["create", recording, "--size", "4MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let script = "mount --bind \"$0\" /var/log && exec \"$@\"";
    let child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(var_log)
        .arg(flightrecd())
        .args(["run", "--recording", recording, "--interval", "100ms", "--commit", "500ms"])
        .env("RUNTIME_DIRECTORY", folder.join("run"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(child.ok()?);
    let is_up = wait_until(|| {
        folder.join("run/marks").exists() || running.0.try_wait().is_ok_and(|ended| ended.is_some())
    });
    let has_ended = running.0.try_wait().is_ok_and(|ended| ended.is_some());
    (is_up && !has_ended).then_some(running)
}
