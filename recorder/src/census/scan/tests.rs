//! On folders like `/proc` that the tests make, and on the real one.

use std::process::{Child, Command};

use super::*;
use crate::report;

/// One process of a made folder: unit, start, time used, memory in pages, bytes written.
fn put(root: &Path, pid: u32, unit: &str, [start, ticks, pages, written]: [u64; 4]) {
    let folder = root.join(pid.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let zeros = "0 ".repeat(6);
    let stat = format!(
        "{pid} (p{pid}) S 1 0 0 0 0 0 0 0 0 0 {ticks} 0 {zeros}{start} 0 {pages} 0 0 0 0 0 0\n"
    );
    std::fs::write(folder.join("stat"), stat).unwrap();
    std::fs::write(folder.join("cgroup"), format!("0::/system.slice/{unit}\n")).unwrap();
    let io = format!("read_bytes: 0\nwrite_bytes: {written}\n");
    std::fs::write(folder.join("io"), io).unwrap();
}

fn scan(root: &Path) -> Scan {
    Scan::new(root, report::channel().0)
}

#[test]
fn every_process_is_looked_at_within_one_round_and_its_pace_is_known_in_the_second() {
    let tree = tempfile::tempdir().unwrap();
    let count = u32::try_from(SLICE).unwrap() * 3 + 7;
    for pid in 11..=count + 10 {
        put(tree.path(), pid, "a.service", [100, 0, 10, 0]);
    }
    let mut scan = scan(tree.path());
    let looks = usize::try_from(count).unwrap().div_ceil(SLICE);
    for second in 0..looks {
        scan.look(u64::try_from(second + 10).unwrap() * 1_000_000_000);
    }
    assert_eq!(scan.table().iter().count(), usize::try_from(count).unwrap());
    put(tree.path(), 77, "a.service", [100, 500, 10, 4096 * 1000]);
    for second in 0..looks {
        scan.look(u64::try_from(second + 20).unwrap() * 1_000_000_000);
    }
    let busy = scan.table().get(77).unwrap();
    assert!(busy.cpu_permille > 300 && busy.write_kib_s > 200, "{busy:?}");
    let unit = scan.register().iter().next().unwrap().1;
    assert_eq!((unit.now.processes, unit.user_ticks), (u64::from(count), 500));
    let [total, _, round_ms] = scan.totals();
    assert_eq!(total, Some(u64::from(count)));
    assert!(round_ms.is_some_and(|ms| (3000..11_000).contains(&ms)), "{round_ms:?}");
}

#[test]
fn a_process_that_is_gone_is_forgotten_and_one_with_its_id_is_another() {
    let tree = tempfile::tempdir().unwrap();
    put(tree.path(), 5, "a.service", [100, 700, 10, 0]);
    put(tree.path(), 6, "b.service", [100, 700, 10, 0]);
    let mut scan = scan(tree.path());
    scan.look(10_000_000_000);
    put(tree.path(), 5, "c.service", [900, 1, 10, 0]);
    std::fs::remove_dir_all(tree.path().join("6")).unwrap();
    for second in 11..15 {
        scan.look(second * 1_000_000_000);
    }
    let known = scan.table().get(5).unwrap();
    assert_eq!((known.start_ticks, known.user_ticks), (900, 1));
    assert!(scan.table().get(6).is_none());
    let names: Vec<_> = scan.register().iter().map(|(_, unit)| unit.name).collect();
    assert_eq!(names, [EntityName::new(b"c.service")]);
}

/// Else a unit that ended would get its seat back, as the sum of a process that is no more.
#[test]
fn a_unit_lives_as_long_as_one_of_its_processes() {
    let tree = tempfile::tempdir().unwrap();
    put(tree.path(), 5, "a.service", [100, 700, 10, 0]);
    put(tree.path(), 6, "a.service", [100, 700, 10, 0]);
    let mut scan = scan(tree.path());
    scan.look(10_000_000_000);
    let (number, _) = scan.register().iter().next().unwrap();
    std::fs::remove_dir_all(tree.path().join("5")).unwrap();
    assert!(scan.has_living(number));
    put(tree.path(), 6, "b.service", [900, 0, 10, 0]);
    assert!(!scan.has_living(number), "another process has its id");
}

/// So many processes, and one of them that becomes busy: how many looks until it is found.
fn find_in_a_crowd(count: u32) {
    // Small files in memory, if there is such a place.
    let tree = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for pid in 1..=count {
        put(tree.path(), pid, "a.service", [100, 0, 10, 0]);
    }
    let mut scan = scan(tree.path());
    let round = usize::try_from(count).unwrap().div_ceil(SLICE);
    let mut now_ns = 10_000_000_000;
    let mut look = |scan: &mut Scan| {
        now_ns += 1_000_000_000;
        scan.look(now_ns);
        let now_ms = now_ns / 1_000_000;
        let looked_at = scan.table().iter().filter(|known| known.looked_ms == now_ms).count();
        assert!(looked_at <= SLICE + NEW_MAX, "{looked_at} in one look");
        now_ms
    };
    for _ in 0..=round {
        look(&mut scan);
    }
    assert_eq!(scan.totals()[0], Some(u64::from(count)));
    // One that begins now, and has used half of its time.
    let now_ms = look(&mut scan);
    let start = now_ms / 10;
    put(tree.path(), count + 1, "b.service", [start, 0, 10, 0]);
    let found = |scan: &Scan| scan.table().get(count + 1).is_some_and(|own| own.cpu_permille > 300);
    let mut looks = 0;
    while !found(&scan) {
        let now_ms = look(&mut scan);
        put(tree.path(), count + 1, "b.service", [start, (now_ms / 10 - start) / 2, 10, 0]);
        looks += 1;
        assert!(looks <= round * 2 + 2, "not found in {looks} looks");
    }
}

/// A made folder does not say which process is new, so it is found in turn.
#[test]
fn among_five_thousand_who_is_busy_is_found() {
    find_in_a_crowd(5000);
}

#[test]
#[ignore = "makes 60,000 files; run by .ci/full"]
fn among_twenty_thousand_who_is_busy_is_found() {
    find_in_a_crowd(20_000);
}

/// It costs the unit what its cgroup would say, no more.
#[test]
fn a_cgroup_path_of_four_thousand_bytes_gives_a_unit_of_sums() {
    let tree = tempfile::tempdir().unwrap();
    put(tree.path(), 5, "a.service", [100, 0, 10, 0]);
    let deep = "/x".repeat(2000);
    let text = format!("9:memory:{deep}/v1\n0::{deep}/deep.service\n");
    std::fs::write(tree.path().join("5/cgroup"), text).unwrap();
    let mut scan = scan(tree.path());
    scan.look(10_000_000_000);
    put(tree.path(), 5, "a.service", [100, 30, 10, 0]);
    scan.look(20_000_000_000);
    let unit = scan.register().iter().next().unwrap().1;
    assert_eq!((unit.name, unit.user_ticks), (EntityName::new(b"deep.service"), 30));
    assert_eq!(unit.path(), b"");
}

/// It dies between the listing and the reading, or between two of its files.
#[test]
fn a_process_that_dies_between_two_reads_costs_nobody_else_anything() {
    let tree = tempfile::tempdir().unwrap();
    for pid in 1..=20 {
        put(tree.path(), pid, "a.service", [100, 0, 10, 0]);
    }
    let files = ["stat", "cgroup", "io"];
    for (number, gone) in files.into_iter().enumerate() {
        let pid = 7 + number;
        std::fs::remove_file(tree.path().join(pid.to_string()).join(gone)).unwrap();
    }
    let mut scan = scan(tree.path());
    scan.look(10_000_000_000);
    assert_eq!(scan.table().iter().count(), 19, "without stat it is not there");
    let unit_of = |pid| scan.table().get(pid).unwrap().unit;
    assert_eq!((unit_of(8), unit_of(9)), (None, unit_of(10)));
    let start_ticks = scan.table().get(9).unwrap().start_ticks;
    std::fs::remove_dir_all(tree.path().join("9")).unwrap();
    let mut newcomer = Occupant { pid: 9, start_ticks, ..Occupant::named(b"") };
    assert!(scan.open(&mut newcomer).is_none(), "it gets no seat");
}

/// Ended by its id when it goes out of scope.
struct Burner(Child);

impl Drop for Burner {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// On the real `/proc` a listing can begin at any id: a new process is found at the next look,
/// however many others there are.
#[test]
fn a_new_process_is_found_at_the_next_look() {
    let mut scan = scan(Path::new("/proc"));
    let mut now_ns = sys::boottime_ns();
    while scan.round_ms.is_none() {
        now_ns += 1_000_000_000;
        scan.look(now_ns);
    }
    assert!(scan.pid_place.is_some(), "places of /proc do not follow from ids here");
    let burner = Burner(Command::new("sleep").arg("60").spawn().unwrap());
    let pid = burner.0.id();
    // As if the listing in turn had just passed it.
    scan.place = u64::from(pid) + 1 + scan.pid_place.unwrap();
    scan.look(now_ns + 1_000_000_000);
    let known = *scan.table().get(pid).unwrap();
    let mut newcomer = Occupant { pid, start_ticks: known.start_ticks, ..Occupant::named(b"") };
    let files = scan.open(&mut newcomer).unwrap();
    assert_eq!(newcomer.name, EntityName::new(b"sleep"));
    assert!(files.io.is_some() && files.status.is_some());
    drop(burner);
    // Its files answer no more, though somebody else may have its id by now.
    let told = process::read(&files.stat, &mut [0; 512]).map(<[u8]>::to_vec);
    assert_eq!(told, Err(libc::ESRCH));
}

/// A thousand mutilated files: no panic, and the others are still looked at.
#[test]
fn files_full_of_noise_cost_nobody_else_anything() {
    let tree = tempfile::tempdir().unwrap();
    let mut state = 7_u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    put(tree.path(), 11, "a.service", [1, 1, 1, 1]);
    put(tree.path(), 12, "b.service", [1, 1, 1, 1]);
    let mut scan = scan(tree.path());
    for round in 0..500 {
        for file in ["stat", "cgroup", "io", "status"] {
            let len = random() % 300;
            let noise: Vec<u8> = (0..len).map(|_| u8::try_from(random() % 256).unwrap()).collect();
            std::fs::write(tree.path().join("11").join(file), noise).unwrap();
        }
        scan.look(round * 1_000_000_000);
    }
    assert!(scan.table().get(12).is_some());
}
