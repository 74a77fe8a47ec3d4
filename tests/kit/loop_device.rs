//! A real block device: a file behind a loop device, for root. Gone when dropped.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{Said, wait_until};

/// An attached loop device.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    has_partitions: bool,
}

impl LoopDevice {
    /// Attaches it to a file, for reading only if so wanted. The error says what is missing here.
    pub fn attach(file: &Path, read_only: bool) -> Result<Self, String> {
        let file = file.as_os_str();
        let mut arguments = vec![OsStr::new("-f"), OsStr::new("--show"), file];
        if read_only {
            arguments.insert(0, OsStr::new("-r"));
        }
        let path = PathBuf::from(ask("losetup", arguments)?.trim());
        Ok(Self { path, has_partitions: false })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its first partition.
    pub fn partition(&mut self) -> Result<PathBuf, String> {
        ask("partx", [OsStr::new("-a"), self.path.as_os_str()])?;
        self.has_partitions = true;
        let path = PathBuf::from(format!("{}p1", self.path.display()));
        if wait_until(|| path.exists()) { Ok(path) } else { Err("no node for a partition".into()) }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if self.has_partitions {
            ask("partx", [OsStr::new("-d"), self.path.as_os_str()]).ok();
        }
        let detached = ask("losetup", [OsStr::new("-d"), self.path.as_os_str()]);
        assert!(detached.is_ok() || std::thread::panicking(), "left attached: {detached:?}");
    }
}

/// What a program of the system answers.
pub fn ask<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let said = Said::from(output.map_err(|error| format!("{program}: {error}"))?);
    if said.code == Some(0) { Ok(said.out) } else { Err(format!("{program}: {}", said.err.trim())) }
}
