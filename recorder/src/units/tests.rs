use super::*;

#[test]
fn what_people_write_is_understood() {
    assert_eq!(duration_ns("10ms"), Ok(10_000_000));
    assert_eq!(duration_ns("1s"), Ok(1_000_000_000));
    assert_eq!(duration_ns("2 m"), Ok(120_000_000_000));
    assert_eq!(size_bytes("64MiB"), Ok(64 << 20));
    assert_eq!(written_bytes("350MB"), Ok(350_000_000));
    assert_eq!(percent_hundredths("2%"), Ok(200));
    assert_eq!(percent_hundredths("0.5 %"), Ok(50));
    assert_eq!(percent_hundredths("1.25%"), Ok(125));
    for no in ["", "%", "2", ".5%", "1.%", "1.125%", "-1%", "+1%", "99999999999%"] {
        assert!(percent_hundredths(no).is_err(), "{no}");
    }
    for no in ["", "350", "350MiB", "-1MB", "99999999999999GB"] {
        assert!(written_bytes(no).is_err(), "{no}");
    }
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
    for text in ["1kB", "350MB", "1001MB", "2GB"] {
        assert_eq!(show_written(written_bytes(text).unwrap()), text);
    }
    for text in ["2%", "0.5%", "1.25%", "100%", "10.01%"] {
        assert_eq!(show_percent(percent_hundredths(text).unwrap()), text);
    }
}
