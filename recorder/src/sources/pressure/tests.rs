use procfs::FromBufRead;

use super::*;
use crate::sources::testing::{layout, present, read, reading, survives_noise, tree};

const IO: &str = "some avg10=62.14 avg60=31.00 avg300=8.19 total=9712345678\n\
    full avg10=58.00 avg60=29.99 avg300=7.90 total=8912345999\n";

#[test]
fn totals_are_in_milliseconds() {
    let tree = tree(&[("pressure/io", IO), ("pressure/cpu", IO.lines().next().unwrap())]);
    let [mut cpu, mut memory, mut io] = Pressure::all(&layout(), tree.path());
    let sample = read(&mut io);
    assert_eq!(present(&sample), [124, 125]);
    assert_eq!(reading(&sample, 124), Some(9_712_345));
    assert_eq!(reading(&sample, 125), Some(8_912_345));
    // Before 5.13 nobody spoke of a full stall on the CPU.
    assert_eq!(present(&read(&mut cpu)), [120]);
    // A kernel without it says so, and nothing else is lost.
    let mut sample = Sample::new(&layout());
    assert_eq!(memory.read(&mut sample), Err(libc::ENOENT));
    assert_eq!(present(&sample), [0_u16; 0]);
}

/// procfs reads the same out of this machine's file.
#[test]
fn procfs_agrees() {
    let Ok(text) = std::fs::read_to_string("/proc/pressure/memory") else { return };
    let oracle = procfs::MemoryPressure::from_buf_read(text.as_bytes()).unwrap();
    let tree = tree(&[("pressure/memory", &text)]);
    let [_, mut memory, _] = Pressure::all(&layout(), tree.path());
    let sample = read(&mut memory);
    assert_eq!(reading(&sample, 122), Some(oracle.some.total / 1000));
    assert_eq!(reading(&sample, 123), Some(oracle.full.total / 1000));
}

#[test]
fn noise_does_no_harm() {
    survives_noise(IO, "pressure/io", |root| {
        let [_, _, io] = Pressure::all(&layout(), root);
        Box::new(io)
    });
}
