//! A journal file that is followed: how far it is counted, and where counting began.

use super::fields::Fields;
use super::file::{ITEMS_MAX, Inode, JournalFile, u64_of};
use super::layout::{Bad, Header, N_ENTRIES_AT};
use super::list::{AT_ONCE, Place};
use super::manager::TALES;
use super::name::FileName;
use super::rows::{Rows, What};
use super::sources::{OTHERS, SourceId, Sources};

/// `PRIORITY` up to which a line is an error.
pub(super) const ERROR: u8 = 3;

/// Entries that are looked through, from the newest back, in a file that was found late.
const LATE_ENTRIES_MAX: u64 = 4096;

/// Looks in a row in which a file may seem broken.
const BAD_LOOKS_MAX: u8 = 2;

/// Times that counters and header are read to find them of one moment, in a storm.
const HEADER_TRIES: u32 = 16;

/// Bytes in front of the newest message that are read with it.
const BEFORE_NEWEST: u64 = 2560;

/// How the last reading of a file went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// It came to its end.
    pub(super) is_ready: bool,
    /// The counters were read.
    pub(super) is_measured: bool,
    /// The header was the same in the look before, so that its entries are linked whole.
    pub(super) is_quiet: bool,
}

/// A file with a seat.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) folder: u8,
    pub(super) name: FileName,
    pub(super) inode: Inode,
    /// Its number in the pool of rows.
    pub(super) number: u8,
    pub(super) file: JournalFile,
    pub(super) fields: Fields,
    /// As last read.
    pub(super) header: Header,
    /// Entries after the counters were read; the header's are from before.
    pub(super) entries_after: u64,
    pub(super) reading: Reading,
    /// Entries that were there before we counted.
    pub(super) base: u64,
    /// Entries counted by units and the kernel, and the others.
    pub(super) owned: u64,
    pub(super) placed: u64,
    /// Entries that were told apart, up to here.
    pub(super) cursor: u64,
    /// Entries when the counters were settled last, less those that came while they were read: as
    /// many may have been missed in others.
    pub(super) stretch_begin: u64,
    pub(super) all: Place,
    pub(super) severities: [Place; 4],
    pub(super) suppression: Place,
    pub(super) tales: [Place; TALES],
    /// Messages of entries before this offset are not told.
    pub(super) message_floor: u64,
    /// Looks since it was there under its name: it is read once more, and then let go.
    pub(super) gone_looks: u8,
    /// Whether it was there when its folder was listed.
    pub(super) is_listed: bool,
    /// Looks since it was found.
    pub(super) age: u8,
    /// Looks in which the counters were read.
    looks: u8,
    /// Looks in a row in which it could not be understood.
    bad_looks: u8,
    /// Found in this look.
    pub(super) is_new: bool,
    /// Looks in which a file in /run stood still while one in /var went on.
    pub(super) idle_looks: u8,
}

impl Seat {
    /// A file that is counted from its beginning.
    pub(super) fn new(
        folder: u8,
        name: FileName,
        number: u8,
        (file, inode, header): (JournalFile, Inode, Header),
    ) -> Self {
        Self {
            folder,
            name,
            inode,
            number,
            file,
            fields: Fields::default(),
            header: Header { n_entries: 0, ..header },
            entries_after: 0,
            reading: Reading::default(),
            base: 0,
            owned: 0,
            placed: 0,
            cursor: 0,
            stretch_begin: 0,
            all: Place::default(),
            severities: [Place::default(); 4],
            suppression: Place::default(),
            tales: [Place::default(); TALES],
            message_floor: 0,
            gone_looks: 0,
            is_listed: true,
            age: 0,
            looks: 0,
            bad_looks: 0,
            is_new: true,
            idle_looks: 0,
        }
    }

    /// Reads the counters, if any entry came since the look before the last one. (An entry counts in
    /// the header first, in its values a moment later.)
    pub(super) fn measure(&mut self, rows: &mut Rows, sources: &mut Sources) -> Result<(), Bad> {
        self.file.begin();
        let header = self.file.header()?;
        if header.file_id != self.header.file_id || header.is_compact != self.header.is_compact {
            return Err(Bad::Replaced);
        }
        if header.n_entries < self.header.n_entries {
            return Err(Bad::Damaged("fewer entries than before"));
        }
        let was_quiet = self.reading.is_quiet;
        self.reading.is_quiet = header.n_entries == self.header.n_entries;
        self.reading.is_measured = !(self.reading.is_quiet && was_quiet);
        self.header = header;
        if !self.reading.is_measured {
            return Ok(());
        }
        self.fields.find(&mut self.file, &header)?;
        self.fields.follow(&mut self.file, self.number, rows, sources)?;
        // What was counted too early hides what is not counted yet: now and then all are read.
        self.looks = self.looks.wrapping_add(1);
        self.read_counters(self.reading.is_quiet || self.looks.is_multiple_of(16), rows)?;
        self.entries_after = self.file.number(N_ENTRIES_AT)?;
        // What will be read of the newest entries lies here.
        let newest = self.fields.newest.saturating_sub(BEFORE_NEWEST);
        self.file.look_at(newest.max(self.header.size))?;
        for row in rows.of(self.number) {
            // No value has more entries than the file.
            row.now = row.now.min(self.entries_after);
        }
        Ok(())
    }

    /// Takes note of how a reading went; an error says that the file is to be given up. (What is being
    /// written may look broken for a moment.)
    pub(super) fn judge(&mut self, went: Result<(), Bad>) -> Result<(), Bad> {
        self.reading.is_ready = went.is_ok();
        match went {
            Ok(()) => Ok(()),
            Err(Bad::Damaged(_) | Bad::Truncated) if self.bad_looks < BAD_LOOKS_MAX => {
                self.bad_looks += 1;
                // So that it is read again.
                self.reading.is_quiet = false;
                Ok(())
            }
            Err(bad) => Err(bad),
        }
    }

    /// A look has gone well.
    pub(super) fn praise(&mut self) {
        self.bad_looks = 0;
    }

    /// Reads counters: those of sources only until all entries are accounted for, the busiest first,
    /// unless `all` are wanted. What is not found now will be missing in the next look too.
    fn read_counters(&mut self, all: bool, rows: &mut Rows) -> Result<(), Bad> {
        let counted = self.base.saturating_add(self.owned).saturating_add(self.placed);
        let mut missing = self.header.n_entries.saturating_sub(counted);
        // Whether there may be anything new of those who tell of others.
        let mut is_told = all;
        for is_active in [true, false] {
            for row in rows.of(self.number) {
                let is_wanted = match row.what {
                    What::Lines(_) => row.is_active == is_active && (all || missing > 0),
                    What::Severity(severity) => is_active && severity <= ERROR,
                    _ => false,
                };
                if !is_wanted {
                    continue;
                }
                row.now = self.file.data(row.offset, &mut [])?.0.n_entries;
                if matches!(row.what, What::Lines(_)) {
                    missing = missing.saturating_sub(row.now.saturating_sub(row.settled));
                    is_told |= row.tells_of_others && row.now > row.settled;
                }
            }
        }
        is_told |= missing > 0;
        for row in rows.of(self.number) {
            if is_told && matches!(row.what, What::Suppression | What::Manager(_)) {
                row.now = self.file.data(row.offset, &mut [])?.0.n_entries;
            }
            row.is_active = row.now > row.settled;
        }
        Ok(())
    }

    /// Begins to count in the middle of a file: whatever is later than what was counted before it
    /// was found. The rest is old, or a copy of what was counted elsewhere.
    pub(super) fn begin_after(
        &mut self,
        counted_us: u64,
        boot_id: &[u8; 16],
        rows: &mut Rows,
    ) -> Result<(), Bad> {
        for attempt in 0..HEADER_TRIES {
            self.file.leave_window();
            if attempt > 0 {
                self.header = self.file.header()?;
            }
            self.read_counters(true, rows)?;
            self.entries_after = self.file.number(N_ENTRIES_AT)?;
            if self.entries_after == self.header.n_entries {
                break;
            }
        }
        for row in rows.of(self.number) {
            row.settled = row.now;
        }
        let entries = self.header.n_entries;
        self.base = self.first_after(counted_us, boot_id)?;
        self.message_floor = u64::MAX;
        // What is too much to be told apart ends up with the others.
        let mut from = self.base.max(entries.saturating_sub(LATE_ENTRIES_MAX));
        while from < entries {
            let mut offsets = [0; AT_ONCE];
            let wanted = usize::try_from(entries - from).unwrap_or(AT_ONCE).min(AT_ONCE);
            let wanted = offsets.get_mut(..wanted).unwrap_or_default();
            let count = self.all.read(&mut self.file, self.header.entry_array, from, wanted)?;
            if count == 0 {
                break;
            }
            for &at in offsets.iter().take(count) {
                let mut items = [0; ITEMS_MAX];
                let (_, item_count) = self.file.entry(at, &mut items)?;
                for &item in items.iter().take(item_count) {
                    if let Some(row) = rows.find_mut(self.number, item) {
                        row.settled = row.settled.saturating_sub(1);
                    }
                }
                self.message_floor = self.message_floor.min(at);
            }
            from += u64_of(count);
        }
        if self.message_floor == u64::MAX {
            *self.fields.told_message() = self.fields.newest_message(&mut self.file)?;
            self.message_floor = 0;
        }
        self.owned = 0;
        self.placed = 0;
        self.cursor = self.base;
        self.stretch_begin = self.base;
        Ok(())
    }

    /// Number of the first entry that is later, of this boot; that of the one to come if none is.
    /// A file has its boots one after another, and each in the order of its time.
    fn first_after(&mut self, counted_us: u64, boot_id: &[u8; 16]) -> Result<u64, Bad> {
        let (mut low, mut high) = (0, self.header.n_entries);
        // Most often nothing is: ask the last one first.
        let mut middle = high.saturating_sub(1);
        while low < high {
            let mut at = [0];
            if self.all.read(&mut self.file, self.header.entry_array, middle, &mut at)? == 0 {
                return Err(Bad::Damaged("the list of entries"));
            }
            let [at] = at;
            let (entry, _) = self.file.entry(at, &mut [0; ITEMS_MAX])?;
            if entry.boot_id == *boot_id && entry.monotonic_us > counted_us {
                high = middle;
            } else {
                low = middle + 1;
            }
            middle = low + (high - low) / 2;
        }
        Ok(low)
    }

    /// Whose entry it is.
    pub(super) fn whose(&mut self, at: u64, rows: &Rows) -> Result<Whose, Bad> {
        let mut items = [0; ITEMS_MAX];
        let (_, count) = self.file.entry(at, &mut items)?;
        let mut whose = Whose::default();
        for &item in items.iter().take(count) {
            match rows.find(self.number, item).map(|row| row.what) {
                Some(What::Lines(source)) => whose.owner = Some(source),
                Some(What::Identifier(source)) => whose.identifier = Some(source),
                Some(What::Severity(severity)) => whose.severity = Some(severity),
                Some(What::Suppression | What::Manager(_)) | None => {}
            }
        }
        Ok(whose)
    }
}

/// What an entry's values say of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whose {
    /// The unit, or the kernel: counted by its counter.
    pub(super) owner: Option<SourceId>,
    identifier: Option<SourceId>,
    pub(super) severity: Option<u8>,
}

impl Whose {
    pub(super) fn source(&self) -> SourceId {
        self.owner.or(self.identifier).unwrap_or(OTHERS)
    }
}
