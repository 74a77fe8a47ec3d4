//! Texts that mostly are what they were a second ago: what they said then is kept, and is not looked
//! for again. Most of what stands in the `stat` and `io` of a process that sleeps never changes.

/// A longer text is not kept, and costs what it did before.
const KEPT_LEN_MAX: usize = 512;

/// The text that was read last, and what stood in it.
#[derive(Debug)]
pub(super) struct Told<T> {
    text: Box<[u8]>,
    len: usize,
    said: Option<T>,
    is_same: bool,
}

impl<T: Copy> Told<T> {
    pub(super) fn new() -> Self {
        Self { text: vec![0; KEPT_LEN_MAX].into_boxed_slice(), len: 0, said: None, is_same: false }
    }

    /// What `text` says, by `parse` if it is another one than the last.
    pub(super) fn by(&mut self, text: &[u8], parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        self.is_same = self.len > 0 && self.text.get(..self.len) == Some(text);
        if self.is_same {
            return self.said;
        }
        self.said = parse(text);
        self.len = 0;
        if let Some(kept) = self.text.get_mut(..text.len()) {
            kept.copy_from_slice(text);
            self.len = text.len();
        }
        self.said
    }

    /// What the last text said.
    pub(super) fn said(&self) -> Option<T> {
        self.said
    }

    /// Whether the last text was the one before.
    pub(super) fn is_same(&self) -> bool {
        self.is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfile::number;

    #[test]
    fn a_text_is_parsed_once_and_another_one_anew() {
        let mut told = Told::new();
        let mut parsed = 0;
        let long = [b"7 ".as_slice(), &[b'x'; KEPT_LEN_MAX]].concat();
        let mut say = |text: &[u8]| {
            let said = told.by(text, |text| {
                parsed += 1;
                number(text.get(..1)?)
            });
            (said, parsed)
        };
        assert_eq!(say(b"1 a"), (Some(1), 1));
        assert_eq!(say(b"1 a"), (Some(1), 1));
        assert_eq!(say(b"1 ab"), (Some(1), 2), "longer");
        assert_eq!(say(b"1 a"), (Some(1), 3), "shorter");
        assert_eq!(say(b"2 a"), (Some(2), 4));
        assert_eq!(say(b"x"), (None, 5));
        assert_eq!(say(b"x"), (None, 5), "nothing, again");
        assert_eq!(say(&long), (Some(7), 6), "too long to be kept");
        assert_eq!(say(&long), (Some(7), 7));
        assert_eq!(say(b""), (None, 8), "of the one that was too long nothing is left");
    }
}
