//! Addresses: of machines, of their hardware, of people.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Found, is_word};

/// Kinds of units: what stands behind an `@` and ends thus is an instance, and nobody's mail.
const UNITS: [&[u8]; 10] = [
    b".service",
    b".socket",
    b".timer",
    b".mount",
    b".device",
    b".scope",
    b".slice",
    b".target",
    b".path",
    b".swap",
];

/// Longest parts of an address that are looked for.
const LOCAL_LEN_MAX: usize = 128;
const DOMAIN_LEN_MAX: usize = 255;

fn found(placeholder: &'static str, end: usize) -> Found {
    Found { placeholder, kept: 0, end }
}

fn run(bytes: &[u8], most: usize, is: impl Fn(u8) -> bool) -> &[u8] {
    let len = bytes.iter().take(most).take_while(|byte| is(**byte)).count();
    bytes.get(..len).unwrap_or_default()
}

/// `00:11:22:33:44:55`, with dashes, or in three groups of four.
pub(super) fn mac(rest: &[u8]) -> Option<Found> {
    let has_groups = |digits: usize, count: usize, between: u8| {
        let len = count * (digits + 1) - 1;
        let part = rest.get(..len)?;
        let fits = part.iter().enumerate().all(|(at, &byte)| {
            if at % (digits + 1) == digits { byte == between } else { byte.is_ascii_hexdigit() }
        });
        // A longer row of groups is something else.
        let goes_on = rest.get(len).is_some_and(|&next| {
            is_word(next) || (next == between && rest.get(len + 1).is_some_and(|b| is_word(*b)))
        });
        (fits && !goes_on).then_some(len)
    };
    let len = has_groups(2, 6, b':')
        .or_else(|| has_groups(2, 6, b'-'))
        .or_else(|| has_groups(4, 3, b'.'))
        .or_else(|| has_groups(2, 20, b':'))?;
    Some(found("<mac>", len))
}

/// IPv4 and IPv6, the latter with its zone.
pub(super) fn ip(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    v4(before, rest).or_else(|| v6(rest))
}

fn v4(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    if before == Some(b'.') {
        return None;
    }
    let run = run(rest, 16, |byte| byte.is_ascii_digit() || byte == b'.');
    let text = trimmed(run, b".");
    let text = std::str::from_utf8(text).ok()?;
    if rest.get(text.len()).is_some_and(|&next| is_word(next)) {
        return None;
    }
    // Leading zeros are refused there, and written by some.
    let is_old = || {
        let mut parts = text.split('.');
        let is_byte = |part: &str| part.len() <= 3 && part.parse::<u8>().is_ok();
        parts.clone().count() == 4 && parts.all(is_byte)
    };
    (text.parse::<Ipv4Addr>().is_ok() || is_old()).then_some(())?;
    Some(found("<ip>", text.len()))
}

fn v6(rest: &[u8]) -> Option<Found> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    let run = run(rest, 48, is_part);
    memchr::memchr_iter(b':', run).nth(1)?;
    let parses =
        |text: &[u8]| std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    // A colon or full stop behind it may belong to the sentence.
    let text = [run, trimmed(run, b"."), trimmed(run, b".:")].into_iter().find(|t| parses(t))?;
    // `::` alone is more often a path of names.
    let says_something = text.iter().filter(|byte| byte.is_ascii_hexdigit()).count() > 0;
    if !says_something || rest.get(text.len()).is_some_and(|&next| is_word(next)) {
        return None;
    }
    let zone = match rest.get(text.len()) {
        Some(b'%') => {
            1 + rest.iter().skip(text.len() + 1).take_while(|byte| is_word(**byte)).count()
        }
        _ => 0,
    };
    Some(found("<ip>", text.len() + zone))
}

fn trimmed<'a>(text: &'a [u8], of: &[u8]) -> &'a [u8] {
    let end = text.iter().rposition(|byte| !of.contains(byte)).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// `name@domain.tld`.
pub(super) fn email(rest: &[u8]) -> Option<Found> {
    let is_local = |byte: u8| is_word(byte) || b"._%+-'".contains(&byte);
    let local = run(rest, LOCAL_LEN_MAX, is_local).len();
    if local == 0 || rest.get(local) != Some(&b'@') {
        return None;
    }
    let behind = rest.get(local + 1..)?;
    let is_domain = |byte: u8| is_word(byte) || byte == b'.' || byte == b'-';
    let domain = trimmed(run(behind, DOMAIN_LEN_MAX, is_domain), b".-");
    let top = domain.iter().rposition(|&byte| byte == b'.')?;
    let is_unit = UNITS.iter().any(|kind| domain.ends_with(kind));
    (!is_unit && top > 0 && domain.len() >= top + 3).then_some(())?;
    Some(found("<email>", local + 1 + domain.len()))
}
