use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

/// Boot time runs at least as far as monotonic time, and both go forward.
#[test]
fn clocks_go_forward() {
    let monotonic = monotonic_ns();
    let boottime = boottime_ns();
    assert!(monotonic > 0 && boottime >= monotonic);
    assert!(boottime_ns() >= boottime);
    // 2024-01-01: no machine that builds this is older.
    assert!(realtime_ns() > 1_704_067_200_000_000_000);
    assert!(process_cpu_ns() > 0);
}

/// A wait ends at its deadline, not before; a deadline in the past does not wait.
#[test]
fn a_wait_ends_at_its_deadline() {
    let deadline = boottime_ns() + 20_000_000;
    assert_eq!(wait_signal_until(deadline), None);
    assert!(boottime_ns() >= deadline);
    assert_eq!(wait_signal_until(0), None);
}

/// The lock belongs to the open file: a second description is refused, closing a duplicate of
/// the first one changes nothing.
#[test]
fn a_second_opening_is_refused() {
    let place = tempfile::NamedTempFile::new().unwrap();
    let open = || File::options().read(true).write(true).open(place.path()).unwrap();
    let (first, second) = (open(), open());
    assert!(lock_exclusive(&first).unwrap());
    drop(first.try_clone().unwrap());
    drop(open());
    assert!(!lock_exclusive(&second).unwrap());
    drop(first);
    assert!(lock_exclusive(&second).unwrap());
}

/// Preallocated room is unwritten until it was overwritten once; a hole never counts as written.
#[test]
fn extents_tell_what_was_written() {
    let file = tempfile::tempfile().unwrap();
    fallocate(&file, 1 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 1 << 20);
    if let Some(unwritten) = fiemap_unwritten(&file).unwrap() {
        assert!(unwritten);
        file.write_all_at(&vec![0; 1 << 20], 0).unwrap();
        file.sync_all().unwrap();
        assert_eq!(fiemap_unwritten(&file).unwrap(), Some(false));
        file.set_len(2 << 20).unwrap();
        assert_eq!(fiemap_unwritten(&file).unwrap(), Some(true));
    }
}

/// proc is known by its magic, and a directory is listed like the standard library lists it,
/// again and again, through a small buffer.
#[test]
fn directories_are_listed_whole() {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let dir = File::open("/proc/self").unwrap();
    assert_eq!(file_system(&dir).unwrap().magic, PROC_SUPER_MAGIC);

    let expected: Vec<_> = std::fs::read_dir("/proc/self")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_encoded_bytes())
        .collect();
    let mut buf = [0; 128];
    for _ in 0..2 {
        let mut seen = Vec::new();
        list_dir(&dir, &mut buf, |name| seen.push(name.to_vec())).unwrap();
        assert_eq!(seen, expected);
    }
}

#[test]
fn random_bytes_differ() {
    let (mut one, mut two) = ([0; 300], [0; 300]);
    random_bytes(&mut one).unwrap();
    random_bytes(&mut two).unwrap();
    assert_ne!(one, two);
}

fn compressor() -> StaticCompressor {
    StaticCompressor::new().unwrap()
}

/// What comes out is one zstd frame that says its length, for inputs from nothing to the largest
/// body, smooth and noisy ones.
#[test]
fn compressed_bytes_come_back() {
    let mut compressor = compressor();
    let mut noise = vec![0; 1 << 20];
    random_bytes(&mut noise).unwrap();
    let smooth: Vec<u8> =
        noise.iter().enumerate().map(|(i, byte)| byte & u8::from(i % 7 == 0)).collect();
    let mut out = vec![0; 2 << 20];
    for source in [&noise, &smooth] {
        for len in [0, 1, 100, 4096, 65_536, 160 << 10, 1 << 20] {
            let len = compressor.compress(&source[..len], &mut out).map(|n| (n, len)).unwrap();
            let plain = zstd::bulk::decompress(&out[..len.0], 1 << 20).unwrap();
            assert_eq!(plain, source[..len.1]);
        }
    }
}

fn unpack(decompressor: &mut StaticDecompressor, packed: &[u8], wanted: usize) -> Option<Vec<u8>> {
    let len = packed.len().min(decompressor::PACKED_LEN_MAX);
    decompressor.packed()[..len].copy_from_slice(&packed[..len]);
    decompressor.unpack(len, wanted).map(<[u8]>::to_vec)
}

/// Of small texts and of large ones, however much is behind; at whatever level they were packed.
#[test]
fn the_beginning_of_what_was_compressed_comes_back() {
    let mut decompressor = StaticDecompressor::new().unwrap();
    let line = b"MESSAGE=GET /api/v1/records HTTP/1.1 401 Unauthorized, retry in 5 s; ";
    for len in [1, 511, 512, 600, 4096, 100_000, 1 << 20, 20 << 20] {
        let plain: Vec<u8> = line.iter().copied().cycle().take(len).collect();
        for level in [1, 3, 19] {
            let packed = zstd::bulk::compress(&plain, level).unwrap();
            let unpacked = unpack(&mut decompressor, &packed, 520).unwrap();
            assert!(unpacked.len() >= len.min(520), "{len} at level {level}");
            assert_eq!(unpacked, plain[..unpacked.len()], "{len} at level {level}");
        }
    }
}

/// A frame that says it becomes 2^60 bytes costs no more than another; noise is none.
#[test]
fn what_a_frame_says_of_its_size_is_not_believed() {
    let mut decompressor = StaticDecompressor::new().unwrap();
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    bomb.extend((1_u64 << 60).to_le_bytes());
    // A block of one byte, 128 KiB times, and others behind it.
    for _ in 0..100 {
        bomb.extend([0x02, 0x00, 0x10, b'x']);
    }
    let unpacked = unpack(&mut decompressor, &bomb, 520);
    assert!(unpacked.is_none_or(|plain| plain.len() <= 128 << 10 && plain[0] == b'x'));
    let packed = zstd::bulk::compress(&[b'y'; 5000], 3).unwrap();
    for len in 0..packed.len() {
        unpack(&mut decompressor, &packed[..len], 520);
    }
    let mut noise = vec![0; 2000];
    for round in 0..2000 {
        random_bytes(&mut noise).unwrap();
        let mut broken = if round % 2 == 0 { packed.clone() } else { noise.clone() };
        broken[..4].copy_from_slice(&bomb[..4]);
        let at = usize::from(noise[0]) % broken.len();
        broken[at] ^= noise[1];
        assert!(unpack(&mut decompressor, &broken, 520).is_none_or(|own| own.len() <= 128 << 10));
    }
    assert_eq!(unpack(&mut decompressor, &packed, 520), Some(vec![b'y'; 5000]));
}

/// What does not fit is refused, and the compressor works on.
#[test]
fn what_does_not_fit_is_refused() {
    let mut compressor = compressor();
    let mut noise = vec![0; 8192];
    random_bytes(&mut noise).unwrap();
    let mut out = [0; 4096];
    assert_eq!(compressor.compress(&noise, &mut out), None);
    assert!(compressor.compress(&noise[..2048], &mut out).is_some());
}
