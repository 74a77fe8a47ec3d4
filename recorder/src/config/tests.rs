use super::*;

fn complaints(text: &str) -> Vec<String> {
    Config::check(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(Config::check(""), Ok(Config::default()));
    assert_eq!(Config::check("# only words\n"), Ok(Config::default()));
}

/// Every key can be given, and its own default is allowed.
#[test]
fn every_key_takes_its_default() {
    let default = Config::default();
    let text: String = keys()
        .flat_map(|key| {
            [key.name.to_owned(), " = ".to_owned(), (key.show)(&default), "\n".to_owned()]
        })
        .collect();
    let given = Config { commit_is_given: true, ..default };
    assert_eq!(Config::check(&text), Ok(given));
    assert_eq!(keys().map(|key| key.name).collect::<Vec<_>>().join(", "), KNOWN);
}

#[test]
fn given_values_are_taken() {
    let text = "interval = \"100ms\"\ncommit = \"2m\"\nprecision = 5\nnice = 3\n\
        recording = \"/dev/mmcblk1p3\"\nsize = \"8MiB\"\nlock_memory = false\n\
        messages = \"hashes\"\n";
    let config = Config::check(text).unwrap();
    assert_eq!(config.interval_ns, 100 * MS);
    assert_eq!((config.commit_ns, config.commit_dying_ns), (2 * MINUTE, 1000 * MS));
    assert_eq!((config.precision, config.nice, config.lock_memory), (5, 3, false));
    assert_eq!(config.messages, Messages::Hashes);
    assert_eq!(complaints("messages = \"all\"").len(), 1);
    assert_eq!((config.size_bytes, config.recording), (8 << 20, "/dev/mmcblk1p3".into()));
}

#[test]
fn every_limit_can_be_given_and_has_bounds_of_its_own() {
    let text = "write_budget = \"1GB\"\nwrite_budget_daily = \"0MB\"\nwrite_budget_reserve = 50\n\
        cpu_max = \"0.5%\"\nmemory_max = \"8MiB\"\nthreads_max = 4\nlog_lines_max = 0\n";
    let limits = Config::check(text).unwrap().limits;
    let writes = limits.writes;
    assert_eq!((writes.capacity_bytes, writes.daily_bytes), (1_000_000_000, 0));
    assert_eq!((writes.reserve_percent, limits.cpu_max), (50, 50));
    assert_eq!((limits.memory_max_bytes, limits.threads_max), (8 << 20, 4));
    assert_eq!(limits.log_lines_max, 0);
    for bad in [
        "write_budget = \"1kB\"",
        "write_budget = 350000000",
        "write_budget_daily = \"2000GB\"",
        "write_budget_reserve = 101",
        "write_budget_reserve = -1",
        "cpu_max = \"0%\"",
        "cpu_max = \"101%\"",
        "cpu_max = 2",
        "memory_max = \"512KiB\"",
        "threads_max = 1",
        "log_lines_max = 4294967296",
    ] {
        assert_eq!(complaints(bad).len(), 1, "{bad}");
    }
}

/// No name: to look one up may take long, and needs the network that the beacon is to tell of.
#[test]
fn a_beacon_goes_to_an_address_and_no_name() {
    let beacon = |text| Config::check(&format!("beacon = \"{text}\"")).map(|own| own.beacon);
    assert_eq!(beacon(""), Ok(None));
    assert_eq!(beacon("192.0.2.7:4711"), Ok(Some(([192, 0, 2, 7], 4711).into())));
    assert!(beacon("[2001:db8::7]:4711").is_ok());
    for wrong in ["host.example:4711", "192.0.2.7", "192.0.2.7:99999", "localhost:1"] {
        assert!(beacon(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_mirror_is_another_path_than_the_recording() {
    let mirror = |text| Config::check(text).map(|own| own.mirror);
    assert_eq!(mirror("mirror = \"\""), Ok(None));
    assert_eq!(mirror("mirror = \"/mnt/usb/a.frec\""), Ok(Some("/mnt/usb/a.frec".into())));
    assert!(mirror("mirror = \"a.frec\"").is_err());
    let (config, told) = Config::lenient("recording = \"/a\"\nmirror = \"/a\"\n");
    assert_eq!((config.mirror, told.len()), (None, 1));
}

/// A slow interval takes the commits along; nobody has to know all three.
#[test]
fn durations_not_given_give_way() {
    let config = Config::check("interval = \"30s\"").unwrap();
    assert_eq!((config.commit_ns, config.commit_dying_ns), (30_000 * MS, 30_000 * MS));
    let config = Config::check("interval = \"100ms\"\ncommit = \"500ms\"").unwrap();
    assert_eq!(config.commit_dying_ns, 500 * MS);
}

/// All mistakes are told at once: where, what, what is allowed, what holds otherwise.
#[test]
fn every_mistake_is_told() {
    let text = "interval = 5\nprecision = 1\nlock_memory = \"yes\"\nintervall = \"1s\"\n\
        size = \"64MB\"\ncommit = \"11m\"\nnice = -21\nrecording = \"here\"\n";
    assert_eq!(complaints(text).join("\n"), "\
line 1: interval: invalid type: integer `5`, expected a string; allowed: \"10ms\" to \"60s\" in whole milliseconds; default: \"1s\"
line 2: precision: 1 is out of range; allowed: 0 (exact), or 2 to 12 significant bits of a change; default: 0
line 3: lock_memory: invalid type: string \"yes\", expected a boolean; allowed: true or false; default: true
line 4: intervall: there is no such key; allowed: recording, interval, commit, commit_dying, precision, messages, size, nice, lock_memory, mirror, beacon, pmsg, write_budget, write_budget_daily, write_budget_reserve, cpu_max, memory_max, threads_max, log_lines_max
line 5: size: \"64MB\" is not a size such as \"64MiB\" or \"1GiB\"; allowed: \"1MiB\" to \"1024GiB\"; default: \"64MiB\"
line 6: commit: \"11m\" is out of range; allowed: \"10ms\" to \"10m\", not below interval; default: \"10s\"
line 7: nice: -21 is out of range; allowed: -20 to 19; default: -20
line 8: recording: \"here\" is not an absolute path; allowed: an absolute path in quotes; default: \"/var/lib/flightrec/recording.frec\"");
}

#[test]
fn durations_must_be_in_order() {
    let text = "interval = \"2s\"\ncommit = \"1s\"\ncommit_dying = \"500ms\"\n";
    let (config, told) = Config::lenient(text);
    assert_eq!(
        told.iter().map(|c| (c.line, c.key.as_str())).collect::<Vec<_>>(),
        [(2, "commit"), (3, "commit_dying")]
    );
    assert_eq!((config.commit_ns, config.commit_dying_ns), (10_000 * MS, 2000 * MS));
    assert_eq!(complaints("commit_dying = \"20s\"").len(), 1);
}

/// The service starts whatever stands in the file, and keeps what was right.
#[test]
fn a_bad_key_costs_only_itself() {
    let (config, told) = Config::lenient("precision = 99\ncommit = \"5s\"\n");
    assert_eq!((told.len(), config.commit_ns, config.precision), (1, 5000 * MS, 0));
    let (config, told) = Config::lenient("commit = \"5s\"\ninterval = = \"1s\"\nnice = 0\n");
    assert_eq!((config.commit_ns, config.nice), (5000 * MS, 0));
    assert!(told.iter().all(|complaint| complaint.line == 2), "{told:?}");
    assert!(!told.is_empty());
}

/// Any text at all leaves a usable configuration.
#[test]
fn noise_leaves_a_usable_configuration() {
    const LETTERS: &str = "=\"[]{}.,#\n '\\ntc10sminterval_ommit";
    let mut state = 7_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::try_from(state >> 33).unwrap() % LETTERS.len();
        LETTERS.chars().nth(at).unwrap()
    };
    for _ in 0..300 {
        let noise: String = (0..60).map(|_| letter()).collect();
        let (config, _) = Config::lenient(&noise);
        assert!(config.interval_ns <= config.commit_dying_ns);
        assert!(config.commit_dying_ns <= config.commit_ns && config.commit_ns <= COMMIT_MAX_NS);
    }
}
