//! Run facts: what does not change during a run (spec section 6.4).
//!
//! The bytes are those of bincode 2 with `config::legacy()`: fixed-width little-endian, written
//! out in the spec, so that leaving the crate changes nothing on disk.

use bincode::{Decode, Encode};

use crate::crc::checksum;
use crate::limits::FACTS_LEN_MAX;
use crate::varint::Malformed;

/// What does not change during a run.
#[derive(Clone, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct RunFacts {
    /// Version of this record: 1.
    pub version: u16,
    /// Hash of machine-id and board serial; zero: unknown.
    pub identity: [u8; 16],
    /// Sampling interval, nanoseconds.
    pub interval_ns: u64,
    /// Calm commit interval, nanoseconds.
    pub commit_ns: u64,
    /// Page size of the kernel, bytes.
    pub page_size: u32,
    /// CPU cores online.
    pub core_count: u32,
    /// Names and values; a name may repeat.
    pub facts: Vec<(String, String)>,
}

/// Most bytes that decoding may take: a pair of empty texts is 16 bytes here and 48 in memory.
const DECODED_MAX: usize = 4 * FACTS_LEN_MAX;

/// Without the limit a hostile length would make the decoder take that much memory and abort.
const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<DECODED_MAX>,
> = bincode::config::legacy().with_limit::<DECODED_MAX>();

impl RunFacts {
    /// Writes the record into `out`; `None` if it is longer than 3072 bytes or `out`.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let most = out.len().min(FACTS_LEN_MAX);
        bincode::encode_into_slice(self, out.get_mut(..most)?, CONFIG).ok()
    }

    /// Reads a record; every byte must be used.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > FACTS_LEN_MAX {
            return Err(Malformed("run facts longer than allowed"));
        }
        let (facts, used): (Self, usize) = bincode::decode_from_slice(bytes, CONFIG)
            .map_err(|_| Malformed("run facts that do not decode"))?;
        if used != bytes.len() {
            return Err(Malformed("bytes after the run facts"));
        }
        if facts.version == 1 { Ok(facts) } else { Err(Malformed("run facts of another version")) }
    }

    /// First value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Whether a section of run facts may stand in a frame: version 1 must decode, a later one is
/// kept as it is.
pub fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let (version, _) = bytes.split_first_chunk().ok_or(Malformed("run facts without a version"))?;
    if u16::from_le_bytes(*version) > 1 && bytes.len() <= FACTS_LEN_MAX {
        return Ok(());
    }
    RunFacts::read(bytes).map(|_| ())
}

/// The checksum that the headers of a run carry (R8).
#[must_use]
pub fn facts_crc(bytes: &[u8]) -> u32 {
    checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> RunFacts {
        RunFacts {
            version: 1,
            identity: [9; 16],
            interval_ns: 1_000_000_000,
            commit_ns: 10_000_000_000,
            page_size: 4096,
            core_count: 4,
            facts: vec![("kernel".into(), "6.1".into()), ("zone".into(), "Europe/Berlin".into())],
        }
    }

    /// The bytes are written out by hand here, as section 6.4 says: no crate is trusted with them.
    #[test]
    fn the_bytes_are_those_of_the_spec() {
        let mut bytes = [0; FACTS_LEN_MAX];
        let used = facts().write(&mut bytes).unwrap();
        let mut expected = vec![1, 0];
        expected.extend([9; 16]);
        expected.extend(1_000_000_000_u64.to_le_bytes());
        expected.extend(10_000_000_000_u64.to_le_bytes());
        expected.extend(4096_u32.to_le_bytes());
        expected.extend(4_u32.to_le_bytes());
        expected.extend(2_u64.to_le_bytes());
        for text in ["kernel", "6.1", "zone", "Europe/Berlin"] {
            expected.extend((text.len() as u64).to_le_bytes());
            expected.extend(text.as_bytes());
        }
        assert_eq!(&bytes[..used], expected);
        assert_eq!(RunFacts::read(&expected), Ok(facts()));
    }

    /// The tested exit: another crate writes and reads the same bytes.
    #[test]
    fn wincode_writes_the_same_bytes() {
        let mut bytes = [0; FACTS_LEN_MAX];
        let used = facts().write(&mut bytes).unwrap();
        let RunFacts { version, identity, interval_ns, commit_ns, page_size, core_count, facts } =
            facts();
        let parts = (version, identity, interval_ns, commit_ns, page_size, core_count, facts);
        assert_eq!(wincode::serialize(&parts).unwrap(), &bytes[..used]);
        let mut back = parts.clone();
        back.0 = 0;
        assert_ne!(back, parts);
        back = wincode::deserialize(&bytes[..used]).unwrap();
        assert_eq!(back, parts);
    }

    /// What was written is read, however many small facts it takes to fill the space.
    #[test]
    fn as_many_facts_as_fit_come_back() {
        let mut many = RunFacts { version: 1, ..RunFacts::default() };
        many.facts = vec![(String::new(), String::new()); (FACTS_LEN_MAX - 50) / 16];
        let mut bytes = [0; FACTS_LEN_MAX];
        let used = many.write(&mut bytes).unwrap();
        assert_eq!(RunFacts::read(&bytes[..used]), Ok(many));
    }

    /// E1: a later record is kept, bytes after a known one are damage.
    #[test]
    fn only_what_claims_to_be_version_1_must_decode() {
        let mut bytes = [0; FACTS_LEN_MAX];
        let used = facts().write(&mut bytes).unwrap();
        assert_eq!(check(&bytes[..used]), Ok(()));
        assert!(
            check(&bytes[..=used]).is_err() && check(&[1]).is_err() && check(&[0; 50]).is_err()
        );
        assert_eq!(check(b"\x02\x00whatever comes"), Ok(()));
    }

    #[test]
    fn hostile_lengths_are_refused_without_taking_memory() {
        let mut bytes = [0; FACTS_LEN_MAX];
        let used = facts().write(&mut bytes).unwrap();
        for at in 0..used {
            let mut hostile = bytes[..used].to_vec();
            hostile[at] = 0x7f;
            if let Ok(read) = RunFacts::read(&hostile) {
                assert_ne!(read, facts());
            }
        }
        bytes[42..50].copy_from_slice(&(1_u64 << 62).to_le_bytes());
        assert!(RunFacts::read(&bytes[..used]).is_err());
    }
}
