//! Kernel files, held open and read again and again without allocating.
//!
//! Opening once saves the path look-up, which can block when memory is short. A file made of many
//! records (`/proc/vmstat`, `/proc/net/dev`) answers one page per read at most, so a read goes on
//! until the kernel says that this was all, or until it must have been.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Largest text that is kept; on the largest boards seen `/proc/stat` takes a tenth of it.
const TEXT_LEN_MAX: usize = 256 << 10;
const TEXT_LEN_MIN: usize = 256;

/// A read that gave less than this gave all. The kernel puts as many whole records as there are into
/// a page at least: what ends before its half has none behind it that is shorter than the other half,
/// and no record of the files here is that long.
const WHOLE_LEN: usize = 2048;

/// A kernel file that is held open, or the reason why it is not.
#[derive(Debug)]
pub struct ProcFile {
    file: Result<File, i32>,
    buf: Box<[u8]>,
    whole_len: usize,
}

impl ProcFile {
    /// Opens a file and reads it once, to leave twice the room that it takes now. This allocates;
    /// reading does not. A file that cannot be read answers with its errno from then on: what
    /// this machine lacks costs no more than its columns.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        match File::open(path).and_then(|file| Ok((text_len(&file)?, file))) {
            Ok((len, file)) => {
                let room = (2 * len).clamp(TEXT_LEN_MIN, TEXT_LEN_MAX);
                let buf = vec![0; room].into_boxed_slice();
                Self { file: Ok(file), buf, whole_len: WHOLE_LEN }
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                Self { file: Err(errno), buf: Box::default(), whole_len: WHOLE_LEN }
            }
        }
    }

    /// The same for a file whose records may be longer than half a page, as those of mounts.
    #[must_use]
    pub fn open_with_long_records(path: &Path) -> Self {
        Self { whole_len: 0, ..Self::open(path) }
    }

    /// Why the file could not be opened, as an errno.
    #[must_use]
    pub fn missing(&self) -> Option<i32> {
        self.file.as_ref().err().copied()
    }

    /// The text as it is now. If it outgrew the room, what lies behind the last whole line is cut
    /// off.
    pub fn read(&mut self) -> Result<&[u8], i32> {
        let file = self.file.as_ref().map_err(|&errno| errno)?;
        let filled = fill(file, &mut self.buf, self.whole_len)?;
        let text = self.buf.get(..filled).unwrap_or_default();
        if filled < self.buf.len() {
            return Ok(text);
        }
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        Ok(text.get(..whole).unwrap_or_default())
    }
}

/// Reads until the file or the room ends, or a read gives less than `whole_len`.
fn fill(file: &File, buf: &mut [u8], whole_len: usize) -> Result<usize, i32> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..)
        && !rest.is_empty()
    {
        let offset = u64::try_from(filled).unwrap_or(u64::MAX);
        match file.read_at(rest, offset) {
            Ok(0) => break,
            Ok(len) => {
                filled += len;
                if len < whole_len {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
    Ok(filled)
}

fn text_len(file: &File) -> io::Result<usize> {
    let mut buf = vec![0; 4096];
    loop {
        let filled = fill(file, &mut buf, 0).map_err(io::Error::from_raw_os_error)?;
        if filled < buf.len() || buf.len() >= TEXT_LEN_MAX {
            return Ok(filled);
        }
        buf.resize(2 * buf.len(), 0);
    }
}

/// The lines of a text, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, behind) = rest.split_at_checked(end)?;
            rest = behind.get(1..).unwrap_or_default();
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    })
}

/// What stands between blanks.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(|byte| !is_blank(*byte))?;
        let behind = rest.get(begin..)?;
        let end = behind.iter().position(|byte| is_blank(*byte)).unwrap_or(behind.len());
        let (field, next) = behind.split_at_checked(end)?;
        rest = next;
        Some(field)
    })
}

/// Of the bytes up to the blank, the kernel's texts have only these three.
fn is_blank(byte: u8) -> bool {
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\n')
}

/// What stands between blanks, as [`number`] reads it: one walk instead of two.
pub fn numbers(line: &[u8]) -> impl Iterator<Item = Option<u64>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        while let Some((byte, behind)) = rest.split_first()
            && is_blank(*byte)
        {
            rest = behind;
        }
        let begin = rest;
        let mut value = 0_u64;
        while let Some((byte, behind)) = rest.split_first() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            rest = behind;
        }
        let len = begin.len() - rest.len();
        if rest.first().is_none_or(|byte| is_blank(*byte)) && len < DIGITS_SAFE {
            return (len > 0).then_some(Some(value));
        }
        // No number, or one that may not fit.
        let end = begin.iter().position(|byte| is_blank(*byte)).unwrap_or(begin.len());
        let (field, behind) = begin.split_at_checked(end)?;
        rest = behind;
        Some(number(field))
    })
}

/// Fewer digits than this always fit.
const DIGITS_SAFE: usize = 20;

/// A decimal number; one that does not fit is the largest that does.
#[must_use]
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        Some(value.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// A number with two decimals, as in `/proc/loadavg`, times 100. Further decimals are cut.
#[must_use]
pub fn hundredths(text: &[u8]) -> Option<u64> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = number(parts.next()?)?;
    let decimals = parts.next().unwrap_or_default();
    let tens = decimals.first().map_or(Some(0), |digit| number(&[*digit]))?;
    let ones = decimals.get(1).map_or(Some(0), |digit| number(&[*digit]))?;
    Some(whole.saturating_mul(100).saturating_add(10 * tens + ones))
}

#[cfg(test)]
mod tests;
