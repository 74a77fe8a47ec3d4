//! One durable block after the other, by one of several methods: what each costs at the device.
//!
//! `bench_write FILE METHOD COUNT PERIOD_MS` writes COUNT blocks of 4 KiB at advancing offsets,
//! one in each period, into a file that `flightrecd create` made. The device's own counters say
//! the rest: see `bench/device-bytes.sh`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a tool for developers"
)]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::sys;
use memmap2::MmapMut;

const BLOCK: usize = 4096;

fn open(path: &str, flags: i32) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

/// A block made durable: offset and bytes in, nothing out.
type Put = Box<dyn FnMut(u64, &[u8])>;

fn method(name: &str, path: &str) -> Put {
    let written = |flags: i32, sync: fn(&File)| -> Put {
        let file = open(path, flags);
        Box::new(move |offset, block| {
            file.write_all_at(block, offset).unwrap();
            sync(&file);
        })
    };
    match name {
        "direct+fdatasync" => written(sys::O_DIRECT, |file| file.sync_data().unwrap()),
        "buffered+fdatasync" => written(0, |file| file.sync_data().unwrap()),
        "direct+dsync" => written(sys::O_DIRECT | libc::O_DSYNC, |_| ()),
        "buffered+fsync" => written(0, |file| file.sync_all().unwrap()),
        "mmap+msync" => {
            #[allow(unsafe_code, reason = "a mapping is one of the methods that are compared")]
            // SAFETY: the file is ours alone and keeps its size while this runs.
            let mut map = unsafe { MmapMut::map_mut(&open(path, 0)) }.unwrap();
            Box::new(move |offset, block| {
                let at = usize::try_from(offset).unwrap();
                map[at..at + block.len()].copy_from_slice(block);
                map.flush_range(at, block.len()).unwrap();
            })
        }
        _ => panic!("no method {name}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, name, count, period_ms] = arguments.as_slice() else {
        panic!("bench_write FILE METHOD COUNT PERIOD_MS");
    };
    let (count, period_ms) = (count.parse::<u64>().unwrap(), period_ms.parse::<u64>().unwrap());
    let mut put = method(name, path);
    // From an anonymous mapping: O_DIRECT wants memory that is aligned to a page.
    let mut block = MmapMut::map_anon(BLOCK).unwrap();
    let start_ns = SystemClock.boottime_ns();
    for number in 0..count {
        SystemClock.wait(start_ns + number * period_ms * 1_000_000);
        block[..8].copy_from_slice(&number.to_le_bytes());
        put((number + 1) * 4096, &block);
    }
    println!("{count}");
}
