//! What a disk was told, and when: enough to say what it holds after power is cut anywhere.
//!
//! A write reaches the medium for certain when a later sync returned without an error. Until then
//! it is *open*: what is there depends on the [physics](crate::physics). A sync that failed leaves
//! the writes before it open for good, whatever later syncs say (W7).

use std::fmt;

use flightrec_format::frame::Header;
use flightrec_format::salvage::Mark;

use crate::image::{Image, Patch};

/// One write of whole slots.
#[derive(Clone, Debug)]
pub struct Write {
    /// Boot time at which it was begun.
    pub at_ns: u64,
    /// What was written, and where.
    pub patch: Patch,
}

/// One thing that the disk was told.
#[derive(Clone, Debug)]
pub enum Op {
    /// A write.
    Write(Write),
    /// A sync, from and to these boot times; `u64::MAX`: it never returned.
    Sync {
        /// When it began.
        from_ns: u64,
        /// When it returned.
        to_ns: u64,
        /// Whether it failed.
        failed: bool,
    },
}

impl Op {
    /// Boot time at which it began.
    #[must_use]
    pub fn begun_ns(&self) -> u64 {
        match self {
            Self::Write(write) => write.at_ns,
            Self::Sync { from_ns, .. } => *from_ns,
        }
    }
}

/// What a disk was told since it held `base`.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it held then.
    pub base: Image,
    /// What it was told, in order.
    pub ops: Vec<Op>,
}

impl fmt::Display for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: u64| std::time::Duration::from_nanos(ns).as_secs_f64();
        match self {
            Self::Write(Write { at_ns, patch }) => {
                write!(out, "{:10.3} s  slots {:?}", seconds(*at_ns), patch.slots())?;
                let Some(Ok(header)) = patch.parts().next().map(Header::read) else {
                    return Ok(());
                };
                let (area, seq) = (header.area, header.seq);
                write!(out, " {area:?} {seq}, ticks {}..={}", header.first_tick, header.last_tick)?;
                match patch.parts().next().and_then(Mark::read) {
                    Some(mark) => write!(out, ", salvaged as {:?} {}", mark.area, mark.seq),
                    None => Ok(()),
                }
            }
            Self::Sync { from_ns, to_ns: u64::MAX, .. } => {
                write!(out, "{:10.3} s  sync that never returns", seconds(*from_ns))
            }
            Self::Sync { from_ns, to_ns, failed } => {
                let what = if *failed { "sync that failed" } else { "sync" };
                write!(out, "{:10.3} s  {what} until {:.3} s", seconds(*from_ns), seconds(*to_ns))
            }
        }
    }
}

/// A moment at which power may go.
#[derive(Clone, Debug)]
pub struct Moment {
    /// How many ops had begun; all but the last of them had ended.
    pub ops: usize,
    /// When it begins: the last of the ops has begun, or a sync has returned.
    pub from_ns: u64,
    /// When it ends: the next op begins, or a sync returns.
    pub at_ns: u64,
    /// What the medium holds for certain.
    pub settled: Image,
    /// Writes that may have arrived or not, in order.
    pub open: Vec<Write>,
    /// How many of them, the first ones, are left from syncs that failed: they are not in flight.
    pub failed: usize,
    /// Writes that have arrived for certain, newest first.
    pub recent: Vec<Arrived>,
}

/// A write that has arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// What was written, and where.
    pub patch: Patch,
    /// What stood there before.
    pub under: Patch,
    /// Boot time at which the sync after it returned.
    pub acked_ns: u64,
}

/// Acknowledged writes that a moment remembers.
const RECENT_MAX: usize = 24;

impl Trace {
    /// Every moment: after each write, and after each sync that returned.
    pub fn moments(&self, end_ns: u64) -> impl Iterator<Item = Moment> {
        let mut now = Moment {
            ops: 0,
            from_ns: 0,
            at_ns: 0,
            settled: self.base.clone(),
            open: Vec::new(),
            failed: 0,
            recent: Vec::new(),
        };
        // Of these writes the next good sync makes certain only those from here on.
        let mut fresh = 0;
        (0..=self.ops.len()).filter_map(move |count| {
            let next_ns = self.ops.get(count).map_or(end_ns, Op::begun_ns);
            now.ops = count;
            now.at_ns = next_ns.min(end_ns);
            now.from_ns = match count.checked_sub(1).and_then(|last| self.ops.get(last)) {
                Some(Op::Sync { to_ns, .. }) => *to_ns,
                Some(Op::Write(write)) => write.at_ns,
                None => 0,
            };
            match count.checked_sub(1).and_then(|last| self.ops.get(last)) {
                None => {}
                Some(op) if op.begun_ns() > end_ns => return None,
                Some(Op::Write(write)) => {
                    now.open.push(write.clone());
                    if let Some(Op::Sync { to_ns, .. }) = self.ops.get(count) {
                        now.at_ns = (*to_ns).min(end_ns);
                    }
                }
                Some(Op::Sync { to_ns, .. }) if *to_ns > end_ns => return None,
                Some(Op::Sync { failed: true, .. }) => {
                    fresh = now.open.len();
                    return None;
                }
                Some(Op::Sync { to_ns, .. }) => {
                    for Write { patch, .. } in now.open.split_off(fresh) {
                        let slots = patch.slots();
                        let under = now.settled.lift(slots.clone());
                        now.settled.lay(&patch);
                        let over = |old: &Write| {
                            let old = old.patch.slots();
                            old.start < slots.end && slots.start < old.end
                        };
                        now.open.retain(|old| !over(old));
                        now.recent.insert(0, Arrived { patch, under, acked_ns: *to_ns });
                    }
                    now.recent.truncate(RECENT_MAX);
                    fresh = now.open.len();
                }
            }
            now.failed = fresh;
            Some(now.clone())
        })
    }
}
