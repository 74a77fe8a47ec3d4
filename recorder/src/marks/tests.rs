use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn inbox() -> (tempfile::TempDir, Inbox, Receiver<Mark>) {
    let root = tempfile::tempdir().unwrap();
    let (inbox, from) = Inbox::open(&root.path().join("run/marks")).unwrap();
    (root, inbox, from)
}

#[test]
fn a_mark_is_taken_once_and_its_file_is_gone() {
    let (_root, mut inbox, from) = inbox();
    let file = inbox.folder.join("1.mark");
    fs::write(&file, "flightrec-mark 1 12345 1790000000000 upgraded vector\n").unwrap();
    inbox.look();
    let mark = from.try_recv().unwrap();
    assert_eq!((mark.boottime_ns, mark.text()), (12_345_000_000, &b"upgraded vector"[..]));
    assert!(!file.exists());
    inbox.look();
    assert!(from.try_recv().is_err());
}

/// Links, FIFOs, folders, long, foreign and half-written files stay where they are.
#[test]
fn what_is_no_mark_is_left_alone() {
    let (root, mut inbox, from) = inbox();
    let folder = inbox.folder.clone();
    let at = |name: &str| folder.join(name);
    let good = "flightrec-mark 1 1 1 a";
    fs::write(root.path().join("outside"), good).unwrap();
    symlink(root.path().join("outside"), at("link.mark")).unwrap();
    fs::create_dir(at("folder.mark")).unwrap();
    fs::write(at("long.mark"), good.to_owned() + &"a".repeat(FILE_LEN_MAX)).unwrap();
    fs::write(at("other.txt"), good).unwrap();
    fs::write(at(".new.tmp"), good).unwrap();
    for (index, bytes) in [
        &b""[..],
        b"flightrec-mark 2 1 1 a",
        b"flightrec-mark 1 x 1 a",
        b"flightrec-mark 1 1 1",
        b"flightrec-mark 1 99999999999999999999 1 a",
        b"flightrec-mark 1 1 1 \xff",
        b"flightrec-mark 1 1 1 \n",
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(at(&format!("{index}.mark")), bytes).unwrap();
        assert_eq!(Mark::read(bytes), None, "{index}");
    }
    let fifo = at("fifo.mark");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    let count = fs::read_dir(&inbox.folder).unwrap().count();
    inbox.look();
    assert!(from.try_recv().is_err(), "{made:?}");
    assert_eq!(fs::read_dir(&inbox.folder).unwrap().count(), count);
    // Of another user, where we can make it so.
    let foreign = at("foreign.mark");
    fs::write(&foreign, good).unwrap();
    if std::os::unix::fs::chown(&foreign, Some(65_534), None).is_ok() && inbox.owner != 65_534 {
        inbox.look();
        assert!(from.try_recv().is_err() && foreign.exists());
    }
}

/// A full channel takes nothing and loses nothing; the sampler never waits.
#[test]
fn marks_that_come_too_fast_wait_in_their_folder() {
    let (_root, mut inbox, from) = inbox();
    for index in 0..10 {
        fs::write(inbox.folder.join(format!("{index}.mark")), "flightrec-mark 1 1 1 a").unwrap();
    }
    let left = |inbox: &Inbox| fs::read_dir(&inbox.folder).unwrap().count();
    inbox.look();
    assert_eq!(left(&inbox), 10 - AT_ONCE);
    inbox.look();
    assert_eq!(left(&inbox), 10 - AT_ONCE);
    let mut taken = from.try_iter().count();
    for _ in 0..3 {
        inbox.look();
        taken += from.try_iter().count();
    }
    assert_eq!((taken, left(&inbox)), (10, 0));
}

#[test]
fn words_are_one_line_and_bounded() {
    let said = format!("flightrec-mark 1 1 -5 a\x1b[2Jb\tc{}", "é".repeat(300));
    let mark = Mark::read(said.as_bytes()).unwrap();
    let text = std::str::from_utf8(mark.text()).unwrap();
    assert!(text.starts_with("a\u{fffd}[2Jb\u{fffd}cé") && text.len() <= TEXT_LEN_MAX, "{text}");
    assert!(text.len() >= TEXT_LEN_MAX - 1);
}

/// Of two recorders one takes the marks; the folder is for its owner alone.
#[test]
fn one_recorder_takes_the_marks() {
    let (_root, mut first, from) = inbox();
    assert_eq!(fs::metadata(&first.folder).unwrap().permissions(), Permissions::from_mode(0o40700));
    let (mut second, nothing) = Inbox::open(&first.folder).unwrap();
    fs::write(first.folder.join("1.mark"), "flightrec-mark 1 1 1 a").unwrap();
    second.look();
    assert!(nothing.try_recv().is_err());
    first.look();
    assert!(from.try_recv().is_ok());
    let folder = first.folder.clone();
    drop(first);
    fs::write(folder.join("2.mark"), "flightrec-mark 1 1 1 a").unwrap();
    second.look();
    assert!(nothing.try_recv().is_ok(), "the second one takes over");
}

/// It is taken at once, and nobody looks while there is none.
#[test]
fn a_mark_that_is_left_ends_the_wait() {
    let (_root, mut inbox, from) = inbox();
    inbox.look();
    assert!(!inbox.wait(Duration::ZERO));
    let said = "flightrec-mark 1 1 1 a";
    fs::write(inbox.folder.join(".new"), said).unwrap();
    fs::rename(inbox.folder.join(".new"), inbox.folder.join("1.mark")).unwrap();
    assert!(inbox.wait(Duration::from_secs(60)));
    inbox.look();
    assert!(from.try_recv().is_ok() && !inbox.wait(Duration::ZERO));
    // Of many some are left for the next look, which nobody has to be called for.
    for index in 0..=AT_ONCE {
        fs::write(inbox.folder.join(format!("{index}.mark")), said).unwrap();
    }
    assert!(inbox.wait(Duration::ZERO));
    inbox.look();
    assert!(inbox.wait(Duration::ZERO), "one is left");
    from.try_iter().for_each(drop);
    inbox.look();
    assert!(from.try_recv().is_ok() && !inbox.wait(Duration::ZERO));
}
