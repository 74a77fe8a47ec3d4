//! `/proc/stat`: where the CPU time went, switches, forks, tasks that run and that wait for disks.
//!
//! Of the single cores only the busiest is kept: a runaway of one core shows there.

use std::path::Path;

use super::{Source, column};
use crate::procfile::{ProcFile, fields, lines, number, numbers};
use crate::sample::{Layout, Sample};

/// Cores that are told apart; those behind are only counted.
const CORES_MAX: usize = 256;
/// user, nice, system, idle, iowait, irq, softirq, steal. Guest time is inside user and nice.
const TIMES: usize = 8;

/// Series 20 to 34.
#[derive(Debug)]
pub struct Stat {
    file: ProcFile,
    columns: Columns,
    cores: Box<[Option<Core>]>,
}

#[derive(Debug)]
struct Columns {
    times: [usize; TIMES],
    busiest_core: usize,
    busiest_busy: usize,
    cores: usize,
    context_switches: usize,
    forks: usize,
    procs_running: usize,
    procs_blocked: usize,
}

/// What a core had counted by the last sample that it was in.
#[derive(Clone, Copy, Debug)]
struct Core {
    idle: u64,
    busy: u64,
    fresh: bool,
}

impl Stat {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        let at = |series| column(layout, series);
        Self {
            file: ProcFile::open(&proc_root.join("stat")),
            columns: Columns {
                times: [20, 21, 22, 23, 24, 25, 26, 27].map(at),
                busiest_core: at(28),
                busiest_busy: at(29),
                cores: at(30),
                context_switches: at(31),
                forks: at(32),
                procs_running: at(33),
                procs_blocked: at(34),
            },
            cores: vec![None; CORES_MAX].into_boxed_slice(),
        }
    }
}

impl Source for Stat {
    fn name(&self) -> &'static str {
        "/proc/stat"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let mut busiest = Busiest::default();
        let mut core_count = 0;
        for line in lines(self.file.read()?) {
            // The line of interrupts is as long as all others together.
            if line.starts_with(b"intr") || line.starts_with(b"softirq") {
                continue;
            }
            let mut words = fields(line);
            let key = words.next().unwrap_or_default();
            // Lines begin with their key: what follows is numbers.
            let times = numbers(line.get(key.len()..).unwrap_or_default());
            let column = match key {
                b"cpu" => {
                    let times = times.map_while(|time| time);
                    for (column, time) in self.columns.times.iter().zip(times) {
                        sample.set(*column, time);
                    }
                    continue;
                }
                b"ctxt" => self.columns.context_switches,
                b"processes" => self.columns.forks,
                b"procs_running" => self.columns.procs_running,
                b"procs_blocked" => self.columns.procs_blocked,
                _ => {
                    if let Some(index) = key.strip_prefix(b"cpu").and_then(number) {
                        core_count += 1;
                        busiest.look(&mut self.cores, index, times.map_while(|time| time));
                    }
                    continue;
                }
            };
            if let Some(value) = words.next().and_then(number) {
                sample.set(column, value);
            }
        }
        if core_count > 0 {
            sample.set(self.columns.cores, core_count);
        }
        if let Some((index, _, busy)) = busiest.found {
            sample.set(self.columns.busiest_core, index);
            sample.set(self.columns.busiest_busy, busy);
        }
        forget_absent(&mut self.cores);
        Ok(())
    }
}

/// The core with the least growth of idle time so far: its number, that growth, and the growth of
/// its other counters.
#[derive(Default)]
struct Busiest {
    found: Option<(u64, u64, u64)>,
}

impl Busiest {
    fn look(&mut self, cores: &mut [Option<Core>], index: u64, times: impl Iterator<Item = u64>) {
        let Some(core) = usize::try_from(index).ok().and_then(|index| cores.get_mut(index)) else {
            return;
        };
        let (mut idle, mut busy) = (0_u64, 0_u64);
        for (field, time) in times.take(TIMES).enumerate() {
            let sum = if matches!(field, 3 | 4) { &mut idle } else { &mut busy };
            *sum = sum.saturating_add(time);
        }
        if let Some(before) = core {
            // The kernel lets idle times go back a little now and then: no growth.
            let grown = idle.saturating_sub(before.idle);
            if self.found.is_none_or(|(_, least, _)| grown < least) {
                self.found = Some((index, grown, busy.saturating_sub(before.busy)));
            }
        }
        *core = Some(Core { idle, busy, fresh: true });
    }
}

/// A core that was switched off starts afresh when it comes back.
fn forget_absent(cores: &mut [Option<Core>]) {
    for place in cores {
        match place {
            Some(core) if core.fresh => core.fresh = false,
            _ => *place = None,
        }
    }
}

#[cfg(test)]
mod tests;
