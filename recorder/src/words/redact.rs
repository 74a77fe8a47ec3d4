//! Redaction: a message on its way into the recording loses what nobody else may read.
//!
//! A recording is meant to be shown to strangers. So addresses, credentials and whatever looks
//! like a key are replaced before the text is kept anywhere, each class by one placeholder, which
//! also makes messages alike that differ in nothing else. When in doubt it goes.
//!
//! | placeholder | stands for |
//! |-------------|------------|
//! | `<ip>` | IPv4 and IPv6 addresses |
//! | `<mac>` | hardware addresses |
//! | `<email>` | `name@domain.tld`, but not instances of units |
//! | `<secret>` | what follows a key such as `password=`; user and query of a URL |
//! | `<token>` | long words that look drawn by lot |
//!
//! It allocates nothing, and its work is bounded by [`INPUT_LEN_MAX`].

mod address;
mod secret;
mod token;

use super::Text;

/// Bytes of a message that are looked at.
pub const INPUT_LEN_MAX: usize = 1024;

/// The text as it may be recorded.
#[must_use]
pub fn redact(message: &[u8]) -> Text {
    let mut clean = [0; INPUT_LEN_MAX];
    let len = harmless(message, &mut clean);
    let text = clean.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let mut out = Text::default();
    let text = text.unwrap_or_default();
    Walk { text, at: 0, named_until: 0, plain_until: 0 }.write(&mut out);
    out
}

/// Valid UTF-8 on one line, without control characters, colours and marks that turn the line
/// around; returns its length. A word that the end of the room cuts is left out.
fn harmless(message: &[u8], clean: &mut [u8; INPUT_LEN_MAX]) -> usize {
    // Twice as much as has room: what is left out may be as long.
    let seen = message.get(..2 * INPUT_LEN_MAX).unwrap_or(message);
    let mut len = 0;
    let mut escape = false;
    let mut push = |letter: char| {
        let end = len + letter.len_utf8();
        match clean.get_mut(len..end) {
            Some(place) => {
                letter.encode_utf8(place);
                len = end;
                true
            }
            None => false,
        }
    };
    let mut whole = seen.len() == message.len();
    let mut last_space = true;
    'chunks: for chunk in seen.utf8_chunks() {
        let strange = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
        for letter in chunk.valid().chars().chain(strange.chars()) {
            if escape {
                // ESC [ 31 m
                escape = !letter.is_ascii_alphabetic() && !letter.is_control();
                continue;
            }
            let letter = match letter {
                '\u{1b}' => {
                    escape = true;
                    continue;
                }
                '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{ad}'
                | '\u{feff}'
                | '\0' => continue,
                letter if letter.is_control() || letter.is_whitespace() => ' ',
                letter => letter,
            };
            if letter == ' ' && last_space {
                continue;
            }
            last_space = letter == ' ';
            if !push(letter) {
                whole = false;
                break 'chunks;
            }
        }
    }
    let used = clean.get(..len).unwrap_or_default();
    let end = if whole { len } else { used.iter().rposition(|&byte| byte == b' ').unwrap_or(0) };
    let used = clean.get(..end).unwrap_or_default();
    used.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1)
}

/// One walk over the text, from word to word.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// Up to here a name was looked at as a whole, and is none of a secret.
    named_until: usize,
    /// Up to here a word was looked at as a whole, and is no token.
    plain_until: usize,
}

/// Something to leave out: what stands for it, and where it ends.
struct Found {
    placeholder: &'static str,
    /// Bytes before it that stay as they are.
    kept: usize,
    end: usize,
}

impl Walk<'_> {
    fn write(&mut self, out: &mut Text) {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            if let Some(found) = self.find() {
                let kept = self.text.get(self.at..self.at + found.kept).unwrap_or_default();
                if !out.push(kept) || !out.push_whole(found.placeholder) {
                    return;
                }
                self.at = found.end.max(self.at + 1);
                continue;
            }
            // A run of letters and digits goes as a whole, else one character.
            let word = bytes.iter().skip(self.at).take_while(|byte| is_word(**byte)).count();
            let next = self.at + word.max(1);
            let next = (next..=bytes.len()).find(|&end| self.text.is_char_boundary(end));
            let next = next.unwrap_or(bytes.len());
            if !out.push(self.text.get(self.at..next).unwrap_or_default()) {
                return;
            }
            self.at = next;
        }
    }

    /// Whether something begins here that must not stay.
    fn find(&mut self) -> Option<Found> {
        let bytes = self.text.as_bytes();
        let rest = bytes.get(self.at..)?;
        let before = self.at.checked_sub(1).and_then(|at| bytes.get(at).copied());
        if let Some(found) = secret::query(before, rest) {
            return Some(found.shifted(self.at));
        }
        if before.is_some_and(is_word) {
            return None;
        }
        let found = secret::user_of_url(rest)
            .or_else(|| address::mac(rest))
            .or_else(|| address::ip(before, rest));
        if let Some(found) = found {
            return Some(found.shifted(self.at));
        }
        // What follows looks at a run of characters as a whole, once.
        if self.at >= self.named_until {
            let found = address::email(rest)
                .or_else(|| secret::assigned(before, rest))
                .or_else(|| secret::scheme(rest));
            if let Some(found) = found {
                return Some(found.shifted(self.at));
            }
            self.named_until = self.at + secret::name_len(rest);
        }
        if self.at >= self.plain_until {
            if let Some(found) = token::random(rest) {
                return Some(found.shifted(self.at));
            }
            self.plain_until = self.at + token::run_len(rest);
        }
        None
    }
}

impl Found {
    fn shifted(self, by: usize) -> Self {
        Self { end: self.end + by, ..self }
    }
}

/// Letters and digits; letters of other alphabets too.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

#[cfg(test)]
mod tests;
