//! Checksums: CRC-32/IEEE (spec section 1), the one that every language has at hand.

/// Checksum of `bytes`.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Checksum of several pieces, one after the other.
#[must_use]
pub fn checksum_of(pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_spec_holds() {
        assert_eq!(super::checksum(b"123456789"), 0xCBF4_3926);
        assert_eq!(super::checksum_of(&[b"1234", b"56789"]), 0xCBF4_3926);
    }
}
