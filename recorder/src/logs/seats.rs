//! Which sources are recorded: those that say most, without anybody losing its seat too easily.

use flightrec_format::entity::EntityName;

use crate::words::Counts;

/// Sources that are remembered.
const SOURCES_MAX: usize = 128;

/// A source that was not told of for so long has gone.
const GONE_NS: u64 = 30_000_000_000;

/// Who has a seat keeps it for so long at least.
const SEATED_NS: u64 = 30_000_000_000;

/// The name under which our own lines are recorded.
const OWN: &[u8] = b"flightrecd";

/// Whether a source is ourselves: counted apart, so that no number speaks of its own making.
pub(super) fn is_own(name: &[u8]) -> bool {
    name.ends_with(OWN) || name.ends_with(b"flightrec.service")
}

#[derive(Clone, Copy, Debug)]
struct Source {
    name: EntityName,
    counts: Counts,
    told_ns: u64,
    /// At the last ranking.
    lines: u64,
    /// Thousandths of a line in a second, smoothed over some eight looks.
    rate: u64,
    seated_ns: Option<u64>,
}

/// All sources, and who sits.
#[derive(Debug)]
pub(super) struct Seats {
    sources: Vec<Source>,
    seat_count: usize,
    ranked_ns: Option<u64>,
}

impl Seats {
    pub(super) fn new(seat_count: usize) -> Self {
        Self { sources: Vec::new(), seat_count, ranked_ns: None }
    }

    /// Takes all the memory that it will use.
    pub(super) fn take_memory(&mut self) {
        self.sources.reserve_exact(SOURCES_MAX);
    }

    /// How much a source has said by now.
    pub(super) fn tell(&mut self, now_ns: u64, name: EntityName, counts: Counts) {
        if let Some(own) = self.sources.iter_mut().find(|own| own.name == name) {
            own.counts = counts;
            own.told_ns = now_ns;
            return;
        }
        let source =
            Source { name, counts, told_ns: now_ns, lines: counts.lines, rate: 0, seated_ns: None };
        if self.sources.len() < SOURCES_MAX {
            self.sources.push(source);
            return;
        }
        let standing = self.sources.iter_mut().filter(|own| own.seated_ns.is_none());
        if let Some(place) = standing.min_by_key(|own| (own.rate, own.told_ns)) {
            *place = source;
        }
    }

    /// Ranks them by what they said since the last time, and seats.
    pub(super) fn rank(&mut self, now_ns: u64) {
        let elapsed_ms = self.ranked_ns.map_or(0, |at| now_ns.saturating_sub(at)) / 1_000_000;
        // Two threads post; a ranking right after another would see nothing.
        if self.ranked_ns.is_none() || elapsed_ms >= 500 {
            self.ranked_ns = Some(now_ns);
            for own in &mut self.sources {
                let lines = own.counts.lines.saturating_sub(own.lines);
                own.lines = own.counts.lines;
                let rate = lines.saturating_mul(1_000_000) / elapsed_ms.max(1);
                own.rate = (own.rate.saturating_mul(7).saturating_add(rate)) / 8;
            }
        }
        for own in &mut self.sources {
            let gone = now_ns.saturating_sub(own.told_ns) > GONE_NS;
            if gone || is_own(own.name.as_bytes()) {
                own.seated_ns = None;
            }
        }
        let seats = self.seat_count - usize::from(self.own().is_some()).min(self.seat_count);
        while self.seated() > seats && self.unseat_least().is_some() {}
        while self.seated() < seats && self.seat_most(now_ns, 0).is_some() {}
        // One that says clearly more than the least of those who sit takes its place.
        let least = self
            .least(|own| own.seated_ns.is_some_and(|at| now_ns.saturating_sub(at) >= SEATED_NS));
        let least = least.and_then(|at| self.sources.get(at)).map(|own| own.rate);
        if let Some(least) = least.filter(|_| self.seated() >= seats) {
            let clearly_more = least.saturating_mul(2).saturating_add(1000);
            if self.most(clearly_more, now_ns).is_some() && self.unseat_least().is_some() {
                self.seat_most(now_ns, clearly_more);
            }
        }
    }

    /// Calls `each` for who sits, and for ourselves.
    pub(super) fn each(&self, mut each: impl FnMut(&[u8], &Counts)) {
        for own in self.sources.iter().filter(|own| own.seated_ns.is_some()) {
            each(own.name.as_bytes(), &own.counts);
        }
        if let Some(own) = self.own() {
            each(OWN, &own);
        }
    }

    /// Our own lines, from the log that has most of them: one line may stand in several.
    fn own(&self) -> Option<Counts> {
        let own = self.sources.iter().filter(|own| is_own(own.name.as_bytes()));
        own.map(|own| own.counts).max_by_key(|own| own.lines).filter(|own| own.lines > 0)
    }

    fn seated(&self) -> usize {
        self.sources.iter().filter(|own| own.seated_ns.is_some()).count()
    }

    /// The kernel's seat is never taken.
    fn least(&self, is: impl Fn(&Source) -> bool) -> Option<usize> {
        let others = self.sources.iter().enumerate();
        let others = others.filter(|(_, own)| own.name.as_bytes() != crate::kmsg::NAME);
        let least = others.filter(|(_, own)| own.seated_ns.is_some() && is(own));
        least.min_by_key(|(_, own)| own.rate).map(|(at, _)| at)
    }

    fn unseat_least(&mut self) -> Option<()> {
        let at = self.least(|_| true)?;
        self.sources.get_mut(at)?.seated_ns = None;
        Some(())
    }

    /// Of those who stand and have said anything: the one that says most, more than `above`.
    fn most(&self, above: u64, now_ns: u64) -> Option<usize> {
        let is_kernel = |own: &Source| own.name.as_bytes() == crate::kmsg::NAME;
        let standing = self.sources.iter().enumerate().filter(|(_, own)| {
            let is_there = now_ns.saturating_sub(own.told_ns) <= GONE_NS;
            let speaks = own.counts.lines > 0 && (above == 0 || own.rate > above);
            let may = is_there && !is_own(own.name.as_bytes());
            own.seated_ns.is_none() && may && (speaks || is_kernel(own))
        });
        standing.max_by_key(|(_, own)| (is_kernel(own), own.rate)).map(|(at, _)| at)
    }

    fn seat_most(&mut self, now_ns: u64, above: u64) -> Option<()> {
        let at = self.most(above, now_ns)?;
        self.sources.get_mut(at)?.seated_ns = Some(now_ns);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// Sources `a` to `l`, each with its own lines a second, for so many seconds.
    struct Room {
        seats: Seats,
        now_ns: u64,
        lines: [u64; 12],
    }

    impl Room {
        fn new() -> Self {
            Self { seats: Seats::new(8), now_ns: 0, lines: [0; 12] }
        }

        fn go_on(&mut self, rates: [u64; 12], seconds: u64) -> String {
            let mut shown = String::new();
            for _ in 0..seconds {
                self.now_ns += SECOND_NS;
                let tell = |seats: &mut Seats, name: &[u8], lines| {
                    let counts = Counts { lines, ..Counts::default() };
                    seats.tell(self.now_ns, EntityName::new(name), counts);
                };
                for ((at, lines), rate) in (b'a'..).zip(&mut self.lines).zip(rates) {
                    *lines += rate;
                    tell(&mut self.seats, &[at], *lines);
                }
                tell(&mut self.seats, b"kmsg", 0);
                self.seats.rank(self.now_ns);
                shown.clear();
                self.seats.each(|name, _| shown += std::str::from_utf8(name).unwrap());
            }
            shown
        }
    }

    #[test]
    fn the_kernel_and_those_that_say_most_sit_and_seats_do_not_flap() {
        let mut room = Room::new();
        let mut rates = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0];
        assert_eq!(room.go_on(rates, 60), "abcdefgkmsg");
        // As many as the least of them, or a little more, is not enough.
        (rates[7], rates[8]) = (4, 6);
        assert_eq!(room.go_on(rates, 300), "abcdefgkmsg");
        // A storm is.
        rates[11] = 1600;
        assert_eq!(room.go_on(rates, 3), "abcdeflkmsg");
        rates[11] = 0;
        assert_eq!(room.go_on(rates, 30), "abcdeflkmsg", "it keeps its seat for a while");
    }

    #[test]
    fn our_own_lines_are_counted_apart_and_never_push_anybody_out() {
        let mut room = Room::new();
        let rates = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let own = Counts { lines: 5000, ..Counts::default() };
        room.seats.tell(SECOND_NS, EntityName::new(b"journal:flightrec.service"), own);
        room.seats.tell(
            SECOND_NS,
            EntityName::new(b"/var/log:flightrecd"),
            Counts { lines: 10, ..own },
        );
        assert_eq!(room.go_on(rates, 3), "akmsgflightrecd");
        let mut lines = 0;
        room.seats.each(|name, counts| lines = if name == OWN { counts.lines } else { lines });
        assert_eq!(lines, 5000);
    }

    #[test]
    fn a_source_that_is_not_told_of_any_more_gives_up_its_seat() {
        let mut seats = Seats::new(8);
        let counts = Counts { lines: 3, ..Counts::default() };
        seats.tell(0, EntityName::new(b"/var/log/syslog"), counts);
        let shown = |seats: &mut Seats, now_ns| {
            let mut count = 0;
            seats.rank(now_ns);
            seats.each(|_, _| count += 1);
            count
        };
        assert_eq!(shown(&mut seats, SECOND_NS), 1);
        assert_eq!(shown(&mut seats, 40 * SECOND_NS), 0);
    }

    #[test]
    fn more_sources_than_are_remembered_are_survived() {
        let mut seats = Seats::new(8);
        for round in 0..3 {
            for n in 0..500_u32 {
                let counts = Counts { lines: round * u64::from(n), ..Counts::default() };
                seats.tell(round * SECOND_NS, EntityName::new(n.to_string().as_bytes()), counts);
            }
            seats.rank(round * SECOND_NS);
        }
        let mut count = 0;
        seats.each(|_, _| count += 1);
        assert_eq!((count, seats.sources.len()), (8, SOURCES_MAX));
    }
}
