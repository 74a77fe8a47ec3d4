//! Short texts in places of a fixed size: names, and reasons.

use std::fmt;

/// A text that is cut where its place ends.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Name<const LEN: usize> {
    len: u8,
    bytes: [u8; LEN],
}

/// The name of a file; an archived one has 91 bytes at most.
pub(super) type FileName = Name<127>;

/// Whose lines they are.
pub(super) type SourceName = Name<63>;

impl<const LEN: usize> Name<LEN> {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut name = Self { len: 0, bytes: [0; LEN] };
        name.push(text);
        name
    }

    pub(super) fn push(&mut self, text: &[u8]) {
        let room = LEN.min(usize::from(u8::MAX));
        let begin = usize::from(self.len);
        let end = begin.saturating_add(text.len()).min(room);
        if let Some(place) = self.bytes.get_mut(begin..end)
            && let Some(text) = text.get(..place.len())
        {
            place.copy_from_slice(text);
            self.len = u8::try_from(end).unwrap_or(u8::MAX);
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// What is valid of it.
    pub(super) fn as_str(&self) -> &str {
        let bytes = self.as_bytes();
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => bytes
                .get(..error.valid_up_to())
                .and_then(|valid| std::str::from_utf8(valid).ok())
                .unwrap_or_default(),
        }
    }
}

impl<const LEN: usize> Default for Name<LEN> {
    fn default() -> Self {
        Self::new(b"")
    }
}

impl<const LEN: usize> fmt::Write for Name<LEN> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl<const LEN: usize> fmt::Debug for Name<LEN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}
