use super::*;
use crate::sample::Sample;
use crate::sources::{MACHINE, RANKS};
use crate::words::{Text, Word, short_name};
use flightrec_format::event::EventKind;

/// The worst compressor: nothing gets shorter.
struct Nothing;

impl Compressor for Nothing {
    fn compress(&mut self, _body: &[u8], _payload: &mut [u8]) -> Option<usize> {
        None
    }
}

/// W6: facts of the greatest length, events and messages without end, samples that do not compress: whatever is
/// asked for, there is a frame, and the newest sample is in it.
#[test]
fn there_is_always_a_tail_frame_with_the_newest_sample() {
    let layout = Layout::new(MACHINE, RANKS);
    let mut rows = Rows::new(&layout, 1 << 20, 4096);
    let mut events = Events::new(128);
    let mut maker = FrameMaker::new(&layout, 2048, Nothing);
    let facts = [0x5a; 3072];
    let mut sample = Sample::new(&layout);
    let mut slot = vec![0; SLOT_SIZE];
    let stamp = Stamp { interval_ns: 1_000_000_000, facts_crc: 9, ..Stamp::default() };
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for tick in 1..200 {
        sample.tick = tick;
        for column in 0..layout.width() {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sample.set(column, noise >> 16);
        }
        assert!(rows.push(&sample, maker.needed_row()));
        for _ in 0..tick % 30 {
            events.push(EventKind::MARK, (tick, 0), &[], &[b'x'; 200], Some(tick - 1));
        }
        for id in 0..tick % 7 {
            let mut text = Text::default();
            while text.push("of a log ") {}
            let source = short_name(format!("journal:{id}.service").as_bytes());
            let word =
                Word { event: None, at_ns: 0, source, severity: 3, count: 1, id: tick + id, text };
            events.words.put(tick, &word, Some(tick - 1));
        }
        let records = (&layout, &rows, &events);
        let must_row = rows.next().saturating_sub(20);
        let berth = Berth { seq: tick, slot: 0 };
        let made = maker.tail(
            records,
            (must_row, must_row),
            Some((&facts, 1)),
            (&stamp, berth),
            &mut slot,
        );
        let made = made.unwrap_or_else(|| panic!("no frame at tick {tick}"));
        assert_eq!((made.end_row, made.last_tick), (rows.next(), tick));
        let header = Header::read(&slot).unwrap();
        let body = flightrec_format::body::Body::read(
            header.payload(&slot).unwrap(),
            header.first_tick,
            header.last_tick,
        );
        assert_eq!(body.unwrap().samples.unwrap().ticks.last(), Some(&tick));
    }
}
