//! Boards as they show themselves, and boards that lie.

use std::path::Path;

use super::super::testing::{entity_reading, layout, put, reading, seated, tree};
use super::super::{Net, Source};
use super::*;
use crate::sample::Sample;
use crate::sources::sheet::Look;

const STALE: u32 = 30;

/// What the sampler gets of a look that went on for one round.
fn after(look: &mut dyn Look, posted: &mut [&mut dyn Source]) -> Sample {
    look.look();
    let mut sample = Sample::new(&layout());
    for source in posted {
        source.read(&mut sample).unwrap();
    }
    sample
}

/// A Raspberry Pi 4, an x86 box and an Orange Pi in one: names are those of their kernels.
fn board() -> tempfile::TempDir {
    tree(&[
        ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("class/thermal/thermal_zone0/temp", "51121\n"),
        ("class/thermal/thermal_zone1/type", "acpitz\n"),
        ("class/thermal/thermal_zone1/temp", "-2500\n"),
        ("class/thermal/thermal_zone2/type", "acpitz\n"),
        ("class/thermal/thermal_zone2/temp", "999999999\n"),
        ("class/thermal/cooling_device0/type", "thermal-cpufreq-0\n"),
        ("class/thermal/cooling_device0/cur_state", "3\n"),
        ("class/thermal/cooling_device1/type", "pwm-fan\n"),
        ("class/thermal/cooling_device1/cur_state", "9\n"),
        ("class/hwmon/hwmon0/name", "cpu_thermal\n"),
        ("class/hwmon/hwmon0/temp1_input", "51121\n"),
        ("class/hwmon/hwmon1/name", "nvme\n"),
        ("class/hwmon/hwmon1/temp1_input", "38850\n"),
        ("class/hwmon/hwmon1/temp1_label", "Composite\n"),
        ("class/hwmon/hwmon2/name", "rpi_volt\n"),
        ("class/hwmon/hwmon2/in0_lcrit_alarm", "1\n"),
        ("class/watchdog/watchdog0/state", "active\n"),
        ("devices/platform/soc/soc:firmware/get_throttled", "50005\n"),
        ("devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "600000\n"),
        ("devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1500000\n"),
        ("devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "1416000\n"),
        ("devices/system/cpu/cpufreq/policy4/scaling_max_freq", "2016000\n"),
        ("devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "12\n"),
        ("block/mmcblk2/device/life_time", "0x01 0x02\n"),
        ("block/mmcblk2/device/pre_eol_info", "0x01\n"),
    ])
}

#[test]
fn heat_is_told_once_for_each_sensor_and_broken_ones_are_not_believed() {
    let board = board();
    let (mut look, [mut heat, mut cooling]) = thermal::Thermal::new(&layout(), board.path(), STALE);
    let sample = after(&mut look, &mut [&mut heat, &mut cooling]);
    assert_eq!(seated(&sample), ["cpu-thermal", "acpitz", "acpitz 2", "nvme Composite"]);
    assert_eq!(entity_reading(&sample, "cpu-thermal", 260), Some(511));
    assert_eq!(entity_reading(&sample, "acpitz", 260), Some((-25_i64).cast_unsigned()));
    assert_eq!(entity_reading(&sample, "acpitz 2", 260), None);
    assert_eq!(entity_reading(&sample, "nvme Composite", 260), Some(388));
    assert_eq!(reading(&sample, 276), Some(3), "a fan does not slow the processor down");
}

/// We start before most drivers do.
#[test]
fn a_sensor_that_comes_later_is_found() {
    let board = tree(&[]);
    let (mut look, [mut heat, _]) = thermal::Thermal::new(&layout(), board.path(), STALE);
    assert!(seated(&after(&mut look, &mut [&mut heat])).is_empty());
    put(board.path(), "class/hwmon/hwmon0/name", b"jc42\n");
    put(board.path(), "class/hwmon/hwmon0/temp1_input", b"40000\n");
    assert_eq!(seated(&after(&mut look, &mut [&mut heat])), ["jc42 temp1"]);
}

#[test]
fn frequency_power_and_wear_are_read() {
    let board = board();
    let (mut look, mut posted) = frequency::Frequency::new(&layout(), board.path(), STALE);
    let sample = after(&mut look, &mut [&mut posted]);
    let core = |name| [261, 274, 275].map(|series| entity_reading(&sample, name, series));
    assert_eq!(core("0"), [Some(600), Some(1500), Some(12)]);
    assert_eq!(core("4"), [Some(1416), Some(2016), None]);

    let (mut look, mut posted) = power::Power::new(&layout(), board.path(), STALE);
    let sample = after(&mut look, &mut [&mut posted]);
    let told = [277, 278, 289].map(|series| reading(&sample, series));
    assert_eq!(told, [Some(1), Some(0x50005), Some(1)]);

    let (mut look, mut posted) = storage::Storage::new(&layout(), board.path(), STALE);
    look.look();
    let mut sample = Sample::new(&layout());
    let slot = layout().slots_of(flightrec_format::entity::EntityKind::DISK).start;
    sample.seat(slot, Some(crate::sample::Occupant::named(b"mmcblk2")));
    posted.read(&mut sample).unwrap();
    let told = [290, 291, 292].map(|series| entity_reading(&sample, "mmcblk2", series));
    assert_eq!(told, [Some(1), Some(2), Some(1)]);
}

/// Not measurable here is something else than 0.
#[test]
fn a_board_without_sensors_has_no_readings() {
    let board = tree(&[]);
    let root = board.path();
    let (mut thermal, [mut heat, mut cooling]) = thermal::Thermal::new(&layout(), root, STALE);
    let sample = after(&mut thermal, &mut [&mut heat, &mut cooling]);
    assert!(seated(&sample).is_empty());
    assert_eq!(reading(&sample, 276), None);
    let (mut look, mut posted) = power::Power::new(&layout(), root, STALE);
    let sample = after(&mut look, &mut [&mut posted]);
    assert_eq!([277, 278, 289].map(|series| reading(&sample, series)), [None; 3]);
}

const NET_DEV: &str = "Inter-|\n face |\n  eth0: 1 2 0 0 0 0 0 0 9 8 0 0 0 0 0 0\n \
     wlan0: 1 2 0 0 0 0 0 0 9 8 0 0 0 0 0 0\n";

fn network() -> tempfile::TempDir {
    tree(&[
        ("net/dev", NET_DEV),
        ("net/wireless", "Inter-| sta-|\n face | tus |\n wlan0: 0000   54.  -56.  -256        0\n"),
        (
            "net/route",
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
             eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\n\
             eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\n",
        ),
        (
            "net/arp",
            "IP address       HW type     Flags       HW address            Mask     Device\n\
             192.168.1.10     0x1         0x2         00:11:22:33:44:55     *        eth0\n\
             192.168.1.1      0x1         0x0         00:00:00:00:00:00     *        eth0\n",
        ),
        ("class/net/lo/operstate", "unknown\n"),
        ("class/net/eth0/operstate", "up\n"),
        ("class/net/eth0/carrier", "1\n"),
        ("class/net/eth0/carrier_changes", "7\n"),
        ("class/net/wlan0/operstate", "dormant\n"),
    ])
}

/// The machine of many reports: the box lived, and nobody could reach it.
#[test]
fn links_signal_and_a_gateway_that_does_not_answer_are_told() {
    let tree = network();
    let (mut look, [mut links, mut gateway]) =
        links::Links::new(&layout(), tree.path(), tree.path(), STALE);
    let mut net = Net::new(&layout(), tree.path());
    let sample = after(&mut look, &mut [&mut net, &mut links, &mut gateway]);
    let told = |name| [160, 283, 284, 285, 286].map(|s| entity_reading(&sample, name, s));
    assert_eq!(told("eth0"), [Some(0), Some(6), Some(1), Some(7), None]);
    let level = Some((-56_i64).cast_unsigned());
    assert_eq!(told("wlan0"), [Some(0), Some(5), None, None, level]);
    #[cfg(target_endian = "little")]
    assert_eq!(reading(&sample, 287), Some(1));
    put(tree.path(), "net/arp", b"IP address\n192.168.1.1 0x1 0x2 00:11:22:33:44:55 * eth0\n");
    assert_eq!(reading(&after(&mut look, &mut [&mut gateway]), 287), Some(2));
    put(tree.path(), "net/arp", b"IP address\n");
    assert_eq!(reading(&after(&mut look, &mut [&mut gateway]), 287), Some(0));
    put(tree.path(), "net/route", b"Iface\n");
    assert_eq!(reading(&after(&mut look, &mut [&mut gateway]), 287), None);
}

/// Whatever stands in the files, a look ends without a panic.
#[test]
fn noise_is_survived() {
    let mut state = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(5_u64);
    println!("SEED={state}");
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap()
    };
    let (board, net) = (board(), network());
    let (proc_root, sys) = (net.path().to_owned(), board.path().to_owned());
    let files = files_below(&proc_root).into_iter().chain(files_below(&sys)).collect::<Vec<_>>();
    for round in 0..300 {
        let path = &files[random() % files.len()];
        let mut bytes = std::fs::read(path).unwrap();
        for _ in 0..=random() % 4 {
            let at = random() % (bytes.len() + 1);
            let byte = u8::try_from(random() % 256).unwrap();
            match random() % 3 {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                _ => bytes.splice(at..at, *b"-99999999999999999999").for_each(drop),
            }
        }
        std::fs::write(path, bytes).unwrap();
        if round % 10 == 0 {
            look_at_all(&proc_root, &sys);
        }
    }
}

fn look_at_all(proc_root: &Path, sys: &Path) {
    let layout = layout();
    let (mut links, posted) = links::Links::new(&layout, proc_root, sys, STALE);
    let (mut thermal, heat) = thermal::Thermal::new(&layout, sys, STALE);
    let (mut frequency, mhz) = frequency::Frequency::new(&layout, sys, STALE);
    let (mut power, volts) = power::Power::new(&layout, sys, STALE);
    let (mut storage, wear) = storage::Storage::new(&layout, sys, STALE);
    let looks: [&mut dyn Look; 5] =
        [&mut links, &mut thermal, &mut frequency, &mut power, &mut storage];
    looks.into_iter().for_each(Look::look);
    let mut sample = Sample::new(&layout);
    for mut source in posted.into_iter().chain(heat).chain([mhz, volts, wear]) {
        source.read(&mut sample).unwrap();
    }
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    let below = |path: PathBuf| {
        if path.is_dir() { files_below(&path) } else { vec![path] }
    };
    entries.into_iter().flat_map(below).collect()
}

/// The real file systems of this machine, by a table of ours: each once, none from elsewhere.
#[test]
fn file_systems_of_this_machine_are_asked_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let blank = folder.path().join("a b");
    std::fs::create_dir(&blank).unwrap();
    let shown = blank.to_str().unwrap().replace(' ', "\\040");
    let table = format!(
        "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
         28 27 254:0 / /again rw - ext4 /dev/vda rw\n\
         29 27 254:7 / {shown} ro - vfat /dev/vdb ro\n\
         30 27 0:55 / /nfs rw - nfs4 server:/ rw\n\
         31 27 0:56 / /sshfs rw - fuse.sshfs server:/ rw\n\
         32 27 0:57 / /run rw - tmpfs tmpfs rw\n\
         33 27 0:58 / /dev/shm rw - tmpfs tmpfs rw\n\
         34 27 254:8 / /is/not/there rw - ext4 /dev/vdc rw\n\
         odd line\n36 27\n"
    );
    let tree = tree(&[("self/mountinfo", &table)]);
    let (mut look, mut posted) = mounts::Mounts::new(&layout(), tree.path(), STALE);
    let sample = after(&mut look, &mut [&mut posted]);
    let blank = &blank.to_str().unwrap()[..blank.to_str().unwrap().len().min(31)];
    assert_eq!(seated(&sample), ["/", blank, "/run"]);
    let [available, size, inodes, read_only] =
        [262, 280, 281, 282].map(|series| entity_reading(&sample, "/", series));
    assert!(available.unwrap() <= size.unwrap() && size.unwrap() > 0);
    assert!(inodes.is_none_or(|inodes| inodes > 0));
    assert_eq!(read_only, Some(0));
}
