use super::*;
use crate::sources::testing::{entity_reading, layout, put, read, seated, survives_noise, tree};

const FIELDS_17: &str = "   27111     9839 11365170    40525     3830    14266  3061576 \
    6437        1     9732    47412     4665       31   362360      446       74        3\n";

/// The first `count` fields of a line.
fn fields_of(count: usize) -> String {
    let fields: Vec<_> = FIELDS_17.split_ascii_whitespace().take(count).collect();
    fields.join(" ") + "\n"
}

fn readings(sample: &Sample, name: &str) -> Vec<Option<u64>> {
    (140..=150).map(|series| entity_reading(sample, name, series)).collect()
}

/// Linux 4.14 tells 11 fields, 4.18 adds discards, 5.5 adds flushes: what is not told is absent.
#[test]
fn old_kernels_tell_less() {
    let tree = tree(&[
        ("block/mmcblk0/stat", &fields_of(17)),
        ("block/sda/stat", &fields_of(15)),
        ("block/nvme0n1/stat", &fields_of(11)),
        ("block/mmcblk0/size", "62333952\n"),
        ("block/sda/size", "100\n"),
        ("block/nvme0n1/size", "100\n"),
    ]);
    let sample = read(&mut Disk::new(&layout(), tree.path()).0);
    let mut expected =
        [27111, 11_365_170 / 8, 40525, 3830, 3_061_576 / 8, 6437, 1, 9732, 74, 3, 45295].map(Some);
    assert_eq!(readings(&sample, "mmcblk0"), expected);
    expected[8..10].fill(None);
    assert_eq!(readings(&sample, "sda"), expected);
    expected[10] = None;
    assert_eq!(readings(&sample, "nvme0n1"), expected);
}

/// Loops, memory, boot partitions and empty card readers are no disks.
#[test]
fn what_is_no_disk_is_left_out() {
    let names = ["loop0", "ram1", "zram0", "mmcblk1boot0", "sdb", "sdc"];
    let tree = tree(&[]);
    for name in names {
        put(tree.path(), &format!("block/{name}/stat"), FIELDS_17.as_bytes());
        let size = if name == "sdb" { "0\n" } else { "8192\n" };
        put(tree.path(), &format!("block/{name}/size"), size.as_bytes());
    }
    let sample = read(&mut Disk::new(&layout(), tree.path()).0);
    assert_eq!(seated(&sample), ["sdc"]);
}

/// A disk that is plugged in is found when somebody looks; one whose file fails leaves its seat,
/// and its place is free for the next one.
#[test]
fn disks_come_and_go() {
    let tree = tree(&[("block/sda/stat", FIELDS_17), ("block/sda/size", "8192\n")]);
    let (mut disk, mut discovery) = Disk::new(&layout(), tree.path());
    let mut sample = Sample::new(&layout());
    disk.read(&mut sample).unwrap();
    assert_eq!(seated(&sample), ["sda"]);

    put(tree.path(), "block/sdb/stat", FIELDS_17.as_bytes());
    put(tree.path(), "block/sdb/size", b"8192\n");
    disk.read(&mut sample).unwrap();
    assert_eq!(seated(&sample), ["sda"]);
    discovery.look();
    disk.read(&mut sample).unwrap();
    assert_eq!(seated(&sample), ["sda", "sdb"]);

    // A directory cannot be read: the nearest thing here to a disk that was pulled out.
    disk.seats[0].seat.files = Some(ProcFile::open(tree.path()));
    std::fs::remove_dir_all(tree.path().join("block/sda")).unwrap();
    sample.clear();
    disk.read(&mut sample).unwrap();
    assert_eq!(seated(&sample), ["sdb"]);
    assert!(readings(&sample, "sdb").iter().all(Option::is_some));

    put(tree.path(), "block/sdc/stat", FIELDS_17.as_bytes());
    put(tree.path(), "block/sdc/size", b"8192\n");
    for _ in 0..2 {
        disk.read(&mut sample).unwrap();
        discovery.look();
    }
    disk.read(&mut sample).unwrap();
    assert_eq!(seated(&sample), ["sdc", "sdb"]);
}

/// While the slow thread is at the mailbox the sampler reads on.
#[test]
fn the_sampler_never_waits() {
    let tree = tree(&[("block/sda/stat", FIELDS_17), ("block/sda/size", "8192\n")]);
    let (mut disk, _discovery) = Disk::new(&layout(), tree.path());
    read(&mut disk);
    let mailbox = Arc::clone(&disk.mailbox);
    let _held = mailbox.try_open().unwrap();
    let mut sample = Sample::new(&layout());
    disk.read(&mut sample).unwrap();
    let first = layout().slots()[1].first_column;
    assert_eq!(sample.get(first), Some(27111));
}

/// procfs reads the same out of the same bytes, of every length that kernels write.
#[test]
fn procfs_agrees() {
    for count in [11, 15, 17] {
        let text = fields_of(count);
        let tree = tree(&[("block/vda/stat", &text), ("block/vda/size", "8192\n")]);
        let sample = read(&mut Disk::new(&layout(), tree.path()).0);
        let oracle = procfs::DiskStat::from_line(&format!("254 0 vda {text}")).unwrap();
        let expected = [
            Some(oracle.reads),
            Some(oracle.sectors_read / 8),
            Some(oracle.time_reading),
            Some(oracle.writes),
            Some(oracle.sectors_written / 8),
            Some(oracle.time_writing),
            Some(oracle.in_progress),
            Some(oracle.time_in_progress),
            oracle.flushes,
            oracle.time_flushing,
            oracle.sectors_discarded.map(|sectors| sectors / 8),
        ];
        assert_eq!(readings(&sample, "vda"), expected, "{count} fields");
    }
}

#[test]
fn noise_does_no_harm() {
    survives_noise(FIELDS_17, "block/sda/stat", |root| {
        put(root, "block/sda/size", b"8192\n");
        Box::new(Disk::new(&layout(), root).0)
    });
}
