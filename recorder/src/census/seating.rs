//! Who gets the few seats that are recorded in each sample.
//!
//! Whoever is wanted gets a vacant seat. If there is none, whoever has not been wanted for longest,
//! and for a while, has to leave: a seat that changes hands every second would cost more bytes than
//! it tells. For those who are wanted most the while is short.

use std::sync::Arc;

use crate::mailbox::Mailbox;
use crate::sample::Occupant;

/// Looks for which a seat is kept though its owner is not wanted any more.
const PATIENCE: u16 = 20;

/// The same where somebody urgent waits.
const PATIENCE_URGENT: u16 = 2;

/// Seats of one kind.
#[derive(Debug)]
pub(super) struct Seating<T> {
    mailbox: Arc<Mailbox<T>>,
    unwanted: Box<[u16]>,
    wanted: Vec<Occupant>,
    /// How many at the beginning of the list are urgent.
    urgent: usize,
}

impl<T> Seating<T> {
    /// Fills the places of `mailbox`.
    #[must_use]
    pub(super) fn new(mailbox: Arc<Mailbox<T>>) -> Self {
        let places = mailbox.place_count();
        Self {
            mailbox,
            unwanted: vec![0; places].into_boxed_slice(),
            wanted: Vec::with_capacity(places),
            urgent: 0,
        }
    }

    /// Begins a new list of who is wanted, the most wanted first.
    pub(super) fn begin(&mut self) {
        self.wanted.clear();
        self.urgent = 0;
    }

    /// Those that are wanted so far are urgent.
    pub(super) fn be_urgent(&mut self) {
        self.urgent = self.wanted.len();
    }

    /// Wants somebody too; a list as long as there are seats takes nobody more.
    pub(super) fn want(&mut self, occupant: Occupant) {
        if self.wanted.len() < self.wanted.capacity()
            && !self.wanted.iter().any(|own| is_same(own, &occupant))
        {
            self.wanted.push(occupant);
        }
    }

    /// Seats who is wanted. `open` opens the files of somebody new, and may change what is told of
    /// it; it is asked for at most `newcomers` of them.
    pub(super) fn settle(
        &mut self,
        newcomers: usize,
        mut open: impl FnMut(&mut Occupant) -> Option<T>,
    ) {
        self.mailbox.clear();
        let Self { mailbox, unwanted, wanted, urgent } = self;
        let mut oldest = None;
        mailbox.each_occupant(|place, own| {
            let Some(looks) = unwanted.get_mut(place) else { return };
            if let Some(at) = wanted.iter().position(|wanted| is_same(wanted, own)) {
                *looks = 0;
                wanted.remove(at);
                *urgent -= usize::from(at < *urgent);
            } else {
                *looks = looks.saturating_add(1);
                if oldest.is_none_or(|(_, most)| *looks > most) {
                    oldest = Some((place, *looks));
                }
            }
        });
        for (number, newcomer) in wanted.iter_mut().take(newcomers).enumerate() {
            if !mailbox.has_vacancy() {
                let patience = if number < *urgent { PATIENCE_URGENT } else { PATIENCE };
                if let Some((place, looks)) = oldest
                    && looks > patience
                {
                    mailbox.ask_to_leave(place);
                }
                return;
            }
            if let Some(files) = open(newcomer) {
                mailbox.deliver(*newcomer, files);
            }
        }
    }

    /// Changes what is told of who sits; `change` says whether it did.
    pub(super) fn tell_anew(&self, change: impl FnMut(&mut Occupant) -> bool) {
        self.mailbox.tell_anew(change);
    }

    /// Whether somebody has a seat.
    #[must_use]
    pub(super) fn is_seated(&self, occupant: &Occupant) -> bool {
        let mut found = false;
        self.mailbox.each_occupant(|_, own| found |= is_same(own, occupant));
        found
    }
}

/// What is told of somebody may change while it sits; who it is does not.
fn is_same(one: &Occupant, other: &Occupant) -> bool {
    if one.pid == 0 && other.pid == 0 {
        return one.name == other.name;
    }
    (one.pid, one.start_ticks) == (other.pid, other.start_ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Seat;

    fn unit(name: &str) -> Occupant {
        Occupant::named(name.as_bytes())
    }

    /// The sampler's side: takes in and gives back.
    fn sample(mailbox: &Mailbox<u32>, seats: &mut [Seat<u32>]) -> Vec<u32> {
        let mut places = mailbox.try_open().unwrap();
        for (seat, place) in seats.iter_mut().zip(places.iter_mut()) {
            seat.exchange(place, |_| {});
        }
        seats.iter().filter_map(|seat| seat.files).collect()
    }

    #[test]
    fn a_seat_is_kept_for_a_while_and_then_goes_to_who_is_wanted() {
        let mailbox = Mailbox::new(2);
        let mut seats = [Seat::default(), Seat::default()];
        let mut seating = Seating::new(Arc::clone(&mailbox));
        let urgent = std::cell::Cell::new(false);
        let mut look = |seats: &mut [Seat<u32>], wanted: &[(&str, u32)]| {
            seating.begin();
            for (name, _) in wanted {
                seating.want(unit(name));
            }
            if urgent.get() {
                seating.be_urgent();
            }
            seating.settle(8, |newcomer| {
                let own = wanted.iter().find(|(name, _)| unit(name).name == newcomer.name);
                own.map(|(_, files)| *files)
            });
            sample(&mailbox, seats)
        };
        assert_eq!(look(&mut seats, &[("a", 1), ("b", 2), ("c", 3)]), [1, 2]);
        let mut looks = 0;
        while !look(&mut seats, &[("a", 1), ("c", 3)]).contains(&3) {
            looks += 1;
            assert!(looks < 30, "it never left");
        }
        assert!(looks >= u32::from(PATIENCE), "after {looks} looks");
        assert_eq!(look(&mut seats, &[("a", 1), ("c", 3)]), [1, 3]);
        urgent.set(true);
        let mut looks = 0;
        while !look(&mut seats, &[("b", 2), ("c", 3)]).contains(&2) {
            looks += 1;
            assert!(looks < 10, "somebody urgent waits for long");
        }
    }

    #[test]
    fn of_who_sits_more_may_be_told_and_it_keeps_its_seat() {
        let mailbox = Mailbox::new(1);
        let mut seat = Seat::default();
        let mut seating = Seating::new(Arc::clone(&mailbox));
        seating.begin();
        seating.want(unit("a"));
        seating.settle(1, |_| Some(5));
        let mut told = Vec::new();
        let mut sample = |seat: &mut Seat<u32>| {
            let mut places = mailbox.try_open().unwrap();
            seat.exchange(&mut places[0], |own| told.push(own.map(|own| own.restart)));
        };
        sample(&mut seat);
        let change = |own: &mut Occupant| std::mem::replace(&mut own.restart, 7) == 0;
        seating.tell_anew(change);
        assert!(seating.is_seated(&unit("a")));
        sample(&mut seat);
        seating.tell_anew(change);
        sample(&mut seat);
        assert_eq!((seat.files, seating.is_seated(&unit("a"))), (Some(5), true));
        seating.tell_anew(|_| true);
        seat.gone = true;
        sample(&mut seat);
        assert_eq!(told, [Some(0), Some(7)], "each is told once, and who is gone no more");
        assert_eq!((seat.files, seating.is_seated(&unit("a"))), (None, false));
    }

    #[test]
    fn a_process_with_the_id_of_an_earlier_one_is_another() {
        let process = |start_ticks| Occupant { pid: 7, start_ticks, ..unit("sh") };
        assert!(is_same(&process(1), &Occupant { pid: 7, start_ticks: 1, ..unit("vector") }));
        assert!(!is_same(&process(1), &process(2)));
    }
}
