//! Which unit a process belongs to: the path in `/proc/PID/cgroup`, and the name in the path.
//!
//! An owner knows units (`vector.service`), not cgroups. See systemd.unit(5), cgroups(7).

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flightrec_format::entity::EntityName;

use crate::process;
use crate::procfile::{lines, number};
use crate::sources::UnitFiles;

/// Room for a path, so that opening allocates nothing.
const PATH_LEN: usize = 512;

/// The tree of cgroup v2, wherever it is mounted.
#[derive(Debug)]
pub(super) struct Tree {
    root: Option<PathBuf>,
    path: PathBuf,
}

impl Tree {
    /// Finds it below `sys_root`: at its place, or beside the trees of v1 in a hybrid layout.
    #[must_use]
    pub(super) fn new(sys_root: &Path) -> Self {
        let cgroup = sys_root.join("fs/cgroup");
        let roots = [cgroup.clone(), cgroup.join("unified")];
        let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists());
        Self { root, path: PathBuf::with_capacity(PATH_LEN) }
    }

    /// Opens the files of the cgroup with this path, and reads its limit of memory, bytes. What is
    /// not there, for want of a controller or because the tree is of v1, stays closed; all of it if
    /// the cgroup is gone.
    pub(super) fn open(&mut self, path: &[u8]) -> (UnitFiles, Option<u64>) {
        let Self { root: Some(root), path: full } = self else { return Default::default() };
        let own = path.strip_prefix(b"/").unwrap_or(path);
        if own.is_empty() {
            return Default::default();
        }
        let mut open = |name: &str| {
            full.as_mut_os_string().clear();
            full.push(&*root);
            full.push(OsStr::from_bytes(own));
            full.push(name);
            File::open(&*full).ok().filter(process::read_first)
        };
        let files = UnitFiles {
            cpu: open("cpu.stat"),
            memory: open("memory.current"),
            io: open("io.stat"),
            events: open("memory.events"),
            tasks: open("pids.current"),
            swap: open("memory.swap.current"),
        };
        let mut text = [0; 32];
        let max = open("memory.max");
        let max = max.as_ref().and_then(|file| process::read(file, &mut text).ok());
        // "max" is no number: no limit.
        (files, max.and_then(|text| number(text.trim_ascii())))
    }
}

/// The path of a process below the root of its cgroup tree: that of cgroup v2 unless it is the
/// root, else that of systemd's own v1 tree, else of any.
#[must_use]
pub(super) fn path_of(text: &[u8]) -> Option<&[u8]> {
    let (mut systemd, mut any) = (None, None);
    for line in lines(text) {
        let mut parts = line.splitn(3, |&byte| byte == b':');
        let (Some(number), Some(trees), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if path == b"/" || !path.starts_with(b"/") {
            continue;
        }
        match (number, trees) {
            (b"0", b"") => return Some(path),
            (_, b"name=systemd") => systemd = Some(path),
            _ => any = any.or(Some(path)),
        }
    }
    systemd.or(any)
}

/// The path of the unit itself: a service may have its processes in cgroups below its own.
#[must_use]
pub(super) fn unit_path(path: &[u8]) -> &[u8] {
    let mut end = path.len();
    while let Some(own) = path.get(..end) {
        let begin = memchr::memrchr(b'/', own).map_or(0, |at| at + 1);
        if own.get(begin..).is_some_and(is_unit) {
            return own;
        }
        if begin == 0 {
            break;
        }
        end = begin - 1;
    }
    path
}

/// A unit that has processes, but for slices, which are there to hold units.
fn is_unit(part: &[u8]) -> bool {
    let kinds: [&[u8]; 5] = [b".service", b".scope", b".mount", b".socket", b".swap"];
    kinds.iter().any(|kind| part.ends_with(kind))
}

/// Whether it is a service of the system, neither of a user nor in a container: their names may be
/// those of others.
#[must_use]
pub(super) fn is_of_system(path: &[u8]) -> bool {
    path.starts_with(b"/system.slice/")
        && path.ends_with(b".service")
        && path.split(|&byte| byte == b'/').filter(|part| is_unit(part)).count() == 1
}

/// The name that an owner knows a cgroup by: the innermost unit that is no slice, with the id of a
/// container shortened; else the end of the path.
#[must_use]
pub(super) fn unit_name(path: &[u8]) -> EntityName {
    let parts = || path.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
    if let Some(unit) = parts().rfind(|part| is_unit(part)) {
        return shortened(unit);
    }
    // A container without systemd: `docker/ID`, `lxc/NAME`; a slice with processes of its own.
    let from = parts().count().saturating_sub(2);
    let mut ends = parts().skip(from);
    match (ends.next(), ends.next()) {
        (Some(first), Some(second)) if !first.ends_with(b".slice") => {
            let mut name = [0; EntityName::LEN_MAX];
            let mut len = 0;
            let bytes = first.iter().chain(b"/").chain(without_id(second).0);
            for (place, byte) in name.iter_mut().zip(bytes) {
                *place = *byte;
                len += 1;
            }
            EntityName::new(name.get(..len).unwrap_or_default())
        }
        (_, Some(last)) | (Some(last), None) => shortened(last),
        (None, None) => EntityName::default(),
    }
}

/// `docker-0123…ef.scope` with twelve digits of its id, as `docker ps` shows it.
fn shortened(unit: &[u8]) -> EntityName {
    let (head, tail) = without_id(unit);
    if tail.is_empty() {
        return EntityName::new(unit);
    }
    let mut name = [0; EntityName::LEN_MAX];
    let mut len = 0;
    for (place, byte) in name.iter_mut().zip(head.iter().chain(tail)) {
        *place = *byte;
        len += 1;
    }
    EntityName::new(name.get(..len).unwrap_or_default())
}

/// What stands before the thirteenth digit of an id of 64, and behind the last one; the whole and
/// nothing if there is none.
fn without_id(text: &[u8]) -> (&[u8], &[u8]) {
    const ID_LEN: usize = 64;
    const SHOWN_LEN: usize = 12;
    let is_id = |window: &[u8]| window.iter().all(u8::is_ascii_hexdigit);
    let Some(at) = text.windows(ID_LEN).position(is_id) else { return (text, b"") };
    let shown = text.get(..at + SHOWN_LEN).unwrap_or(text);
    (shown, text.get(at + ID_LEN..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_that_of_the_tree_that_systemd_uses() {
        let unified = b"0::/system.slice/vector.service\n";
        assert_eq!(path_of(unified), Some(&b"/system.slice/vector.service"[..]));
        let hybrid = b"9:memory:/system.slice/x.service\n1:name=systemd:/system.slice/y.service\n\
                       0::/\n";
        assert_eq!(path_of(hybrid), Some(&b"/system.slice/y.service"[..]));
        assert_eq!(path_of(b"3:memory:/docker/abc\n1:name=systemd:/\n"), Some(&b"/docker/abc"[..]));
        assert_eq!(path_of(b"0::/\n"), None);
        assert_eq!(path_of(b"\xff\xff::\n0:x\n"), None);
    }

    #[test]
    fn a_path_gives_the_name_that_its_owner_knows() {
        let id = "0123456789abcdef".repeat(4);
        for (path, name) in [
            ("/system.slice/vector.service", "vector.service"),
            ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/a.service", "a.service"),
            ("/user.slice/user-0.slice/session-3.scope", "session-3.scope"),
            ("/init.scope", "init.scope"),
            ("/lxc/web", "lxc/web"),
            ("/svc-build", "svc-build"),
            ("/system.slice", "system.slice"),
            ("/a/b/system.slice/c", "c"),
            ("/", ""),
        ] {
            assert_eq!(unit_name(path.as_bytes()), EntityName::new(name.as_bytes()), "{path}");
        }
        let scope = format!("/system.slice/docker-{id}.scope");
        assert_eq!(unit_name(scope.as_bytes()), EntityName::new(b"docker-0123456789ab.scope"));
        let plain = format!("/docker/{id}");
        assert_eq!(unit_name(plain.as_bytes()), EntityName::new(b"docker/0123456789ab"));
    }

    #[test]
    fn a_unit_with_cgroups_of_its_own_is_read_as_a_whole() {
        for (path, own) in [
            ("/system.slice/systemd-udevd.service/udev", "/system.slice/systemd-udevd.service"),
            ("/system.slice/vector.service", "/system.slice/vector.service"),
            ("/user.slice/user@0.service/a.service/b/c", "/user.slice/user@0.service/a.service"),
            ("/lxc/web", "/lxc/web"),
            ("x.scope/y", "x.scope"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(unit_path(path.as_bytes()), own.as_bytes(), "{path}");
        }
    }

    #[test]
    fn a_service_of_the_system_is_no_service_of_a_container() {
        assert!(is_of_system(b"/system.slice/system-getty.slice/getty@tty1.service"));
        for path in [
            &b"/user.slice/user@0.service/a.service"[..],
            b"/system.slice/docker-1.scope/system.slice/a.service",
            b"/system.slice/a.scope",
            b"",
        ] {
            assert!(!is_of_system(path));
        }
    }

    #[test]
    fn a_path_of_four_thousand_bytes_gives_a_name_of_sixty_three() {
        let long = format!("/{}.service", "x".repeat(4000));
        assert_eq!(unit_name(long.as_bytes()).as_bytes().len(), EntityName::LEN_MAX);
    }
}
