//! Secrets that are known by what stands before them.

use super::Found;

/// Parts of names whose values are secret, in lower case.
const PARTS: [&str; 23] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "access-key",
    "privatekey",
    "private_key",
    "private-key",
    "credential",
    "sessionid",
    "session_id",
    "session-id",
    "sessid",
    "signature",
    "authorization",
    "cookie",
];

/// Whole words, between dashes, underscores and full stops, whose values are secret.
const WORDS: [&str; 10] =
    ["pass", "pwd", "pw", "auth", "key", "psk", "otp", "sig", "jwt", "bearer"];

/// What stands before credentials in a header.
const SCHEMES: [&str; 4] = ["bearer", "basic", "digest", "negotiate"];

const SECRET: &str = "<secret>";

/// Longest name that is looked at.
const NAME_LEN_MAX: usize = 96;

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// Length of the run of characters that a name may consist of.
pub(super) fn name_len(rest: &[u8]) -> usize {
    count(rest, is_name)
}

fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is(**byte)).count()
}

fn has_ignoring_case(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

fn is_secret_name(name: &[u8]) -> bool {
    let name = name.get(name.len().saturating_sub(NAME_LEN_MAX)..).unwrap_or(name);
    PARTS.iter().any(|part| has_ignoring_case(name, part))
        || name
            .split(|byte| b"_.-".contains(byte))
            .any(|own| WORDS.iter().any(|word| own.eq_ignore_ascii_case(word.as_bytes())))
}

/// Where a value ends that begins here: at its closing quote, else at a space.
fn value_end(rest: &[u8], to_the_end: bool) -> usize {
    match rest.first() {
        Some(&quote @ (b'"' | b'\'' | b'`')) => {
            let mut escaped = false;
            let closing = rest.iter().skip(1).position(|&byte| {
                let closes = byte == quote && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            });
            closing.map_or(rest.len(), |at| at + 2)
        }
        _ if to_the_end => rest.len(),
        _ => count(rest, |byte| byte != b' '),
    }
}

/// `password=…`, `"token": "…"`, `--api-key …`, `Authorization: Bearer …`.
pub(super) fn assigned(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    let name = rest.get(..name_len(rest)).filter(|name| is_secret_name(name))?;
    if super::token::is_random(name) {
        // It is no name.
        return None;
    }
    let mut at = name.len();
    let spaces = |at: usize| count(rest.get(at..).unwrap_or_default(), |byte| byte == b' ');
    let closes = count(rest.get(at..)?, |byte| b"\"'`\\])}".contains(&byte));
    at += closes;
    at += spaces(at);
    let between = count(rest.get(at..)?, |byte| b"=:".contains(&byte));
    at += between;
    at += usize::from(between > 0 && rest.get(at) == Some(&b'>'));
    at += spaces(at);
    // A backslash before a quote: a document inside a document.
    at += count(rest.get(at..)?, |byte| byte == b'\\');
    let value = rest.get(at..).filter(|value| !value.is_empty())?;
    let is_quoted = matches!(value.first(), Some(b'"' | b'\'' | b'`'));
    let has_dash = before == Some(b'-') || name.starts_with(b"-");
    let is_option = has_dash && closes == 0 && at > name.len();
    if between == 0 && !is_quoted && !is_option {
        return None;
    }
    let to_the_end = ["authorization", "cookie"].iter().any(|part| has_ignoring_case(name, part));
    let mut end = at + value_end(value, to_the_end);
    // The credentials may stand behind the name of their scheme.
    let word = rest.get(at..end)?;
    if SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes())) {
        end += spaces(end);
        end += value_end(rest.get(end..)?, false);
    }
    Some(Found { placeholder: SECRET, kept: at, end })
}

/// `Bearer …` without a name before it.
pub(super) fn scheme(rest: &[u8]) -> Option<Found> {
    let name = rest.get(..count(rest, |byte| byte.is_ascii_alphabetic()))?;
    SCHEMES.iter().find(|scheme| name.eq_ignore_ascii_case(scheme.as_bytes()))?;
    let at = name.len() + count(rest.get(name.len()..)?, |byte| byte == b' ' || byte == b':');
    let end = at + value_end(rest.get(at..)?, false);
    (at > name.len() && end >= at + 6).then_some(Found { placeholder: SECRET, kept: at, end })
}

/// `scheme://user:password@host`.
pub(super) fn user_of_url(rest: &[u8]) -> Option<Found> {
    let scheme = count(rest.get(..24).unwrap_or(rest), |byte| {
        byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
    });
    let behind = rest.get(scheme..)?.strip_prefix(b"://").filter(|_| scheme > 1)?;
    let start = scheme + 3;
    let url = behind.get(..count(behind, |byte| !b" \"<>".contains(&byte)))?;
    let authority = url.get(..count(url, |byte| !b"/?#".contains(&byte)))?;
    let at = if let Some(at) = memchr::memrchr(b'@', authority) {
        at
    } else {
        // A password with a slash in it ends the authority early.
        let colon = memchr::memchr(b':', authority)?;
        let port = authority.get(colon + 1..)?;
        let is_port = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
        memchr::memrchr(b'@', url).filter(|_| !is_port)?
    };
    Some(Found { placeholder: SECRET, kept: start, end: start + at })
}

/// `?name=value…` and `#name=value…` inside of a word: the query of a URL or of a request.
pub(super) fn query(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    if !matches!(rest.first(), Some(b'?' | b'#')) || matches!(before, None | Some(b' ')) {
        return None;
    }
    let rest = rest.get(..count(rest, |byte| !b" \"<>".contains(&byte)))?;
    let has_pairs = rest.contains(&b'=') || rest.contains(&b'&');
    // Without a pair: a question that ends a sentence, or a query of one word.
    let is_one_word = rest.len() > 8;
    (has_pairs || is_one_word).then_some(Found { placeholder: SECRET, kept: 1, end: rest.len() })
}
