//! What is shipped beside the programs says what they do.

use flightrec_recorder::config::Config;

const EXAMPLE: &str = include_str!("../packaging/flightrec.toml");
const UNIT: &str = include_str!("../packaging/flightrec.service");

/// Every key stands in the example with its default; as it is, and with every "#" removed, it
/// amounts to the same.
#[test]
fn the_example_configuration_shows_every_default() {
    assert_eq!(Config::check(EXAMPLE), Ok(Config::default()));
    let is_setting =
        |line: &&str| line.starts_with('#') && line[1..].starts_with(char::is_alphabetic);
    let settings: Vec<_> = EXAMPLE.lines().filter(is_setting).map(|line| &line[1..]).collect();
    let settings = settings.join("\n") + "\n";
    let given = Config { commit_is_given: true, ..Config::default() };
    assert_eq!(Config::check(&settings), Ok(given));
    assert_eq!(settings, Config::default().to_string());
}

/// What would stop the unit from starting on common board kernels, or stop the only witness, is
/// not in it; what tells a shutdown from a stop is.
#[test]
fn the_unit_keeps_the_recorder_alive() {
    let settings: Vec<_> = UNIT.lines().filter(|line| !line.starts_with('#')).collect();
    for banned in ["CPUSchedulingPolicy", "WatchdogSec", "IOWeight", "PrivateMounts", "Protect"] {
        assert!(!settings.iter().any(|line| line.starts_with(banned)), "{banned}");
    }
    for wanted in [
        "DefaultDependencies=no",
        "RequiresMountsFor=/var/lib/flightrec",
        "After=local-fs.target",
        "Conflicts=shutdown.target",
        "Before=shutdown.target",
        "StartLimitIntervalSec=0",
        "Restart=always",
        "RuntimeDirectory=flightrec",
        "WantedBy=sysinit.target",
    ] {
        assert!(settings.contains(&wanted), "{wanted}");
    }
    let stop = settings.iter().find(|line| line.starts_with("ExecStop=")).unwrap();
    assert!(stop.contains("is-system-running") && stop.contains("/run/flightrec/manager-state"));
}
