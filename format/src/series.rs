//! The catalogue of series: what the numbers in a group mean (spec section 7).
//!
//! Append-only for ever. A test holds this table and the one in the spec together.

use crate::entity::EntityKind;

/// How values of a series behave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SeriesKind {
    /// Grows; its rate is what matters.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A gauge that may be negative: stored as two's complement.
    Signed,
}

/// How a stored value becomes the value meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scale {
    /// Times this.
    Times(u64),
    /// One over this power of ten.
    Over(u64),
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Its number.
    pub number: u16,
    /// Its name; `{}` stands for the name of the entity.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// How its values behave.
    pub kind: SeriesKind,
    /// From stored value to value meant.
    pub scale: Scale,
    /// What it belongs to.
    pub entity: EntityKind,
}

/// Finds a series by its number; `None` if this version does not know it (R4).
#[must_use]
pub fn find(number: u16) -> Option<&'static Series> {
    let index = CATALOGUE.binary_search_by_key(&number, |series| series.number).ok()?;
    CATALOGUE.get(index)
}

const fn series(
    number: u16,
    name: &'static str,
    unit: &'static str,
    kind: SeriesKind,
    scale: Scale,
    entity: EntityKind,
) -> Series {
    Series { number, name, unit, kind, scale, entity }
}

use EntityKind as E;
use Scale::{Over, Times};
use SeriesKind::{Counter, Gauge, Signed};

/// Every series that this version knows, ascending.
#[rustfmt::skip]
pub const CATALOGUE: &[Series] = &[
    series(1, "clock.realtime_offset_ms", "ms", Signed, Times(1), E::MACHINE),
    series(2, "clock.suspended_ms", "ms", Gauge, Times(1), E::MACHINE),
    series(3, "clock.synced", "bool", Gauge, Times(1), E::MACHINE),
    series(4, "recorder.samples", "samples", Counter, Times(1), E::MACHINE),
    series(5, "recorder.missed_ticks", "ticks", Counter, Times(1), E::MACHINE),
    series(6, "recorder.late_ms", "ms", Gauge, Times(1), E::MACHINE),
    series(7, "recorder.commits", "commits", Counter, Times(1), E::MACHINE),
    series(8, "recorder.commit_last_ms", "ms", Gauge, Times(1), E::MACHINE),
    series(9, "recorder.commit_worst_ms", "ms", Gauge, Times(1), E::MACHINE),
    series(10, "recorder.commit_stuck_ms", "ms", Gauge, Times(1), E::MACHINE),
    series(11, "recorder.commit_errors", "errors", Counter, Times(1), E::MACHINE),
    series(12, "recorder.cpu_ms", "ms", Counter, Times(1), E::MACHINE),
    series(13, "recorder.rss_bytes", "bytes", Gauge, Times(4_096), E::MACHINE),
    series(14, "recorder.minor_faults", "faults", Counter, Times(1), E::MACHINE),
    series(15, "recorder.major_faults", "faults", Counter, Times(1), E::MACHINE),
    series(16, "recorder.written_bytes", "bytes", Counter, Times(4_096), E::MACHINE),
    series(17, "recorder.dropped_samples", "samples", Counter, Times(1), E::MACHINE),
    series(18, "recorder.alert", "grade", Gauge, Times(1), E::MACHINE),
    series(20, "cpu.user", "10 ms", Counter, Times(1), E::MACHINE),
    series(21, "cpu.nice", "10 ms", Counter, Times(1), E::MACHINE),
    series(22, "cpu.system", "10 ms", Counter, Times(1), E::MACHINE),
    series(23, "cpu.idle", "10 ms", Counter, Times(1), E::MACHINE),
    series(24, "cpu.iowait", "10 ms", Counter, Times(1), E::MACHINE),
    series(25, "cpu.irq", "10 ms", Counter, Times(1), E::MACHINE),
    series(26, "cpu.softirq", "10 ms", Counter, Times(1), E::MACHINE),
    series(27, "cpu.steal", "10 ms", Counter, Times(1), E::MACHINE),
    series(28, "cpu.busiest_core", "index", Gauge, Times(1), E::MACHINE),
    series(29, "cpu.busiest_busy", "10 ms", Gauge, Times(1), E::MACHINE),
    series(30, "cpu.cores", "cores", Gauge, Times(1), E::MACHINE),
    series(31, "kernel.context_switches", "switches", Counter, Times(1), E::MACHINE),
    series(32, "kernel.forks", "forks", Counter, Times(1), E::MACHINE),
    series(33, "kernel.procs_running", "tasks", Gauge, Times(1), E::MACHINE),
    series(34, "kernel.procs_blocked", "tasks", Gauge, Times(1), E::MACHINE),
    series(36, "load.1m", "tasks", Gauge, Over(100), E::MACHINE),
    series(37, "load.5m", "tasks", Gauge, Over(100), E::MACHINE),
    series(38, "load.15m", "tasks", Gauge, Over(100), E::MACHINE),
    series(39, "load.tasks", "tasks", Gauge, Times(1), E::MACHINE),
    series(50, "mem.total_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(51, "mem.free_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(52, "mem.available_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(53, "mem.buffers_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(54, "mem.cached_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(55, "mem.swap_cached_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(56, "mem.active_file_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(57, "mem.unevictable_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(58, "mem.swap_total_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(59, "mem.swap_free_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(60, "mem.zswap_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(61, "mem.zswapped_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(62, "mem.dirty_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(63, "mem.writeback_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(64, "mem.anon_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(65, "mem.mapped_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(66, "mem.shmem_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(67, "mem.slab_reclaimable_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(68, "mem.slab_unreclaimable_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(69, "mem.kernel_stack_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(70, "mem.page_tables_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(71, "mem.committed_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(72, "mem.cma_free_bytes", "bytes", Gauge, Times(16_384), E::MACHINE),
    series(100, "vm.page_faults", "faults", Counter, Times(1), E::MACHINE),
    series(101, "vm.major_faults", "faults", Counter, Times(1), E::MACHINE),
    series(102, "vm.swap_in_pages", "pages", Counter, Times(1), E::MACHINE),
    series(103, "vm.swap_out_pages", "pages", Counter, Times(1), E::MACHINE),
    series(104, "vm.scan_kswapd_pages", "pages", Counter, Times(1), E::MACHINE),
    series(105, "vm.scan_direct_pages", "pages", Counter, Times(1), E::MACHINE),
    series(106, "vm.steal_kswapd_pages", "pages", Counter, Times(1), E::MACHINE),
    series(107, "vm.steal_direct_pages", "pages", Counter, Times(1), E::MACHINE),
    series(108, "vm.allocation_stalls", "stalls", Counter, Times(1), E::MACHINE),
    series(109, "vm.oom_kills", "kills", Counter, Times(1), E::MACHINE),
    series(110, "vm.refault_anon_pages", "pages", Counter, Times(1), E::MACHINE),
    series(111, "vm.refault_file_pages", "pages", Counter, Times(1), E::MACHINE),
    series(112, "vm.compact_stalls", "stalls", Counter, Times(1), E::MACHINE),
    series(120, "pressure.cpu.some_ms", "ms", Counter, Times(1), E::MACHINE),
    series(121, "pressure.cpu.full_ms", "ms", Counter, Times(1), E::MACHINE),
    series(122, "pressure.memory.some_ms", "ms", Counter, Times(1), E::MACHINE),
    series(123, "pressure.memory.full_ms", "ms", Counter, Times(1), E::MACHINE),
    series(124, "pressure.io.some_ms", "ms", Counter, Times(1), E::MACHINE),
    series(125, "pressure.io.full_ms", "ms", Counter, Times(1), E::MACHINE),
    series(140, "disk.{}.reads", "requests", Counter, Times(1), E::DISK),
    series(141, "disk.{}.read_bytes", "bytes", Counter, Times(4_096), E::DISK),
    series(142, "disk.{}.read_ms", "ms", Counter, Times(1), E::DISK),
    series(143, "disk.{}.writes", "requests", Counter, Times(1), E::DISK),
    series(144, "disk.{}.write_bytes", "bytes", Counter, Times(4_096), E::DISK),
    series(145, "disk.{}.write_ms", "ms", Counter, Times(1), E::DISK),
    series(146, "disk.{}.in_flight", "requests", Gauge, Times(1), E::DISK),
    series(147, "disk.{}.io_ms", "ms", Counter, Times(1), E::DISK),
    series(148, "disk.{}.flushes", "requests", Counter, Times(1), E::DISK),
    series(149, "disk.{}.flush_ms", "ms", Counter, Times(1), E::DISK),
    series(150, "disk.{}.discard_bytes", "bytes", Counter, Times(4_096), E::DISK),
    series(160, "net.{}.rx_bytes", "bytes", Counter, Times(1_024), E::NET),
    series(161, "net.{}.rx_packets", "packets", Counter, Times(1), E::NET),
    series(162, "net.{}.rx_errors", "packets", Counter, Times(1), E::NET),
    series(163, "net.{}.rx_dropped", "packets", Counter, Times(1), E::NET),
    series(164, "net.{}.tx_bytes", "bytes", Counter, Times(1_024), E::NET),
    series(165, "net.{}.tx_packets", "packets", Counter, Times(1), E::NET),
    series(166, "net.{}.tx_errors", "packets", Counter, Times(1), E::NET),
    series(167, "net.{}.tx_dropped", "packets", Counter, Times(1), E::NET),
    series(200, "process.state", "letter", Gauge, Times(1), E::PROCESS),
    series(201, "process.user", "10 ms", Counter, Times(1), E::PROCESS),
    series(202, "process.system", "10 ms", Counter, Times(1), E::PROCESS),
    series(203, "process.major_faults", "faults", Counter, Times(1), E::PROCESS),
    series(204, "process.threads", "threads", Gauge, Times(1), E::PROCESS),
    series(205, "process.rss_bytes", "bytes", Gauge, Times(16_384), E::PROCESS),
    series(206, "process.swap_bytes", "bytes", Gauge, Times(16_384), E::PROCESS),
    series(207, "process.read_bytes", "bytes", Counter, Times(4_096), E::PROCESS),
    series(208, "process.write_bytes", "bytes", Counter, Times(4_096), E::PROCESS),
    series(209, "process.blkio_delay", "10 ms", Counter, Times(1), E::PROCESS),
    series(220, "unit.user_ms", "ms", Counter, Times(1), E::UNIT),
    series(221, "unit.system_ms", "ms", Counter, Times(1), E::UNIT),
    series(222, "unit.memory_bytes", "bytes", Gauge, Times(16_384), E::UNIT),
    series(223, "unit.anon_bytes", "bytes", Gauge, Times(16_384), E::UNIT),
    series(224, "unit.file_bytes", "bytes", Gauge, Times(16_384), E::UNIT),
    series(225, "unit.major_faults", "faults", Counter, Times(1), E::UNIT),
    series(226, "unit.read_bytes", "bytes", Counter, Times(4_096), E::UNIT),
    series(227, "unit.write_bytes", "bytes", Counter, Times(4_096), E::UNIT),
    series(228, "unit.memory_stall_ms", "ms", Counter, Times(1), E::UNIT),
    series(229, "unit.oom_kills", "kills", Counter, Times(1), E::UNIT),
    series(230, "unit.tasks", "tasks", Gauge, Times(1), E::UNIT),
    series(231, "unit.swap_bytes", "bytes", Gauge, Times(16384), E::UNIT),
    series(240, "log.lines", "lines", Counter, Times(1), E::LOG),
    series(241, "log.errors", "lines", Counter, Times(1), E::LOG),
    series(242, "log.bytes", "bytes", Counter, Times(1_024), E::LOG),
    series(243, "log.suppressed", "lines", Counter, Times(1), E::LOG),
    series(260, "thermal.{}.celsius", "degrees C", Signed, Over(10), E::THERMAL),
    series(261, "core.{}.frequency_mhz", "MHz", Gauge, Times(1), E::CORE),
    series(262, "fs.{}.available_bytes", "bytes", Gauge, Times(16_384), E::FS),
    series(263, "files.open", "files", Gauge, Times(1), E::MACHINE),
    series(264, "sockets.used", "sockets", Gauge, Times(1), E::MACHINE),
    series(265, "tcp.in_use", "sockets", Gauge, Times(1), E::MACHINE),
    series(266, "tcp.orphans", "sockets", Gauge, Times(1), E::MACHINE),
    series(267, "tcp.time_wait", "sockets", Gauge, Times(1), E::MACHINE),
    series(268, "tcp.memory_pages", "pages", Gauge, Times(1), E::MACHINE),
    series(269, "udp.in_use", "sockets", Gauge, Times(1), E::MACHINE),
    series(270, "tcp.retransmits", "segments", Counter, Times(1), E::MACHINE),
    series(271, "swap.{}.used_bytes", "bytes", Gauge, Times(16_384), E::SWAP),
    series(272, "swap.{}.size_bytes", "bytes", Gauge, Times(16_384), E::SWAP),
    series(273, "swap.{}.kind", "code", Gauge, Times(1), E::SWAP),
    series(274, "core.{}.frequency_limit_mhz", "MHz", Gauge, Times(1), E::CORE),
    series(275, "core.{}.throttles", "throttles", Counter, Times(1), E::CORE),
    series(276, "thermal.cooling_level", "level", Gauge, Times(1), E::MACHINE),
    series(277, "power.undervoltage", "bool", Gauge, Times(1), E::MACHINE),
    series(278, "power.throttled_flags", "bits", Gauge, Times(1), E::MACHINE),
    series(279, "power.undervoltage_lines", "lines", Counter, Times(1), E::MACHINE),
    series(280, "fs.{}.size_bytes", "bytes", Gauge, Times(16_384), E::FS),
    series(281, "fs.{}.free_inodes", "inodes", Gauge, Times(1), E::FS),
    series(282, "fs.{}.read_only", "bool", Gauge, Times(1), E::FS),
    series(283, "net.{}.state", "code", Gauge, Times(1), E::NET),
    series(284, "net.{}.carrier", "bool", Gauge, Times(1), E::NET),
    series(285, "net.{}.carrier_changes", "changes", Counter, Times(1), E::NET),
    series(286, "net.{}.signal_dbm", "dBm", Signed, Times(1), E::NET),
    series(287, "net.gateway_state", "code", Gauge, Times(1), E::MACHINE),
    series(288, "files.max", "files", Gauge, Times(1), E::MACHINE),
    series(289, "watchdog.active", "bool", Gauge, Times(1), E::MACHINE),
    series(290, "disk.{}.life_time_a", "tenths", Gauge, Times(1), E::DISK),
    series(291, "disk.{}.life_time_b", "tenths", Gauge, Times(1), E::DISK),
    series(292, "disk.{}.pre_eol", "code", Gauge, Times(1), E::DISK),
    series(293, "recorder.slow_age_s", "s", Gauge, Times(1), E::MACHINE),
    series(294, "processes.total", "processes", Gauge, Times(1), E::MACHINE),
    series(295, "processes.short_lived", "tasks", Counter, Times(1), E::MACHINE),
    series(296, "processes.round_ms", "ms", Gauge, Times(1), E::MACHINE),
    series(297, "recorder.locked_bytes", "bytes", Gauge, Times(4_096), E::MACHINE),
    series(298, "recorder.threads", "threads", Gauge, Times(1), E::MACHINE),
    series(299, "recorder.budget_bytes", "bytes", Gauge, Times(1_024), E::MACHINE),
    series(300, "recorder.log_lines", "lines", Counter, Times(1), E::MACHINE),
    series(301, "recorder.log_lines_unsaid", "lines", Counter, Times(1), E::MACHINE),
    series(302, "recorder.looks_put_off", "looks", Counter, Times(1), E::MACHINE),
    series(303, "recorder.limits", "bits", Gauge, Times(1), E::MACHINE),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// S1, and the binary search of [`find`] relies on it.
    #[test]
    fn numbers_ascend_and_names_are_unique() {
        assert!(CATALOGUE.is_sorted_by(|a, b| a.number < b.number));
        let names: std::collections::BTreeSet<_> = CATALOGUE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        assert_eq!(find(52).unwrap().name, "mem.available_bytes");
        assert!(find(19).is_none());
    }
}
