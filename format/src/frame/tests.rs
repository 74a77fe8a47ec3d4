use super::*;

fn frame() -> (Header, Vec<u8>) {
    let mut slot = vec![0xee; SLOT_SIZE];
    slot[HEADER_SIZE..HEADER_SIZE + 5].copy_from_slice(b"hello");
    let mut header = Header {
        compatible_flags: flag::HOLDS_FACTS,
        area: Area::Tail,
        codec: Codec::Plain,
        recording_id: [1; 16],
        boot_id: [2; 16],
        run_id: [3; 8],
        seq: 1023,
        first_tick: 100,
        last_tick: 123,
        interval_ns: 1_000_000_000,
        boottime_ns: 123_456_789_000,
        monotonic_ns: 123_456_000_000,
        realtime_ns: -5,
        boot_ordinal: 7,
        slot: 1023,
        slots: 1,
        synced: true,
        payload_len: 5,
        body_len: 5,
        payload_crc: 0,
        facts_crc: 42,
        budget_kib: 341_797,
    };
    header.seal(&mut slot);
    (header, slot)
}

fn resealed(mut slot: Vec<u8>) -> Vec<u8> {
    let crc = checksum(&slot[8..HEADER_SIZE]).to_le_bytes();
    slot[4..8].copy_from_slice(&crc);
    slot
}

#[test]
fn a_frame_comes_back_with_its_payload() {
    let (header, slot) = frame();
    assert_eq!(Header::read(&slot), Ok(header));
    assert_eq!(header.payload(&slot), Some(&b"hello"[..]));
}

/// F2: no stray byte of memory or of an older frame reaches the disk.
#[test]
fn what_follows_the_payload_is_zero() {
    assert!(frame().1[HEADER_SIZE + 5..].iter().all(|&byte| byte == 0));
}

#[test]
fn any_flipped_bit_of_header_or_payload_is_noticed() {
    let (header, slot) = frame();
    for bit in 0..(HEADER_SIZE + 5) * 8 {
        let mut torn = slot.clone();
        torn[bit / 8] ^= 1 << (bit % 8);
        let whole = Header::read(&torn).is_ok() && header.payload(&torn).is_some();
        assert!(!whole, "bit {bit}");
    }
}

/// E2, F5.
#[test]
fn a_later_version_or_unknown_incompatible_flag_is_newer_not_damaged() {
    let (_, slot) = frame();
    for (field, value) in [(8, 2), (10, 1), (11, 0x80)] {
        let mut newer = slot.clone();
        newer[field] = value;
        assert!(matches!(Header::read(&resealed(newer)), Err(NotAFrame::Newer { .. })));
    }
}

/// F1, and row 8 of the verdict table.
#[test]
fn lengths_and_ticks_that_lie_are_impossible_even_under_a_good_checksum() {
    let (_, slot) = frame();
    let lies: [(usize, &[u8]); 10] = [
        (8, &[0, 0]),   // version
        (14, &[9]),     // area
        (15, &[2]),     // codec
        (72, &[0; 8]),  // last_tick before first_tick
        (80, &[0; 8]),  // interval
        (87, &[0x02]),  // interval times last_tick above 2^63
        (120, &[0, 0]), // no slots
        (120, &[2, 0]), // two slots in the tail
        (124, &[0xff, 0xff, 0xff, 0xff]),
        (128, &[0xff, 0xff, 0xff, 0xff]),
    ];
    for (field, value) in lies {
        let mut lying = slot.clone();
        lying[field..field + value.len()].copy_from_slice(value);
        let verdict = Header::read(&resealed(lying));
        assert!(matches!(verdict, Err(NotAFrame::Impossible(_))), "field {field}: {verdict:?}");
    }
}

/// F1: a history frame takes no slot that its payload does not reach.
#[test]
fn slots_are_the_least_that_hold_the_payload() {
    let (mut header, _) = frame();
    header.area = Area::History;
    let mut slots = vec![0; 3 * SLOT_SIZE];
    for (payload_len, least) in [(1, 1), (3952, 1), (3953, 2), (8048, 2), (8049, 3)] {
        for taken in 1..=3 {
            header.slots = taken;
            (header.payload_len, header.body_len) = (payload_len, payload_len);
            header.seal(&mut slots);
            assert_eq!(Header::read(&slots).is_ok(), taken == least, "{payload_len} in {taken}");
        }
    }
}

#[test]
fn zeros_are_blank_and_noise_is_damaged() {
    assert_eq!(Header::read(&[0; SLOT_SIZE]), Err(NotAFrame::Blank));
    assert_eq!(Header::read(&[0xa5; SLOT_SIZE]), Err(NotAFrame::Damaged));
    assert_eq!(Header::read(b"short"), Err(NotAFrame::Damaged));
}
