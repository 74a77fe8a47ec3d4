use std::io::Write;

use super::*;

fn file_with(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file
}

#[test]
fn numbers_are_digits_and_saturate() {
    assert_eq!(number(b"0"), Some(0));
    assert_eq!(number(b"0042"), Some(42));
    assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(number(b"99999999999999999999999"), Some(u64::MAX));
    for no in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"0x10", b"1.0", b"\xb2"] {
        assert_eq!(number(no), None, "{no:?}");
    }
}

/// Two ways to the same numbers.
#[test]
fn numbers_between_blanks_are_those_of_the_fields() {
    for line in [
        &b""[..],
        b"  ",
        b"0 1\t22  333\n",
        b" 12x 7 x 8- -9 ",
        b"9999999999999999999 18446744073709551615 18446744073709551616 000000000000000000000012 5",
        b"1\x002 3",
    ] {
        let fields: Vec<_> = fields(line).map(number).collect();
        assert_eq!(numbers(line).collect::<Vec<_>>(), fields, "{line:?}");
    }
}

#[test]
fn hundredths_have_two_decimals() {
    assert_eq!(hundredths(b"0.52"), Some(52));
    assert_eq!(hundredths(b"12.3"), Some(1230));
    assert_eq!(hundredths(b"7"), Some(700));
    assert_eq!(hundredths(b"1.999"), Some(199));
    assert_eq!(hundredths(b"99999999999999999999.00"), Some(u64::MAX));
    for no in [&b""[..], b".5", b"1.x", b"a.00"] {
        assert_eq!(hundredths(no), None, "{no:?}");
    }
}

#[test]
fn fields_stand_between_blanks() {
    let found: Vec<_> = fields(b"  cpu\t1  2 \n").collect();
    assert_eq!(found, [&b"cpu"[..], b"1", b"2"]);
    assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [b"a", b"b"]);
}

/// A text is read afresh each time, and may double before anything is lost.
#[test]
fn a_text_may_double() {
    let mut file = file_with(&b"one line of text\n".repeat(100));
    let mut kept = ProcFile::open(file.path());
    assert_eq!(kept.read().unwrap().len(), 1700);
    file.write_all(&b"one line of text\n".repeat(99)).unwrap();
    assert_eq!(kept.read().unwrap().len(), 3383);
}

/// What outgrew its room ends with a whole line.
#[test]
fn a_text_too_long_ends_with_a_whole_line() {
    let mut file = file_with(b"first\n");
    let mut kept = ProcFile::open(file.path());
    file.write_all(&b"another line\n".repeat(100)).unwrap();
    let text = kept.read().unwrap();
    assert!(text.len() <= TEXT_LEN_MIN && text.ends_with(b"another line\n"));
}

/// vmstat and net/dev come in pages; we get what the standard library gets, to the last key.
#[test]
fn files_of_many_records_come_whole() {
    for path in ["/proc/vmstat", "/proc/stat", "/proc/filesystems", "/proc/net/dev", "/proc/crypto"]
    {
        let keys = |text: &[u8]| -> Vec<Vec<u8>> {
            lines(text).map(|line| fields(line).next().unwrap_or_default().to_vec()).collect()
        };
        let mut kept = ProcFile::open(Path::new(path));
        let ours = keys(kept.read().unwrap());
        assert_eq!(ours, keys(&std::fs::read(path).unwrap()), "{path}");
    }
}

#[test]
fn a_missing_file_answers_with_its_errno() {
    let mut kept = ProcFile::open(Path::new("/proc/no-such-file"));
    assert_eq!(kept.missing(), Some(libc::ENOENT));
    assert_eq!(kept.read(), Err(libc::ENOENT));
    assert_eq!(ProcFile::open(Path::new("/proc")).read(), Err(libc::EISDIR));
}
