//! The processes that matter most: what they use, once a sample, through files that are held open.
//!
//! Who they are is found by the [census](crate::census). A descriptor belongs to one process: when
//! that is gone it answers ESRCH for ever, though its id may be somebody else's by then.

use std::fs::File;
use std::sync::Arc;

use flightrec_format::entity::EntityKind;

use super::told::Told;
use super::{Columns, Source, rank_columns};
use crate::mailbox::{Mailbox, Seat};
use crate::process::{self, Stat, TEXT_LEN};
use crate::sample::{Layout, Sample, SeriesNumber};
use crate::sys;

/// State; time in user mode and in the kernel; major faults, threads, memory, swapped memory,
/// bytes read and written, time waited for disks.
pub(super) const SERIES: &[SeriesNumber] = &[200, 201, 202, 203, 204, 205, 206, 207, 208, 209];
/// What stands in `stat`, in `status` and in `io`: places in `SERIES`.
const OF_STAT: [usize; 7] = [0, 1, 2, 3, 4, 5, 9];
const SWAP: usize = 6;
const OF_IO: [usize; 2] = [7, 8];

/// `status` is the dearest of the three files, and where nothing is swapped it tells nothing: it
/// is read for so many processes in one sample, in turn.
const STATUS_PER_SAMPLE: usize = 3;

/// Who did nothing since the last sample has read and written nothing: its `io` is passed over, but
/// for one sample in so many, for its time is told in steps of 10 ms.
const IO_SAMPLES_MAX: u8 = 5;

/// The open files of one process.
#[derive(Debug)]
pub struct ProcessFiles {
    /// `/proc/PID/stat`.
    pub stat: File,
    /// `/proc/PID/io`, which a user may not be allowed to read.
    pub io: Option<File>,
    /// `/proc/PID/status`, unless it is a thread of the kernel.
    pub status: Option<File>,
}

/// Series 200 to 209.
#[derive(Debug)]
pub struct Processes {
    mailbox: Arc<Mailbox<ProcessFiles>>,
    seats: Box<[Place]>,
    text: Box<[u8]>,
    turn: usize,
    page_bytes: u64,
    swap_columns: [usize; 2],
}

#[derive(Debug)]
struct Place {
    columns: Columns,
    seat: Seat<ProcessFiles>,
    swap_kib: u64,
    stat: Told<[u64; OF_STAT.len()]>,
    io: Told<[u64; OF_IO.len()]>,
    /// Samples in a row in which `io` was passed over.
    io_passed: u8,
}

impl Place {
    fn new(columns: Columns) -> Self {
        let seat = Seat::default();
        Self { columns, seat, swap_kib: 0, stat: Told::new(), io: Told::new(), io_passed: 0 }
    }
}

impl Processes {
    /// Places for the processes of `layout`, and the mailbox by which they come.
    #[must_use]
    pub fn new(layout: &Layout) -> (Self, Arc<Mailbox<ProcessFiles>>) {
        let seats: Box<[Place]> =
            rank_columns(layout, EntityKind::PROCESS).map(Place::new).collect();
        let mailbox = Mailbox::new(seats.len());
        let source = Self {
            mailbox: Arc::clone(&mailbox),
            seats,
            text: vec![0; TEXT_LEN].into_boxed_slice(),
            turn: 0,
            page_bytes: u64::from(sys::page_size()),
            swap_columns: [58, 59].map(|series| super::column(layout, series)),
        };
        (source, mailbox)
    }

    fn exchange(&mut self, sample: &mut Sample) {
        let Some(mut places) = self.mailbox.try_open() else { return };
        for (own, place) in self.seats.iter_mut().zip(places.iter_mut()) {
            let Place { columns, seat, swap_kib, .. } = own;
            seat.exchange(place, |occupant| {
                *swap_kib = 0;
                sample.seat(columns.slot, occupant);
            });
        }
    }

    /// The seats whose swapped memory is looked up in this sample: none if nothing is swapped.
    fn turn(&mut self, sample: &Sample) -> std::ops::Range<usize> {
        let [total, free] = self.swap_columns.map(|column| sample.get(column));
        if total.unwrap_or(0) <= free.unwrap_or(0) {
            return 0..0;
        }
        let begin = if self.turn >= self.seats.len() { 0 } else { self.turn };
        self.turn = begin + STATUS_PER_SAMPLE;
        begin..self.turn
    }
}

impl Source for Processes {
    fn name(&self) -> &'static str {
        "/proc/PID"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        self.exchange(sample);
        let turn = self.turn(sample);
        let (text, page_bytes) = (&mut self.text, self.page_bytes);
        for (number, place) in self.seats.iter_mut().enumerate() {
            let Some(files) = place.seat.present() else { continue };
            let parse = |text: &[u8]| Stat::parse(text).map(|stat| readings(&stat, page_bytes));
            let stat = process::read(&files.stat, text).ok();
            let Some(stat) = stat.and_then(|text| place.stat.by(text, parse)) else {
                place.seat.gone = true;
                sample.seat(place.columns.slot, None);
                continue;
            };
            let first = place.columns.first;
            for (at, value) in OF_STAT.into_iter().zip(stat) {
                sample.set(first + at, value);
            }
            if let Some(status) = files.status.as_ref() {
                if turn.contains(&number)
                    && let Ok(text) = process::read(status, text)
                {
                    place.swap_kib = process::parse_swap_kib(text).unwrap_or(0);
                }
                sample.set(first + SWAP, place.swap_kib / 16);
            }
            let parse = |text: &[u8]| {
                process::parse_io(text).map(|(read, written)| [read / 4096, written / 4096])
            };
            let slept = place.stat.is_same() && place.io_passed + 1 < IO_SAMPLES_MAX;
            let io = if let Some(said) = place.io.said().filter(|_| slept) {
                place.io_passed += 1;
                Some(said)
            } else {
                place.io_passed = 0;
                let io = files.io.as_ref().and_then(|io| process::read(io, text).ok());
                io.and_then(|text| place.io.by(text, parse))
            };
            if let Some(io) = io {
                for (at, value) in OF_IO.into_iter().zip(io) {
                    sample.set(first + at, value);
                }
            }
        }
        Ok(())
    }
}

/// In the order of [`OF_STAT`].
fn readings(stat: &Stat<'_>, page_bytes: u64) -> [u64; OF_STAT.len()] {
    [
        u64::from(stat.state),
        stat.user_ticks,
        stat.system_ticks,
        stat.major_faults,
        stat.threads,
        stat.rss_pages.saturating_mul(page_bytes) / 16384,
        stat.blkio_ticks,
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entity_reading, layout, put, seated, tree};
    use super::*;
    use crate::sample::Occupant;

    fn stat(user: u64) -> String {
        let rest = "0 0 20 0 3 0 158057 9000000 2048 0 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 5 0 0";
        format!("42 (vector) S 1 42 42 0 -1 0 100 0 7 0 {user} 22 {rest}\n")
    }

    #[test]
    fn a_process_is_read_through_its_open_files_until_it_is_gone() {
        let io = "rchar: 1\nread_bytes: 8192\nwrite_bytes: 409600\n";
        let status = "Name:\tvector\nVmSwap:\t 3200 kB\n";
        let tree = tree(&[("stat", &stat(11)), ("io", io), ("status", status)]);
        let layout = layout();
        let (mut source, mailbox) = Processes::new(&layout);
        let open = |name: &str| File::open(tree.path().join(name)).ok();
        let files =
            ProcessFiles { stat: open("stat").unwrap(), io: open("io"), status: open("status") };
        let vector = Occupant { pid: 42, start_ticks: 158_057, ..Occupant::named(b"vector") };
        mailbox.deliver(vector, files);
        let mut sample = Sample::new(&layout);
        // 64 KiB of swap, half of it used.
        sample.set(layout.machine_column(58).unwrap(), 4);
        sample.set(layout.machine_column(59).unwrap(), 2);
        source.read(&mut sample).unwrap();
        let reading = |sample: &Sample, series| entity_reading(sample, "vector", series).unwrap();
        let page_bytes = u64::from(sys::page_size());
        for (series, value) in [
            (200, u64::from(b'S')),
            (201, 11),
            (202, 22),
            (203, 7),
            (204, 3),
            (205, 2048 * page_bytes / 16384),
            (206, 200),
            (207, 2),
            (208, 100),
            (209, 5),
        ] {
            assert_eq!(reading(&sample, series), value, "series {series}");
        }
        put(tree.path(), "stat", stat(15).as_bytes());
        sample.clear();
        source.read(&mut sample).unwrap();
        assert_eq!(reading(&sample, 201), 15);
        assert_eq!(reading(&sample, 206), 200, "what is not looked up again is as it was");
        put(tree.path(), "stat", b"");
        sample.clear();
        source.read(&mut sample).unwrap();
        assert!(seated(&sample).is_empty());
        source.read(&mut sample).unwrap();
        mailbox.clear();
        assert!(mailbox.has_vacancy());
    }

    /// Under hidepid, or for a user who is not root, `io` is refused: the rest is there.
    #[test]
    fn a_file_that_may_not_be_read_costs_its_own_columns() {
        let tree = tree(&[("stat", &stat(1))]);
        let layout = layout();
        let (mut source, mailbox) = Processes::new(&layout);
        let stat = File::open(tree.path().join("stat")).unwrap();
        mailbox.deliver(Occupant::named(b"x"), ProcessFiles { stat, io: None, status: None });
        let mut sample = Sample::new(&layout);
        source.read(&mut sample).unwrap();
        assert_eq!(entity_reading(&sample, "x", 201), Some(1));
        assert_eq!(entity_reading(&sample, "x", 206), None);
        assert_eq!(entity_reading(&sample, "x", 208), None);
    }

    /// A write that took no time is told some samples later; one that took time at once.
    #[test]
    fn who_sleeps_is_not_asked_each_time_what_it_wrote() {
        let io = |kib: u64| format!("read_bytes: 0\nwrite_bytes: {}\n", kib << 10);
        let tree = tree(&[("stat", &stat(1)), ("io", &io(4))]);
        let layout = layout();
        let (mut source, mailbox) = Processes::new(&layout);
        let open = |name: &str| File::open(tree.path().join(name)).ok();
        let files = ProcessFiles { stat: open("stat").unwrap(), io: open("io"), status: None };
        mailbox.deliver(Occupant::named(b"x"), files);
        let mut sample = Sample::new(&layout);
        let mut written = || {
            sample.clear();
            source.read(&mut sample).unwrap();
            entity_reading(&sample, "x", 208)
        };
        assert_eq!(written(), Some(1));
        put(tree.path(), "io", io(8).as_bytes());
        let later: Vec<_> = (0..IO_SAMPLES_MAX).map(|_| written().unwrap()).collect();
        assert_eq!(later, [1, 1, 1, 1, 2]);
        put(tree.path(), "io", io(12).as_bytes());
        put(tree.path(), "stat", stat(2).as_bytes());
        assert_eq!(written(), Some(3));
    }
}
