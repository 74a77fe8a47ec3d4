//! A listener that writes down what it is told.

use std::collections::BTreeMap;

use super::{Counts, Listener};

#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) sources: BTreeMap<String, Counts>,
    pub(crate) messages: Vec<(String, u8, String)>,
    pub(crate) grave: Vec<(Option<&'static str>, u8, String)>,
}

impl Notes {
    /// Lines and bytes of a source.
    pub(crate) fn of(&self, source: &str) -> (u64, u64) {
        let counts = self.sources.iter().find(|(name, _)| name.ends_with(source));
        counts.map(|(_, counts)| (counts.lines, counts.bytes)).unwrap_or_default()
    }

    /// What the messages said, in their order.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.messages.iter().map(|(_, _, text)| text.as_str()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Listener for Notes {
    fn source(&mut self, name: &[u8], counts: Counts) {
        if let Some(before) = self.sources.insert(text(name), counts) {
            assert!(
                before.lines <= counts.lines && before.bytes <= counts.bytes,
                "{before:?} {counts:?}"
            );
            assert!(before.suppressed <= counts.suppressed && before.errors <= counts.errors);
        }
    }

    fn message(&mut self, source: &[u8], severity: u8, _repeats: u64, said: &[u8]) {
        self.messages.push((text(source), severity, text(said)));
    }

    fn grave(&mut self, class: Option<&'static str>, severity: u8, said: &[u8]) {
        self.grave.push((class, severity, text(said)));
    }
}
