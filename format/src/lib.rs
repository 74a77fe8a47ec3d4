//! The ground floor: bytes of a recording to values and back, as `format-spec.md` says.
//!
//! This crate opens no file, reads no clock, starts no thread and panics on no input. Work and
//! memory are bounded by [`limits`].
//!
//! | room | what it knows | spec |
//! |------|---------------|------|
//! | [`superblock`] | who a recording is, and its geometry | 2.1, 3 |
//! | [`snapshot`] | what a piece of a recording says of itself | 3.1 |
//! | [`place`] | where a frame lies, from its seq | 4 |
//! | [`salvage`] | the mark of a tail frame that was copied | 4.1 |
//! | [`frame`] | header and checksums: is this slot ours, and whole? | 5, 9.1 |
//! | [`body`] | the sections of a payload | 6 |
//! | [`entity`], [`samples`], [`mod@column`], [`event`], [`facts`], [`message`] | what stands in them | 6.1 – 6.5 |
//! | [`series`] | the catalogue: number, name, unit | 7 |
//! | [`varint`], [`crc`] | two small tools | 1 |

#![cfg_attr(
    test,
    allow(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "tests know their numbers"
    )
)]

pub mod body;
pub mod column;
pub mod crc;
pub mod entity;
pub mod event;
pub mod facts;
pub mod frame;
pub mod limits;
pub mod message;
pub mod place;
pub mod salvage;
pub mod samples;
pub mod series;
pub mod snapshot;
pub mod superblock;
pub mod varint;

/// Version of the format that this crate reads and writes.
pub const VERSION: u16 = 1;
