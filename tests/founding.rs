//! The founding incident, small: a log agent whose key was revoked keeps every record that it cannot
//! send, and says so hundreds of times a second. The power is cut. Who was it?

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_tests::apart::{Running, find, record};
use flightrec_tests::programs::{flightrec, say};
use serde_json::Value;
use tempfile::TempDir;

/// It posts twenty times a second, as an agent does; once the key is refused, what was not sent stays
/// in memory, a log line for each record of the last batch.
const AGENT: &str = r#"
import http.client, sys, time
# A script is called by the name of its interpreter, if that was found by another program.
open("/proc/self/comm", "w").write("vector")
port, log = int(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
unsent = []
while True:
    unsent.append(bytes(256 << 10))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/input", "record", {"DD-API-KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"})
    status = connection.getresponse().status
    connection.close()
    if status == 200:
        unsent.clear()
    for record in unsent[-20:]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        log.write(f"{now} ERROR sink{{component_id=datadog}}: Service call failed. status=401 Unauthorized "
                  f"api_key=0f1e2d3c4b5a69788796a5b4c3d2e1f0 buffered={len(unsent)}\n")
    time.sleep(0.05)
"#;

/// A server that accepts a key until it is revoked.
struct Intake {
    port: u16,
    revoked: Arc<AtomicBool>,
}

impl Intake {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let revoked = Arc::new(AtomicBool::new(false));
        let is_revoked = Arc::clone(&revoked);
        // It ends with the test.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 2048];
                let mut read = 0;
                while !request[..read].ends_with(b"\r\n\r\nrecord") {
                    match stream.read(&mut request[read..]) {
                        Ok(0) | Err(_) => break,
                        Ok(len) => read += len,
                    }
                }
                let status =
                    if is_revoked.load(Ordering::Relaxed) { "401 Unauthorized" } else { "200 OK" };
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).ok();
            }
        });
        Self { port, revoked }
    }
}

fn wait_s(seconds: u64) {
    let _ = SystemClock.wait(SystemClock.boottime_ns() + seconds * 1_000_000_000);
}

fn read(arguments: &[&str]) -> String {
    let said = say(flightrec(), arguments);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out
}

#[test]
fn the_agent_that_lost_its_key_is_named_with_its_log_and_its_last_words() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let var_log = folder.path().join("log");
    fs::create_dir(&var_log).unwrap();
    let agent = folder.path().join("vector");
    let Some(python) = find("python3") else { return println!("skipped: no python3 here") };
    fs::write(&agent, format!("#!{}{AGENT}", python.display())).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    let intake = Intake::start();
    let log = var_log.join("vector.log");
    fs::write(&log, "").unwrap();
    let started = Command::new(&agent).arg(intake.port.to_string()).arg(&log).spawn();
    let agent = Running(started.unwrap());
    let pid = agent.0.id();
    let Some(mut recorder) = record(folder.path(), &var_log) else {
        return println!("skipped: no mount namespace to be had (not root?)");
    };
    wait_s(6);
    intake.revoked.store(true, Ordering::Relaxed);
    wait_s(14);
    // The plug is pulled.
    recorder.0.kill().unwrap();
    recorder.0.wait().unwrap();
    drop(agent);

    let recording = folder.path().join("recording.frec");
    let path = recording.to_str().unwrap();
    let text = read(&["dump", path, "--last", "12s", "--top", "12"]);
    // Its command line stands above, among the events.
    let is_own = |line: &&str| line.starts_with("vector ") && line.contains(&format!(" {pid} "));
    let named = text.lines().find(is_own).unwrap_or_else(|| panic!("it is not named:\n{text}"));
    assert!(named.contains(" +"), "{named}");
    let storm = text.lines().find(|line| line.starts_with("/var/log/vector.log "));
    assert!(storm.is_some(), "its log is not named:\n{text}");

    let log: Value = serde_json::from_str(&read(&["log", path, "--json"])).unwrap();
    let sources = log["sources"].as_array().unwrap();
    let own = sources.iter().find(|own| own["name"] == "/var/log/vector.log").unwrap();
    assert!(own["most_lines_per_s"].as_f64().unwrap() > 50.0, "{own}");
    let messages = log["messages"].as_array().unwrap();
    let words = messages.iter().find_map(|line| {
        let text = line["message"]["text"].as_str()?;
        text.contains("401 Unauthorized").then_some(text)
    });
    let words = words.unwrap_or_else(|| panic!("no last words: {log}"));
    assert!(!words.contains("0f1e2d3c"), "the key is shown: {words}");
    let text = read(&["log", path]);
    assert!(text.contains("status=401"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    let samples = read(&["dump", path, "--boot", "all", "--format", "jsonl"]);
    let memory = samples.lines().filter_map(|line| {
        let sample: Value = serde_json::from_str(line).unwrap();
        let processes = sample["processes"].as_array()?;
        let own = processes.iter().find(|process| process["pid"] == pid)?;
        own["values"]["process.rss_bytes"].as_u64()
    });
    let memory: Vec<u64> = memory.collect();
    let (first, last) = (memory.first().unwrap(), memory.last().unwrap());
    assert!(last - first > 10 << 20, "from {first} to {last}");
    let warned = samples.lines().any(|line| line.contains("\"text\":\"a log storm\""));
    assert!(warned, "no alert");
}
