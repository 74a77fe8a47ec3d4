//! Looks at every cut of a script: at each moment, each fault, each thing that it can leave; and
//! starts the recorder again on what is left.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use flightrec_format::frame::MAGIC;
use flightrec_format::place::Area;
use flightrec_format::salvage::Mark;
use flightrec_format::superblock::Geometry;

use crate::broken::{Rule, RuledCompressor};
use crate::cut::{Cut, Struck};
use crate::image::{Image, Patch, SLOT};
use crate::judge::{Report, Violation, check_age, judge};
use crate::ledger::Ledger;
use crate::noise::Noise;
use crate::physics::{Fault, Flash, Wreck};
use crate::script::{BEGIN_NS, Chapter, Script, next_run};
use crate::sim_clock::{SECOND_NS, SimClock};
use crate::sim_disk::{Mood, SimDisk};
use crate::trace::{Moment, Trace};
use crate::world::{Adapter, Tale, blank_with, record_through};

/// How thoroughly to look.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Faults to try.
    pub faults: Vec<Fault>,
    /// Most outcomes of one fault at one moment.
    pub variants_max: u64,
    /// One in so many wrecks is recorded on; 0: none.
    pub restart_each: u64,
    /// Cuts after the first one.
    pub depth: u32,
    /// Outcomes that are looked at of each fault at each moment of a run on a wreck; twice as many
    /// up to its first commit, which is short.
    pub later_variants: u64,
    /// Chooses what is not tried in full.
    pub seed: u64,
    /// States to look at; then it ends.
    pub states_max: usize,
}

/// What was looked at.
#[derive(Debug, Default)]
pub struct Tally {
    /// Distinct states, by hash of medium and recorder.
    pub states: HashSet<u64>,
    /// How many of them were struck in what.
    pub struck: BTreeMap<Struck, usize>,
    /// Most acknowledged samples that a fault has cost, and most commits of the run under way.
    pub worst: BTreeMap<Fault, (usize, usize)>,
    /// States per fault.
    pub tried: BTreeMap<Fault, usize>,
    /// What did not hold: the line that replays it, and what.
    pub failures: Vec<(String, Violation)>,
}

/// Looks at scripts.
pub struct Explorer {
    /// How thoroughly.
    pub plan: Plan,
    /// What was found.
    pub tally: Tally,
    /// The rule that is broken, for canaries.
    pub broken: Option<Rule>,
    /// What a recording is made on, if not on zeros.
    pub remains: Option<Image>,
    noise: Noise,
    tells: bool,
}

/// A run that was recorded, and on what.
struct Told<'a> {
    script: &'a Script,
    chapter: usize,
    before: String,
    ledger: Ledger,
    tale: Arc<Tale>,
    trace: Trace,
    depth: u32,
}

/// Violations that are kept.
const FAILURES_MAX: usize = 20;

impl Explorer {
    /// An explorer that has seen nothing yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let noise = Noise(plan.seed);
        let tally = Tally::default();
        Self { plan, tally, broken: None, remains: None, noise, tells: false }
    }

    /// Chooses by the seed of the plan from now on.
    pub fn reseed(&mut self) {
        self.noise = Noise(self.plan.seed);
    }

    /// Looks at every run of a script.
    pub fn script(&mut self, script: &Script) {
        self.run_script(script, None);
    }

    /// Looks at one cut and at the cuts after it, as a line tells them that an explorer printed:
    /// `SCRIPT:CUT`, and more of them. Says what the disks were told.
    pub fn replay(&mut self, line: &str) -> Result<(), String> {
        let mut cuts = Vec::new();
        let mut name = "";
        for word in line.split_whitespace() {
            let (script, cut) =
                word.split_once(':').ok_or("a line is SCRIPT:CUT SCRIPT:CUT ...")?;
            name = script;
            cuts.push(cut.parse()?);
        }
        let scripts = crate::script::all();
        let script = scripts.iter().find(|script| script.name == name);
        self.tells = true;
        self.run_script(script.ok_or(format!("there is no script {name:?}"))?, Some(&cuts));
        Ok(())
    }

    fn run_script(&mut self, script: &Script, only: Option<&[Cut]>) {
        let mut image = self.remains.clone().unwrap_or_else(|| blank_with(script.geometry));
        let mut ledger = Ledger::new(script.geometry);
        for (number, chapter) in script.chapters.iter().enumerate() {
            let (tale, trace) = self.record(script.geometry, (&image, 0..0), chapter, number);
            let told = Told {
                script,
                chapter: number,
                before: String::new(),
                ledger: ledger.clone(),
                tale: Arc::new(tale),
                trace,
                depth: 0,
            };
            self.judge_run(&told, chapter);
            match only {
                None => self.moments(&told, chapter.from_s),
                Some([first, rest @ ..]) if first.chapter == number => {
                    self.one(&told, *first, rest);
                }
                Some(_) => {}
            }
            let Some(moment) = told.trace.moments(told.tale.ended_ns).last() else { return };
            let ledger_there = told.ledger.at(&told.tale, &told.trace, moment.ops);
            let wreck = Fault::Dropped.wreck(&moment, &self.flash(&script.geometry), 0);
            let (report, observed) =
                judge(&ledger_there, &moment, Fault::Dropped, &self.shown(script, &wreck));
            let Some(observed) = observed else { return };
            let lost = !report.lost.is_empty();
            ledger = ledger_there.after(&wreck.image, &observed, lost);
            image = wreck.image;
        }
    }

    /// What must hold of a run, whenever it is cut.
    fn judge_run(&mut self, told: &Told<'_>, chapter: &Chapter) {
        let line = format!("{}{}:{}", told.before, told.script.name, told.chapter);
        let honest = chapter.moods.iter().all(|(.., mood)| matches!(mood, Mood::Slow(_)));
        let tale = &told.tale;
        let long_ns = 2 * tale.run.commit_ns;
        if tale.ended.is_none() || (tale.acks.is_empty() && tale.run.length_ns > long_ns) {
            self.fail(line, Violation::Stopped("it acknowledged nothing".into()));
        } else if honest && let Some(old) = check_age(tale, &told.trace).pop() {
            self.fail(line, old);
        }
    }

    fn record(
        &self,
        geometry: Geometry,
        (image, unreadable): (&Image, std::ops::Range<usize>),
        chapter: &Chapter,
        number: usize,
    ) -> (Tale, Trace) {
        let clock = Arc::new(SimClock::new(BEGIN_NS, 1_795_333_133_000_000_000, true));
        let disk = SimDisk::new(image.clone(), clock.clone()).with_whole_trace();
        disk.make_bad(unreadable.start * SLOT..unreadable.end * SLOT);
        for (from_s, to_s, mood) in &chapter.moods {
            let at_ns = |seconds: &u64| BEGIN_NS + seconds * SECOND_NS;
            disk.be(at_ns(from_s)..at_ns(to_s), *mood);
        }
        let broken = self.broken;
        let adapter: Adapter = Box::new(move |disk| match broken {
            Some(rule) => rule.disk(disk, geometry, number),
            None => disk,
        });
        let compressor = broken.map_or_else(RuledCompressor::honest, Rule::compressor);
        let tale = record_through(&disk, &clock, &chapter.run, adapter, compressor);
        let trace = disk.trace();
        if self.tells {
            tell(number, &tale, &trace);
        }
        (tale, trace)
    }

    fn flash(&self, geometry: &Geometry) -> Flash {
        let slots = usize::try_from(geometry.size).expect("a small recording") / SLOT;
        self.broken.map_or_else(|| Flash::straight(slots), |rule| rule.flash(geometry))
    }

    /// What the reader sees of a wreck.
    fn shown(&self, script: &Script, wreck: &Wreck) -> Wreck {
        let image = match self.broken {
            Some(rule) => rule.shown(&wreck.image, &script.geometry),
            None => wreck.image.clone(),
        };
        Wreck { image, unreadable: wreck.unreadable.clone() }
    }

    /// Every moment of a run.
    fn moments(&mut self, told: &Told<'_>, from_s: u64) {
        let from_ns = BEGIN_NS + from_s * SECOND_NS;
        for moment in told.trace.moments(told.tale.ended_ns) {
            if moment.at_ns < from_ns {
                continue;
            }
            let ledger = told.ledger.at(&told.tale, &told.trace, moment.ops);
            let most = match told.depth {
                0 => self.plan.variants_max,
                _ if is_starting(told, &moment) => 2 * self.plan.later_variants,
                _ => self.plan.later_variants,
            };
            for fault in self.plan.faults.clone() {
                let all = fault.variants(&moment);
                for number in 0..all.min(most) {
                    if self.is_done() {
                        return;
                    }
                    let variant = if all <= most { number } else { self.noise.below(all) };
                    let cut = Cut { chapter: told.chapter, ops: moment.ops, fault, variant };
                    self.cut(told, &ledger, &moment, cut);
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.tally.failures.len() >= FAILURES_MAX || self.tally.states.len() >= self.plan.states_max
    }

    fn one(&mut self, told: &Told<'_>, cut: Cut, rest: &[Cut]) {
        let mut moments = told.trace.moments(told.tale.ended_ns);
        let moment = moments.find(|moment| moment.ops == cut.ops);
        let moment = moment.filter(|moment| cut.variant < cut.fault.variants(moment));
        let moment = moment.unwrap_or_else(|| panic!("there is no cut {cut}"));
        let ledger = told.ledger.at(&told.tale, &told.trace, moment.ops);
        let wreck = cut.fault.wreck(&moment, &self.flash(&told.script.geometry), cut.variant);
        let (report, observed) =
            judge(&ledger, &moment, cut.fault, &self.shown(told.script, &wreck));
        let lost = !report.lost.is_empty();
        self.note(&format!("{}{}:{cut}", told.before, told.script.name), cut.fault, report);
        let Some(observed) = observed else { return };
        let mut ledger = ledger.after(&wreck.image, &observed, lost);
        ledger.blind |= !wreck.unreadable.is_empty();
        let next = self.restart(told, &ledger, &wreck, cut);
        if let [first, rest @ ..] = rest {
            self.one(&next, *first, rest);
        }
    }

    /// Looks at one state; records on it, if it is its turn.
    fn cut(&mut self, told: &Told<'_>, ledger: &Ledger, moment: &Moment, cut: Cut) {
        let wreck = cut.fault.wreck(moment, &self.flash(&told.script.geometry), cut.variant);
        let recorder = told.tale.run.number << 40
            ^ count(moment.ops) << 20
            ^ count(wreck.unreadable.start) << 8
            ^ count(wreck.unreadable.len());
        let state = Noise(wreck.image.hash() ^ Noise(recorder).draw()).draw();
        if !self.tally.states.insert(state) {
            return;
        }
        for struck in strikes(told, moment) {
            *self.tally.struck.entry(struck).or_default() += 1;
        }
        *self.tally.tried.entry(cut.fault).or_default() += 1;
        let (report, observed) = judge(ledger, moment, cut.fault, &self.shown(told.script, &wreck));
        let line = format!("{}{}:{cut}", told.before, told.script.name);
        let (fine, lost) = (report.violations.is_empty(), !report.lost.is_empty());
        self.note(&line, cut.fault, report);
        let turn = self.plan.restart_each > 0 && self.noise.below(self.plan.restart_each) == 0;
        if let Some(observed) = observed.filter(|_| fine && turn && told.depth < self.plan.depth) {
            let mut ledger = ledger.after(&wreck.image, &observed, lost);
            ledger.blind |= !wreck.unreadable.is_empty();
            let next = self.restart(told, &ledger, &wreck, cut);
            self.moments(&next, 0);
        }
    }

    /// The recorder, started on what is left, goes on.
    fn restart<'a>(
        &mut self,
        told: &Told<'a>,
        ledger: &Ledger,
        wreck: &Wreck,
        cut: Cut,
    ) -> Told<'a> {
        let number = told.tale.run.number + 1;
        // Told by the cut, so that the line replays it: every third disk stalls.
        let stalls = (count(cut.ops) + cut.variant).is_multiple_of(3);
        let moods = if stalls { vec![(20, 60, Mood::Slow(9 * SECOND_NS))] } else { Vec::new() };
        let chapter = Chapter { run: next_run(number), moods, from_s: 0 };
        let (tale, trace) = self.record(
            told.script.geometry,
            (&wreck.image, wreck.unreadable.clone()),
            &chapter,
            told.chapter + 1,
        );
        let next = Told {
            script: told.script,
            chapter: told.chapter + 1,
            before: format!("{}{}:{cut} ", told.before, told.script.name),
            ledger: ledger.clone(),
            tale: Arc::new(tale),
            trace,
            depth: told.depth + 1,
        };
        if wreck.unreadable.is_empty() {
            self.judge_run(&next, &chapter);
        }
        next
    }

    fn note(&mut self, line: &str, fault: Fault, report: Report) {
        let worst = self.tally.worst.entry(fault).or_default();
        *worst = (worst.0.max(report.lost.len()), worst.1.max(report.lost_commits));
        for violation in report.violations {
            self.fail(line.to_owned(), violation);
        }
    }

    fn fail(&mut self, line: String, violation: Violation) {
        if self.tally.failures.len() < FAILURES_MAX {
            self.tally.failures.push((line, violation));
        }
    }
}

#[allow(clippy::print_stdout, reason = "whoever replays a cut wants to see it")]
fn tell(number: usize, tale: &Tale, trace: &Trace) {
    println!("run {number}, from {} ns to {} ns:", tale.begun_ns, tale.ended_ns);
    for (number, op) in (1..).zip(&trace.ops) {
        let acks = || tale.acks.iter().filter(|ack| ack.ops == number).map(|ack| ack.tick);
        match (acks().min(), acks().max()) {
            (Some(first), Some(last)) => println!("{number:5} {op}: acknowledged {first}..={last}"),
            _ => println!("{number:5} {op}"),
        }
    }
}

/// Whether the run has acknowledged nothing yet.
fn is_starting(told: &Told<'_>, moment: &Moment) -> bool {
    told.tale.acks.first().is_none_or(|ack| ack.ops > moment.ops)
}

/// In what a moment is struck.
fn strikes(told: &Told<'_>, moment: &Moment) -> Vec<Struck> {
    let geometry = &told.script.geometry;
    let (history, _) = geometry.area(Area::History);
    let history = usize::try_from(history).expect("a small recording");
    let mut struck = Vec::new();
    let slots = || moment.open.iter().flat_map(|write| write.patch.slots());
    let newest = moment.recent.first().map(|arrived| arrived.patch.slots());
    let over = |slot: usize| moment.settled.slot(slot).starts_with(&MAGIC);
    let was = |under: &Patch| under.parts().any(|part| part.starts_with(&MAGIC));
    let wrapped = if moment.open.is_empty() {
        moment.recent.first().is_some_and(|arrived| was(&arrived.under))
    } else {
        slots().any(over)
    };
    if wrapped {
        struck.push(Struck::Wrap);
    }
    let is_copy = |part: &[u8]| Mark::read(part).is_some();
    let seals = |slots: std::ops::Range<usize>| slots.start >= history;
    let parts = || moment.open.iter().flat_map(|write| write.patch.parts());
    if parts().any(is_copy) || is_starting(told, moment) {
        struck.push(Struck::Start);
    } else if moment.open.iter().any(|write| seals(write.patch.slots()))
        || (moment.open.is_empty() && newest.is_some_and(seals))
    {
        struck.push(Struck::Seal);
    }
    if told.depth > 0 {
        struck.push(Struck::SecondCut);
    }
    let waited = |at_ns: u64| moment.at_ns.saturating_sub(at_ns) >= 5_000_000_000;
    if moment.open.iter().any(|write| waited(write.at_ns)) {
        struck.push(Struck::Stall);
    }
    if struck.is_empty() {
        struck.push(Struck::Calm);
    }
    struck
}

fn count(value: usize) -> u64 {
    u64::try_from(value).expect("a small number")
}
