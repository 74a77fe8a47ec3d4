use super::*;

fn mounts_of(text: &str) -> Vec<MountInfo> {
    text.lines().map(|line| MountInfo::from_line(line).unwrap()).collect()
}

/// A root file system under an overlay in RAM, as Armbian's overlayroot makes it.
const OVERLAYROOT: &str = "\
21 26 0:20 / /proc rw - proc proc rw
26 1 0:25 / / rw,relatime shared:1 - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/w
27 26 250:1 / /media/root-ro ro,relatime - ext4 /dev/mmcblk9p1 ro
28 26 0:24 / /media/root-rw rw,relatime - tmpfs tmpfs-root rw";

#[test]
fn an_overlay_is_as_durable_as_its_upper_layer() {
    const OVERLAYFS: u64 = 0x794c_7630;
    let in_ram = mounts_of(OVERLAYROOT);
    assert_eq!(kind_of(OVERLAYFS, in_ram.get(1), None, &in_ram), Kind::Overlay);
    let on_disk = mounts_of(&OVERLAYROOT.replace("tmpfs tmpfs-root", "ext4 /dev/mmcblk9p2"));
    assert_eq!(kind_of(OVERLAYFS, on_disk.get(1), None, &on_disk), Kind::Other);
    let unseen = mounts_of(&OVERLAYROOT.replace("/media/root-rw ", "/elsewhere "));
    assert_eq!(kind_of(OVERLAYFS, unseen.get(1), None, &unseen), Kind::Overlay);
    assert_eq!(better(&in_ram), None);
}

/// RAM that looks like a disk is RAM: log2ram's zram carries an ext4.
#[test]
fn a_file_system_on_zram_is_ram() {
    assert_eq!(kind_of(0xef53, None, Some("zram1"), &[]), Kind::Zram);
    assert_eq!(kind_of(0xef53, None, Some("mmcblk0p2"), &[]), Kind::Ext4);
    assert_eq!(kind_of(0x0102_1994, None, None, &[]), Kind::Ram);
}

#[test]
fn the_refusal_says_what_to_do() {
    let mut place = inspect(Path::new("/dev/shm/x.frec")).unwrap();
    assert_eq!(place.kind, Kind::Ram);
    place.better = Some("/var/lib/flightrec/recording.frec".into());
    assert_eq!(
        refusal(&place).unwrap(),
        "/dev/shm/x.frec lies in RAM (tmpfs): it would be gone with the power. Choose a path on a \
         card or disk, such as /var/lib/flightrec/recording.frec."
    );
    place.kind = Kind::Ext4;
    assert_eq!(refusal(&place), None);
}

/// A path that does not exist yet is judged by the directory that it would lie in.
#[test]
fn places_to_come_can_be_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let here = inspect(dir.path()).unwrap();
    let there = inspect(&dir.path().join("not/yet/there.frec")).unwrap();
    assert_eq!((there.kind, there.mount_point), (here.kind, here.mount_point));
    assert!(here.free_bytes > 0);
}

#[test]
fn the_disk_of_a_partition_is_found() {
    let sys = tempfile::tempdir().unwrap();
    let partition = sys.path().join("devices/mmcblk0/mmcblk0p2");
    fs::create_dir_all(&partition).unwrap();
    fs::create_dir_all(sys.path().join("dev/block")).unwrap();
    fs::write(partition.join("partition"), "2\n").unwrap();
    for (number, target) in [("179:2", "mmcblk0/mmcblk0p2"), ("179:0", "mmcblk0")] {
        let target = sys.path().join("devices").join(target);
        std::os::unix::fs::symlink(target, sys.path().join("dev/block").join(number)).unwrap();
    }
    let names = |device: &str| (Some(device.to_owned()), Some("mmcblk0".to_owned()));
    assert_eq!(names_of(sys.path(), "179:2"), names("mmcblk0p2"));
    assert_eq!(names_of(sys.path(), "179:0"), names("mmcblk0"));
    assert_eq!(names_of(sys.path(), "0:25"), (None, None));
}

#[test]
fn options_are_in_a_stable_order() {
    let line =
        "26 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw,errors=remount-ro,commit=600";
    let mounts = mounts_of(line);
    assert_eq!(options_of(&mounts[0]), "noatime,rw,commit=600,errors=remount-ro");
}

#[test]
fn device_numbers_come_apart() {
    let number = fs::metadata("/dev/null").unwrap().rdev();
    assert_eq!((major(number), minor(number)), (1, 3));
}
