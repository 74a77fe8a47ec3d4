//! The people of the thrash laboratory (`tests/guest/thrash.sh`): a static program with a part for each.
//!
//! | part | what it does |
//! |------|--------------|
//! | `server PORT` | answers every request with 401 |
//! | `agent PORT LOG LINES MIB_S KEEP_MIB` | sends payloads, keeps what cannot be sent, sends some of it again, and logs it |
//! | `control FILE` | the truth: locked, first in line, never near the disk; a line each second |
//! | `probe FILE` | how long a trivial command takes, every five seconds |
//!
//! `FILE` is a serial port, whose driver has its buffers since it was opened: a line is a copy of bytes.

#![allow(clippy::unwrap_used, reason = "a part that fails ends, and its line on the console says why")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::sys::{lock_memory, set_nice};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const PAYLOAD_BYTES: usize = 16 << 10;
const WORKERS: u64 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["server", port] => serve(port.parse().unwrap()),
        ["agent", port, log, lines, mib_s, keep_mib] => agent(
            port.parse().unwrap(),
            log,
            lines.parse().unwrap(),
            mib_s.parse().unwrap(),
            keep_mib.parse().unwrap(),
        ),
        ["control", file] => control(&mut serial(file)),
        ["probe", file] => probe(&mut serial(file)),
        _ => std::process::exit(2),
    }
}

fn serial(path: &str) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

/// What a recorder could do at best: `control TICK BOOTTIME_NS LATE_US`, in memory taken before.
fn control(truth: &mut File) {
    let mut line = Vec::with_capacity(128);
    set_nice(-20).unwrap();
    std::fs::write("/proc/self/oom_score_adj", "-900").unwrap();
    lock_memory().unwrap();
    let clock = SystemClock;
    let mut tick = clock.boottime_ns() / SECOND;
    loop {
        // A late one leaves out what has passed, as the recorder does.
        tick = (tick + 1).max(clock.boottime_ns() / SECOND);
        clock.wait(tick * SECOND);
        let now = clock.boottime_ns();
        line.clear();
        writeln!(line, "control {tick} {now} {}", now.saturating_sub(tick * SECOND) / 1000).unwrap();
        truth.write_all(&line).unwrap();
    }
}

/// `begin BOOTTIME_MS`, and when it is done `took BOOTTIME_MS MS`. Locked, so that it measures the command alone.
fn probe(told: &mut File) {
    lock_memory().unwrap();
    let clock = SystemClock;
    loop {
        let begin = clock.boottime_ns();
        writeln!(told, "begin {}", begin / MS).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ls / | wc -l"]).stdin(Stdio::null()).stdout(Stdio::null());
        let outcome = command.stderr(Stdio::null()).status();
        let end = clock.boottime_ns();
        let failed = if outcome.is_ok_and(|status| status.success()) { "" } else { " failed" };
        writeln!(told, "took {} {}{failed}", begin / MS, (end - begin) / MS).unwrap();
        clock.wait((begin + 5 * SECOND).max(end + SECOND));
    }
}

/// The service whose key the agent has lost.
fn serve(port: u16) {
    let body = r#"{"error":"invalid or expired API key"}"#;
    let answer = format!(
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut buffer = vec![0; 64 << 10];
    for stream in TcpListener::bind(("127.0.0.1", port)).unwrap().incoming().flatten() {
        answer_one(stream, &answer, &mut buffer).ok();
    }
}

fn answer_one(mut stream: TcpStream, answer: &str, buffer: &mut [u8]) -> io::Result<()> {
    // The request comes in one or a few pieces and ends where its sender stops sending.
    while stream.read(buffer)? > 0 {}
    stream.write_all(answer.as_bytes())
}

/// The founding incident: nothing unsendable is given up before `keep_mib` are full of it.
fn agent(port: u16, log: &str, lines: u64, mib_s: u64, keep_mib: u64) {
    for number in 0..WORKERS {
        let payloads_s = (mib_s << 20) / PAYLOAD_BYTES as u64 / WORKERS;
        let keep = (keep_mib << 20) / PAYLOAD_BYTES as u64 / WORKERS;
        let worker = Worker { port, payloads_s, keep, kept: Vec::new(), seed: number + 1 };
        thread::spawn(move || worker.run());
    }
    let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
    let clock = SystemClock;
    let mut written = 0;
    let begin = clock.boottime_ns();
    loop {
        let now = clock.boottime_ns();
        // What it is behind with is lost: a thrashing agent logs less.
        let owed = (now - begin) * lines / SECOND;
        written = owed.saturating_sub(lines).max(written);
        while written < owed {
            written += 1;
            // A full /var/log loses lines, as anywhere.
            writeln!(
                log,
                "{} ERROR vector::sinks::http: Request failed; the batch is kept for later. status=401 \
                 Unauthorized retries={written} internal_log_rate_limit=false endpoint=/v1/logs",
                now / MS
            )
            .ok();
        }
        clock.wait(now + 50 * MS);
    }
}

struct Worker {
    port: u16,
    payloads_s: u64,
    keep: u64,
    kept: Vec<Vec<u8>>,
    seed: u64,
}

impl Worker {
    fn run(mut self) {
        let clock = SystemClock;
        let (begin, mut made) = (clock.boottime_ns(), 0);
        loop {
            let now = clock.boottime_ns();
            let owed = (now - begin) * self.payloads_s / SECOND;
            made = owed.saturating_sub(self.payloads_s).max(made);
            while made < owed {
                made += 1;
                let payload = self.payload();
                if made % 16 == 0 {
                    self.send(&payload);
                }
                self.keep_for_later(payload);
            }
            // All that is kept gets its turn again, in no order.
            for _ in 0..8 {
                self.try_again();
            }
            clock.wait(now + 50 * MS);
        }
    }

    /// Lines of a log, which compress as such do.
    fn payload(&mut self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
        while payload.len() + 100 < PAYLOAD_BYTES {
            let (id, took) = (self.random(), self.random() % 9000);
            writeln!(payload, r#"{{"id":"{id:016x}","took_us":{took},"path":"/metrics","host":"opi4"}}"#).unwrap();
        }
        payload
    }

    fn keep_for_later(&mut self, payload: Vec<u8>) {
        if (self.kept.len() as u64) < self.keep {
            self.kept.push(payload);
        } else {
            let place = self.place();
            if let Some(old) = self.kept.get_mut(place) {
                *old = payload;
            }
        }
    }

    fn try_again(&mut self) {
        let place = self.place();
        let Some(mut payload) = self.kept.get_mut(place).map(std::mem::take) else { return };
        // Each line once: this brings it back from swap.
        let newlines = payload.iter().filter(|byte| **byte == b'\n').count();
        if let Some(first) = payload.first_mut() {
            *first = if newlines > 0 { b'{' } else { b' ' };
        }
        if self.random() % 32 == 0 {
            self.send(&payload);
        }
        if let Some(old) = self.kept.get_mut(place) {
            *old = payload;
        }
    }

    fn send(&self, payload: &[u8]) -> Option<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let head = format!("POST /v1/logs HTTP/1.1\r\nContent-Length: {}\r\n\r\n", payload.len());
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(payload).ok()?;
        stream.shutdown(std::net::Shutdown::Write).ok()?;
        let mut answer = [0; 256];
        let len = stream.read(&mut answer).ok()?;
        let refused = answer.get(..len)?.starts_with(b"HTTP/1.1 401");
        refused.then_some(())
    }

    fn place(&mut self) -> usize {
        let len = (self.kept.len() as u64).max(1);
        usize::try_from(self.random() % len).unwrap_or(0)
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}
