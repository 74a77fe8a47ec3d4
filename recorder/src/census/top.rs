//! The few that use most, by each of four criteria.

/// Time, memory, bytes written, swapped memory.
pub(super) const CRITERIA: usize = 4;

/// So many by each criterion.
const PLACES: usize = 5;

/// Below these a score is nobody's business: 1 % of a core, 1 MiB, 4 KiB per second, 256 KiB.
const LEAST: [u64; CRITERIA] = [10, 1024, 4, 256];

/// Who: two numbers that tell it from all others.
pub(super) type Key = (u32, u64);

/// The best of each criterion, in falling order.
#[derive(Debug)]
pub(super) struct Top {
    places: [[Option<(u64, Key)>; PLACES]; CRITERIA],
    /// A score below these is among nobody's best, as nearly all are.
    bars: [u64; CRITERIA],
}

impl Default for Top {
    fn default() -> Self {
        Self { places: Default::default(), bars: LEAST }
    }
}

impl Top {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes somebody in wherever its score is among the best.
    pub(super) fn offer(&mut self, key: Key, scores: [u64; CRITERIA]) {
        if scores.iter().zip(&self.bars).all(|(score, bar)| score < bar) {
            return;
        }
        for ((places, score), bar) in self.places.iter_mut().zip(scores).zip(&mut self.bars) {
            if score < *bar {
                continue;
            }
            let mut own = Some((score, key));
            for place in places.iter_mut() {
                if place.is_none_or(|(best, _)| own.is_some_and(|(score, _)| score > best)) {
                    std::mem::swap(place, &mut own);
                }
                if own.is_none() {
                    break;
                }
            }
            if let Some(Some((last, _))) = places.last() {
                *bar = last.saturating_add(1);
            }
        }
    }

    /// The first two by each criterion.
    pub(super) fn firsts(&self) -> impl Iterator<Item = Key> {
        self.ranks(0..2)
    }

    /// The others.
    pub(super) fn others(&self) -> impl Iterator<Item = Key> {
        self.ranks(2..PLACES)
    }

    fn ranks(&self, ranks: std::ops::Range<usize>) -> impl Iterator<Item = Key> {
        ranks.flat_map(|rank| {
            self.places.iter().filter_map(move |places| Some((*places.get(rank)?)?.1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_each_criterion_come_rank_by_rank() {
        let mut top = Top::default();
        for number in 1..=20_u32 {
            let score = u64::from(number);
            top.offer((number, 0), [score * 10, 0, 100 - score, 255]);
        }
        let firsts: Vec<u32> = top.firsts().map(|(number, _)| number).collect();
        assert_eq!(firsts, [20, 1, 19, 2]);
        let others: Vec<u32> = top.others().map(|(number, _)| number).collect();
        assert_eq!(others, [18, 3, 17, 4, 16, 5]);
        top.clear();
        assert_eq!(top.firsts().count(), 0);
    }
}
