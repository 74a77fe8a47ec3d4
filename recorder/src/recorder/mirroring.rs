//! The recorder's side of the mirror: what it is given, and what is told of it in both recordings.

use flightrec_format::event::EventKind;

use super::Recorder;
use super::trouble::meaning;
use crate::frames::Compressor;
use crate::mirror::{Pace, Told};
use crate::words::Text;

impl<C: Compressor> Recorder<C> {
    /// The sample goes there too; what it says of the recorder is said of the mirror there.
    pub(super) fn keep_in_mirror(&mut self) {
        let Some(mirror) = &mut self.mirror else { return };
        self.sampler.say(&mirror.pain(&self.pain, self.clock.boottime_ns()));
        mirror.keep(self.sampler.sample());
        self.sampler.say(&self.pain);
    }

    /// Takes what its writer has, and tells of it.
    pub(super) fn poll_mirror(&mut self) {
        let now_ns = self.clock.boottime_ns();
        let told = self.mirror.as_mut().and_then(|mirror| mirror.poll(&self.plan, now_ns));
        let tick = self.rows.tick(self.rows.next().saturating_sub(1));
        let Some((told, tick)) = told.zip(tick) else { return };
        let mut text = Text::default();
        text.push("mirror");
        match told {
            Told::Lost(errno) => {
                text.push(": ");
                text.push(meaning(errno));
                self.event(EventKind::SOURCE_LOST, tick, &[i64::from(errno)], text.as_bytes());
            }
            Told::Found => self.event(EventKind::SOURCE_FOUND, tick, &[], text.as_bytes()),
        }
    }

    /// Commits there when it is time; at the end of a run, anyway.
    pub(super) fn commit_mirror(&mut self, end: Option<bool>) {
        let pace = Pace {
            now_ns: self.clock.boottime_ns(),
            sample_ns: self.plan.interval_ns,
            grade: self.alert.grade(),
            wanted_ns: self.wanted_ns(),
        };
        let Some(mirror) = &mut self.mirror else { return };
        let layout = self.sampler.layout();
        match end {
            None => mirror.commit_if_due(layout, &*self.clock, pace),
            Some(last) => drop(mirror.commit(layout, &*self.clock, pace, last)),
        }
    }
}
