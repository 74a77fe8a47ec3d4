use super::*;

#[test]
fn long_names_keep_what_tells_them_apart() {
    let name = |name: &str| String::from_utf8(short_name(name.as_bytes()).as_bytes().to_vec());
    assert_eq!(name("/var/log/syslog").unwrap(), "/var/log/syslog");
    let long = "/var/log/one/two/three/four/unattended-upgrades/unattended-upgrades";
    assert_eq!(
        name(&format!("{long}.log")).unwrap(),
        "/var/log/one/..four/unattended-upgrades/unattended-upgrades.log"
    );
    assert_eq!(
        name(&format!("{long}-dpkg.log")).unwrap(),
        "/var/log/one/..unattended-upgrades/unattended-upgrades-dpkg.log"
    );
}

#[test]
fn a_text_ends_at_a_whole_character() {
    let mut text = Text::default();
    assert!(text.push(&"x".repeat(TEXT_LEN_MAX - 1)));
    assert!(!text.push("ä"));
    assert_eq!(text.as_bytes().len(), TEXT_LEN_MAX - 1);
    assert!(!text.push_whole("ab"));
    text.leave_room(10);
    assert_eq!(text.as_bytes().len(), TEXT_LEN_MAX - 10);
}
