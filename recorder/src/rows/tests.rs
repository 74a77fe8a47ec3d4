use super::*;
use crate::sample::Rank;
use flightrec_format::entity::EntityKind;

const MACHINE: &[u16] = &[1, 2, 3, 20];
const RANKS: &[Rank] = &[Rank { kind: EntityKind::DISK, slots: 2, series: &[140, 141] }];

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Samples with readings that come and go, occupants that change, and steps of every size.
fn samples(layout: &Layout, count: u64, seed: u64) -> Vec<Sample> {
    let mut noise = Noise(seed);
    let mut sample = Sample::new(layout);
    (0..count)
        .map(|tick| {
            sample.tick = tick * 2;
            sample.clear();
            for slot in 1..3 {
                if noise.next().is_multiple_of(7) {
                    let name = noise.next().to_le_bytes();
                    let occupant = Occupant {
                        memory_max_bytes: (name[3] > 50).then_some(u64::from(name[4])),
                        restart: name[5] % 8,
                        ..Occupant::named(&name[..3])
                    };
                    sample.seat(slot, (name[0] > 50).then_some(occupant));
                }
            }
            for column in 0..layout.width() {
                if !noise.next().is_multiple_of(5) {
                    sample.set(column, noise.next() >> (noise.next() % 64));
                }
            }
            sample.clone()
        })
        .collect()
}

#[test]
fn a_cursor_sees_every_sample_as_it_was() {
    let layout = Layout::new(MACHINE, RANKS);
    let samples = samples(&layout, 500, 42);
    let mut rows = Rows::new(&layout, 8 << 10, 64);
    let (mut cursor, mut step) = (Cursor::new(&layout), Step::new(&layout));
    for sample in &samples {
        assert!(rows.push(sample, cursor.row), "the cursor has passed all: there is room");
        rows.advance(&mut cursor, &mut step).unwrap();
        assert_eq!(step.tick, sample.tick);
        for column in 0..layout.width() {
            let seen = cursor.state.present[column].then(|| cursor.state.values[column]);
            assert_eq!(seen, sample.get(column));
        }
        for slot in 0..layout.slots().len() {
            assert_eq!(cursor.state.occupants[slot].as_ref(), sample.occupant(slot));
        }
    }
    assert!(rows.advance(&mut cursor, &mut step).is_none());
}

#[test]
fn rows_that_are_still_needed_are_never_forgotten() {
    let layout = Layout::new(MACHINE, RANKS);
    let samples = samples(&layout, 400, 7);
    let mut rows = Rows::new(&layout, 4 << 10, 1000);
    let taken = samples.iter().take_while(|sample| rows.push(sample, 0)).count();
    assert!(taken > 20 && taken < 400, "{taken}");
    assert_eq!(rows.first(), 0);
    let (mut cursor, mut step) = (Cursor::new(&layout), Step::new(&layout));
    for sample in samples.iter().take(taken) {
        rows.advance(&mut cursor, &mut step).unwrap();
        assert_eq!(step.tick, sample.tick);
    }
    assert!(rows.push(&samples[taken], 10), "ten rows may go");
    assert!(rows.first() > 0 && rows.first() <= 10);
}
