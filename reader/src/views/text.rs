//! Words from a recording, made harmless, and cells of a table.
//!
//! Names and messages in a recording come from whatever ran on the board. Printed as they are,
//! they could move the cursor, retitle the terminal or turn a line around.

use std::fmt::Write as _;

/// Columns when the width is not known.
pub const WIDTH: usize = 80;

/// `text` without anything that a terminal would obey; in a locale without UTF-8, in ASCII.
#[must_use]
pub fn escape(text: &str) -> String {
    escape_for(text, is_utf8_locale())
}

fn escape_for(text: &str, utf8: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_obeyed(letter) || (!utf8 && !letter.is_ascii()) {
            write!(out, "\\u{{{:x}}}", u32::from(letter)).unwrap_or_default();
        } else {
            out.push(letter);
        }
    }
    out
}

/// Control characters, and those that change direction or break lines.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What the environment says of the terminal's character set.
fn is_utf8_locale() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// `text` in at most `width` characters, with `~` where it was cut.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['~']).collect()
}

/// `text` broken at spaces into lines of at most `width` characters; later lines are indented.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let long = line.chars().count() + 1 + word.chars().count() > width;
        if long && !line.trim().is_empty() {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_recording_can_command_a_terminal() {
        let hostile = "a\x1b[2J\u{9b}31m\r\n\u{202e}b";
        assert_eq!(escape_for(hostile, true), "a\\u{1b}[2J\\u{9b}31m\\u{d}\\u{a}\\u{202e}b");
        assert_eq!(escape_for("Küche", true), "Küche");
        assert_eq!(escape_for("Küche", false), "K\\u{fc}che");
    }

    #[test]
    fn lines_are_broken_at_spaces_and_indented() {
        assert_eq!(wrap("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(wrap("overlongword x", 4, 1), ["overlongword", " x"]);
        assert_eq!(fit("abcdef", 4), "abc~");
    }
}
