//! The recorder's own limits: seen once for each sample, told as events, and to the other threads.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use flightrec_format::event::EventKind;

use super::{Plan, Recorder, signed};
use crate::frames::Compressor;
use crate::limits::turns::Turns;
use crate::limits::voice::{Line, Voice};
use crate::limits::watch::Watch;
use crate::sample::Layout;

/// What sees to them.
pub(super) struct Limiting {
    watch: Watch,
    pub(super) voice: Voice,
}

impl Limiting {
    pub(super) fn new(plan: &Plan, layout: &Layout) -> Self {
        let watch = Watch::new(plan.limits, layout, Arc::default());
        Self { watch, voice: Voice::new(plan.ration, None) }
    }
}

impl<C: Compressor> Recorder<C> {
    /// Lets the other threads look when it is their turn, and says what changes to `lines`.
    #[must_use]
    pub fn with_limits(mut self, turns: Arc<Turns>, lines: SyncSender<Line>) -> Self {
        self.limiting.watch.use_turns(turns);
        self.limiting.voice = Voice::new(self.plan.ration, Some(lines));
        self
    }

    /// Looks at the newest sample; its own state goes into the next one.
    pub(super) fn tell_limits(&mut self, tick: u64) {
        let now_ns = self.clock.boottime_ns();
        let ration = self.limiting.voice.ration();
        ration.pass(now_ns);
        let sample = self.sampler.sample();
        let changes = self.limiting.watch.observe(sample, now_ns, &self.budget, ration);
        for change in changes.into_iter().flatten() {
            let arguments =
                [i64::from(change.is_reached), signed(change.used), signed(change.most)];
            let words = change.limit.words(change.is_reached);
            self.event(EventKind::LIMIT, tick, &arguments, words.as_bytes());
        }
        let Limiting { watch, voice } = &mut self.limiting;
        self.pain.limits = watch.bits();
        self.pain.looks_put_off = watch.skipped();
        self.pain.lines = voice.ration().counts();
        // Until the recording has been searched, nobody knows what an earlier run left.
        let is_known = self.committer.is_some();
        self.pain.budget_kib = is_known.then(|| u64::from(self.budget.level_kib()));
    }
}
