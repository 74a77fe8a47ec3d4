//! A captured tree: one text that `fixtures/trees/capture-tree.sh` made, unpacked where our sources
//! find it; and trees that differ from one in a stated way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use flightrec_format::entity::EntityKind;
use flightrec_recorder::sample::{Layout, Sample, SeriesNumber};
use flightrec_recorder::sources::{self, Roots, Source};
use flightrec_tests::kernel::Width;
use tempfile::TempDir;

/// Readings by the name of the entity (empty: the machine) and series.
pub(super) type Readings = BTreeMap<(String, SeriesNumber), u64>;

/// Files by their path; those that are there and cannot be read have no text.
#[derive(Clone, Debug)]
pub(super) struct Tree(BTreeMap<String, Option<String>>);

impl Tree {
    /// The one in `fixtures/trees/NAME.tree`.
    pub(super) fn captured(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures/trees");
        let text = fs::read_to_string(folder.join(name).with_extension("tree")).unwrap();
        let files = text.strip_prefix("==> ").unwrap().split("\n==> ").map(|file| {
            let (head, text) = file.split_once('\n').unwrap_or((file, ""));
            match head.split_once(": ") {
                Some((path, _)) => (path.to_owned(), None),
                None => (head.to_owned(), Some(format!("{}\n", text.trim_end_matches('\n')))),
            }
        });
        Self(files.collect())
    }

    pub(super) fn text(&self, path: &str) -> &str {
        self.0.get(path).and_then(Option::as_deref).unwrap_or_else(|| panic!("no {path}"))
    }

    /// The paths that begin so.
    pub(super) fn below(&self, begin: &str) -> Vec<String> {
        self.0.keys().filter(|path| path.starts_with(begin)).cloned().collect()
    }

    pub(super) fn with(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.to_owned(), Some(text.to_owned()));
        self
    }

    /// The same with every line of a file put through `edit`.
    pub(super) fn with_lines(self, path: &str, edit: impl Fn(&str) -> String) -> Self {
        let text: String = self.text(path).lines().map(|line| edit(line) + "\n").collect();
        assert_ne!(text, self.text(path), "{path} was not changed");
        self.with(path, &text)
    }

    pub(super) fn with_unreadable(mut self, path: &str) -> Self {
        self.0.insert(path.to_owned(), None);
        self
    }

    pub(super) fn without(mut self, begin: &str) -> Self {
        let before = self.0.len();
        self.0.retain(|path, _| !path.starts_with(begin));
        assert!(self.0.len() < before, "no {begin}");
        self
    }

    /// Writes it down. A folder stands for a file that cannot be read: reading one fails, too.
    pub(super) fn unpack(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.unpack_into(folder.path());
        folder
    }

    pub(super) fn unpack_into(&self, root: &Path) {
        for (path, text) in &self.0 {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text {
                Some(text) => fs::write(path, text).unwrap(),
                None => fs::create_dir_all(path).unwrap(),
            }
        }
    }

    /// What our sources read.
    pub(super) fn read(&self) -> Read {
        let folder = self.unpack();
        Eyes::on(folder.path()).read()
    }
}

/// Our sources on an unpacked tree.
pub(super) struct Eyes {
    layout: Layout,
    sources: Vec<Box<dyn Source + Send>>,
    sample: Sample,
}

/// What they read, and the errno of each source that failed.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) values: Readings,
    /// The busiest core, and how busy it was. It comes out of two readings.
    pub(super) busiest: Option<(u64, u64)>,
    pub(super) failed: BTreeMap<&'static str, i32>,
}

impl Eyes {
    pub(super) fn on(root: &Path) -> Self {
        let [proc, sys] = ["proc", "sys"].map(|name| root.join(name));
        let layout = Width::Whole.layout();
        let roots = Roots { proc: &proc, sys: &sys };
        let (sources, mut lookout) = sources::all(&layout, roots, 1_000_000_000);
        lookout.look();
        let sample = Sample::new(&layout);
        Self { layout, sources, sample }
    }

    pub(super) fn read(&mut self) -> Read {
        self.sample.clear();
        let mut failed = BTreeMap::new();
        for source in &mut self.sources {
            if let Err(errno) = source.read(&mut self.sample) {
                failed.insert(source.name(), errno);
            }
        }
        let mut values = Readings::new();
        for (number, slot) in self.layout.slots().iter().enumerate() {
            let occupant = self.sample.occupant(number);
            let name = occupant.map_or_else(String::new, |occupant| {
                String::from_utf8_lossy(occupant.name.as_bytes()).into_owned()
            });
            for (column, series) in (slot.first_column..).zip(slot.series) {
                if let Some(value) = self.sample.get(column).filter(|_| is_of_the_tree(*series)) {
                    values.insert((name.clone(), *series), value);
                }
            }
        }
        let machine = |series| values.remove(&(String::new(), series));
        let [core, busy] = [28, 29].map(machine);
        Read { values, busiest: core.zip(busy), failed }
    }
}

/// Holds readings against others, and names those that differ: ours, then the expected value.
pub(super) fn assert_same(ours: &Readings, expected: &Readings, what: &str) {
    let keys: BTreeSet<_> = ours.keys().chain(expected.keys()).collect();
    let pairs = keys.into_iter().map(|key| (key, ours.get(key), expected.get(key)));
    let differ: Vec<_> = pairs.filter(|(_, ours, expected)| ours != expected).collect();
    assert!(differ.is_empty(), "{what}: {differ:?}");
}

/// The recorder's own state, and how full real file systems are, stand in no tree.
fn is_of_the_tree(series: SeriesNumber) -> bool {
    let of_a_mount = sources::RANKS.iter().filter(|rank| rank.kind == EntityKind::FS);
    series > 18 && series != 293 && !of_a_mount.flat_map(|rank| rank.series).any(|s| *s == series)
}
