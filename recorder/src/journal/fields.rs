//! The six fields that matter, and the values they have had.
//!
//! A field knows its newest value, each value the one before: new values are found without looking
//! at anything else. Fields are found by going through their hash table, so that no hash is needed.

use super::file::JournalFile;
use super::layout::{Bad, Header, u64_at};
use super::manager::{Tale, tells_of_others};
use super::rows::{Rows, What};
use super::sources::{KERNEL, Sources};

/// In the order of [`Kind`].
const NAMES: [&[u8]; 6] =
    [b"_SYSTEMD_UNIT", b"_TRANSPORT", b"SYSLOG_IDENTIFIER", b"PRIORITY", b"MESSAGE_ID", b"MESSAGE"];

/// Place of `MESSAGE` in [`NAMES`].
const MESSAGE: usize = 5;

/// What journald gives the lines that say how much it left out.
const SUPPRESSION_ID: &[u8] = b"a596d6fe7bfa4994828e72309e95d61e";

/// Bytes of the largest table that journald makes, four times over.
const TABLE_SIZE_MAX: u64 = 64 << 10;
const BUCKET_LEN: usize = 16;

/// Fields of one file that are looked at; usual are 60 to 150.
const FIELDS_MAX: u32 = 2048;

/// Values of one field that are taken in one look; what is older is summed as `others`.
const VALUES_MAX: u32 = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Field {
    /// 0: not there yet.
    offset: u64,
    /// The newest value that is known.
    head: u64,
}

/// The fields of one file.
#[derive(Debug, Default)]
pub(super) struct Fields {
    six: [Field; NAMES.len()],
    /// How many the file had when they were looked for.
    looked_at: u64,
    /// The newest value of `MESSAGE` when the values were followed.
    pub(super) newest: u64,
}

impl Fields {
    /// Looks for those that are missing, if there may be new ones.
    pub(super) fn find(&mut self, file: &mut JournalFile, header: &Header) -> Result<(), Bad> {
        let is_complete = self.six.iter().all(|field| field.offset != 0);
        if is_complete || (header.n_fields != 0 && header.n_fields == self.looked_at) {
            return Ok(());
        }
        if header.field_table_size > TABLE_SIZE_MAX {
            return Err(Bad::Damaged("size of the table of fields"));
        }
        let mut left = FIELDS_MAX;
        let mut bucket = [0; BUCKET_LEN];
        let size = usize::try_from(header.field_table_size).unwrap_or(0);
        for number in 0..size / BUCKET_LEN {
            let begin = u64::try_from(number * BUCKET_LEN).unwrap_or(0);
            let begin = header.field_table_offset.saturating_add(begin);
            file.read_exact(begin, &mut bucket)?;
            let mut at = u64_at(&bucket, 0).unwrap_or(0);
            while at != 0 {
                left = left.checked_sub(1).ok_or(Bad::Endless)?;
                let mut name = [0; 24];
                let (next, len) = file.field(at, &mut name)?;
                let name = name.get(..len).unwrap_or_default();
                let known = NAMES.iter().position(|known| *known == name);
                if let Some(field) = known.and_then(|known| self.six.get_mut(known)) {
                    field.offset = at;
                }
                at = next;
            }
        }
        self.looked_at = header.n_fields;
        Ok(())
    }

    /// Enters the values that are new.
    pub(super) fn follow(
        &mut self,
        file: &mut JournalFile,
        number: u8,
        rows: &mut Rows,
        sources: &mut Sources,
    ) -> Result<(), Bad> {
        // Most files have all of them near their beginning.
        let known = self.six.iter().map(|field| field.offset).filter(|offset| *offset != 0);
        if let Some(first) = known.min() {
            file.look_at(first)?;
        }
        self.newest = self.newest_message(file)?;
        for (kind, field) in self.six.iter_mut().enumerate().take(MESSAGE) {
            if field.offset == 0 {
                continue;
            }
            let head = file.newest_of(field.offset)?;
            let mut at = head;
            for _ in 0..VALUES_MAX {
                if at == 0 || at == field.head || rows.find(number, at).is_some() {
                    break;
                }
                let mut payload = [0; 288];
                let (data, len) = file.data(at, &mut payload)?;
                let payload = payload.get(..len).unwrap_or_default();
                if data.is_compressed == 0
                    && let Some(what) = meaning(kind, payload, sources)
                {
                    rows.add(number, what, at);
                    if let Some(row) = rows.find_mut(number, at) {
                        row.tells_of_others = kind == 0 && tells_of_others(payload);
                    }
                }
                at = data.older;
            }
            field.head = head;
        }
        Ok(())
    }

    /// The newest value of `MESSAGE` now.
    pub(super) fn newest_message(&self, file: &mut JournalFile) -> Result<u64, Bad> {
        match self.six.get(MESSAGE) {
            Some(field) if field.offset != 0 => file.newest_of(field.offset),
            _ => Ok(0),
        }
    }

    /// The newest message that was told.
    pub(super) fn told_message(&mut self) -> &mut u64 {
        let [.., field] = &mut self.six;
        &mut field.head
    }
}

/// What a value stands for, if it is one of those we count.
fn meaning(kind: usize, payload: &[u8], sources: &mut Sources) -> Option<What> {
    let value = payload.strip_prefix(*NAMES.get(kind)?)?.strip_prefix(b"=")?;
    match kind {
        0 => Some(What::Lines(sources.of(value))),
        1 => (value == b"kernel").then_some(What::Lines(KERNEL)),
        2 => Some(What::Identifier(sources.of(value))),
        3 => match value {
            [digit @ b'0'..=b'7'] => Some(What::Severity(digit - b'0')),
            _ => None,
        },
        _ if value == SUPPRESSION_ID => Some(What::Suppression),
        _ => Tale::of(value).map(What::Manager),
    }
}
