//! What the recorder of a simulated machine uses itself: CPU time, memory and threads, as its own
//! source would tell; and a thread that looks when its turn comes, and takes time for it.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use flightrec_recorder::clock::Clock;
use flightrec_recorder::limits::turns::{EACH_OF, Turn, Turns};
use flightrec_recorder::limits::voice::{Line, Mouth, channel};
use flightrec_recorder::sample::{Layout, Sample};
use flightrec_recorder::sources::Source;

use crate::sim_clock::SimClock;

/// What it uses for a time; before and after that 5 ms a second and 4 MiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Appetite {
    /// Boot time at which it begins.
    pub from_ns: u64,
    /// Boot time at which it ends.
    pub to_ns: u64,
    /// CPU time of a sample, ms.
    pub sample_ms: u64,
    /// CPU time of a look, which may have to wait, ms.
    pub look_ms: u64,
    /// Resident memory.
    pub memory_bytes: u64,
}

/// Stands for the recorder's own readings, its census, and who says its lines.
pub(crate) struct Eater {
    appetite: Appetite,
    columns: [usize; 3],
    clock: Arc<SimClock>,
    cpu_ms: u64,
    turn: Turn,
    mouth: Mouth,
    said: Arc<Mutex<Vec<String>>>,
}

impl Eater {
    /// Beside it what the recorder has to be given. What is said goes to `said`.
    pub(crate) fn new(
        appetite: Appetite,
        layout: &Layout,
        clock: Arc<SimClock>,
        said: &Arc<Mutex<Vec<String>>>,
    ) -> (Self, Arc<Turns>, SyncSender<Line>) {
        let columns =
            [12, 13, 298].map(|series| layout.machine_column(series).unwrap_or(usize::MAX));
        let turns = Arc::new(Turns::default());
        let turn = Turn::of(Arc::clone(&turns), EACH_OF);
        let (lines, mouth) = channel();
        let (cpu_ms, said) = (0, Arc::clone(said));
        (Self { appetite, columns, clock, cpu_ms, turn, mouth, said }, turns, lines)
    }
}

impl Source for Eater {
    fn name(&self) -> &'static str {
        "appetite"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let Appetite { from_ns, to_ns, sample_ms, look_ms, memory_bytes } = self.appetite;
        let is_hungry = (from_ns..to_ns).contains(&self.clock.boottime_ns());
        let looks = self.turn.comes();
        let (sample_ms, look_ms, memory_bytes) =
            if is_hungry { (sample_ms, look_ms, memory_bytes) } else { (5, 0, 4 << 20) };
        self.cpu_ms += sample_ms + if looks { look_ms } else { 0 };
        let [cpu, memory, threads] = self.columns;
        sample.set(cpu, self.cpu_ms);
        sample.set(memory, memory_bytes / 4096);
        sample.set(threads, 6);
        let text = |line: Line| String::from_utf8_lossy(line.as_bytes()).into_owned();
        let mut said = self.said.lock().expect("nobody panics while holding it");
        said.extend(std::iter::from_fn(|| self.mouth.take()).map(text));
        Ok(())
    }
}
