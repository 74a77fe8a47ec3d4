//! The two programs themselves, built once and run as their users run them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use flightrec_recorder::clock::{Clock, SystemClock};
use serde_json::Value;

/// The recorder, `flightrecd`.
#[must_use]
pub fn flightrecd() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| find_or_build("flightrec-recorder", "flightrecd"))
}

/// The reader, `flightrec`.
#[must_use]
pub fn flightrec() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| find_or_build("flightrec-reader", "flightrec"))
}

/// Folder with programs that were built elsewhere: for another board, or as they are shipped.
const GIVEN: &str = "FLIGHTREC_PROGRAMS";

/// Cargo hands a test only the programs of its own package, so it is asked again; what is built
/// already costs a fraction of a second. The profile is that of the test.
fn find_or_build(package: &str, program: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os(GIVEN) {
        return Path::new(&folder).join(program);
    }
    let test = std::env::current_exe().expect("a running test has a path");
    // TARGET/PROFILE/deps/all-0123456789abcdef
    let folder = test.ancestors().nth(2).expect("cargo builds tests two folders deep");
    let target = folder.parent().unwrap_or(folder);
    let profile = folder.file_name().and_then(OsStr::to_str).unwrap_or("debug");
    let profile = if profile == "debug" { "dev" } else { profile };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--message-format=json", "--profile", profile])
        .args(["-p", package, "--bins", "--target-dir"])
        .arg(target)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs, for it runs this test");
    assert!(built.status.success(), "{program} does not build");
    let path = String::from_utf8_lossy(&built.stdout).lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message.get("target")?.get("name")?.as_str()?;
        let path = message.get("executable")?.as_str()?;
        (name == program).then(|| PathBuf::from(path))
    });
    path.expect("cargo names what it has built")
}

/// How a program ended, and what it said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Exit code; `None`: ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs a program to its end.
pub fn say<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> Said {
    let mut command = Command::new(program);
    // Never among the marks of a recorder that is at work on this machine.
    command.env("RUNTIME_DIRECTORY", std::env::temp_dir().join("flightrec-tests-run"));
    let output = command.args(arguments).stdin(Stdio::null()).output();
    output.expect("a program that was built can be started").into()
}

/// Asks every millisecond until `done`, for at most ten seconds. `false`: it never was.
pub fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let clock = SystemClock;
    let end_ns = clock.boottime_ns() + 10_000_000_000;
    while !done() {
        if clock.boottime_ns() > end_ns {
            return false;
        }
        clock.wait(clock.boottime_ns() + 1_000_000);
    }
    true
}
