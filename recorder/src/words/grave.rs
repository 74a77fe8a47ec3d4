//! Grave messages of the kernel: those that say why a machine dies.
//!
//! One table, in the words of the kernel. The first row that fits gives the class.

use memchr::memmem;

/// All of `parts` must stand in the text, in this order.
struct Row {
    class: &'static str,
    parts: &'static [&'static str],
}

const fn row(class: &'static str, parts: &'static [&'static str]) -> Row {
    Row { class, parts }
}

const ROWS: &[Row] = &[
    row("panic", &["Kernel panic"]),
    row("oops", &["Oops"]),
    row("oops", &["BUG: "]),
    row("oops", &["kernel BUG at"]),
    row("oops", &["Unable to handle kernel"]),
    row("oops", &["Internal error:"]),
    row("oops", &["general protection fault"]),
    row("lockup", &["soft lockup"]),
    row("lockup", &["hard LOCKUP"]),
    row("hung task", &["blocked for more than"]),
    row("rcu stall", &["rcu", "stall"]),
    row("out of memory", &["Out of memory"]),
    row("out of memory", &["Memory cgroup out of memory"]),
    row("out of memory", &["invoked oom-killer"]),
    row("out of memory", &["page allocation failure"]),
    row("swap", &["-error on swap-device"]),
    row("read-only", &["Remounting filesystem read-only"]),
    row("read-only", &["remounted read-only"]),
    row("read-only", &["forced readonly"]),
    row("read-only", &["set read-only"]),
    row("file system", &["EXT4-fs error"]),
    row("file system", &["EXT4-fs (", "error"]),
    row("file system", &["JBD2: ", "rror"]),
    row("file system", &["Aborting journal"]),
    row("file system", &["BTRFS", "rror"]),
    row("file system", &["F2FS-fs", "rror"]),
    row("file system", &["F2FS-fs", "orruption"]),
    row("file system", &["XFS (", "rror"]),
    row("file system", &["XFS (", "orruption"]),
    row("file system", &["FAT-fs", "error"]),
    row("file system", &["SQUASHFS error"]),
    row("mmc", &["mmc", "error"]),
    row("mmc", &["mmc", "timed out"]),
    row("mmc", &["mmc", "imeout"]),
    row("mmc", &["mmc", "never left busy"]),
    row("mmc", &["mmc", "stuck"]),
    row("mmc", &["mmc", "tuning", "failed"]),
    row("nvme", &["nvme", "timeout"]),
    row("nvme", &["nvme", "controller is down"]),
    row("nvme", &["nvme", "not ready"]),
    row("nvme", &["nvme", "error"]),
    row("ata", &["ata", "failed command"]),
    row("ata", &["ata", "exception Emask"]),
    row("ata", &["ata", "hard resetting link"]),
    row("ata", &["ata", "COMRESET failed"]),
    row("disk", &["I/O error"]),
    row("disk", &["lost async page write"]),
    row("disk", &["critical medium error"]),
    row("disk", &["critical target error"]),
    row("disk", &["sd ", "FAILED Result"]),
    row("usb", &["xhci", "died"]),
    row("usb", &["xhci", "not responding"]),
    row("usb", &["xhci", "ERROR"]),
    row("usb", &["uas_eh_"]),
    row("usb", &["usb ", "device descriptor read", "error"]),
    row("usb", &["usb ", "device not accepting address"]),
    row("usb", &["usb ", "over-current"]),
    row("usb", &["usb ", "reset ", "-speed USB device"]),
    row("usb", &["usb ", "reset SuperSpeed"]),
    row("under-voltage", &["ndervoltage detected"]),
    row("under-voltage", &["nder-voltage detected"]),
    row("thermal", &["critical temperature"]),
    row("thermal", &["temperature above threshold"]),
    row("thermal", &["hermal", "shutting down"]),
    row("network", &["NETDEV WATCHDOG"]),
    row("network", &["transmit queue", "timed out"]),
    row("hardware", &["Hardware Error"]),
    row("hardware", &["EDAC", "UE "]),
];

/// The class of a kernel message, if it is grave.
#[must_use]
pub fn class(text: &[u8]) -> Option<&'static str> {
    let fits = |row: &&Row| {
        let mut rest = text;
        row.parts.iter().all(|part| match memmem::find(rest, part.as_bytes()) {
            Some(at) => {
                rest = rest.get(at + part.len()..).unwrap_or_default();
                true
            }
            None => false,
        })
    };
    ROWS.iter().find(fits).map(|row| row.class)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kernels say it, from reports of boards that died.
    #[test]
    fn grave_messages_have_their_class_and_others_have_none() {
        for (text, wanted) in [
            ("mmc1: error -110 whilst initialising SD card", Some("mmc")),
            ("mmc0: Timeout waiting for hardware interrupt.", Some("mmc")),
            ("mmcblk0: timed out sending r/w cmd command, card status 0x900", Some("mmc")),
            ("mmcblk1: error -110 transferring data, sector 2048", Some("mmc")),
            ("blk_update_request: I/O error, dev mmcblk0, sector 1234", Some("disk")),
            ("I/O error, dev sda, sector 0 op 0x0:(READ) flags 0x0", Some("disk")),
            ("Buffer I/O error on dev sda1, logical block 0, lost async page write", Some("disk")),
            ("EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455", Some("file system")),
            ("EXT4-fs (mmcblk0p2): Remounting filesystem read-only", Some("read-only")),
            ("Aborting journal on device mmcblk0p2-8.", Some("file system")),
            ("INFO: task jbd2/sda1-8:99 blocked for more than 122 seconds.", Some("hung task")),
            ("rcu: INFO: rcu_sched self-detected stall on CPU", Some("rcu stall")),
            ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s!", Some("oops")),
            ("vector invoked oom-killer: gfp_mask=0x140cca", Some("out of memory")),
            ("Out of memory: Killed process 812 (vector)", Some("out of memory")),
            ("hwmon hwmon1: Undervoltage detected!", Some("under-voltage")),
            ("Under-voltage detected! (0x00050005)", Some("under-voltage")),
            ("thermal thermal_zone0: cpu: critical temperature reached", Some("thermal")),
            ("NETDEV WATCHDOG: eth0 (bcmgenet): transmit queue 0 timed out", Some("network")),
            ("xhci_hcd 0000:01:00.0: HC died; cleaning up", Some("usb")),
            ("usb 1-1.2: device descriptor read/64, error -71", Some("usb")),
            ("usb 2-1: reset SuperSpeed USB device number 2", Some("usb")),
            ("ata1.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen", Some("ata")),
            ("nvme nvme0: I/O 17 QID 2 timeout, aborting", Some("nvme")),
            ("Kernel panic - not syncing: Attempted to kill init!", Some("panic")),
            ("usb 1-1: new high-speed USB device number 5 using xhci_hcd", None),
            ("EXT4-fs (mmcblk0p2): mounted filesystem with ordered data mode", None),
            ("eth0: Link is Up - 1Gbps/Full", None),
            ("mmc0: new high speed SDHC card at address 0001", None),
            ("", None),
        ] {
            assert_eq!(class(text.as_bytes()), wanted, "{text}");
        }
    }
}
