//! Real journal files, whole and broken by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::layout::u64_at;
use super::*;

/// What `journalctl` says of either file: lines, errors.
const EXPECTED: [(&str, u64, u64); 5] = [
    ("logger", 1, 0),
    ("nginx.service", 4, 0),
    ("systemd-journald", 6, 0),
    ("tool", 1, 1),
    ("vector.service", 225, 224),
];
const SUPPRESSED: u64 = 88;

const FILES: [(&str, &[u8]); 2] = [
    ("regular", include_bytes!("tests/regular.journal.zst")),
    ("compact", include_bytes!("tests/compact.journal.zst")),
];

/// Bytes that journald had taken for each.
const FILE_LEN: u64 = 512 << 10;

fn unpacked() -> [Vec<u8>; 2] {
    FILES.map(|(_, packed)| zstd::decode_all(packed).unwrap())
}

#[derive(Debug, Default)]
struct Told {
    counts: BTreeMap<String, Counts>,
    messages: Vec<(String, u8, u64, String)>,
}

impl Listener for Told {
    fn source(&mut self, name: &[u8], counts: Counts) {
        self.counts.insert(String::from_utf8_lossy(name).into_owned(), counts);
    }

    fn message(&mut self, source: &[u8], severity: u8, repeats: u64, text: &[u8]) {
        assert!(text.len() <= TEXT_LEN_MAX);
        let [source, text] = [source, text].map(|text| String::from_utf8_lossy(text).into_owned());
        self.messages.push((source, severity, repeats, text));
    }
}

/// A folder as journald's, and whoever looks at it; to it every entry is new.
struct World {
    folder: TempDir,
    journal: Journal,
    told: Told,
}

impl World {
    fn new(bytes: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let [var, run] = ["var", "run"].map(|name| folder.path().join(name));
        let mut journal = Journal::new(&var, &run);
        journal.began_us = Some(0);
        journal.boot_id = bytes.get(56..72).unwrap_or(&[0; 16]).try_into().unwrap();
        let world = Self { folder, journal, told: Told::default() };
        fs::create_dir_all(world.path("")).unwrap();
        world.write("system.journal", bytes);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("var/0123456789abcdef0123456789abcdef").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        fs::File::options().write(true).open(self.path(name)).unwrap().set_len(FILE_LEN).unwrap();
    }

    fn look(&mut self) -> &Told {
        for _ in 0..6 {
            self.journal.look(&mut self.told);
        }
        &self.told
    }

    fn trouble(&self) -> &str {
        self.journal.trouble().unwrap_or_default()
    }
}

/// Looks at a file that was broken; it must be given up, or counted as far as it goes.
fn broken(bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> World {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    let mut world = World::new(&bytes);
    world.look();
    world
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    if let Some(place) = bytes.get_mut(at..at + 8) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// Offset of an object, as the file's own reader would find it.
fn find(bytes: &[u8], kind: u8, payload: &[u8]) -> usize {
    let header_size = u64_at(bytes, 88).unwrap();
    let mut at = usize::try_from(header_size).unwrap();
    loop {
        let size = usize::try_from(u64_at(bytes, at + 8).unwrap()).unwrap();
        let object = &bytes[at..(at + size).min(bytes.len())];
        if object[0] == kind
            && object.windows(payload.len().max(1)).any(|part| part.starts_with(payload))
        {
            return at;
        }
        at += size.next_multiple_of(8);
    }
}

#[test]
fn both_layouts_are_counted_as_journalctl_counts_them() {
    for bytes in unpacked() {
        let mut world = World::new(&bytes);
        let told = world.look();
        // More than 64 at once: those without a unit are summed.
        let units = EXPECTED.iter().filter(|(name, ..)| name.ends_with(".service"));
        for (name, lines, errors) in units {
            let counts = told.counts[*name];
            assert_eq!(counts.lines, *lines, "{name}");
            assert!(counts.errors <= *errors && counts.errors + 15 > *errors, "{name} {counts:?}");
        }
        let all = EXPECTED.iter().map(|(_, lines, _)| lines).sum::<u64>();
        assert_eq!(told.counts.values().map(|counts| counts.lines).sum::<u64>(), all);
        assert_eq!(told.counts["vector.service"].suppressed, SUPPRESSED);
        let newest = told.messages.last().unwrap();
        assert_eq!(newest.3, "Journal stopped");
        assert!(told.messages.iter().any(|message| message.3 == "0123456789".repeat(52)[..512]));
        assert_eq!(world.journal.errors(), EXPECTED.iter().map(|row| row.2).sum::<u64>());
        assert_eq!(world.trouble(), "");
    }
}

/// Debian's journald uses zstd; what others use is named.
#[test]
fn messages_that_cannot_be_unpacked_are_named_with_how_they_are_packed() {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    for bytes in unpacked() {
        for (flag, name) in [(1, "compressed with xz, "), (2, "compressed with lz4, ")] {
            let mut world = broken(&bytes, |bytes| {
                let begin = bytes.windows(4).position(|four| four == magic).unwrap();
                let object = if bytes[begin - 64] == 1 { begin - 64 } else { begin - 72 };
                assert_eq!(bytes[object + 1], 4);
                bytes[object + 1] = flag;
            });
            let told = world.look();
            assert!(told.messages.iter().any(|message| message.3.contains(name)), "{name}");
            assert_eq!(world.trouble(), "");
        }
        // A frame that is none is no reason to give up the rest.
        let mut world = broken(&bytes, |bytes| {
            let begin = bytes.windows(4).position(|four| four == magic).unwrap();
            bytes[begin + 9..begin + 20].fill(0xff);
        });
        let told = world.look();
        assert!(told.messages.iter().any(|message| message.3 == "(compressed, 20000 bytes)"));
    }
}

#[test]
fn a_file_with_an_unknown_flag_is_given_up_and_named() {
    for bytes in unpacked() {
        let world = broken(&bytes, |bytes| bytes[12] |= 0x40);
        let path = world.path("system.journal");
        let expected = format!("journal: unknown flag 0x40 in {}", path.display());
        assert_eq!(world.trouble(), expected);
        assert!(world.told.counts.is_empty());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_are_read() {
    for bytes in unpacked() {
        let mut world = World::new(&bytes);
        fs::create_dir(world.path("user-1000.journal")).unwrap();
        world.look();
        assert!(world.trouble().starts_with("journal: not a journal file in "));
        assert_eq!(world.told.counts["nginx.service"].lines, 4);
    }
    let said = Bad::Io(libc::EACCES).to_string();
    assert_eq!(said, "no permission (root or group systemd-journal may)");
}

#[test]
fn headers_of_older_versions_do() {
    for bytes in unpacked() {
        // Before 187 there was nothing behind tail_entry_monotonic.
        let world = broken(&bytes, |bytes| {
            put(bytes, 88, 208);
            bytes[208..224].fill(0xff);
        });
        assert_eq!(world.trouble(), "");
        assert_eq!(world.told.counts["nginx.service"].lines, 4);
        let world = broken(&bytes, |bytes| put(bytes, 88, 200));
        assert!(world.trouble().starts_with("journal: damaged: size of the header in "));
    }
}

#[test]
fn a_file_that_was_cut_is_given_up_at_any_length() {
    for bytes in unpacked() {
        for len in (0..bytes.len()).step_by(997) {
            let mut world = World::new(&bytes);
            fs::write(world.path("system.journal"), &bytes[..len]).unwrap();
            let told = world.look();
            // What is missing may be empty.
            let lines = told.counts.values().map(|counts| counts.lines).sum::<u64>();
            let is_whole = lines == EXPECTED.iter().map(|(_, lines, _)| lines).sum::<u64>();
            assert!(!world.trouble().is_empty() || is_whole, "{len} bytes");
        }
    }
}

#[test]
fn a_file_that_becomes_another_while_it_is_read_is_begun_anew() {
    let [regular, compact] = unpacked();
    let mut world = World::new(&regular);
    world.look();
    // In place: same name, same inode.
    world.journal.boot_id = compact[56..72].try_into().unwrap();
    world.write("system.journal", &compact);
    world.journal.look(&mut world.told);
    assert!(world.trouble().starts_with("journal: became another file in "));
    world.look();
    assert_eq!(world.trouble(), "");
}

/// Whoever prints the reason when it changes prints it once.
#[test]
fn a_reason_stays_until_its_file_is_whole_again() {
    let [regular, _] = unpacked();
    let mut world = broken(&regular, |bytes| bytes[12] |= 0x40);
    let reason = world.trouble().to_owned();
    for _ in 0..3 * u32::from(RETRY_LOOKS) {
        world.journal.look(&mut world.told);
        assert_eq!(world.trouble(), reason);
    }
    world.write("system.journal", &regular);
    for _ in 0..2 * RETRY_LOOKS {
        world.journal.look(&mut world.told);
    }
    assert_eq!(world.trouble(), "");
}

#[test]
fn chains_that_bite_their_own_tails_end() {
    for bytes in unpacked() {
        let field = find(&bytes, layout::FIELD, b"SYSLOG_IDENTIFIER");
        let unit = find(&bytes, layout::DATA, b"_SYSTEMD_UNIT=vector.service");
        let message = find(&bytes, layout::DATA, b"MESSAGE=GET /");
        let array = find(&bytes, layout::ARRAY, b"");
        for (at, to) in [
            (field + 24, field),
            (field + 32, field),
            (unit + 32, unit),
            (unit + 48, unit),
            (message + 32, message),
            (array + 16, array),
            (array + 8, 24),
            (array + 8, usize::MAX),
        ] {
            let to = u64::try_from(to).unwrap();
            let world = broken(&bytes, |bytes| put(bytes, at, to));
            let lines = world.told.counts.values().map(|counts| counts.lines).sum::<u64>();
            assert!(lines <= 2 * 237, "{at} -> {to}: {:?}", world.told);
        }
        let world = broken(&bytes, |bytes| put(bytes, field + 24, u64::try_from(field).unwrap()));
        assert!(world.trouble().starts_with("journal: damaged: chains without an end in "));
    }
}

#[test]
fn counters_that_cannot_be_are_not_believed() {
    for bytes in unpacked() {
        let unit = find(&bytes, layout::DATA, b"_SYSTEMD_UNIT=nginx.service");
        let world = broken(&bytes, |bytes| put(bytes, unit + 56, u64::MAX));
        assert!(world.told.counts["nginx.service"].lines <= 237);
        let world = broken(&bytes, |bytes| put(bytes, 152, u64::MAX));
        assert!(world.trouble().starts_with("journal: damaged: more entries than bytes in "));
    }
}

/// Numbers, pieces and offsets anywhere, a few at a time.
#[test]
fn no_bytes_make_it_panic_or_go_round_for_ever() {
    let mut state = 0x5eed_u64;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    let files = unpacked();
    let mut given_up = 0;
    for round in 0..700 {
        let mut bytes = files[round % 2].clone();
        // The tables of hashes, mostly empty, are the first half.
        let used = bytes.len();
        for _ in 0..=random(12) {
            let at = if random(3) == 0 { random(272) } else { random(used) } & !7;
            match random(4) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 => put(&mut bytes, at, u64::try_from(random(used) & !7).unwrap()),
                2 => put(&mut bytes, at, u64::MAX >> random(64)),
                _ => {
                    let from = random(used - 64) & !7;
                    let piece = bytes[from..from + 64].to_vec();
                    let end = (at + 64).min(used);
                    bytes[at..end].copy_from_slice(&piece[..end - at]);
                }
            }
        }
        let mut world = World::new(&bytes);
        for _ in 0..4 {
            world.journal.look(&mut world.told);
        }
        given_up += usize::from(!world.trouble().is_empty());
        let lines = world.told.counts.values().map(|counts| u128::from(counts.lines)).sum::<u128>();
        assert!(lines < 1 << 24, "round {round}: {lines}");
    }
    assert!((50..650).contains(&given_up), "{given_up}");
}

#[test]
fn without_a_journald_the_reason_stays_the_same() {
    let folder = TempDir::new().unwrap();
    let [var, run] = ["var", "run"].map(|name| folder.path().join(name));
    let mut journal = Journal::new(&var, &run);
    let mut told = Told::default();
    for _ in 0..3 {
        journal.look(&mut told);
        let expected =
            format!("journal: no journald, nothing in {} nor in {}", var.display(), run.display());
        assert_eq!(journal.trouble().unwrap(), &expected[..expected.len().min(240)]);
    }
    assert!(told.counts.is_empty());
}

#[test]
fn more_files_than_seats_are_left_out_and_told() {
    let [regular, _] = unpacked();
    let mut world = World::new(&regular);
    for uid in 0..20 {
        world.write(&format!("user-{uid}.journal"), &regular);
    }
    world.look();
    assert!(world.trouble().starts_with("journal: too many journal files, left out in "));
    assert_eq!(world.journal.seats.len(), FILES_MAX);
}
