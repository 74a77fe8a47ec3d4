//! How much room samples take in a recording: bytes of history per sample.
//!
//! `bench_density FILE...` reads the headers and bodies of all live history frames and prints, for
//! each run, slots * 4096 / samples. The last frame of a run is cut short by its stop, so the full
//! frames are also told apart.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a tool for developers"
)]

mod recorded;

use std::collections::BTreeMap;

use flightrec_format::body::Body;
use flightrec_format::frame::Header;

/// Frames, slots, samples, readings and bytes of payload.
#[derive(Clone, Copy, Default)]
struct Sum {
    frames: u64,
    slots: u64,
    samples: u64,
    readings: u64,
    payload: u64,
}

impl Sum {
    fn add(&mut self, header: &Header, body: &Body) {
        let Some(samples) = &body.samples else { return };
        self.frames += 1;
        self.slots += u64::from(header.slots);
        self.samples += u64::try_from(samples.ticks.len()).unwrap();
        let columns = samples.groups.iter().flat_map(|group| &group.columns);
        self.readings += columns.map(|column| u64::try_from(column.len()).unwrap()).sum::<u64>();
        self.payload += u64::from(header.payload_len);
    }

    fn tell(&self, what: &str) {
        if self.samples == 0 {
            return;
        }
        let per = |count: u64| count as f64 / self.samples as f64;
        println!(
            "  {what}: {:.1} B/sample in slots, {:.1} in payloads; {:.0} readings a sample; \
             {} samples in {} frames of {} slots",
            per(self.slots * 4096),
            per(self.payload),
            per(self.readings),
            self.samples,
            self.frames,
            self.slots,
        );
    }
}

fn main() {
    for path in std::env::args().skip(1) {
        let mut runs: BTreeMap<(u32, [u8; 8]), [Sum; 2]> = BTreeMap::new();
        for (header, body) in recorded::history(&path) {
            let Ok(body) = Body::of(&header, &body) else { continue };
            let [all, full] = runs.entry((header.boot_ordinal, header.run_id)).or_default();
            all.add(&header, &body);
            if header.slots == 16 {
                full.add(&header, &body);
            }
        }
        println!("{path}:");
        for ((boot, run), [all, full]) in &runs {
            let run = u64::from_le_bytes(*run).swap_bytes();
            all.tell(&format!("boot {boot} run {run:016x}"));
            full.tell("  of these, full frames");
        }
    }
}
