//! Where a thread that may block hands entities and their open files to the sampler, which waits
//! for nobody, and takes the files back.
//!
//! Listing folders, opening and closing files can block, so the sampler has no part in it. Each of
//! its seats has a place here, and a place goes round: vacant, arrived (the finder's to fill),
//! seated (the sampler has taken the files), asked to leave (the finder wants the seat for somebody
//! else), gone (the sampler has given the files back), vacant.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::sample::Occupant;

/// What lies in a place. Files travel both ways, so that the finder opens and closes them.
#[derive(Debug)]
pub enum Mail<T> {
    /// Nobody.
    Vacant,
    /// Somebody whose files the sampler is to take.
    Arrived(Occupant, Option<T>),
    /// Somebody whose files the sampler has.
    Seated(Occupant),
    /// The same, of whom more is known by now: the sampler is to tell it.
    ToldAnew(Occupant),
    /// The same, whose seat is wanted.
    AskedToLeave(Occupant),
    /// Files to be closed.
    Gone(Option<T>),
}

/// The places, one for each seat of the sampler.
#[derive(Debug)]
pub struct Mailbox<T>(Mutex<Box<[Mail<T>]>>);

impl<T> Mailbox<T> {
    /// So many vacant places.
    #[must_use]
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new((0..places).map(|_| Mail::Vacant).collect())))
    }

    /// Places in all.
    #[must_use]
    pub fn place_count(&self) -> usize {
        self.open().map_or(0, |places| places.len())
    }

    /// For the sampler, which does not wait.
    #[must_use]
    pub fn try_open(&self) -> Option<MutexGuard<'_, Box<[Mail<T>]>>> {
        self.0.try_lock().ok()
    }

    /// For the finder.
    fn open(&self) -> Option<MutexGuard<'_, Box<[Mail<T>]>>> {
        self.0.lock().ok()
    }

    /// Who has a place: its number and the occupant.
    pub fn each_occupant(&self, mut each: impl FnMut(usize, &Occupant)) {
        let Some(places) = self.open() else { return };
        for (number, mail) in places.iter().enumerate() {
            if let Mail::Arrived(own, _)
            | Mail::Seated(own)
            | Mail::ToldAnew(own)
            | Mail::AskedToLeave(own) = mail
            {
                each(number, own);
            }
        }
    }

    /// Whether a place is vacant.
    #[must_use]
    pub fn has_vacancy(&self) -> bool {
        self.open().is_some_and(|places| places.iter().any(|mail| matches!(mail, Mail::Vacant)))
    }

    /// Changes what is told of who sits; `change` says whether it did.
    pub fn tell_anew(&self, mut change: impl FnMut(&mut Occupant) -> bool) {
        let Some(mut places) = self.open() else { return };
        for mail in places.iter_mut() {
            if let Mail::Seated(own) = mail {
                let mut anew = *own;
                if change(&mut anew) {
                    *mail = Mail::ToldAnew(anew);
                }
            }
        }
    }

    /// Puts somebody into a vacant place; without one the files are closed here.
    pub fn deliver(&self, occupant: Occupant, files: T) {
        let mut files = Some(files);
        if let Some(mut places) = self.open()
            && let Some(vacant) = places.iter_mut().find(|mail| matches!(mail, Mail::Vacant))
        {
            *vacant = Mail::Arrived(occupant, files.take());
        }
    }

    /// Asks for the seat of a place; it is vacant a sample or two later.
    pub fn ask_to_leave(&self, number: usize) {
        if let Some(mut places) = self.open()
            && let Some(mail) = places.get_mut(number)
            && let Mail::Seated(own) = mail
        {
            *mail = Mail::AskedToLeave(*own);
        }
    }

    /// Closes the files that came back. Not while the mailbox is open: closing may take its time.
    pub fn clear(&self) {
        loop {
            let gone = self.open().and_then(|mut places| {
                let gone = places.iter_mut().find(|mail| matches!(mail, Mail::Gone(_)))?;
                Some(std::mem::replace(gone, Mail::Vacant))
            });
            if gone.is_none() {
                return;
            }
        }
    }
}

/// The sampler's side of one place.
#[derive(Debug)]
pub struct Seat<T> {
    /// The files of whoever sits here.
    pub files: Option<T>,
    /// Set when the files answer no more.
    pub gone: bool,
}

impl<T> Default for Seat<T> {
    fn default() -> Self {
        Self { files: None, gone: false }
    }
}

impl<T> Seat<T> {
    /// The files of somebody who is still there.
    pub fn present(&mut self) -> Option<&mut T> {
        self.files.as_mut().filter(|_| !self.gone)
    }

    /// Takes in who has arrived and hands back the files of who is gone or has to leave. `seat` is
    /// told who sits here now, if that changed.
    pub fn exchange(&mut self, place: &mut Mail<T>, mut seat: impl FnMut(Option<Occupant>)) {
        match place {
            Mail::Arrived(occupant, files) => {
                seat(Some(*occupant));
                self.files = files.take();
                self.gone = false;
                *place = Mail::Seated(*occupant);
            }
            Mail::Seated(_) | Mail::ToldAnew(_) if self.gone => {
                *place = Mail::Gone(self.files.take());
                self.gone = false;
            }
            Mail::ToldAnew(occupant) => {
                seat(Some(*occupant));
                *place = Mail::Seated(*occupant);
            }
            Mail::AskedToLeave(_) => {
                seat(None);
                *place = Mail::Gone(self.files.take());
                self.gone = false;
            }
            _ => {}
        }
    }
}
