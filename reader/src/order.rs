//! Which boot and which run comes first (V4).
//!
//! Live frames alone have a say, and a scan believes the headers of long frames. So where headers
//! of one boot contradict each other, frames are decoded until one proves to be live; an honest
//! recorder gives no cause for that.

use std::cmp::Reverse;
use std::collections::HashMap;

use flightrec_format::place::Area;

use crate::scan::Frame;
use crate::timeline::{Boot, Timeline};

impl Timeline {
    /// Puts boots and the runs in them in order.
    pub(crate) fn order(&mut self) {
        for boot in 0..self.boots.len() {
            let ordinal = self.ordinal_of(boot);
            if let Some(own) = self.boots.get_mut(boot) {
                own.ordinal = ordinal;
            }
            self.order_runs(boot);
        }
        let mut ranks: Vec<(u32, u64, [u8; 16])> =
            self.boots.iter().map(|boot| (boot.ordinal, 0, boot.boot_id)).collect();
        let mut boots_of: HashMap<u32, u32> = HashMap::new();
        for boot in &self.boots {
            *boots_of.entry(boot.ordinal).or_default() += 1;
        }
        for (boot, (ordinal, tail_seq, _)) in ranks.iter_mut().enumerate() {
            if boots_of.get(ordinal).is_some_and(|count| *count > 1) {
                *tail_seq = self.tail_seq_of(boot);
            }
        }
        let mut boots: Vec<_> = ranks.into_iter().zip(std::mem::take(&mut self.boots)).collect();
        boots.sort_by_key(|(rank, _)| *rank);
        self.boots = boots.into_iter().map(|(_, boot)| boot).collect();
        let shared = self.boots.windows(2).filter_map(|pair| match pair {
            [one, other] if one.ordinal == other.ordinal => Some(one.ordinal),
            _ => None,
        });
        self.shared_ordinals = shared.collect();
    }

    /// The greatest ordinal of a live frame of a boot.
    fn ordinal_of(&mut self, boot: usize) -> u32 {
        let frames = || self.boots.get(boot).into_iter().flat_map(Boot::frames);
        let first = frames().next().map_or(0, |frame| frame.ordinal);
        if frames().all(|frame| frame.ordinal == first) {
            return first;
        }
        let mut frames: Vec<Frame> = frames().copied().collect();
        frames.sort_by_key(|frame| Reverse(frame.ordinal));
        let live = frames.iter().find(|frame| self.recover.load(frame).is_some());
        live.map_or(0, |frame| frame.ordinal)
    }

    /// The greatest seq of a live frame of a boot that was made for the tail.
    fn tail_seq_of(&mut self, boot: usize) -> u64 {
        let frames = self.boots.get(boot).into_iter().flat_map(Boot::frames);
        let mut frames: Vec<Frame> =
            frames.filter(|frame| frame.area == Area::Tail).copied().collect();
        frames.sort_by_key(|frame| Reverse(frame.seq));
        let live = frames.iter().find(|frame| self.recover.load(frame).is_some());
        live.map_or(0, |frame| frame.seq)
    }

    /// By the boot time of their first sample, else of their first event; drops runs that turn out
    /// to have neither. A boot with one run, which is nearly every boot, costs nothing.
    fn order_runs(&mut self, boot: usize) {
        let count = self.boots.get(boot).map_or(0, |boot| boot.runs.len());
        if count < 2 {
            return;
        }
        let mut starts = Vec::with_capacity(count);
        for run in 0..count {
            let first = self.first_in_run((boot, run), 0, |_| true).map(|sample| sample.time_ns);
            let event = |own: &mut Self| {
                own.events_from(boot, run, 0).first().map(crate::merge::EventAt::time_ns)
            };
            starts.push(first.or_else(|| event(self)));
        }
        if let Some(boot) = self.boots.get_mut(boot) {
            let mut runs: Vec<_> = starts.into_iter().zip(std::mem::take(&mut boot.runs)).collect();
            runs.retain(|(start, _)| start.is_some());
            runs.sort_by_key(|(start, run)| (*start, run.run_id));
            boot.runs = runs.into_iter().map(|(_, run)| run).collect();
        }
    }
}

impl Boot {
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.runs.iter().flat_map(|run| &run.frames)
    }
}
