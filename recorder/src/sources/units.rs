//! The units that matter most: what their cgroups (v2) say, once a sample, through files that are
//! held open. See the kernel's Documentation/admin-guide/cgroup-v2.rst.
//!
//! `memory.stat` is left alone: the kernel adds up a whole tree to answer it.

use std::fs::File;
use std::sync::Arc;

use flightrec_format::entity::EntityKind;

use super::told::Told;
use super::{Columns, Source, rank_columns};
use crate::mailbox::{Mailbox, Seat};
use crate::process::{self, TEXT_LEN};
use crate::procfile::{fields, lines, number};
use crate::sample::{Layout, Sample, SeriesNumber};

/// Time in user mode and in the kernel, memory, bytes read and written, kills for memory, tasks,
/// swapped memory.
pub(crate) const SERIES: &[SeriesNumber] = &[220, 221, 222, 226, 227, 229, 230, 231];

/// The open files of one cgroup, as far as its controllers are on.
#[derive(Debug, Default)]
pub struct UnitFiles {
    /// `cpu.stat`.
    pub cpu: Option<File>,
    /// `memory.current`.
    pub memory: Option<File>,
    /// `io.stat`.
    pub io: Option<File>,
    /// `memory.events`.
    pub events: Option<File>,
    /// `pids.current`.
    pub tasks: Option<File>,
    /// `memory.swap.current`.
    pub swap: Option<File>,
}

/// Series 220 to 231.
#[derive(Debug)]
pub struct Units {
    mailbox: Arc<Mailbox<UnitFiles>>,
    seats: Box<[Place]>,
    text: Box<[u8]>,
}

#[derive(Debug)]
struct Place {
    columns: Columns,
    seat: Seat<UnitFiles>,
    cpu: Told<[Option<u64>; 2]>,
    io: Told<[Option<u64>; 2]>,
    kills: Told<u64>,
}

impl Place {
    fn new(columns: Columns) -> Self {
        let seat = Seat::default();
        Self { columns, seat, cpu: Told::new(), io: Told::new(), kills: Told::new() }
    }
}

impl Units {
    /// Places for the units of `layout`, and the mailbox by which they come.
    #[must_use]
    pub fn new(layout: &Layout) -> (Self, Arc<Mailbox<UnitFiles>>) {
        let seats: Box<[_]> = rank_columns(layout, EntityKind::UNIT).map(Place::new).collect();
        let mailbox = Mailbox::new(seats.len());
        let text = vec![0; TEXT_LEN].into_boxed_slice();
        (Self { mailbox: Arc::clone(&mailbox), seats, text }, mailbox)
    }
}

impl Source for Units {
    fn name(&self) -> &'static str {
        "/sys/fs/cgroup"
    }

    /// A cgroup that is gone answers no more, though a new one may have its name by now: the seat is
    /// given back, and the census finds the new one.
    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        if let Some(mut places) = self.mailbox.try_open() {
            for (own, place) in self.seats.iter_mut().zip(places.iter_mut()) {
                let Place { columns, seat, .. } = own;
                seat.exchange(place, |occupant| sample.seat(columns.slot, occupant));
            }
        }
        for place in &mut self.seats {
            if !place.read(&mut self.text, sample) {
                place.seat.gone = true;
                sample.seat(place.columns.slot, None);
            }
        }
        Ok(())
    }
}

impl Place {
    /// Reads all files that are there; false: the cgroup is gone.
    fn read(&mut self, text: &mut [u8], sample: &mut Sample) -> bool {
        let Self { columns, seat, cpu, io, kills } = self;
        let Some(files) = seat.present() else { return true };
        let mut set = |series, value: Option<u64>, unit: u64| {
            if let Some(value) = value {
                sample.set(columns.of(series), value / unit);
            }
        };
        let told = files.cpu.as_ref().map(|file| process::read(file, text));
        if matches!(told, Some(Err(libc::ENODEV))) {
            return false;
        }
        if let Some(Ok(text)) = told {
            let keys: [&[u8]; 2] = [b"user_usec", b"system_usec"];
            let [user, system] =
                cpu.by(text, |text| Some(keys.map(|key| keyed(text, key)))).unwrap_or_default();
            set(220, user, 1000);
            set(221, system, 1000);
        }
        let mut read = |file: &Option<File>, take: &mut dyn FnMut(&[u8])| {
            if let Some(Ok(text)) = file.as_ref().map(|file| process::read(file, text)) {
                take(text);
            }
        };
        read(&files.memory, &mut |text| set(222, number(text.trim_ascii()), 16384));
        read(&files.swap, &mut |text| set(231, number(text.trim_ascii()), 16384));
        read(&files.io, &mut |text| {
            let names: [&[u8]; 2] = [b"rbytes=", b"wbytes="];
            let [read, written] = io
                .by(text, |text| Some(names.map(|name| Some(summed(text, name)))))
                .unwrap_or_default();
            set(226, read, 4096);
            set(227, written, 4096);
        });
        read(&files.events, &mut |text| {
            set(229, kills.by(text, |text| keyed(text, b"oom_kill")), 1);
        });
        read(&files.tasks, &mut |text| set(230, number(text.trim_ascii()), 1));
        true
    }
}

/// The number behind a word at the beginning of a line.
fn keyed(text: &[u8], key: &[u8]) -> Option<u64> {
    lines(text).find_map(|line| {
        let mut words = fields(line);
        (words.next()? == key).then(|| number(words.next()?))?
    })
}

/// The sum over all disks of a number behind its name and an equals sign.
fn summed(text: &[u8], name: &[u8]) -> u64 {
    let words = lines(text).flat_map(fields);
    let numbers = words.filter_map(|word| number(word.strip_prefix(name)?));
    numbers.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entity_reading, layout, seated, tree};
    use super::*;
    use crate::sample::Occupant;

    #[test]
    fn a_unit_is_what_its_cgroup_says_and_absent_files_cost_their_own_columns() {
        let tree = tree(&[
            ("cpu.stat", "usage_usec 9000000\nuser_usec 7000000\nsystem_usec 2000000\n"),
            ("memory.current", "419430400\n"),
            ("io.stat", "8:0 rbytes=8192 wbytes=4096 rios=1\n179:0 rbytes=0 wbytes=8192\n"),
            ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
        ]);
        let open = |name: &str| File::open(tree.path().join(name)).ok();
        let layout = layout();
        let (mut source, mailbox) = Units::new(&layout);
        let files = UnitFiles {
            cpu: open("cpu.stat"),
            memory: open("memory.current"),
            io: open("io.stat"),
            events: open("memory.events"),
            tasks: open("pids.current"),
            swap: None,
        };
        mailbox.deliver(Occupant::named(b"vector.service"), files);
        let mut sample = Sample::new(&layout);
        source.read(&mut sample).unwrap();
        for (series, value) in
            [(220, 7000), (221, 2000), (222, 25600), (226, 2), (227, 3), (229, 2)]
        {
            let told = entity_reading(&sample, "vector.service", series);
            assert_eq!(told, Some(value), "series {series}");
        }
        assert_eq!(entity_reading(&sample, "vector.service", 230), None);
        mailbox.ask_to_leave(0);
        source.read(&mut sample).unwrap();
        assert!(seated(&sample).is_empty());
    }

    /// A service that begins anew has a new cgroup of the same name.
    #[test]
    fn the_seat_of_a_cgroup_that_is_gone_is_given_back() {
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(std::path::Path::new);
        let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists());
        let name = format!("flightrec-gone-{}.service", std::process::id());
        let Some(folder) = root.map(|root| root.join(name)) else {
            return println!("skipped: no cgroup v2 here");
        };
        if let Err(error) = std::fs::create_dir(&folder) {
            return println!("skipped: no cgroup of our own: {error}");
        }
        let cpu = File::open(folder.join("cpu.stat"));
        let layout = layout();
        let (mut source, mailbox) = Units::new(&layout);
        let files = UnitFiles { cpu: cpu.ok(), ..UnitFiles::default() };
        mailbox.deliver(Occupant::named(b"a.service"), files);
        let mut sample = Sample::new(&layout);
        source.read(&mut sample).unwrap();
        let before = entity_reading(&sample, "a.service", 220);
        std::fs::remove_dir(&folder).unwrap();
        assert!(before.is_some());
        source.read(&mut sample).unwrap();
        assert!(seated(&sample).is_empty());
        source.read(&mut sample).unwrap();
        mailbox.clear();
        let mut left = 0;
        mailbox.each_occupant(|_, _| left += 1);
        assert_eq!(left, 0);
    }
}
