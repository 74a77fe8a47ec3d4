//! How fast the cores run, how fast they may, and how often heat has slowed them down.

use std::path::Path;

use flightrec_format::entity::EntityKind;

use super::{Folder, open, value};
use crate::procfile::ProcFile;
use crate::sample::{Layout, SeriesNumber};
use crate::sources::sheet::{Look, Page, Posted, page};

/// Frequency, its limit, throttles.
pub(in super::super) const SERIES: &[SeriesNumber] = &[261, 274, 275];
const KHZ_PER_MHZ: u64 = 1000;

/// Series 261, 274 and 275. Cores that share a clock are one, named by the first of them.
#[derive(Debug)]
pub(in super::super) struct Frequency {
    policies: Folder,
    cores: Vec<Core>,
    page: Page,
}

#[derive(Debug)]
struct Core {
    name: String,
    files: [Option<ProcFile>; 3],
}

impl Frequency {
    pub(in super::super) fn new(layout: &Layout, sys: &Path, stale: u32) -> (Self, Posted) {
        let (page, posted) = page("cpufreq", layout, EntityKind::CORE, SERIES, stale);
        let policies = Folder::new(sys.join("devices/system/cpu/cpufreq"));
        (Self { policies, cores: Vec::new(), page }, posted)
    }
}

impl Look for Frequency {
    fn look(&mut self) {
        if self.policies.has_changed() {
            let folder = self.policies.path();
            let cores = self.policies.names().into_iter().filter_map(|name| {
                let number = name.strip_prefix("policy")?.to_owned();
                let policy = folder.join(&name);
                let core = folder.parent()?.join(format!("cpu{number}"));
                Some(Core {
                    name: number,
                    files: [
                        open(&policy.join("scaling_cur_freq")),
                        open(&policy.join("scaling_max_freq")),
                        open(&core.join("thermal_throttle/core_throttle_count")),
                    ],
                })
            });
            self.cores = cores.collect();
        }
        self.page.begin();
        for core in &mut self.cores {
            for (number, file) in core.files.iter_mut().enumerate() {
                let unit = if number < 2 { KHZ_PER_MHZ } else { 1 };
                let value = file.as_mut().and_then(value);
                self.page.put(core.name.as_bytes(), number, value.map(|value| value / unit));
            }
        }
        self.page.post();
    }
}
