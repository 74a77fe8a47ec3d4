use super::*;
use crate::place::Area;

fn superblock() -> Superblock {
    Superblock {
        recording_id: *b"0123456789abcdef",
        identity: [7; 16],
        created_realtime_ns: 1_795_333_133_000_000_000,
        geometry: Geometry::for_size(64 << 20).unwrap(),
        compatible_flags: 0,
    }
}

#[test]
fn a_superblock_comes_back_from_each_copy() {
    for copy in 0..3 {
        assert_eq!(Superblock::read(&superblock().slot(copy)), Ok(superblock()));
    }
}

/// B1: any one flipped bit makes the copy damaged, absent or newer, never another superblock.
#[test]
fn any_flipped_bit_of_a_superblock_is_noticed() {
    let slot = superblock().slot(0);
    for bit in 0..SUPERBLOCK_SIZE * 8 {
        let mut torn = slot;
        torn[bit / 8] ^= 1 << (bit % 8);
        assert!(Superblock::read(&torn).is_err(), "bit {bit}");
    }
}

/// B4, E2.
#[test]
fn an_unknown_incompatible_flag_means_newer_not_damaged() {
    let mut slot = superblock().slot(0);
    slot[15] = 0x80;
    let crc = checksum(&slot[12..SUPERBLOCK_SIZE]).to_le_bytes();
    slot[8..12].copy_from_slice(&crc);
    assert_eq!(Superblock::read(&slot), Err(NotASuperblock::Newer { version: 1, flags: 0x8000 }));
}

/// B1: version 0 never was.
#[test]
fn version_0_is_damage() {
    let mut slot = superblock().slot(0);
    slot[12] = 0;
    let crc = checksum(&slot[12..SUPERBLOCK_SIZE]).to_le_bytes();
    slot[8..12].copy_from_slice(&crc);
    assert_eq!(Superblock::read(&slot), Err(NotASuperblock::Damaged));
}

/// B1, G2: a later version may put the areas in another order.
#[test]
fn areas_may_stand_in_any_order() {
    let mut other = superblock();
    let geometry = &mut other.geometry;
    geometry.history_start = 1;
    geometry.archive_start = 1 + geometry.history_slots;
    geometry.tail_start = geometry.archive_start + geometry.archive_slots;
    assert_eq!(Superblock::read(&other.slot(0)), Ok(other));
    other.geometry.archive_start -= 1;
    assert_eq!(Superblock::read(&other.slot(0)), Err(NotASuperblock::Damaged));
}

/// B1: lengths that lie are damage, even under a good checksum.
#[test]
fn areas_that_overlap_or_leave_the_recording_are_damage() {
    for field in [72, 76, 80, 84, 88, 92] {
        let mut slot = superblock().slot(0);
        slot[field..field + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let crc = checksum(&slot[12..SUPERBLOCK_SIZE]).to_le_bytes();
        slot[8..12].copy_from_slice(&crc);
        assert_eq!(Superblock::read(&slot), Err(NotASuperblock::Damaged), "field {field}");
    }
}

/// G1, G3, and the areas tile the recording but for the three superblocks and what lies between.
#[test]
fn every_size_is_divided_safely_or_refused() {
    for size in (0..200_u64).map(|step| step * 333_333).chain([64 << 20, 1 << 30, 1 << 40]) {
        let Some(geometry) = Geometry::for_size(size) else {
            assert!(size < RECORDING_SIZE_MIN, "{size}");
            continue;
        };
        assert!(geometry.is_safe() && geometry.is_sound(), "{size}");
        let slots = 2 * geometry.lane_slots + geometry.archive_slots + geometry.history_slots;
        assert_eq!(u64::from(slots) + 3 + 2 * 16, size / 4096);
        assert!(geometry.commits_per_seal_max() >= 1);
    }
}

/// P1 – P3: consecutive tail frames lie a whole lane apart, and every slot is used once a lap.
#[test]
fn places_are_a_function_of_seq() {
    let geometry = Geometry::for_size(1 << 20).unwrap();
    let lap: std::collections::BTreeSet<_> =
        (1000..1096).map(|seq| geometry.slot_of(Area::Tail, seq)).collect();
    assert_eq!(lap.len(), 96);
    for seq in 1..500 {
        let here = geometry.slot_of(Area::Tail, seq);
        let next = geometry.slot_of(Area::Tail, seq + 1);
        assert!(here.abs_diff(next) >= 16, "seq {seq}: slots {here} and {next} share a page");
    }
    assert_eq!(geometry.history_seq(108, 1), 108);
    assert_eq!(geometry.history_seq(108, 2), 109);
    assert_eq!(geometry.locate(0), None);
    assert_eq!(geometry.locate(1), Some((Area::Tail, 0)));
    assert_eq!(geometry.locate(255), None);
}
