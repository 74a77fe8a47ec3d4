use super::*;

/// The figures of the default size are those that the documents name.
#[test]
fn the_default_size_holds_five_days() {
    let days = days(&Geometry::for_size(64 << 20).unwrap());
    assert!((5.0..5.2).contains(&days), "{days}");
}

#[test]
fn what_was_made_is_told_in_one_line() {
    let mut made = Created {
        size: 64 << 20,
        file_system: "ext4".to_owned(),
        verified: Some(true),
        days: 5.07,
        refusal: None,
    };
    assert_eq!(made.to_string(), "64MiB on ext4, about 5 days at one sample a second");
    assert!(made.warnings().is_empty());
    made.days = 0.02;
    made.verified = None;
    assert!(made.to_string().contains("about an hour"));
    assert_eq!(made.warnings().len(), 1);
}

#[test]
fn sizes_are_told_in_round_figures() {
    assert_eq!(about(0), "0 bytes");
    assert_eq!(about((9 << 20) + (1 << 19) + 1), "9728KiB");
    assert_eq!(about((12 << 20) + 5), "12MiB");
    assert_eq!(about(78 << 30), "78GiB");
}

/// A path without a folder lies in the present one, and a hidden name does not become another.
#[test]
fn the_new_name_lies_beside_the_old_one() {
    assert_eq!(new_name(Path::new("a.frec")).unwrap(), Path::new(".a.frec.new"));
    assert_eq!(new_name(Path::new("/x/y")).unwrap(), Path::new("/x/.y.new"));
    assert_eq!(folder(Path::new("a.frec")), Path::new("."));
    assert!(new_name(Path::new("")).is_err());
}
