//! Tokens: long words that look drawn by lot, whatever stands before them.
//!
//! Words of people and programs consist of parts of several letters; what was drawn by lot changes
//! between small and large letters and digits every other character.

use super::Found;

/// So many characters that look drawn by lot make a token.
const RANDOM_LEN_MIN: usize = 12;

/// Letters of one case in a row, longer than words are.
const WORD_LEN_MAX: usize = 22;

/// Characters of a token: of base64 and its like, of hexadecimal numbers, of names.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/_-.~%".contains(&byte)
}

/// Length of the run of such characters.
pub(super) fn run_len(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| is_part(**byte)).count()
}

/// A token that begins here, with its padding.
pub(super) fn random(rest: &[u8]) -> Option<Found> {
    let run = rest.get(..run_len(rest))?;
    let found = |kept: usize, len: usize| {
        let end = kept + len;
        let padding = rest.iter().skip(end).take_while(|byte| **byte == b'=').count();
        Some(Found { placeholder: "<token>", kept, end: end + padding })
    };
    if !is_path(run) {
        return if is_random(run) { found(0, run.len()) } else { None };
    }
    // Of a path only the parts that are drawn by lot go.
    let mut at = 0;
    for part in run.split(|&byte| byte == b'/') {
        if is_random(part) {
            return found(at, part.len());
        }
        at += part.len() + 1;
    }
    None
}

/// `/usr/lib/…`: it begins with a short name in small letters.
fn is_path(run: &[u8]) -> bool {
    let Some(run) = run.strip_prefix(b"/") else { return false };
    let mut parts = run.split(|&byte| byte == b'/');
    let first = parts.next().unwrap_or_default();
    parts.next().is_some()
        && (3..=16).contains(&first.len())
        && first.iter().all(|byte| byte.is_ascii_lowercase() || b"_-.".contains(byte))
}

/// Whether a run as a whole looks drawn by lot.
pub(super) fn is_random(run: &[u8]) -> bool {
    let pieces = || run.split(|byte| b"/_-.~%".contains(byte)).map(Looks::of);
    let all = pieces().fold(Looks::default(), Looks::and);
    is_number(run)
        || all.is_mixture()
        || pieces().filter(Looks::is_drawn).map(|looks| looks.len).sum::<usize>() >= RANDOM_LEN_MIN
}

/// A hexadecimal number, with or without dashes as in a UUID; a decimal one that is as long as
/// that of an account.
fn is_number(run: &[u8]) -> bool {
    let digits = run.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = run.iter().filter(|byte| matches!(byte, b'a'..=b'f' | b'A'..=b'F')).count();
    let dashes = memchr::memchr_iter(b'-', run).count();
    let all = digits + letters + dashes == run.len();
    all && ((digits > 0 && letters > 0 && digits + letters >= 16)
        || (dashes == 0 && run.len() >= 16))
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Class {
    Small,
    Large,
    Digit,
    Other,
}

fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' => Class::Small,
        b'A'..=b'Z' => Class::Large,
        b'0'..=b'9' => Class::Digit,
        _ => Class::Other,
    }
}

/// What a piece without dashes looks like.
#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    len: usize,
    /// Runs of one class; one large letter belongs to the small ones behind it.
    parts: usize,
    small: usize,
    large: usize,
    digits: usize,
    /// Changes between letters and digits.
    turns: usize,
    is_number: bool,
}

impl Looks {
    fn of(piece: &[u8]) -> Self {
        let mut own = Self { len: piece.len(), is_number: is_number(piece), ..Self::default() };
        let mut before = None;
        let mut large_run = 0;
        for &byte in piece {
            let now = class(byte);
            let begins = before == Some(Class::Large) && now == Class::Small && large_run == 1;
            own.parts += usize::from(before != Some(now) && !begins);
            large_run = if now == Class::Large { large_run + 1 } else { 0 };
            let is_digit = now == Class::Digit;
            own.turns += usize::from(before.is_some_and(|b| (b == Class::Digit) != is_digit));
            own.small += usize::from(now == Class::Small);
            own.large += usize::from(now == Class::Large);
            own.digits += usize::from(is_digit);
            before = Some(now);
        }
        own
    }

    fn and(self, other: Self) -> Self {
        Self {
            len: self.len + other.len,
            parts: self.parts + other.parts,
            small: self.small + other.small,
            large: self.large + other.large,
            digits: self.digits + other.digits,
            turns: self.turns + other.turns,
            is_number: false,
        }
    }

    /// Small and large letters, and perhaps digits, in short parts: base64 with dashes.
    fn is_mixture(&self) -> bool {
        let Self { len, parts, digits, .. } = *self;
        let has_both = self.small > 0 && self.large > 0;
        has_both
            && ((len >= 20 && digits > 0 && len * 2 < 7 * parts) || (len >= 24 && len < 5 * parts))
    }

    /// Whether it looks drawn by lot.
    fn is_drawn(&self) -> bool {
        let Self { len, parts, small, large, digits, turns, .. } = *self;
        let letters = len - digits;
        let is_one_case = small == len || large == len;
        (len >= 8 && len < 3 * parts)
            || (len >= 16 && digits > 0 && len < 4 * parts)
            || (len >= 16 && digits > 0 && letters > 0 && turns >= 3)
            || (len >= 16 && digits > 0 && large > 3 && large + digits == len)
            || (len > WORD_LEN_MAX && is_one_case)
            || (len >= 24 && digits > 0 && letters > 0)
            || (len >= 24 && small > 0 && large > 0 && len < 5 * parts)
            || self.is_number
    }
}
