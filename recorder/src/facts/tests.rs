use super::*;
use crate::place::Kind;

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn place() -> Place {
    Place {
        path: "/var/lib/flightrec/recording.frec".into(),
        kind: Kind::Ext4,
        file_system: "ext4".into(),
        mount_point: "/".into(),
        options: "noatime,rw,commit=600".into(),
        device: Some("mmcblk1p1".into()),
        disk: Some("mmcblk1".into()),
        free_bytes: 1 << 30,
        commit_s: Some(600),
        has_journal: None,
        better: None,
    }
}

/// A board as its files show it: every name of spec 6.4 that a recorder can fill is filled.
#[test]
fn a_board_is_described() {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("proc/sys/kernel/hostname", "orangepi4\n"),
        ("proc/sys/kernel/osrelease", "6.6.62-current-rockchip64\n"),
        ("proc/cmdline", "root=UUID=1 rootwait console=ttyS2\n"),
        ("proc/device-tree/model", "OrangePi 4\0"),
        ("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 48\n\nprocessor\t: 1\nBogoMIPS\t: 48\n\n"),
        (
            "proc/swaps",
            "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1970000 512 5\n",
        ),
        ("etc/timezone", "Europe/Berlin\n"),
        ("sys/block/mmcblk1/device/type", "SD\n"),
        ("sys/block/mmcblk1/device/name", "SC32G\n"),
        ("sys/block/mmcblk1/device/manfid", "0x000003\n"),
        ("sys/block/mmcblk1/device/preferred_erase_size", "4194304\n"),
        ("sys/block/mmcblk1/device/life_time", "0x01 0x02\n"),
        ("sys/block/mmcblk1/device/pre_eol_info", "0x01\n"),
        ("sys/block/mmcblk1/queue/scheduler", "[none] mq-deadline kyber\n"),
        ("sys/block/zram0/disksize", "2017460224\n"),
        ("sys/block/zram0/comp_algorithm", "lzo [lzo-rle] lz4 zstd\n"),
        ("sys/block/zram0/mm_stat", "4096 74 12288 1008730112 12288 0 0 0 0\n"),
        ("sys/block/zram0/backing_dev", "none\n"),
        ("sys/block/zram1/disksize", "0\n"),
        ("sys/class/watchdog/watchdog0/state", "active\n"),
        ("sys/class/watchdog/watchdog0/identity", "Broadcom BCM2835 Watchdog timer\n"),
        ("sys/class/watchdog/watchdog0/timeout", "15\n"),
        ("sys/class/watchdog/watchdog0/bootstatus", "48\n"),
        ("sys/class/thermal/thermal_zone0/temp", "41000\n"),
        ("etc/default/armbian-ramlog", "ENABLED=true\nSIZE=50M\n"),
        ("etc/log2ram.conf", "SIZE=128M\n"),
        ("sys/fs/cgroup/system.slice/cgroup.subtree_control", "memory pids\n"),
        ("proc/1/stat", "1 (systemd) S 0\n"),
        (
            "proc/self/mountinfo",
            "27 1 179:1 / / rw,noatime - ext4 /dev/mmcblk1p1 rw,errors=remount-ro,commit=600\n\
             30 27 179:1 /srv /again rw - ext4 /dev/mmcblk1p1 rw,commit=600\n\
             31 27 179:2 / /boot rw - vfat /dev/mmcblk1p2 rw\n\
             32 27 0:20 / /proc rw - proc proc rw\nodd line\n",
        ),
    ] {
        put(root.path(), path, text.as_bytes());
    }
    let facts = gather(&Config::default(), &place(), 0, root.path());
    for (name, value) in [
        ("hostname", "orangepi4"),
        ("board", "OrangePi 4"),
        ("zone", "Europe/Berlin"),
        ("storage", "mmcblk1p1 SD SC32G 0x000003"),
        ("mount", "/ noatime,rw,commit=600"),
        ("commit_s", "600"),
        ("swap", "/dev/zram0 partition 1970000 kB priority 5"),
        ("cmdline", "root=UUID=1 rootwait console=ttyS2"),
        ("mounts", "/ ext4 commit=600; /boot vfat"),
        ("units", "cgroup v2: memory pids; sums over processes: io"),
        ("scheduler", "none"),
        ("erase_bytes", "4194304"),
        ("wear", "life time 0x01 0x02, reserve 0x01"),
        ("zram", "zram0 2017460224 lzo-rle limit 1008730112"),
        ("ramlog", "armbian-ramlog, log2ram"),
        ("watchdog", "active, Broadcom BCM2835 Watchdog timer, timeout 15 s"),
        ("reset", "power bad, watchdog"),
        (
            "absent",
            "pressure, memory controller, frequency, undervoltage, journal, bytes of processes, \
             kernel lines, pstore",
        ),
    ] {
        assert_eq!(facts.get(name), Some(value), "{name}");
    }
    assert!(facts.get("kernel").unwrap().starts_with("6.6.62-current-rockchip64 "));
    assert!(facts.get("program").unwrap().starts_with("flightrecd "));
    assert_eq!((facts.version, facts.core_count), (1, 2));
}

#[test]
fn it_is_told_what_the_readings_of_units_are() {
    let root = tempfile::tempdir().unwrap();
    let told = || Hardware { root: root.path(), disk: None }.units();
    assert_eq!(told(), "sums over processes (no cgroup v2)");
    put(root.path(), "sys/fs/cgroup/cgroup.controllers", b"cpu io\n");
    let nothing_on = "cgroup v2: no controllers on; sums over processes: memory io pids";
    assert_eq!(told(), nothing_on);
    put(root.path(), "sys/fs/cgroup/cgroup.subtree_control", b"cpu io pids\n");
    assert_eq!(told(), "cgroup v2: cpu io pids; sums over processes: memory");
    put(root.path(), "sys/fs/cgroup/system.slice/cgroup.subtree_control", b"memory io pids\n");
    assert_eq!(told(), "cgroup v2: memory io pids");
}

/// The link is what the system goes by.
#[test]
fn the_zone_comes_from_the_link_first() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "etc/timezone", b"Etc/UTC\n");
    let target = "/usr/share/zoneinfo/America/Argentina/Salta";
    std::os::unix::fs::symlink(target, root.path().join("etc/localtime")).unwrap();
    let world = World { root: root.path() };
    assert_eq!(world.zone().as_deref(), Some("America/Argentina/Salta"));
}

/// A bare machine has few facts, and that is no trouble.
#[test]
fn what_is_not_there_is_not_told() {
    let root = tempfile::tempdir().unwrap();
    let mut place = place();
    (place.disk, place.commit_s) = (None, None);
    let facts = gather(&Config::default(), &place, 0, root.path());
    for name in ["hostname", "kernel", "board", "zone", "storage", "commit_s", "swap", "cmdline"] {
        assert_eq!(facts.get(name), None, "{name}");
    }
    assert_eq!(facts.identity, [0; 16]);
}

/// The bytes under the hash are those of spec 6.4; computed apart from this code.
#[test]
fn the_identity_is_that_of_the_spec() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "etc/machine-id", b"0123456789abcdef0123456789abcdef\n");
    let without_serial = identity(root.path());
    put(root.path(), "proc/device-tree/serial-number", b"00000000deadbeef\0");
    let hex = |bytes: [u8; 16]| {
        bytes
            .iter()
            .flat_map(|b| [b >> 4, b & 15])
            .map(|n| char::from_digit(n.into(), 16).unwrap())
            .collect::<String>()
    };
    assert_eq!(hex(without_serial), "6a22d29bec299ff97d77c6ce4cbe78ee");
    assert_eq!(hex(identity(root.path())), "f74c813a9f7bb8c6ba8ac2b51e62f8bb");
    put(root.path(), "etc/machine-id", b"uninitialized\n");
    assert_ne!(identity(root.path()), [0; 16]);
}

/// Whatever a machine says about itself, the record fits, and what was cut shows it. The short
/// facts stay whole.
#[test]
fn the_longest_values_are_cut_first() {
    let mut facts = gather(&Config::default(), &place(), 0, Path::new("/"));
    facts.facts.push(("cmdline".into(), "ä=1 ".repeat(1500)));
    facts.facts.push(("swap".into(), "/dev/zram0 ".repeat(300)));
    trim(&mut facts);
    let mut out = [0; FACTS_LEN_MAX];
    let len = facts.write(&mut out).unwrap();
    assert!(len > FACTS_LEN_MAX * 3 / 4, "{len}");
    assert!(facts.facts.last().unwrap().1.ends_with(ELLIPSIS));
    assert_eq!(facts.get("mount"), Some("/ noatime,rw,commit=600"));

    let whole = facts.clone();
    trim(&mut facts);
    assert_eq!(facts, whole);

    facts.facts = vec![("missing".into(), "x".into()); 1000];
    trim(&mut facts);
    assert!(facts.write(&mut out).is_some());
}

/// Without the number that root alone may read it would be another machine.
#[test]
fn a_machine_whose_number_is_refused_is_nobody() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "etc/machine-id", b"0123456789abcdef0123456789abcdef\n");
    assert_ne!(identity(root.path()), [0; 16]);
    let serial = root.path().join(SERIALS[1]);
    put(root.path(), SERIALS[1], b"S7\n");
    fs::set_permissions(&serial, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&serial).is_ok() {
        return println!("skipped: nothing is refused to root");
    }
    assert_eq!(identity(root.path()), [0; 16]);
}
