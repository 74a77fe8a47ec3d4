use super::*;

#[test]
fn what_people_write_is_understood() {
    assert_eq!(duration_ns("10ms"), Ok(10_000_000));
    assert_eq!(duration_ns("1s"), Ok(1_000_000_000));
    assert_eq!(duration_ns("2 m"), Ok(120_000_000_000));
    assert_eq!(size_bytes("64MiB"), Ok(64 << 20));
    for no in ["", "1", "s", "1.5s", "-1s", "1S", "1sec", "99999999999999999999s", "5000000000h"] {
        assert!(duration_ns(no).is_err(), "{no}");
    }
    for no in ["", "64", "64M", "64MB", "-1MiB", "99999999999999GiB"] {
        assert!(size_bytes(no).is_err(), "{no}");
    }
}

/// What is shown can be written back.
#[test]
fn what_is_shown_is_understood() {
    for text in ["1ms", "1500ms", "90s", "2m"] {
        assert_eq!(show_duration(duration_ns(text).unwrap()), text);
    }
    for text in ["4KiB", "64MiB", "1025MiB", "1GiB"] {
        assert_eq!(show_size(size_bytes(text).unwrap()), text);
    }
}
