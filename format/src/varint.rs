//! Varints and zigzag (spec section 1): how every number inside a body is written.

/// Most bytes that a varint can take.
pub const LEN_MAX: usize = 10;

/// Maps a signed difference to an unsigned number, small ones to small ones.
#[must_use]
pub const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Undoes [`zigzag`].
#[must_use]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Bytes that `value` takes as a varint.
#[must_use]
pub const fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    match bits {
        0..=7 => 1,
        8..=14 => 2,
        15..=21 => 3,
        22..=28 => 4,
        29..=35 => 5,
        36..=42 => 6,
        43..=49 => 7,
        50..=56 => 8,
        57..=63 => 9,
        _ => 10,
    }
}

/// Writes numbers and bytes into a fixed buffer, one after the other. What does not fit is
/// dropped, and [`Writer::finish`] says so: callers check once, at the end.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    used: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    /// Starts at the front of `out`.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, used: 0, overflowed: false }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Writes a varint.
    pub fn number(&mut self, mut value: u64) {
        loop {
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            self.byte(if value == 0 { low } else { low | 0x80 });
            if value == 0 {
                return;
            }
        }
    }

    /// Writes one byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.used.saturating_add(bytes.len());
        match self.out.get_mut(self.used..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.used = end;
            }
            None => self.overflowed = true,
        }
    }

    /// Writes a string: its length, then its bytes.
    pub fn text(&mut self, text: &[u8]) {
        self.number(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.bytes(text);
    }

    /// Bytes written, or `None` if something did not fit.
    #[must_use]
    pub fn finish(self) -> Option<usize> {
        if self.overflowed { None } else { Some(self.used) }
    }
}

/// A number or text that is not what the grammar asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Reads numbers and bytes from a buffer, one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads a varint; one that is longer than needed or does not fit 64 bits is malformed.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        let mut shift = 0_u32;
        loop {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return Err(Malformed("a number above 64 bits"));
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(Malformed("a number written longer than needed"));
                }
                return Ok(value);
            }
            shift += 7;
            if shift > 63 {
                return Err(Malformed("a number above 64 bits"));
            }
        }
    }

    /// Reads a varint that is at most `most`.
    pub fn at_most(&mut self, most: u64, what: &'static str) -> Result<usize, Malformed> {
        let value = self.number()?;
        if value > most {
            return Err(Malformed(what));
        }
        usize::try_from(value).map_err(|_| Malformed(what))
    }

    /// Reads one byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(Malformed("the bytes end too early"))?;
        self.rest = rest;
        Ok(first)
    }

    /// Reads `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or(Malformed("the bytes end too early"))?;
        self.rest = rest;
        Ok(head)
    }

    /// Reads a string of at most `most` bytes.
    pub fn text(&mut self, most: u64) -> Result<&'a [u8], Malformed> {
        let len = self.at_most(most, "a text longer than allowed")?;
        self.bytes(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_every_length_come_back() {
        let mut buffer = [0; 16];
        for bits in 0..64 {
            for value in [1_u64 << bits, (1_u64 << bits) - 1, u64::MAX >> bits] {
                let mut writer = Writer::new(&mut buffer);
                writer.number(value);
                let used = writer.finish().unwrap();
                assert_eq!(used, len(value), "{value:x}");
                let mut reader = Reader::new(&buffer[..used]);
                assert_eq!(reader.number(), Ok(value));
                assert!(reader.is_empty());
            }
        }
    }

    #[test]
    fn zigzag_is_undone_at_the_extremes() {
        for value in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([zigzag(0), zigzag(-1), zigzag(1), zigzag(-2)], [0, 1, 2, 3]);
    }

    #[test]
    fn long_forms_and_overlong_numbers_are_malformed() {
        for bytes in [&[0x80, 0x00][..], &[0xff; 10], &[0x80; 11], &[0x80], &[]] {
            assert!(Reader::new(bytes).number().is_err(), "{bytes:x?}");
        }
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).number(),
            Ok(u64::MAX)
        );
    }

    #[test]
    fn a_full_buffer_is_said_at_the_end() {
        let mut buffer = [0; 3];
        let mut writer = Writer::new(&mut buffer);
        writer.text(b"abc");
        assert_eq!(writer.finish(), None);
    }
}
