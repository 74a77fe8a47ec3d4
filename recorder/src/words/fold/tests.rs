use super::super::redact::redact;
use super::*;

const SECOND_NS: u64 = 1_000_000_000;

fn heard(text: &str, rank: u8) -> Heard {
    let source = EntityName::new(b"journal:vector.service");
    let text = redact(text.as_bytes());
    let id = id_of(source.as_bytes(), text.as_bytes());
    Heard { id, event: None, source, severity: rank, rank, repeats: 1, text }
}

fn masked(text: &str) -> String {
    let mut out = Vec::new();
    mask(text.as_bytes(), |byte| out.push(byte));
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_are_masked_and_devices_told_apart() {
    for (text, mask) in [
        ("retry 17 of 20 in 12ms", "retry # of # in #"),
        ("2026-11-22T07:38:53.003Z up", "# up"),
        ("at 07:38:53, v1.2.3-rc4", "at #, v1.#-rc4"),
        ("ptr 0xffff8000 deadbeef a1b2c3", "ptr # # #"),
        ("mmcblk0: error -110, mmcblk1p2", "mmcblk0: error -#, mmcblk1p2"),
        ("worker17 of job4711", "worker# of job#"),
        ("a facade, no decade", "a facade, no decade"),
        ("sizes 1:2:", "sizes #:"),
        ("kworker/3:1 ended", "kworker/# ended"),
    ] {
        assert_eq!(masked(text), mask);
    }
    let of = |text: &str| id_of(b"kmsg", text.as_bytes());
    assert_eq!(of("task 17 hung"), of("task 4711 hung"));
    assert_ne!(of("mmc0: error"), of("mmc1: error"));
    assert_ne!(id_of(b"kmsg", b"x"), id_of(b"syslog", b"x"));
}

/// The founding incident: 1600 a second, each with its own numbers.
#[test]
fn a_storm_of_one_message_is_told_once_a_minute_with_its_count() {
    let mut fold = Fold::new(Limits::MESSAGES);
    let (mut told, mut bytes, mut last) = (0, 0, 0);
    for second in 0..300 {
        let now_ns = second * SECOND_NS;
        for n in 0..1600 {
            let n = second * 1600 + n;
            let text = format!("request {n:08x} to https://api.example.com/v1?k={n} failed: 401");
            fold.hear(now_ns, &heard(&text, 3));
        }
        while let Some(word) = fold.tell(now_ns) {
            told += 1;
            bytes += word.text.as_bytes().len();
            last = word.count;
        }
    }
    // At its begin, then once a minute.
    assert_eq!(told, 5);
    assert!(last > 4 * 60 * 1600, "{last}");
    assert!(bytes < 5 * 100, "{bytes}");
}

/// The bound: whatever is said, a minute costs at most 4096 bytes beyond the bucket of 8192.
#[test]
fn a_storm_in_which_no_two_messages_are_alike_costs_a_bounded_number_of_bytes() {
    let mut fold = Fold::new(Limits::MESSAGES);
    let letters = |mut n: u64| {
        let mut word = String::new();
        while n > 0 {
            word.push(char::from(b"ghijklmnopqrstuvwxyz"[usize::try_from(n % 20).unwrap()]));
            n /= 20;
        }
        word
    };
    let (mut bytes, minutes) = (0_u64, 5);
    for second in 0..minutes * 60 {
        let now_ns = second * SECOND_NS;
        for n in 0..1600 {
            let text = format!("{} {}", letters(second * 1600 + n + 1), "lost its way ".repeat(9));
            fold.hear(now_ns, &heard(&text, u8::try_from(n % 8).unwrap()));
        }
        while let Some(word) = fold.tell(now_ns) {
            bytes += u64::try_from(word.text.as_bytes().len()).unwrap();
        }
    }
    assert!(bytes <= 8192 + minutes * 4096, "{bytes}");
    assert!(bytes > 8192 + minutes * 1024, "{bytes}: it was hardly used");
}

/// Chatter must not crowd out the one line that tells why.
#[test]
fn what_is_bad_has_a_reserve() {
    let mut fold = Fold::new(Limits::MESSAGES);
    for second in 0..600 {
        let now_ns = second * SECOND_NS;
        for n in 0..200_u8 {
            let word = char::from(b'g' + n % 20).to_string().repeat(usize::from(n) + 3);
            fold.hear(now_ns, &heard(&format!("chatter {word}"), 6));
        }
        while fold.tell(now_ns).is_some() {}
    }
    let now_ns = 600 * SECOND_NS;
    fold.hear(now_ns, &heard("EXT4-fs error", 2));
    assert_eq!(fold.tell(now_ns).map(|word| word.severity), Some(2));
}

#[test]
fn an_event_that_goes_on_is_told_less_and_less_and_again_after_quiet() {
    let mut fold = Fold::new(Limits::EVENTS);
    let mut told_s = Vec::new();
    for second in 0..4 * 3600 {
        let now_ns = second * SECOND_NS;
        fold.hear(now_ns, &heard("mmc1: error -110", 0));
        if fold.tell(now_ns).is_some() {
            told_s.push(second / 60);
        }
    }
    assert_eq!(told_s, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    let later_ns = (4 + 5) * 3600 * SECOND_NS;
    fold.hear(later_ns, &heard("mmc1: error -110", 0));
    assert!(fold.tell(later_ns).is_some());
    fold.hear(later_ns + 61 * SECOND_NS, &heard("mmc1: error -110", 0));
    assert!(fold.tell(later_ns + 61 * SECOND_NS).is_some());
}

/// What found no way to the sampler is told the next time.
#[test]
fn what_was_taken_back_is_told_again() {
    let mut fold = Fold::new(Limits::MESSAGES);
    fold.hear(0, &heard("once", 3));
    let word = fold.tell(0).unwrap();
    assert!(fold.tell(0).is_none());
    fold.take_back(&word);
    assert_eq!(fold.tell(SECOND_NS).map(|word| word.count), Some(1));
}
