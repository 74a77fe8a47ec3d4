//! What systemd does when the process of a unit ends: `Restart=`, told once for each unit, so that
//! a service that comes back for ever can be told from one that stays away.
//!
//! It stands in files that may lie on a slow disk, so they are the slow thread's to read: the census
//! asks in a [`Book`], and finds the answer there a few seconds later. Neither waits for the other.
//! See systemd.unit(5), systemd.service(5).

use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flightrec_format::entity::EntityName;
use flightrec_format::entity::attribute::RESTART_WORDS;

use crate::process;
use crate::procfile::lines;
use crate::sources::Look;
use crate::sys;

/// Folders of unit files; what stands in the first one counts.
const FOLDERS: [&str; 7] = [
    "run/systemd/transient",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

const NO: u8 = 1;

/// Units that are known at once; the oldest is forgotten, and asked for again.
const ENTRIES_MAX: usize = 128;

/// Units looked up in one look of the slow thread.
const ANSWERS_PER_LOOK: usize = 16;

/// A unit file is cut here, and so are files that are put beside it.
const TEXT_LEN: usize = 16 << 10;

/// Such files in one folder that are read.
const DROP_INS_MAX: usize = 32;

/// What the slow thread was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    Asked,
    /// The code; `None`: nothing is known.
    Told(Option<u8>),
}

/// Questions and answers.
#[derive(Debug)]
pub struct Book(Mutex<Vec<(EntityName, Entry)>>);

impl Book {
    /// An empty one, with all the memory that it will take.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Vec::with_capacity(ENTRIES_MAX))))
    }

    /// The code of a unit, if it is known by now; else it is asked for.
    #[must_use]
    pub fn code_of(&self, name: EntityName) -> Option<u8> {
        let mut entries = self.0.try_lock().ok()?;
        if let Some((_, entry)) = entries.iter().find(|(own, _)| *own == name) {
            return match entry {
                Entry::Told(code) => *code,
                Entry::Asked => None,
            };
        }
        if entries.len() >= ENTRIES_MAX {
            entries.remove(0);
        }
        entries.push((name, Entry::Asked));
        None
    }

    fn next_question(&self) -> Option<EntityName> {
        let entries = self.0.lock().ok()?;
        entries.iter().find(|(_, entry)| *entry == Entry::Asked).map(|(name, _)| *name)
    }

    fn answer(&self, name: EntityName, code: Option<u8>) {
        if let Ok(mut entries) = self.0.lock()
            && let Some((_, entry)) = entries.iter_mut().find(|(own, _)| *own == name)
        {
            *entry = Entry::Told(code);
        }
    }
}

/// Answers on the slow thread. Memory is taken at start.
#[derive(Debug)]
pub struct Answers {
    book: Arc<Book>,
    root: PathBuf,
    path: PathBuf,
    text: Box<[u8]>,
    listing: Box<[u8]>,
}

impl Answers {
    /// From the unit files below `root`.
    #[must_use]
    pub fn new(book: Arc<Book>, root: &Path) -> Self {
        Self {
            book,
            root: root.to_owned(),
            path: PathBuf::with_capacity(512),
            text: vec![0; TEXT_LEN].into_boxed_slice(),
            listing: vec![0; 2048].into_boxed_slice(),
        }
    }

    /// The unit's own file or its template's, then what is put beside either, in the order of names.
    fn restart_of(&mut self, name: &[u8]) -> Option<u8> {
        let template = template_of(name);
        let names = || [Some(name), template.as_ref().map(EntityName::as_bytes)];
        let mut code = None;
        'found: for own in names().into_iter().flatten() {
            for folder in FOLDERS {
                self.go_to(folder, own, b"");
                if let Some(text) = read(&self.path, &mut self.text) {
                    code = Some(restart_in(text).unwrap_or(NO));
                    break 'found;
                }
            }
        }
        let mut code = code?;
        let mut last = EntityName::default();
        for own in names().into_iter().flatten().rev() {
            for folder in FOLDERS.into_iter().rev() {
                self.go_to(folder, own, b".d");
                self.read_drop_ins(&mut last, &mut code);
            }
        }
        Some(code)
    }

    fn go_to(&mut self, folder: &str, name: &[u8], end: &[u8]) {
        let Self { path, root, .. } = self;
        path.as_mut_os_string().clear();
        path.push(root);
        path.push(folder);
        path.push(std::ffi::OsStr::from_bytes(name));
        path.as_mut_os_string().push(std::ffi::OsStr::from_bytes(end));
    }

    /// The file with the greatest name counts, and of two with one name the one that is read later.
    fn read_drop_ins(&mut self, last: &mut EntityName, code: &mut u8) {
        let Self { path, text, listing, .. } = self;
        let Ok(folder) = File::open(&*path) else { return };
        let mut count = 0;
        let listed = sys::list_dir(&folder, listing, |name| {
            count += 1;
            let own = EntityName::new(name);
            if count > DROP_INS_MAX || !name.ends_with(b".conf") || own.as_bytes() < last.as_bytes()
            {
                return;
            }
            path.push(std::ffi::OsStr::from_bytes(name));
            if let Some(told) = read(path, text).and_then(restart_in) {
                (*code, *last) = (told, own);
            }
            path.pop();
        });
        // A folder that breaks off has told what it has.
        listed.unwrap_or_default();
    }
}

impl Look for Answers {
    fn look(&mut self) {
        for _ in 0..ANSWERS_PER_LOOK {
            let Some(name) = self.book.next_question() else { return };
            let code = self.restart_of(name.as_bytes());
            self.book.answer(name, code);
        }
    }
}

/// `getty@.service` for `getty@tty1.service`.
fn template_of(name: &[u8]) -> Option<EntityName> {
    let at = memchr::memchr(b'@', name)?;
    let mut template = [0; EntityName::LEN_MAX];
    let mut len = 0;
    let bytes = name.get(..=at)?.iter().chain(b".service");
    for (place, byte) in template.iter_mut().zip(bytes) {
        *place = *byte;
        len += 1;
    }
    template.get(..len).map(EntityName::new)
}

/// What is no regular file says nothing; a masked unit is a link to `/dev/null`.
fn read<'a>(path: &Path, text: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(path).ok()?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Some(&[]);
    }
    process::read(&file, text).ok()
}

/// The last `Restart=` of a unit file that has one; one without a word takes back what was said.
fn restart_in(text: &[u8]) -> Option<u8> {
    let mut is_service = false;
    let mut code = None;
    for line in lines(text) {
        let line = line.trim_ascii();
        if line.starts_with(b"[") {
            is_service = line == b"[Service]";
            continue;
        }
        let Some(at) = memchr::memchr(b'=', line).filter(|_| is_service) else { continue };
        let (key, value) = line.split_at(at);
        if key.trim_ascii_end() != b"Restart" {
            continue;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        match (1_u8..).zip(RESTART_WORDS).find(|(_, word)| word.as_bytes() == value) {
            Some((word, _)) => code = Some(word),
            None if value.is_empty() => code = Some(NO),
            // systemd passes over what it does not know.
            None => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_word_is_that_of_systemd() {
        let root = tempfile::tempdir().unwrap();
        let lib = "lib/systemd/system";
        put(root.path(), &format!("{lib}/a.service"), "[Service]\nRestart=on-failure\n");
        put(root.path(), &format!("{lib}/b.service"), "[Service]\nRestart=always\n");
        put(root.path(), "etc/systemd/system/b.service", "[Unit]\nRestart=always\n[Service]\n");
        put(root.path(), &format!("{lib}/c@.service"), "[Service]\n # x\n Restart = on-abort \n");
        put(root.path(), &format!("{lib}/c@.service.d/5.conf"), "[Service]\nRestart=on-watchdog\n");
        put(root.path(), "etc/systemd/system/c@1.service.d/1.conf", "[Service]\nRestart=no\n");
        put(root.path(), &format!("{lib}/d.service"), "[Service]\nRestart=always\n");
        put(root.path(), &format!("{lib}/d.service.d/9.conf"), "[Service]\nRestart=on-success\n");
        put(root.path(), "etc/systemd/system/d.service.d/9.conf", "[Service]\nRestart=\n");
        put(root.path(), "etc/systemd/system/d.service.d/8.conf", "[Service]\nRestart=always\n");
        put(
            root.path(),
            &format!("{lib}/e.service"),
            "[Service]\nRestart=on-abnormal\nRestart=?\n",
        );
        put(root.path(), &format!("{lib}/m.service"), "[Service]\nRestart=always\n");
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/system/m.service"))
            .unwrap();
        put(root.path(), "etc/systemd/system/only.service.d/1.conf", "[Service]\nRestart=no\n");
        let mut answers = Answers::new(Book::new(), root.path());
        for (name, code) in [
            ("a.service", Some(3)),
            ("b.service", Some(1)),
            ("c@1.service", Some(5)),
            ("d.service", Some(1)),
            ("e.service", Some(4)),
            ("m.service", Some(1)),
            ("only.service", None),
            ("session-1.scope", None),
        ] {
            assert_eq!(answers.restart_of(name.as_bytes()), code, "{name}");
        }
    }

    #[test]
    fn who_asks_finds_the_answer_after_the_next_look() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "etc/systemd/system/a.service", "[Service]\nRestart=always\n");
        let book = Book::new();
        let mut answers = Answers::new(Arc::clone(&book), root.path());
        let [a, b] = [&b"a.service"[..], b"b.service"].map(EntityName::new);
        assert_eq!((book.code_of(a), book.code_of(b)), (None, None));
        answers.look();
        assert_eq!((book.code_of(a), book.code_of(b)), (Some(7), None));
        assert_eq!(book.next_question(), None);
        for number in 0..ENTRIES_MAX {
            assert_eq!(book.code_of(EntityName::new(format!("{number}").as_bytes())), None);
        }
        assert_eq!(book.code_of(a), None, "a full book forgets the oldest");
        assert!(book.0.lock().unwrap().len() <= ENTRIES_MAX);
    }

    #[test]
    fn a_file_of_noise_says_nothing() {
        let noise: Vec<u8> =
            (0..15_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        assert_eq!(restart_in(&noise), None);
        assert_eq!(template_of(b"@"), Some(EntityName::new(b"@.service")));
    }
}
