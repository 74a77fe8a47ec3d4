//! The newest frame, sent away: what arrives is read like a recording.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flightrec_format::frame::{HEADER_SIZE, Header};
use flightrec_recorder::beacon::{Beacon, Ways};
use flightrec_recorder::pstore;
use flightrec_tests::programs::{Said, flightrec, flightrecd, say};
use flightrec_tests::recovered::Recovered;
use flightrec_tests::sim_clock::{SECOND_NS, SimClock};
use flightrec_tests::sim_disk::{Mood, SimDisk};
use flightrec_tests::world::{Run, blank_recording, record_with};
use tempfile::TempDir;

/// A host that listens, for so long after the last datagram at most.
fn listen(wait_ms: u64) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(wait_ms))).unwrap();
    socket
}

/// All that came, one behind the other, as socat appends it to a file.
fn received(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut buffer = [0; 8192];
    let mut all = Vec::new();
    while let Ok(len) = socket.recv(&mut buffer) {
        all.push(buffer[..len].to_vec());
    }
    all
}

fn carve(path: &Path) -> Said {
    say(flightrec(), ["carve", path.to_str().unwrap(), "--format", "jsonl"])
}

/// Ticks of the samples in JSON lines.
fn ticks(said: &Said) -> Vec<u64> {
    let of_line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["tick"].as_u64()
    };
    said.out.lines().filter_map(of_line).collect()
}

/// The programs themselves.
#[test]
fn what_a_host_received_is_read_by_dump_and_carve() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("recording.frec");
    let made = say(flightrecd(), ["create", path.to_str().unwrap(), "--size", "1MiB", "--force"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let host = listen(500);
    let config = folder.path().join("flightrec.toml");
    let text = format!(
        "recording = {path:?}\nbeacon = \"{}\"\ninterval = \"20ms\"\ncommit = \"100ms\"\n",
        host.local_addr().unwrap()
    );
    fs::write(&config, text).unwrap();
    let mut recorder = Command::new(flightrecd());
    recorder.arg("run").arg("--config").arg(&config).args(["--for", "2s"]).stderr(Stdio::null());
    recorder.env_remove("NOTIFY_SOCKET").env("RUNTIME_DIRECTORY", folder.path());
    let mut recorder = recorder.spawn().unwrap();
    let mut datagrams = Vec::new();
    while recorder.try_wait().unwrap().is_none() {
        datagrams.extend(received(&host));
    }
    datagrams.extend(received(&host));
    assert!(datagrams.len() >= 5, "{} datagrams", datagrams.len());
    assert!(datagrams.iter().all(|own| own.len() == 4096));

    let sent = folder.path().join("beacon.bin");
    fs::write(&sent, datagrams.concat()).unwrap();
    let (there, here) = (Recovered::of_file(&path), Recovered::of_file(&sent));
    assert!(here.samples.len() > 50, "{}", here.samples.len());
    assert!(here.samples.iter().all(|(key, user)| there.samples.get(key) == Some(user)));
    assert_eq!(here.samples.keys().last(), there.samples.keys().last());
    let carved = carve(&sent);
    assert_eq!(ticks(&carved).len(), here.samples.len(), "{}", carved.err);
    // Where it goes is nobody's business who reads the recording.
    let (_, boots) = flightrec_tests::recovered::flightrec(&[
        "boots",
        path.to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert!(boots.contains("\"beacon\":\"udp\"") && !boots.contains("127.0.0.1"), "{boots}");

    // The kernel's ring: headers and payloads alone, the oldest cut anywhere, at no boundary.
    let used = datagrams.iter().map(|own| {
        let header = Header::read(own).unwrap();
        own[..HEADER_SIZE + usize::try_from(header.payload_len).unwrap()].to_vec()
    });
    let ring = used.collect::<Vec<_>>().concat()[333..].to_vec();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("sys/fs/pstore")).unwrap();
    let pmsg = root.join("sys/fs/pstore/pmsg-ramoops-0");
    fs::write(&pmsg, &ring).unwrap();
    let from_ring = ticks(&carve(&pmsg));
    let from_beacon = ticks(&carved);
    assert_eq!(from_ring.last(), from_beacon.last());
    assert!(from_ring.len() > 40 && from_ring.iter().all(|tick| from_beacon.contains(tick)));
    // It is no text of a dead kernel, whatever bytes are in it.
    fs::write(&pmsg, [&ring[..], b"\n<0>[ 1.0] Kernel panic - not syncing\n"].concat()).unwrap();
    assert_eq!(pstore::last_words(&root, 0, 0), pstore::LastWords::default());
}

/// The commonest death is the card itself: just then the beacon must not wait for it.
#[test]
fn the_beacon_goes_on_while_the_disk_is_stuck_or_fails() {
    for mood in [Mood::Slow(u64::MAX), Mood::SyncFails(5)] {
        let host = listen(3000);
        let clock = Arc::new(SimClock::new(60 * SECOND_NS, 1_795_333_133_000_000_000, true));
        let disk = SimDisk::new(blank_recording(1 << 20), clock.clone());
        disk.be(180 * SECOND_NS..u64::MAX, mood);
        let mut ways = Ways::default();
        ways.to_host(host.local_addr().unwrap()).unwrap();
        let beacon = Beacon::start(ways).unwrap();
        let datagrams = std::thread::spawn(move || received(&host));
        record_with(&disk, &clock, &Run::seconds(1, 2000), |recorder| {
            recorder.with_beacon(Some(beacon))
        });
        let datagrams = datagrams.join().unwrap();
        let headers: Vec<Header> = datagrams.iter().map(|own| Header::read(own).unwrap()).collect();
        let seqs: Vec<u64> = headers.iter().map(|header| header.seq).collect();
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "P4: {seqs:?}");
        let late = headers.iter().filter(|header| header.boottime_ns > 300 * SECOND_NS).count();
        assert!(late > 3, "{mood:?}: {late} of {} since the disk failed", headers.len());
    }
}
