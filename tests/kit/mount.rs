//! A file system of its own, in a file, mounted until the end of a test. Only root can mount.

#![allow(clippy::print_stdout, reason = "why a test was skipped")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system.
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    _folder: TempDir,
}

impl Mount {
    /// `None`, with the reason printed: it cannot be had here.
    #[must_use]
    pub fn new(kind: &str, size: u64) -> Option<Self> {
        Self::with(kind, &[], size)
    }

    /// With options for `mkfs`.
    #[must_use]
    pub fn with(kind: &str, options: &[&str], size: u64) -> Option<Self> {
        // Beside the test itself: that is a disk, where `/tmp` may be RAM.
        let test = std::env::current_exe().ok()?;
        let folder = TempDir::new_in(test.parent()?).ok()?;
        let (image, point) = (folder.path().join("image"), folder.path().join("disk"));
        fs::create_dir(&point).ok()?;
        File::create(&image).and_then(|file| file.set_len(size)).ok()?;
        let (image, point_text) = (image.to_str()?, point.to_str()?);
        let made = if kind == "tmpfs" {
            run("mount", &["-t", "tmpfs", "tmpfs", point_text])
        } else {
            run(&format!("mkfs.{kind}"), &[options, &[image]].concat())
                .and_then(|()| run("mount", &["-o", "loop", image, point_text]))
        };
        match made {
            Ok(()) => Some(Self { point, _folder: folder }),
            Err(reason) => {
                println!("skipped: {reason}");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let point = self.point.to_string_lossy();
        if let Err(reason) = run("umount", &[&point]) {
            println!("{reason}");
        }
    }
}

/// Runs a program of the system.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", told.trim())) }
}
