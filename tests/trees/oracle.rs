//! What stands in a tree, as the procfs crate reads it: the oracle of our sources.
//!
//! Of files that procfs does not know (swaps, sockets, links, temperatures, watchdog), a second and simpler
//! reading has to do: the whole text, words, no state.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use flightrec_recorder::sample::SeriesNumber;
use procfs::net::{ARPFlags, ArpEntries, InterfaceDeviceStatus, RouteEntries, Snmp};
use procfs::{
    CpuPressure, DiskStats, FromBufRead, FromBufReadSI, FromRead, IoPressure, KernelStats,
    LoadAverage, LocalSystemInfo, Meminfo, MemoryPressure, ProcResult, VmStat,
};

use super::tree::Readings;

/// The readings of a tree; files that are there and that procfs refuses have none.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) values: Readings,
    pub(super) refused: Vec<&'static str>,
}

impl Oracle {
    pub(super) fn of(root: &Path) -> Self {
        let mut own = Self::default();
        own.machine(root);
        own.pressure(root);
        own.disks(root);
        own.network(root);
        own.plain(root);
        own
    }

    fn tell(
        &mut self,
        name: &str,
        readings: impl IntoIterator<Item = (SeriesNumber, Option<u64>)>,
    ) {
        for (series, value) in readings {
            if let Some(value) = value {
                self.values.insert((name.to_owned(), series), value);
            }
        }
    }

    /// Parses a file, if it can be read.
    fn parse<T>(
        &mut self,
        root: &Path,
        path: &'static str,
        parse: impl Fn(&[u8]) -> ProcResult<T>,
    ) -> Option<T> {
        let parsed = parse(&fs::read(root.join(path)).ok()?);
        if parsed.is_err() {
            self.refused.push(path);
        }
        parsed.ok()
    }

    fn machine(&mut self, root: &Path) {
        let stat = |text: &[u8]| KernelStats::from_buf_read(text, &LocalSystemInfo);
        if let Some(stat) = self.parse(root, "proc/stat", stat) {
            let total = &stat.total;
            let times = [Some(total.user), Some(total.nice), Some(total.system), Some(total.idle)];
            let times =
                times.into_iter().chain([total.iowait, total.irq, total.softirq, total.steal]);
            self.tell("", (20..).zip(times));
            self.tell(
                "",
                [
                    (30, u64::try_from(stat.cpu_time.len()).ok()),
                    (31, Some(stat.ctxt)),
                    (32, Some(stat.processes)),
                    (33, stat.procs_running.map(u64::from)),
                    (34, stat.procs_blocked.map(u64::from)),
                ],
            );
        }
        if let Some(load) = self.parse(root, "proc/loadavg", |text| LoadAverage::from_read(text)) {
            let hundredths = |load: f32| u64::from_str(&format!("{load:.2}").replace('.', "")).ok();
            self.tell("", (36..).zip([load.one, load.five, load.fifteen].map(hundredths)));
            self.tell("", [(39, Some(u64::from(load.max)))]);
        }
        if let Some(m) = self.parse(root, "proc/meminfo", |text| Meminfo::from_buf_read(text)) {
            let bytes = [
                (50, Some(m.mem_total)),
                (51, Some(m.mem_free)),
                (52, m.mem_available),
                (53, Some(m.buffers)),
                (54, Some(m.cached)),
                (55, Some(m.swap_cached)),
                (56, m.active_file),
                (57, m.unevictable),
                (58, Some(m.swap_total)),
                (59, Some(m.swap_free)),
                (60, m.z_swap),
                (61, m.z_swapped),
                (62, Some(m.dirty)),
                (63, Some(m.writeback)),
                (64, m.anon_pages),
                (65, Some(m.mapped)),
                (66, m.shmem),
                (67, m.s_reclaimable),
                (68, m.s_unreclaim),
                (69, m.kernel_stack),
                (70, m.page_tables),
                (71, Some(m.committed_as)),
                (72, m.cma_free),
            ];
            self.tell("", bytes.map(|(series, bytes)| (series, bytes.map(|bytes| bytes / 16_384))));
        }
        if let Some(VmStat(vm)) =
            self.parse(root, "proc/vmstat", |text| VmStat::from_buf_read(text))
        {
            let of = |key: &str| vm.get(key).and_then(|value| u64::try_from(*value).ok());
            let stalls = vm.iter().filter(|(key, _)| key.starts_with("allocstall"));
            let stalls: i64 = stalls.map(|(_, count)| count).sum();
            self.tell(
                "",
                [
                    (100, of("pgfault")),
                    (101, of("pgmajfault")),
                    (102, of("pswpin")),
                    (103, of("pswpout")),
                    (104, of("pgscan_kswapd")),
                    (105, of("pgscan_direct")),
                    (106, of("pgsteal_kswapd")),
                    (107, of("pgsteal_direct")),
                    (108, u64::try_from(stalls).ok()),
                    (109, of("oom_kill")),
                    (110, of("workingset_refault_anon")),
                    (111, of("workingset_refault_file")),
                    (112, of("compact_stall")),
                ],
            );
        }
    }

    fn pressure(&mut self, root: &Path) {
        let cpu = |text: &[u8]| CpuPressure::from_buf_read(text).map(|p| [p.some, p.full]);
        let memory = |text: &[u8]| MemoryPressure::from_buf_read(text).map(|p| [p.some, p.full]);
        let io = |text: &[u8]| IoPressure::from_buf_read(text).map(|p| [p.some, p.full]);
        let both = [
            self.parse(root, "proc/pressure/cpu", cpu),
            self.parse(root, "proc/pressure/memory", memory),
            self.parse(root, "proc/pressure/io", io),
        ];
        for (first, both) in [120, 122, 124].into_iter().zip(both) {
            let both = both.into_iter().flatten();
            self.tell("", (first..).zip(both.map(|record| Some(record.total / 1000))));
        }
    }

    /// Out of `/proc/diskstats`, which our source does not read.
    fn disks(&mut self, root: &Path) {
        let all = self.parse(root, "proc/diskstats", |text| DiskStats::from_buf_read(text));
        for disk in all.into_iter().flat_map(|DiskStats(disks)| disks) {
            let name = &disk.name.replace('/', "!");
            let size = word(root, &format!("sys/block/{name}/size"));
            let is_none = ["loop", "ram", "zram"].iter().any(|begin| name.starts_with(begin));
            if is_none || size.is_none_or(|sectors| sectors == 0) {
                continue;
            }
            let readings = [
                (140, Some(disk.reads)),
                (141, Some(disk.sectors_read / 8)),
                (142, Some(disk.time_reading)),
                (143, Some(disk.writes)),
                (144, Some(disk.sectors_written / 8)),
                (145, Some(disk.time_writing)),
                (146, Some(disk.in_progress)),
                (147, Some(disk.time_in_progress)),
                (148, disk.flushes),
                (149, disk.time_flushing),
                (150, disk.sectors_discarded.map(|sectors| sectors / 8)),
            ];
            self.tell(name, readings);
        }
    }

    fn network(&mut self, root: &Path) {
        let dev = |text: &[u8]| InterfaceDeviceStatus::from_buf_read(text);
        let all = self.parse(root, "proc/net/dev", dev).into_iter().flat_map(|all| all.0);
        for (name, i) in all.filter(|(name, _)| name != "lo") {
            let received = [i.recv_bytes / 1024, i.recv_packets, i.recv_errs, i.recv_drop];
            let sent = [i.sent_bytes / 1024, i.sent_packets, i.sent_errs, i.sent_drop];
            self.tell(&name, (160..).zip(received.into_iter().chain(sent).map(Some)));
        }
        if let Some(snmp) = self.parse(root, "proc/net/snmp", |text| Snmp::from_buf_read(text)) {
            self.tell("", [(270, Some(snmp.tcp_retrans_segs))]);
        }
        let routes = self.parse(root, "proc/net/route", |text| RouteEntries::from_buf_read(text));
        let known = self.parse(root, "proc/net/arp", |text| ArpEntries::from_buf_read(text));
        let mut routes = routes.into_iter().flat_map(|RouteEntries(routes)| routes);
        let gateway =
            routes.find(|route| route.destination.is_unspecified() && route.flags & 2 != 0);
        let state = gateway.zip(known).map(|(route, ArpEntries(known))| {
            let known = known.iter().find(|entry| entry.ip_address == route.gateway);
            known.map_or(0, |entry| if entry.flags.contains(ARPFlags::COM) { 2 } else { 1 })
        });
        self.tell("", [(287, state)]);
    }

    /// What procfs has no reader for.
    fn plain(&mut self, root: &Path) {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let files = text("proc/sys/fs/file-nr");
        let files: Vec<&str> = files.split_whitespace().collect();
        let nth = |at: usize| files.get(at).and_then(|word| word.parse().ok());
        self.tell("", [(263, nth(0)), (288, nth(2))]);

        let sockets = text("proc/net/sockstat");
        let sockets: BTreeMap<(&str, &str), u64> = sockets
            .lines()
            .filter_map(|line| line.split_once(": "))
            .flat_map(|(head, rest)| {
                let words: Vec<&str> = rest.split(' ').collect();
                let pairs: Vec<_> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                pairs.into_iter().map(move |(key, value)| ((head, key), value.parse().unwrap()))
            })
            .collect();
        let keys = [("sockets", "used"), ("TCP", "inuse"), ("TCP", "orphan"), ("TCP", "tw")];
        let keys = keys.into_iter().chain([("TCP", "mem"), ("UDP", "inuse")]);
        self.tell("", (264..).zip(keys.map(|key| sockets.get(&key).copied())));

        for line in text("proc/swaps").lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = words[0].trim_start_matches("/dev/");
            let units = |kib: &str| kib.parse::<u64>().ok().map(|kib| kib / 16);
            let kind = if name.starts_with("zram") { 3 } else { u64::from(words[1] == "file") + 1 };
            self.tell(name, [(271, units(words[3])), (272, units(words[2])), (273, Some(kind))]);
        }

        // Of the links only those that sit in `/proc/net/dev` have readings of their own.
        let links: Vec<String> = self.values.keys().map(|(name, _)| name.clone()).collect();
        for name in links {
            let folder = format!("sys/class/net/{name}");
            if name.is_empty() || !root.join(&folder).is_dir() {
                continue;
            }
            let states =
                ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];
            let state = text(&format!("{folder}/operstate"));
            let state = states.iter().position(|name| *name == state.trim());
            self.tell(
                &name,
                [
                    (283, state.and_then(|state| u64::try_from(state).ok())),
                    (284, word(root, &format!("{folder}/carrier"))),
                    (285, word(root, &format!("{folder}/carrier_changes"))),
                ],
            );
        }
        // A zone shows itself among the chips of hwmon, too; once is enough.
        for number in 0..8 {
            let zone = format!("sys/class/thermal/thermal_zone{number}");
            let thousandths = word(root, &format!("{zone}/temp"));
            let kind = text(&format!("{zone}/type"));
            self.tell(kind.trim(), [(260, thousandths.map(|thousandths| thousandths / 100))]);
        }
        let watchdog = text("sys/class/watchdog/watchdog0/state");
        let watchdog = (!watchdog.is_empty()).then(|| u64::from(watchdog.trim() == "active"));
        self.tell("", [(289, watchdog)]);
    }
}

/// The one number of a small file.
fn word(root: &Path, path: &str) -> Option<u64> {
    fs::read_to_string(root.join(path)).ok()?.trim().parse().ok()
}
