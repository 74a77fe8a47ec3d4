//! Thermal zones, hwmon sensors, and how far the processor is held back for heat.

use std::path::Path;

use flightrec_format::entity::EntityKind;

use super::{Folder, open, signed, text, value, word};
use crate::procfile::ProcFile;
use crate::sample::{Layout, SeriesNumber};
use crate::sources::sheet::{Look, Page, Posted, page};

/// Celsius.
pub(in super::super) const SERIES: &[SeriesNumber] = &[260];
const COOLING: &[SeriesNumber] = &[276];

/// Coldest and hottest that is believed, in thousandths of a degree: broken sensors tell more.
const BELIEVED: std::ops::RangeInclusive<i64> = -100_000..=300_000;

/// Series 260 and 276.
#[derive(Debug)]
pub(in super::super) struct Thermal {
    zones: Folder,
    chips: Folder,
    sensors: Vec<(String, ProcFile)>,
    cooling: Vec<ProcFile>,
    pages: [Page; 2],
}

impl Thermal {
    pub(in super::super) fn new(layout: &Layout, sys: &Path, stale: u32) -> (Self, [Posted; 2]) {
        let (heat, heat_posted) =
            page("thermal sensors", layout, EntityKind::THERMAL, SERIES, stale);
        let (cooling, cooling_posted) =
            page("cooling devices", layout, EntityKind::MACHINE, COOLING, stale);
        let own = Self {
            zones: Folder::new(sys.join("class/thermal")),
            chips: Folder::new(sys.join("class/hwmon")),
            sensors: Vec::new(),
            cooling: Vec::new(),
            pages: [heat, cooling],
        };
        (own, [heat_posted, cooling_posted])
    }

    fn find(&mut self) {
        let Self { zones, chips, sensors, cooling, .. } = self;
        sensors.clear();
        cooling.clear();
        let mut kinds = Vec::new();
        for name in zones.names() {
            let folder = zones.path().join(&name);
            let kind = text(&folder.join("type")).unwrap_or_default();
            if name.starts_with("thermal_zone") {
                if let Some(file) = open(&folder.join("temp")) {
                    kinds.push(kind.replace('-', "_"));
                    add(sensors, if kind.is_empty() { &name } else { &kind }, file);
                }
            } else if is_of_the_processor(&kind) {
                cooling.extend(open(&folder.join("cur_state")));
            }
        }
        for chip in chips.names() {
            let folder = chips.path().join(&chip);
            let kind = text(&folder.join("name")).unwrap_or(chip);
            // A thermal zone shows itself here too.
            if kinds.contains(&kind.replace('-', "_")) {
                continue;
            }
            for name in Folder::new(folder.clone()).names() {
                let Some(sensor) = name.strip_suffix("_input").filter(|s| s.starts_with("temp"))
                else {
                    continue;
                };
                let label = text(&folder.join(format!("{sensor}_label")));
                if let Some(file) = open(&folder.join(&name)) {
                    let label = label.unwrap_or_else(|| sensor.to_owned());
                    add(sensors, &format!("{kind} {label}"), file);
                }
            }
        }
    }
}

/// Namesakes get a number.
fn add(sensors: &mut Vec<(String, ProcFile)>, name: &str, file: ProcFile) {
    let is_taken = |name: &str| sensors.iter().any(|(other, _)| other == name);
    let numbered = (2..).map(|number| format!("{name} {number}"));
    let name = [name.to_owned()].into_iter().chain(numbered).find(|name| !is_taken(name));
    sensors.extend(name.map(|name| (name, file)));
}

fn is_of_the_processor(kind: &str) -> bool {
    ["thermal-cpufreq", "cpufreq", "Processor", "thermal-devfreq", "thermal-idle"]
        .iter()
        .any(|begin| kind.starts_with(begin))
}

impl Look for Thermal {
    fn look(&mut self) {
        // Both, so that both remember what they saw.
        if self.zones.has_changed() | self.chips.has_changed() {
            self.find();
        }
        let [heat, cooling] = &mut self.pages;
        heat.begin();
        for (name, file) in &mut self.sensors {
            let milli = word(file).and_then(signed).filter(|milli| BELIEVED.contains(milli));
            heat.put(name.as_bytes(), 0, milli.map(|milli| milli.div_euclid(100).cast_unsigned()));
        }
        heat.post();
        cooling.begin();
        cooling.put(b"", 0, self.cooling.iter_mut().filter_map(value).max());
        cooling.post();
    }
}
