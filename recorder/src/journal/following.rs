//! Which files are followed, and from where: rotations, flushes, and what went wrong.

use super::file::{Inode, JournalFile};
use super::folders::Found;
use super::layout::Bad;
use super::name::FileName;
use super::seat::Seat;
use super::{FILES_MAX, Failed, Journal, Listener, RETRY_LOOKS};

/// The file that decides where journald writes.
const SYSTEM: &[u8] = b"system.journal";

/// Looks after which a file in `/run` that stands still is no reason to wait any more.
const IDLE_LOOKS: u8 = 2;

/// Looks in which a file that lost its name is still read.
const GONE_LOOKS: u8 = 2;

/// Archived files that came and went between two looks.
const MISSED_MAX: usize = 4;

impl Journal {
    /// Looks for files that are new, and notices which are gone.
    pub(super) fn find_files(&mut self) {
        self.folders.look();
        for failed in &mut self.failed {
            failed.looks_left = failed.looks_left.saturating_sub(1);
            if failed.looks_left == 0 {
                self.folders.list_again(failed.folder);
            }
        }
        for seat in &mut self.seats {
            seat.gone_looks = seat.gone_looks.saturating_add(u8::from(seat.gone_looks > 0));
        }
        for folder in 0..self.folders.count() {
            let Ok(folder) = u8::try_from(folder) else { break };
            match self.folders.list(folder) {
                Ok(Found::Same) => continue,
                Ok(Found::Gone) => {
                    self.failed.retain(|failed| failed.folder != folder);
                    self.unlist(folder);
                }
                Ok(Found::Names) => {
                    let folders = &self.folders;
                    self.failed.retain(|own| own.folder != folder || folders.has_name(&own.name));
                    self.unlist(folder);
                    self.seat_names(folder);
                }
                Err(bad) => {
                    self.fail(folder, FileName::new(b""), None, bad);
                    continue;
                }
            }
            for seat in self.seats.iter_mut().filter(|seat| seat.folder == folder) {
                if seat.gone_looks == 0 && !seat.is_listed {
                    seat.gone_looks = 1;
                }
            }
        }
    }

    fn unlist(&mut self, folder: u8) {
        for seat in self.seats.iter_mut().filter(|seat| seat.folder == folder) {
            seat.is_listed = false;
        }
    }

    fn seat_names(&mut self, folder: u8) {
        let mut number = 0;
        while let Some(name) = self.folders.nth(number) {
            number += 1;
            let Some(inode) = self.folders.inode(folder, name.as_bytes()) else { continue };
            let is_same = |seat: &&mut Seat| {
                seat.folder == folder
                    && seat.inode == inode
                    && seat.name == name
                    && seat.gone_looks == 0
            };
            if let Some(seat) = self.seats.iter_mut().find(is_same) {
                seat.is_listed = true;
            } else if !self.failed.iter().any(|own| {
                own.folder == folder
                    && own.name == name
                    && own.inode == Some(inode)
                    && own.looks_left > 0
            }) {
                self.open(folder, name, inode);
            }
        }
    }

    fn open(&mut self, folder: u8, name: FileName, inode: Inode) {
        let number = (0..u8::MAX).find(|number| self.seats.iter().all(|own| own.number != *number));
        let opened = match number {
            Some(number) if self.seats.len() < FILES_MAX => {
                let path = self.folders.path_of(folder, name.as_bytes());
                JournalFile::open(path).map(|opened| Seat::new(folder, name, number, opened))
            }
            _ => Err(Bad::TooMany),
        };
        match opened {
            Ok(seat) => self.seats.push(seat),
            Err(bad) => self.fail(folder, name, Some(inode), bad),
        }
    }

    /// Gives a file up for a while.
    fn fail(&mut self, folder: u8, name: FileName, inode: Option<Inode>, bad: Bad) {
        self.failed.retain(|own| own.folder != folder || own.name != name);
        if self.failed.len() < FILES_MAX {
            // These may be over at once.
            let is_short = matches!(bad, Bad::TooMany | Bad::Replaced);
            let looks_left = if is_short { 1 } else { RETRY_LOOKS };
            self.failed.push(Failed { folder, name, inode, bad, looks_left });
        }
    }

    /// Lets a seat go; the file behind it is closed.
    fn leave(&mut self, index: usize) {
        if index < self.seats.len() {
            let seat = self.seats.swap_remove(index);
            self.rows.forget(seat.number);
            self.messages.forget(seat.number);
        }
    }

    /// Gives up the file of a seat.
    fn give_up(&mut self, index: usize, bad: Bad) {
        let Some(seat) = self.seats.get(index) else { return };
        let (folder, name, inode) = (seat.folder, seat.name, seat.inode);
        let is_gone = seat.gone_looks > 0;
        self.leave(index);
        // The name belongs to another file by now.
        if !is_gone {
            self.fail(folder, name, Some(inode), bad);
        }
    }

    /// Reads all counters.
    pub(super) fn measure(&mut self) {
        let mut index = 0;
        while let Some(seat) = self.seats.get_mut(index) {
            let went = seat.measure(&mut self.rows, &mut self.sources);
            match seat.judge(went) {
                Ok(()) => index += 1,
                Err(bad) => self.give_up(index, bad),
            }
        }
    }

    /// Decides from where on files count that were found, or were waited for.
    pub(super) fn begin(&mut self) {
        self.seat_missed();
        self.note_flushed();
        self.note_idle();
        let mut index = 0;
        while let Some(seat) = self.seats.get(index) {
            let way = self.way(seat);
            let begins = if !seat.reading.is_ready {
                false
            } else if seat.is_new {
                way.may_be_copy() || !self.is_successor(seat)
            } else {
                way == Way::Free
            };
            let counted_us = self.counted_us(seat.folder);
            let begun = match self.seats.get_mut(index) {
                Some(seat) if begins => seat.begin_after(counted_us, &self.boot_id, &mut self.rows),
                _ => Ok(()),
            };
            match begun {
                Ok(()) => index += 1,
                Err(bad) => self.give_up(index, bad),
            }
        }
    }

    /// Whether copies arrive in a file.
    fn way(&self, seat: &Seat) -> Way {
        let Some(folder) = self.folders.get(seat.folder).filter(|folder| !folder.is_run) else {
            return Way::Own;
        };
        let mut way = Way::Own;
        for run in &self.seats {
            let same = self.folders.get(run.folder);
            if !same.is_some_and(|same| same.is_run && same.name == folder.name)
                || run.name.as_bytes() != SYSTEM
            {
                continue;
            }
            if run.gone_looks == 1 || run.idle_looks == IDLE_LOOKS {
                return Way::Free;
            }
            // What was written here before journald moved takes two looks to be counted.
            let is_young = run.is_new || (run.age < 2 && seat.reading.is_quiet);
            if run.gone_looks == 0 && !is_young && run.idle_looks < IDLE_LOOKS {
                way = Way::Waits;
            }
        }
        way
    }

    /// Whether a file goes on where one that is gone ended.
    fn is_successor(&self, seat: &Seat) -> bool {
        self.seats.iter().any(|gone| {
            gone.gone_looks > 0
                && gone.folder == seat.folder
                && gone.name == seat.name
                && gone.header.seqnum_id == seat.header.seqnum_id
                && gone.header.tail_seqnum < seat.header.head_seqnum
        })
    }

    /// Seats archived files that were there between two looks only.
    fn seat_missed(&mut self) {
        let mut index = 0;
        while let Some(gone) = self.seats.get(index) {
            index += 1;
            if gone.gone_looks == 0 || gone.is_new || self.way(gone).may_be_copy() {
                continue;
            }
            let (folder, header) = (gone.folder, gone.header);
            let mut names = [FileName::new(b""); MISSED_MAX];
            let name = gone.name;
            let count = self.folders.archived_since(
                folder,
                &name,
                &header.seqnum_id,
                header.tail_seqnum,
                &mut names,
            );
            for archived in names.iter().take(count) {
                let Some(inode) = self.folders.inode(folder, archived.as_bytes()) else { continue };
                if self.seats.iter().any(|own| own.inode == inode) {
                    continue;
                }
                let before = self.seats.len();
                self.open(folder, *archived, inode);
                let Some(seat) = self.seats.get_mut(before) else { continue };
                // It is the successor of the one that is gone, by its name.
                seat.name = name;
                seat.gone_looks = 1;
                let went = seat.measure(&mut self.rows, &mut self.sources);
                if let Err(bad) = seat.judge(went) {
                    self.give_up(before, bad);
                }
            }
        }
    }

    /// What was counted in `/run` until it went is what a flush has copied at most.
    fn note_flushed(&mut self) {
        let mut index = 0;
        while let Some(seat) = self.seats.get(index) {
            index += 1;
            let is_run = self.folders.get(seat.folder).is_some_and(|folder| folder.is_run);
            if is_run && seat.gone_looks == 1 && seat.header.n_entries > 0 {
                self.note_counted(seat.folder, seat.header.tail_monotonic_us);
            }
        }
    }

    /// A file in `/run` that stands still while `/var` goes on was left behind: it is waited for no
    /// longer.
    fn note_idle(&mut self) {
        for index in 0..self.seats.len() {
            let Some(run) = self.seats.get(index) else { break };
            let is_run = self.folders.get(run.folder).is_some_and(|folder| folder.is_run);
            if !is_run || run.is_new || run.gone_looks > 0 {
                continue;
            }
            let counted_us = self.counted_us(run.folder);
            let goes_on = self.seats.iter().any(|seat| {
                self.way(seat) == Way::Waits
                    && self.is_same_machine(seat.folder, run.folder)
                    && seat.header.n_entries > seat.stretch_begin
                    && seat.header.tail_boot_id == self.boot_id
                    && seat.header.tail_monotonic_us > counted_us
            });
            let idle = match run.idle_looks {
                _ if !run.reading.is_quiet => 0,
                looks if looks >= IDLE_LOOKS => IDLE_LOOKS + 1,
                looks => looks + u8::from(goes_on),
            };
            if let Some(run) = self.seats.get_mut(index) {
                run.idle_looks = idle;
            }
        }
    }

    fn is_same_machine(&self, one: u8, other: u8) -> bool {
        let names = [one, other].map(|folder| self.folders.get(folder).map(|own| own.name));
        let [one, other] = names;
        one == other
    }

    /// Up to when the lines of a machine id are counted, wherever they lie.
    fn counted_us(&self, folder: u8) -> u64 {
        let name = self.folders.get(folder).map(|folder| folder.name);
        let known = self.counted_us.iter().find(|(own, _)| Some(*own) == name);
        known.map_or(self.began_us.unwrap_or(u64::MAX), |(_, counted_us)| *counted_us)
    }

    fn note_counted(&mut self, folder: u8, counted_us: u64) {
        // A broken file may speak of the end of time.
        let counted_us = counted_us.min(self.now_us).max(self.counted_us(folder));
        let Some(name) = self.folders.get(folder).map(|folder| folder.name) else { return };
        if let Some((_, known)) = self.counted_us.iter_mut().find(|(own, _)| *own == name) {
            *known = counted_us;
        } else if self.counted_us.len() < FILES_MAX {
            self.counted_us.push((name, counted_us));
        }
    }

    /// Counts what came, and tells the messages.
    pub(super) fn settle(&mut self, listener: &mut dyn Listener) {
        let mut index = 0;
        while let Some(seat) = self.seats.get(index) {
            if self.way(seat) == Way::Waits || !seat.reading.is_ready {
                index += 1;
                continue;
            }
            let (folder, header, begin) = (seat.folder, seat.header, seat.stretch_begin);
            let Some(seat) = self.seats.get_mut(index) else { break };
            let settled = seat.settle(&mut self.rows, &mut self.sources).and_then(|errors| {
                self.errors = self.errors.saturating_add(errors);
                let new = header.n_entries.saturating_sub(begin);
                self.messages.tell(seat, new, &self.rows, &self.sources, listener)?;
                self.manager.tell(seat, &mut self.rows, listener)
            });
            if settled.is_ok() {
                seat.praise();
                let name = seat.name;
                self.failed.retain(|own| own.folder != folder || own.name != name);
            }
            let judged = seat.judge(settled);
            if header.n_entries > begin && header.tail_boot_id == self.boot_id {
                self.note_counted(folder, header.tail_monotonic_us);
            }
            match judged {
                Ok(()) => index += 1,
                Err(bad) => self.give_up(index, bad),
            }
        }
    }

    /// Lets go of files that have lost their names and were read to the end.
    pub(super) fn let_go(&mut self) {
        let mut index = 0;
        while let Some(seat) = self.seats.get_mut(index) {
            seat.is_new &= !seat.reading.is_ready;
            seat.age = seat.age.saturating_add(1);
            if seat.gone_looks >= GONE_LOOKS { self.leave(index) } else { index += 1 }
        }
    }
}

/// How entries come into a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// They are its own.
    Own,
    /// They may be copies: journald writes elsewhere, and what it wrote there arrives in a flush.
    Waits,
    /// The other place has just gone: what is new from here on is its own again.
    Free,
}

impl Way {
    fn may_be_copy(self) -> bool {
        self != Self::Own
    }
}
