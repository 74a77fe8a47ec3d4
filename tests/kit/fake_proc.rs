//! A folder with the kernel files that the recorder reads, written anew for each tick: real files,
//! real parsers, and readings that follow from the tick.

use std::fs;
use std::path::PathBuf;

use flightrec_recorder::sample::{Layout, Sample, SeriesNumber};
use flightrec_recorder::sources::{self, Lookout, Roots, Source};
use tempfile::TempDir;

/// The folder; `proc` and `sys` are in it.
#[derive(Debug)]
pub struct FakeProc {
    folder: TempDir,
}

impl Default for FakeProc {
    fn default() -> Self {
        let folder = tempfile::tempdir().expect("a folder for kernel files");
        for path in ["proc/net", "proc/pressure", "sys/block/mmcblk0"] {
            fs::create_dir_all(folder.path().join(path)).expect("room in it");
        }
        let fake = Self { folder };
        fake.write("sys/block/mmcblk0/size", "62333952\n");
        fake.show(0);
        fake
    }
}

impl FakeProc {
    /// Where a file of it lies: `proc/stat`.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes one file.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("room for a kernel file");
    }

    /// Shows the machine as it is at a tick.
    pub fn show(&self, tick: u64) {
        let of = |series: SeriesNumber| told(series, tick);
        let cpu = format!("{} 0 {} {} {} 0 0 0 0 0", of(20), of(22), of(23), of(24));
        self.write(
            "proc/stat",
            &format!(
                "cpu  {cpu}\ncpu0 {cpu}\nintr 1\nctxt {}\nbtime 1\nprocesses {}\n\
                 procs_running 1\nprocs_blocked 0\n",
                of(31),
                of(32)
            ),
        );
        self.write("proc/loadavg", &format!("0.{:02} 0.20 0.10 1/137 4242\n", of(36)));
        self.write(
            "proc/meminfo",
            &format!(
                "MemTotal: {} kB\nMemFree: {} kB\nMemAvailable: {} kB\n",
                of(50) * 16,
                of(51) * 16,
                of(52) * 16
            ),
        );
        self.write("proc/vmstat", &format!("pgfault {}\npswpin 0\npswpout 0\n", of(100)));
        let pressure = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={}\n", of(122) * 1000);
        self.write("proc/pressure/memory", &pressure);
        self.write(
            "proc/net/dev",
            &format!(
                "Inter-|   Receive | Transmit\n face |bytes | bytes\n  eth0: {} {} 0 0 0 0 0 0 0 0 0 \
                 0 0 0 0 0\n",
                of(160) * 1024,
                of(161)
            ),
        );
        let disk = format!("{} 0 {} 0 0 0 0 0 0 0 0\n", of(140), of(141) * 8);
        self.write("sys/block/mmcblk0/stat", &disk);
    }

    /// The recorder's own sources on these files.
    #[must_use]
    pub fn sources(&self, layout: &Layout) -> (Vec<Box<dyn Source + Send>>, Lookout) {
        let [proc, sys] = ["proc", "sys"].map(|root| self.path(root));
        sources::all(layout, Roots { proc: &proc, sys: &sys }, 1_000_000_000)
    }
}

/// Series that the files tell, as they are stored.
pub const TOLD: &[SeriesNumber] =
    &[20, 22, 23, 24, 31, 32, 36, 50, 51, 52, 100, 122, 140, 141, 160, 161];

/// What a series shows at a tick, in its stored unit.
#[must_use]
pub fn told(series: SeriesNumber, tick: u64) -> u64 {
    match series {
        36 => tick % 100,
        50 => 60_000,
        51 | 52 => 30_000 + tick % 1000 * u64::from(series),
        _ => tick * u64::from(series) + u64::from(series) * 1000,
    }
}

/// A source that is asked before all others, and shows them the tick.
pub struct Narrator(pub std::sync::Arc<FakeProc>, pub std::sync::Arc<std::sync::Mutex<Vec<u64>>>);

impl Source for Narrator {
    fn name(&self) -> &'static str {
        "narrator"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        self.0.show(sample.tick);
        self.1.lock().expect("nobody panics while holding it").push(sample.tick);
        Ok(())
    }
}
