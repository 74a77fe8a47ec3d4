//! What logs say, from the file that a daemon writes to the lines that the reader prints: with the
//! real recorder, and with rsyslog and logrotate where they are installed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::logs::{Log, Logs, Places};
use flightrec_recorder::sample::Layout;
use flightrec_recorder::sources::{MACHINE, RANKS};
use flightrec_recorder::textlogs::TextLogs;
use flightrec_recorder::words::{Counts, Listener, Messages};
use flightrec_tests::apart::{Running, find, record};
use flightrec_tests::dead_fs::DeadFs;
use flightrec_tests::programs::wait_until;
use flightrec_tests::recovered::Recovered;
use tempfile::TempDir;

fn wait_ms(ms: u64) {
    let clock = SystemClock;
    let _ = clock.wait(clock.boottime_ns() + ms * 1_000_000);
}

/// The founding incident, small: an agent that lost its key says so again and again.
#[test]
fn a_storm_in_a_log_is_recorded_with_its_source_its_rate_and_its_words_redacted() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let var_log = folder.path().join("log");
    fs::create_dir(&var_log).unwrap();
    fs::write(var_log.join("vector.log"), "old line\n".repeat(1000)).unwrap();
    fs::write(var_log.join("quiet.log"), "").unwrap();
    let Some(recorder) = record(folder.path(), &var_log) else {
        return println!("skipped: no mount namespace to be had (not root?)");
    };
    wait_ms(1500);
    let mut log = OpenOptions::new().append(true).open(var_log.join("vector.log")).unwrap();
    let clock = SystemClock;
    let begun_ns = clock.boottime_ns();
    let mut lines = 0;
    while clock.boottime_ns() < begun_ns + 5_000_000_000 {
        for _ in 0..30 {
            let line = format!(
                "2026-11-22T07:38:53.{lines:06}Z board vector[812]: ERROR request {lines} to \
                 https://bob:hunter2@intake.example.com/v1?dd-api-key=0123456789abcdef failed: 401"
            );
            writeln!(log, "{line}").unwrap();
            lines += 1;
        }
        wait_ms(100);
    }
    let took_ms = u32::try_from((clock.boottime_ns() - begun_ns) / 1_000_000).unwrap();
    wait_ms(2500);
    recorder.signal("TERM");
    let mut recorder = recorder;
    assert!(recorder.0.wait().unwrap().success());

    let path = folder.path().join("recording.frec");
    let recovered = Recovered::of_file(&path);
    let counts = |line: &serde_json::Value| -> Option<u64> {
        let logs = line["logs"].as_array()?;
        let own = logs.iter().find(|log| log["name"] == "/var/log/vector.log")?;
        own["values"]["log.lines"].as_u64()
    };
    let told: Vec<(f64, u64)> = recovered
        .lines
        .iter()
        .filter_map(|line| Some((line["boottime_s"].as_f64()?, counts(line)?)))
        .collect();
    let last = told.last().expect("no rates of vector.log").1;
    assert_eq!(last, lines, "each line once, and none of those that stood there");
    let grown: Vec<_> = told.windows(2).filter(|pair| pair[1].1 > pair[0].1).collect();
    let (from, to) = (grown[0][0], grown[grown.len() - 1][1]);
    let grown = f64::from(u32::try_from(to.1 - from.1).unwrap());
    let truth = f64::from(u32::try_from(lines).unwrap()) / f64::from(took_ms) * 1000.0;
    let rate = grown / (to.0 - from.0);
    println!("{rate:.0} lines/s recorded, {truth:.0} written");
    assert!(rate > truth * 0.6 && rate < truth * 1.6, "{rate} {truth}");
    let quiet = recovered.lines.iter().any(|line| line["logs"].to_string().contains("quiet"));
    assert!(!quiet, "who says nothing has no seat");

    let said: Vec<_> =
        recovered.messages.iter().filter(|m| m["source"] == "/var/log/vector.log").collect();
    assert!(!said.is_empty(), "{:?}", recovered.messages);
    let text = said[0]["text"].as_str().unwrap();
    assert!(text.starts_with("vector[812]: ERROR request "), "{text}");
    assert!(text.contains("https://<secret>@intake.example.com/v1?<secret> failed: 401"), "{text}");
    assert!(said.len() <= 2, "a storm of one message is one message: {said:?}");
    let bytes = fs::read(&path).unwrap();
    let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    assert!(!has(b"hunter2") && !has(b"0123456789abcdef failed"));
}

/// The disk is dead, and the kernel says why: that is what must be heard.
#[test]
fn a_log_folder_that_hangs_keeps_nobody_from_hearing_the_kernel() {
    let folder = TempDir::new().unwrap();
    let var_log = folder.path().join("log");
    fs::create_dir(&var_log).unwrap();
    fs::write(folder.path().join("kmsg"), "6,1,1,-;usb 1-1: new device\n").unwrap();
    let dead = match DeadFs::mount(&var_log, None) {
        Ok(dead) => dead,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let layout = Layout::new(MACHINE, RANKS);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let places = Places { dev: folder.path(), var_log: &var_log };
    let (logs, heard) = Logs::new(&layout, places, 1_000_000_000, Messages::Redacted, &clock);
    let threads = logs.start(Duration::from_millis(10)).unwrap();
    let mut kmsg = OpenOptions::new().append(true).open(folder.path().join("kmsg")).unwrap();
    kmsg.write_all(b"3,2,9,-;EXT4-fs error (device sda1): ext4_find_entry\n").unwrap();
    let mut words = Vec::new();
    let heard_it = wait_until(|| {
        words.extend(heard.words.try_iter().map(|word| (word.event.is_some(), word.text)));
        words.len() >= 2
    });
    assert!(heard_it, "{words:?}");
    assert!(words[0].0 && words[0].1.as_bytes().starts_with(b"EXT4-fs error"), "{words:?}");
    drop((dead, threads));
}

/// Counts lines.
#[derive(Default)]
struct Lines(u64);

impl Listener for Lines {
    fn source(&mut self, name: &[u8], counts: Counts) {
        if name.ends_with(b"/syslog") {
            self.0 = counts.lines;
        }
    }

    fn message(&mut self, _: &[u8], _: u8, _: u64, _: &[u8]) {}
}

/// A mount that is taken away again.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn ram_disk(point: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "flightrec-test"]).arg(point).output().ok()?;
        mounted.status.success().then_some(Self(point))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // Lazily, as log2ram does it: somebody may still hold a log open.
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

/// log2ram and armbian-ramlog mount a RAM disk over the logs, copy them into it, and take it away.
#[test]
fn logs_that_move_into_ram_and_back_are_counted_once() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let var_log = folder.path().join("log");
    let syslog = var_log.join("syslog");
    fs::create_dir(&var_log).unwrap();
    fs::write(&syslog, "old\n".repeat(100)).unwrap();
    let mut logs = TextLogs::new(&var_log, Arc::new(SystemClock));
    let mut lines = Lines::default();
    let append = |count: usize| {
        let mut log = OpenOptions::new().append(true).open(&syslog).unwrap();
        log.write_all("new\n".repeat(count).as_bytes()).unwrap();
    };
    let mut counted = || {
        for _ in 0..3 {
            logs.look(&mut lines);
        }
        lines.0
    };
    assert_eq!(counted(), 0);
    append(10);
    assert_eq!(counted(), 10);
    let saved = folder.path().join("hdd.log");
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copy(&syslog, &saved);
    let Some(ram) = Mounted::ram_disk(&var_log) else {
        return println!("skipped: no tmpfs to be mounted (not root?)");
    };
    assert_eq!(counted(), 10, "nothing stands there yet");
    copy(&saved, &syslog);
    assert_eq!(counted(), 10, "it is a copy");
    append(5);
    assert_eq!(counted(), 15);
    drop(ram);
    assert_eq!(counted(), 15, "what stands on the disk was counted");
    append(2);
    assert_eq!(counted(), 17);
}

/// A syslog daemon of our own, that writes to a folder of ours.
struct Syslog {
    folder: TempDir,
    daemon: Running,
    socket: UnixDatagram,
    sent: u64,
}

impl Syslog {
    fn start() -> Result<Self, &'static str> {
        let program = find("rsyslogd").ok_or("rsyslog is not installed")?;
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let root = folder.path().to_str().unwrap();
        fs::create_dir(folder.path().join("log")).unwrap();
        fs::set_permissions(folder.path().join("log"), fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            "module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{root}/socket\" RateLimit.Interval=\"0\")\n\
             *.* action(type=\"omfile\" file=\"{root}/log/syslog\")\n"
        );
        fs::write(folder.path().join("rsyslog.conf"), config).unwrap();
        let daemon = Command::new(program)
            .args(["-n", "-f", &format!("{root}/rsyslog.conf"), "-i", &format!("{root}/pid")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut daemon = Running(daemon.map_err(|_| "rsyslog does not start")?);
        let socket = UnixDatagram::unbound().unwrap();
        let path = folder.path().join("socket");
        let is_up = wait_until(|| {
            socket.connect(&path).is_ok() || daemon.0.try_wait().is_ok_and(|ended| ended.is_some())
        });
        if !is_up || socket.connect(&path).is_err() {
            return Err("rsyslog does not start");
        }
        Ok(Self { folder, daemon, socket, sent: 0 })
    }

    fn say(&mut self, lines: u64) {
        for _ in 0..lines {
            self.sent += 1;
            let line = format!("<11>Nov 22 07:38:53 vector[812]: line {} of many", self.sent);
            self.socket.send(line.as_bytes()).unwrap();
        }
    }

    fn rotate(&self, how: &str) {
        let Some(program) = find("logrotate") else { return };
        let root = self.folder.path().to_str().unwrap();
        let pid = self.daemon.0.id();
        let config = format!(
            "\"{root}/log/syslog\" {{\n su root root\n rotate 3\n {how}\n missingok\n postrotate\n \
             kill -HUP {pid}\n endscript\n}}\n"
        );
        let path = self.folder.path().join("logrotate.conf");
        fs::write(&path, config).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let state = self.folder.path().join("state");
        let output = Command::new(program).arg("-f").arg("-s").arg(state).arg(path).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// Real rsyslog, real logrotate in both of its ways: each line is counted once.
#[test]
fn each_line_of_a_real_syslog_is_counted_once_through_real_rotations() {
    let mut syslog = match Syslog::start() {
        Ok(syslog) => syslog,
        Err(reason) => return println!("skipped: {reason}"),
    };
    if find("logrotate").is_none() {
        return println!("skipped: logrotate is not installed");
    }
    let mut logs = TextLogs::new(&syslog.folder.path().join("log"), Arc::new(SystemClock));
    let mut lines = Lines::default();
    logs.look(&mut lines);
    let mut catch_up = |sent: u64| {
        let done = wait_until(|| {
            logs.look(&mut lines);
            lines.0 >= sent
        });
        assert!(done, "{} of {sent}", lines.0);
        for _ in 0..3 {
            logs.look(&mut lines);
        }
        assert_eq!(lines.0, sent);
    };
    syslog.say(100);
    catch_up(syslog.sent);
    for how in ["create", "copytruncate", "create", "copytruncate", "copytruncate"] {
        syslog.rotate(how);
        // What is cut and has grown to its old size before anybody looks is not counted.
        catch_up(syslog.sent);
        syslog.say(50);
        catch_up(syslog.sent);
    }
    let rotated = File::open(syslog.folder.path().join("log/syslog.1")).unwrap();
    assert!(rotated.metadata().unwrap().len() > 0, "nothing was rotated: nothing was shown");
}
