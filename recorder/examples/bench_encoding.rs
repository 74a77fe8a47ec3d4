//! Bytes per sample of a recorded load, through the real encoder.
//!
//! `bench_encoding FILE...` takes the samples out of the history of recordings; without a FILE it
//! reads JSON lines as `docs/benchmarks.md` describes (a first line with the names of the series,
//! then one sample a line) from standard input. Seals them into history frames and tail frames as
//! the recorder would, exact and with the option *precision*. Reports frame bytes divided by
//! samples, slots included.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a tool for developers"
)]

mod recorded;

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

use flightrec_format::entity::{EntityKind, EntityName};
use flightrec_recorder::events::Events;
use flightrec_recorder::frames::{Berth, FrameMaker};
use flightrec_recorder::precision::Precision;
use flightrec_recorder::rows::Rows;
use flightrec_recorder::sample::{Layout, Occupant, Rank, Sample};
use flightrec_recorder::sources;
use flightrec_recorder::sys::StaticCompressor;
use serde_json::Value;

const MACHINE: &[u16] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27,
    28, 29, 30, 31, 32, 33, 34, 36, 37, 38, 39, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
    63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110,
    111, 112, 120, 121, 122, 123, 124, 125, 263, 264, 265, 266, 267, 268, 269, 270,
];
const RANKS: &[Rank] = &[
    Rank {
        kind: EntityKind::DISK,
        slots: 1,
        series: &[140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150],
    },
    Rank { kind: EntityKind::NET, slots: 1, series: &[160, 161, 162, 163, 164, 165, 166, 167] },
    Rank {
        kind: EntityKind::PROCESS,
        slots: 8,
        series: &[200, 201, 202, 203, 204, 205, 207, 208, 209],
    },
    Rank {
        kind: EntityKind::UNIT,
        slots: 8,
        series: &[220, 221, 222, 223, 224, 225, 226, 227, 228],
    },
    Rank { kind: EntityKind::LOG, slots: 1, series: &[240, 242] },
    Rank { kind: EntityKind::THERMAL, slots: 2, series: &[260] },
    Rank { kind: EntityKind::CORE, slots: 2, series: &[261] },
    Rank { kind: EntityKind::FS, slots: 2, series: &[262] },
];

/// Series of the machine: number, name in the input, divisor.
const DIRECT: &[(u16, &str, u64)] = &[
    (20, "cpu.user", 1),
    (21, "cpu.nice", 1),
    (22, "cpu.system", 1),
    (23, "cpu.idle", 1),
    (24, "cpu.iowait", 1),
    (25, "cpu.irq", 1),
    (26, "cpu.softirq", 1),
    (27, "cpu.steal", 1),
    (31, "ctxt", 1),
    (32, "processes", 1),
    (33, "procs_running", 1),
    (34, "procs_blocked", 1),
    (36, "load.1", 1),
    (37, "load.5", 1),
    (38, "load.15", 1),
    (39, "load.total", 1),
    (50, "mem.MemTotal", 16),
    (51, "mem.MemFree", 16),
    (52, "mem.MemAvailable", 16),
    (53, "mem.Buffers", 16),
    (54, "mem.Cached", 16),
    (55, "mem.SwapCached", 16),
    (56, "mem.Active(file)", 16),
    (57, "mem.Unevictable", 16),
    (58, "mem.SwapTotal", 16),
    (59, "mem.SwapFree", 16),
    (60, "mem.Zswap", 16),
    (61, "mem.Zswapped", 16),
    (62, "mem.Dirty", 16),
    (63, "mem.Writeback", 16),
    (64, "mem.AnonPages", 16),
    (65, "mem.Mapped", 16),
    (66, "mem.Shmem", 16),
    (67, "mem.SReclaimable", 16),
    (68, "mem.SUnreclaim", 16),
    (69, "mem.KernelStack", 16),
    (70, "mem.PageTables", 16),
    (71, "mem.Committed_AS", 16),
    (72, "mem.CmaFree", 16),
    (100, "vm.pgfault", 1),
    (101, "vm.pgmajfault", 1),
    (102, "vm.pswpin", 1),
    (103, "vm.pswpout", 1),
    (104, "vm.pgscan_kswapd", 1),
    (105, "vm.pgscan_direct", 1),
    (106, "vm.pgsteal_kswapd", 1),
    (107, "vm.pgsteal_direct", 1),
    (109, "vm.oom_kill", 1),
    (110, "vm.workingset_refault_anon", 1),
    (111, "vm.workingset_refault_file", 1),
    (112, "vm.compact_stall", 1),
    (120, "psi.cpu.some.total", 1000),
    (122, "psi.memory.some.total", 1000),
    (123, "psi.memory.full.total", 1000),
    (124, "psi.io.some.total", 1000),
    (125, "psi.io.full.total", 1000),
    (263, "file-nr", 1),
    (264, "sock.used", 1),
    (265, "tcp.inuse", 1),
    (266, "tcp.orphan", 1),
    (267, "tcp.tw", 1),
    (268, "tcp.mem", 1),
    (269, "udp.inuse", 1),
    (270, "tcp.retrans", 1),
];

/// Series of one named entity each: kind, name, series, name in the input, divisor.
const ENTITY: &[(EntityKind, &str, u16, &str, u64)] = &[
    (EntityKind::DISK, "vda", 140, "vda.r", 1),
    (EntityKind::DISK, "vda", 141, "vda.rs", 8),
    (EntityKind::DISK, "vda", 142, "vda.rt", 1),
    (EntityKind::DISK, "vda", 143, "vda.w", 1),
    (EntityKind::DISK, "vda", 144, "vda.ws", 8),
    (EntityKind::DISK, "vda", 145, "vda.wt", 1),
    (EntityKind::DISK, "vda", 146, "vda.infl", 1),
    (EntityKind::DISK, "vda", 147, "vda.iot", 1),
    (EntityKind::DISK, "vda", 148, "vda.f", 1),
    (EntityKind::DISK, "vda", 149, "vda.ft", 1),
    (EntityKind::DISK, "vda", 150, "vda.ds", 8),
    (EntityKind::NET, "eth0", 160, "net.eth0:rxb", 1024),
    (EntityKind::NET, "eth0", 161, "net.eth0:rxp", 1),
    (EntityKind::NET, "eth0", 162, "net.eth0:rxe", 1),
    (EntityKind::NET, "eth0", 163, "net.eth0:rxd", 1),
    (EntityKind::NET, "eth0", 164, "net.eth0:txb", 1024),
    (EntityKind::NET, "eth0", 165, "net.eth0:txp", 1),
    (EntityKind::NET, "eth0", 166, "net.eth0:txe", 1),
    (EntityKind::NET, "eth0", 167, "net.eth0:txd", 1),
    (EntityKind::LOG, "all", 240, "log.lines", 1),
    (EntityKind::LOG, "all", 242, "log.bytes", 1024),
    (EntityKind::THERMAL, "temp0", 260, "temp0", 100),
    (EntityKind::THERMAL, "temp1", 260, "temp1", 100),
    (EntityKind::CORE, "0", 261, "freq0", 1000),
    (EntityKind::CORE, "1", 261, "freq1", 1000),
    (EntityKind::FS, "/", 262, "fs.avail", 4),
    (EntityKind::FS, "/dev/shm", 262, "shm.avail", 4),
];

/// Slots for processes stay with whom they hold, as the recorder's do: a newcomer takes the slot
/// of one that left.
#[derive(Default)]
struct Seats(BTreeMap<usize, (u64, u64)>);

impl Seats {
    fn seat(&mut self, wanted: &[(u64, u64)], slots: std::ops::Range<usize>) -> Vec<usize> {
        self.0.retain(|_, who| wanted.contains(who));
        wanted
            .iter()
            .map(|who| {
                let taken = self.0.iter().find(|(_, own)| *own == who).map(|(slot, _)| *slot);
                taken.unwrap_or_else(|| {
                    let free = slots.clone().find(|slot| !self.0.contains_key(slot)).unwrap();
                    self.0.insert(free, *who);
                    free
                })
            })
            .collect()
    }
}

fn number(value: &Value) -> u64 {
    value.as_i64().map_or_else(|| value.as_u64().unwrap(), i64::cast_unsigned)
}

fn main() {
    let mut recordings = std::env::args().skip(1).peekable();
    if recordings.peek().is_none() {
        let layout = Layout::new(MACHINE, RANKS);
        measure(&layout, &read_load(&layout));
    }
    for path in recordings {
        println!("{path}:");
        let layout = Layout::new(sources::MACHINE, sources::RANKS);
        measure(&layout, &recorded::samples(&path, &layout));
    }
}

fn measure(layout: &Layout, samples: &[Sample]) {
    println!("{} samples of {} columns", samples.len(), layout.width());
    for bits in [0, 5, 4] {
        run(layout, samples, bits);
    }
}

fn read_load(layout: &Layout) -> Vec<Sample> {
    let mut lines = std::io::stdin().lock().lines();
    let head: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let names: HashMap<&str, usize> = head["series"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str().unwrap(), index))
        .collect();
    read_samples(layout, &names, lines)
}

fn read_samples(
    layout: &Layout,
    names: &HashMap<&str, usize>,
    lines: impl Iterator<Item = std::io::Result<String>>,
) -> Vec<Sample> {
    let mut seats = Seats::default();
    let mut cores: Vec<Vec<u64>> = vec![];
    let mut sample = Sample::new(layout);
    lines
        .enumerate()
        .map(|(tick, line)| {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let value = |name: &str| number(&line["values"][names[name]]);
            sample.clear();
            sample.tick = 1000 + tick as u64;
            let set = |sample: &mut Sample, series, value| {
                sample.set(layout.machine_column(series).unwrap(), value);
            };
            let (wall, boot) =
                (line["wall_ns"].as_u64().unwrap(), line["boot_ns"].as_u64().unwrap());
            for (series, value) in [
                (1, (wall - boot) / 1_000_000),
                (2, 0),
                (3, 1),
                (4, tick as u64 + 1),
                (7, tick as u64 / 10),
                (8, 4 + u64::from(tick / 10 % 7 == 0)),
                (9, 30),
                (12, tick as u64 * 2 / 3),
                (13, 400),
                (16, tick as u64 / 10),
            ] {
                set(&mut sample, series, value);
            }
            for series in [5, 6, 10, 11, 14, 15, 17, 18] {
                set(&mut sample, series, 0);
            }
            for &(series, name, divisor) in DIRECT {
                set(&mut sample, series, value(name) / divisor);
            }
            let stalls =
                ["normal", "movable", "dma32"].map(|zone| value(&format!("vm.allocstall_{zone}")));
            set(&mut sample, 108, stalls.iter().sum());
            set(&mut sample, 121, 0);
            let fields = ["user", "nice", "system", "irq", "softirq", "steal"];
            let now: Vec<Vec<u64>> = (0..2)
                .map(|core| fields.iter().map(|f| value(&format!("cpu{core}.{f}"))).collect())
                .collect();
            let busy: Vec<u64> = now
                .iter()
                .enumerate()
                .map(|(core, now)| {
                    let old = cores.get(core).unwrap_or(now);
                    now.iter().sum::<u64>() - old.iter().sum::<u64>()
                })
                .collect();
            set(&mut sample, 28, u64::from(busy[1] > busy[0]));
            set(&mut sample, 29, busy[0].max(busy[1]));
            set(&mut sample, 30, 2);
            cores = now;
            for &(kind, entity, series, name, divisor) in ENTITY {
                let seated = layout.slots_of(kind).find(|&slot| {
                    sample
                        .occupant(slot)
                        .is_none_or(|own| own.name == EntityName::new(entity.as_bytes()))
                });
                let slot = seated.unwrap();
                sample.seat(slot, Some(Occupant::named(entity.as_bytes())));
                let place = layout.slots()[slot];
                let offset = place.series.iter().position(|own| *own == series).unwrap();
                sample.set(place.first_column + offset, value(name) / divisor);
            }
            processes(layout, &mut sample, &mut seats, line["processes"].as_array().unwrap());
            units(layout, &mut sample, line["services"].as_array().unwrap());
            sample.clone()
        })
        .collect()
}

fn processes(layout: &Layout, sample: &mut Sample, seats: &mut Seats, list: &[Value]) {
    let wanted: Vec<(u64, u64)> = list.iter().map(|p| (number(&p[0]), number(&p[1]))).collect();
    let slots = layout.slots_of(EntityKind::PROCESS);
    let seated = seats.seat(&wanted, slots.clone());
    for slot in slots {
        if !seated.contains(&slot) {
            sample.seat(slot, None);
        }
    }
    for (process, slot) in list.iter().zip(seated) {
        let name = EntityName::new(process[2].as_str().unwrap().as_bytes());
        let (pid, start_ticks) = (number(&process[0]) as u32, number(&process[1]));
        sample.seat(slot, Some(Occupant { pid, start_ticks, ..Occupant::named(name.as_bytes()) }));
        let values =
            [(3, 1), (4, 1), (5, 1), (7, 1), (8, 1), (9, 4), (13, 4096), (14, 4096), (12, 1)];
        for (offset, (field, divisor)) in values.into_iter().enumerate() {
            sample
                .set(layout.slots()[slot].first_column + offset, number(&process[field]) / divisor);
        }
    }
}

fn units(layout: &Layout, sample: &mut Sample, list: &[Value]) {
    for (unit, slot) in list.iter().zip(layout.slots_of(EntityKind::UNIT)) {
        sample.seat(slot, Some(Occupant::named(unit[0].as_str().unwrap().as_bytes())));
        let values = [
            (2, 1000),
            (3, 1000),
            (4, 4),
            (5, 4),
            (6, 4),
            (7, 1),
            (8, 4096),
            (9, 4096),
            (10, 1000),
        ];
        for (offset, (field, divisor)) in values.into_iter().enumerate() {
            sample.set(layout.slots()[slot].first_column + offset, number(&unit[field]) / divisor);
        }
    }
}

fn run(layout: &Layout, samples: &[Sample], bits: u32) {
    let stamp = recorded::stamp();
    let berth = Berth { seq: 1, slot: 0 };
    let mut precision = Precision::new(layout, bits);
    let mut rows = Rows::new(layout, 1 << 20, 4096);
    let events = Events::new(8);
    let mut maker = FrameMaker::new(layout, 8192, StaticCompressor::new().unwrap());
    let (mut tail, mut history) = (vec![0; 4096], vec![0; 65536]);
    let (mut slots, mut sealed, mut frames) = (0_u64, 0, 0);
    let (mut windows, mut commits) = (0, 0);
    let (mut row_bytes, mut cut, mut committed) = (0, 0, [0, 0]);
    for (at, sample) in samples.iter().enumerate() {
        let last = at + 1 == samples.len();
        let mut sample = sample.clone();
        precision.apply(layout, &mut sample);
        assert!(rows.push(&sample, maker.needed_row()));
        row_bytes += rows.row_len(rows.next() - 1);
        if !last && rows.next() - committed[1] < 10 && !maker.fills_half(&rows, committed[1]) {
            continue;
        }
        let all = (layout, &rows, &events);
        let must = committed[0];
        let held = (must, committed[1]);
        let made = maker.tail(all, held, None, (&stamp, berth), &mut tail).unwrap();
        assert!(made.first_row <= must);
        cut += u64::from(made.cut);
        committed = [committed[1], rows.next()];
        windows += made.end_row - made.first_row;
        commits += 1;
        // The last samples are sealed too, as at a stop.
        if last || maker.may_be_full(&rows) {
            let wanted = (rows.next(), !last);
            if let Some(pending) = maker.history(all, wanted, None, &mut history) {
                let made = maker.finish_history(&pending, false, (&stamp, berth), &mut history);
                maker.pass(&rows, made.end_row);
                slots += u64::from(made.slots);
                sealed += made.end_row - made.first_row;
                frames += 1;
            }
        }
    }
    println!(
        "precision {bits}: history {:.1} B/sample ({sealed} samples in {frames} frames, {slots} slots); \
         tail {:.1} samples a frame, {commits} commits, {cut} cut; rows {:.0} B/sample",
        (slots * 4096) as f64 / sealed as f64,
        windows as f64 / f64::from(commits),
        row_bytes as f64 / samples.len() as f64,
    );
}
