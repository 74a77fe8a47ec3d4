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
