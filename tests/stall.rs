//! The sampler never waits for the disk: with the writer's real thread, a disk that takes a second
//! for each sync, and a sample every 10 ms.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::disk::Disk;
use flightrec_recorder::recorder::{Plan, Recorder};
use flightrec_recorder::resume::{Starter, find_superblock};
use flightrec_recorder::sample::{Layout, Sample};
use flightrec_recorder::sampler::Sampler;
use flightrec_recorder::sources::{MACHINE, RANKS, Source};
use flightrec_recorder::sys::StaticCompressor;
use flightrec_recorder::writer::{Opener, Writer};
use flightrec_tests::world::blank_recording;

struct SlowDisk {
    bytes: Vec<u8>,
    syncing: Arc<AtomicBool>,
}

impl Disk for SlowDisk {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.bytes[at..at + buffer.len()]);
        Ok(buffer.len())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncing.store(true, Ordering::SeqCst);
        SystemClock.wait(SystemClock.boottime_ns() + 1_000_000_000);
        self.syncing.store(false, Ordering::SeqCst);
        Ok(())
    }
}

/// Counts the samples that are taken while a sync is under way.
struct Witness {
    syncing: Arc<AtomicBool>,
    meanwhile: Arc<AtomicU64>,
}

impl Source for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn read(&mut self, _sample: &mut Sample) -> Result<(), i32> {
        if self.syncing.load(Ordering::SeqCst) {
            self.meanwhile.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[test]
fn samples_are_taken_while_a_sync_takes_its_time() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let syncing = Arc::new(AtomicBool::new(false));
    let meanwhile = Arc::new(AtomicU64::new(0));
    let mut disk = SlowDisk { bytes: blank_recording(1 << 20).bytes(), syncing: syncing.clone() };
    let superblock = find_superblock(&mut disk, 1 << 20).unwrap().unwrap();
    let opener: Opener = Box::new(move || {
        let disk: Box<dyn Disk> = Box::new(disk);
        Ok((disk, superblock))
    });
    let starter = Starter { boot_id: [1; 16], facts_crc: 0 };
    let writer = Writer::start(opener, starter, clock.clone(), None).unwrap();
    let layout = Layout::new(MACHINE, RANKS);
    let witness = Witness { syncing, meanwhile: meanwhile.clone() };
    let sampler = Sampler::new(layout, vec![Box::new(witness)], 0, clock.clone());
    let plan = Plan {
        interval_ns: 10_000_000,
        commit_ns: 50_000_000,
        commit_dying_ns: 50_000_000,
        until_ns: Some(clock.boottime_ns() + 3_000_000_000),
        boot_id: [1; 16],
        run_id: [2; 8],
        facts: Vec::new(),
        complaints: Vec::new(),
        copied: false,
    };
    let compressor = StaticCompressor::new().unwrap();
    let ended = Recorder::new(plan, clock, sampler, writer, compressor).run(|_| 3).unwrap();
    // A sampler that waited would take one sample a second; the machine may be slow, not that slow.
    let taken = meanwhile.load(Ordering::SeqCst);
    assert!(taken > 50, "{taken} of {} samples; {} commits", ended.samples, ended.commits);
    assert!(ended.commits >= 2);
}
