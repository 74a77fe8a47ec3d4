//! The people of the thrash laboratory (`tests/guest/thrash.sh`): a static program with a part for each.
//!
//! | part | what it does |
//! |------|--------------|
//! | `server PORT` | answers every request with 401 |
//! | `agent PORT LOG LINES MIB_S LEFT_MIB` | sends payloads, keeps what cannot be sent, sends some of it again, and logs it |
//! | `services FILE LEFT_MIB` | the rest of a board: programs in use, which are pages of the disk; once so little is left |
//! | `control FILE` | the truth: locked, first in line, never near the disk; a line each second |
//! | `watch PID FILE` | where in the kernel the recorder's sampler is when it is not waiting for its tick |
//! | `probe FILE` | how long a trivial command takes, every twenty seconds |
//!
//! `FILE` is a serial port, whose driver has its buffers since it was opened: a line is a copy of bytes.

#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    reason = "a part that fails ends, and its line on the console says why; small numbers"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use flightrec_recorder::clock::{Clock, SystemClock};
use flightrec_recorder::sys::{lock_memory, set_nice};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// Large enough to be a mapping of its own, which is given back when it is given up.
const PAYLOAD_BYTES: usize = 160 << 10;
const WORKERS: u64 = 48;
const TIMEOUT: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["server", port] => serve(port.parse().unwrap()),
        ["agent", port, log, lines, mib_s, left_mib] => agent(
            port.parse().unwrap(),
            log,
            lines.parse().unwrap(),
            mib_s.parse().unwrap(),
            left_mib.parse().unwrap(),
        ),
        ["services", file, left_mib] => services(file, left_mib.parse().unwrap()),
        ["control", file] => control(&mut serial(file)),
        ["watch", pid, file] => watch(pid, &mut serial(file)),
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
        writeln!(line, "control {tick} {now} {}", now.saturating_sub(tick * SECOND) / 1000)
            .unwrap();
        truth.write_all(&line).unwrap();
    }
}

/// `stack BOOTTIME_MS` and functions of the kernel, the innermost first.
fn watch(pid: &str, told: &mut File) {
    set_nice(-20).unwrap();
    lock_memory().unwrap();
    let clock = SystemClock;
    let stack = File::open(format!("/proc/{pid}/task/{pid}/stack")).unwrap();
    let mut text = [0; 4096];
    loop {
        let now = clock.boottime_ns();
        let len = stack.read_at(&mut text, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(text.get(..len).unwrap_or_default());
        if len > 0 && !text.contains("sigtimedwait") {
            let names: Vec<&str> = text
                .split(['\n', ' ', '+'])
                .filter(|word| word.len() > 3 && !word.starts_with('['))
                .collect();
            let names: Vec<&str> =
                names.into_iter().filter(|word| !word.starts_with("0x")).collect();
            writeln!(told, "stack {} {}", now / MS, names.join(" ")).unwrap();
        }
        clock.wait(now + 100 * MS);
    }
}

/// `begin BOOTTIME_MS`, and when it is done `took BOOTTIME_MS MS LEFT_KIB`. Locked, so that it measures the command alone.
fn probe(told: &mut File) {
    lock_memory().unwrap();
    let clock = SystemClock;
    loop {
        let begin = clock.boottime_ns();
        writeln!(told, "begin {}", begin / MS).unwrap();
        let mut command = Command::new("/own/sh");
        command.args(["-c", "/own/ls / | /own/wc -l"]).stdin(Stdio::null()).stdout(Stdio::null());
        let outcome = command.stderr(Stdio::null()).status();
        let end = clock.boottime_ns();
        let failed = if outcome.is_ok_and(|status| status.success()) { "" } else { " failed" };
        writeln!(told, "took {} {} {}{failed}", begin / MS, (end - begin) / MS, left_kib())
            .unwrap();
        // Seldom, so that its pages do not stay only for that.
        clock.wait((begin + 20 * SECOND).max(end + SECOND));
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

/// Pages of a file that are wanted again and again, as those of programs and libraries are.
fn services(code: &str, left_mib: u64) {
    // Earlier they would be in the way of the agent, and it takes hours.
    while left_kib() > left_mib << 10 {
        SystemClock.wait(SystemClock.boottime_ns() + SECOND);
    }
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || service(&File::open(code).unwrap(), number));
        }
    });
}

fn service(code: &File, number: u64) {
    let pages = code.metadata().unwrap().len() / 4096;
    let (clock, mut random, mut page) = (SystemClock, Random(number + 1), [0; 4096]);
    loop {
        let now = clock.boottime_ns();
        for _ in 0..5 {
            code.read_at(&mut page, random.next() % pages * 4096).unwrap();
        }
        clock.wait(now + 100 * MS);
    }
}

/// The founding incident: what cannot be sent is kept. For the sake of the laboratory it grows no more when less than
/// `left_mib` of memory and swap are left, and shrinks at three quarters of that: the machine stays on the edge, and nobody is killed.
fn agent(port: u16, log: &str, lines: u64, mib_s: u64, left_mib: u64) {
    for number in 0..WORKERS {
        let payloads_s = (mib_s << 20) as f64 / PAYLOAD_BYTES as f64 / WORKERS as f64;
        let newest = LINE.repeat(PAYLOAD_BYTES / LINE.len());
        let (left_kib, random) = (left_mib << 10, Random(number + 1));
        let worker =
            Worker { number, port, payloads_s, left_kib, newest, kept: Vec::new(), random };
        thread::spawn(move || worker.run());
    }
    let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
    let (clock, mut written) = (SystemClock, 0);
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

/// Memory and swap that could still be had.
fn left_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let words = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("MemAvailable:" | "SwapFree:")).then(|| words.next())?
    });
    words.filter_map(|word| word.parse::<u64>().ok()).sum()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Of these a payload consists: lines of a log, which compress as such do.
const LINE: &[u8] =
    br#"{"id":"........","path":"/metrics","host":"opi4","user_agent":"collector/1.0"}"#;

struct Worker {
    number: u64,
    port: u16,
    payloads_s: f64,
    left_kib: u64,
    newest: Vec<u8>,
    kept: Vec<Vec<u8>>,
    random: Random,
}

impl Worker {
    fn run(mut self) {
        let (clock, mut owed, mut tries_again) = (SystemClock, 0.0, false);
        let mut before = clock.boottime_ns();
        loop {
            let now = clock.boottime_ns();
            // However slow it has become: what is to be sent comes from others.
            owed += self.payloads_s * ((now - before) as f64 / SECOND as f64).min(5.0);
            before = now;
            while owed >= 1.0 {
                owed -= 1.0;
                for line in self.newest.chunks_mut(LINE.len()) {
                    if let Some(id) = line.get_mut(7..15) {
                        id.copy_from_slice(&self.random.next().to_le_bytes());
                    }
                }
                self.send(&self.newest);
                let left = left_kib();
                if left > self.left_kib {
                    self.kept.push(self.newest.clone());
                } else if left < self.left_kib / 4 * 3 {
                    self.kept.pop();
                }
                tries_again |= left < self.left_kib / 4 * 5;
            }
            // Once memory is nearly full, all that is kept gets its turn again, in no order.
            if tries_again {
                self.try_again();
            }
            clock.wait(now + 50 * MS);
        }
    }

    fn try_again(&mut self) {
        let place = self.place();
        let Some(payload) = self.kept.get_mut(place).map(std::mem::take) else { return };
        // A byte of each page brings it back from swap.
        let sum = payload.iter().step_by(4096).fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        std::hint::black_box(sum);
        self.send(&payload);
        if let Some(old) = self.kept.get_mut(place) {
            *old = payload;
        }
    }

    fn send(&self, payload: &[u8]) -> Option<()> {
        // One for all: the server comes to a standstill too, and who waits for it brings back nothing from swap.
        if self.number > 0 {
            return None;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(TIMEOUT)).ok()?;
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
        usize::try_from(self.random.next() % len).unwrap_or(0)
    }
}
