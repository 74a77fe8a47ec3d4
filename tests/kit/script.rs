//! Small worlds whose every cut can be looked at: what is recorded, on what, and what the disk does.

use flightrec_format::event::stop_reason;
use flightrec_format::superblock::Geometry;

use crate::kernel::Width;
use crate::sim_clock::SECOND_NS;
use crate::sim_disk::Mood;
use crate::world::{End, Run};

/// One run of a script, and the moods of its disk.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// The run.
    pub run: Run,
    /// Seconds after its begin, from and to, and how the disk is then.
    pub moods: Vec<(u64, u64, Mood)>,
    /// Moments are looked at from this many seconds on; what came before was looked at elsewhere.
    pub from_s: u64,
}

/// What happens to a recording, run after run; each but the last ends by a cut or a stop.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its name, for the line that replays a cut.
    pub name: &'static str,
    /// How the recording is divided.
    pub geometry: Geometry,
    /// The runs.
    pub chapters: Vec<Chapter>,
}

/// Boot time at which each run begins: the recorder starts early.
pub const BEGIN_NS: u64 = 30 * SECOND_NS;

/// The shortest areas that G1 allows, so that everything comes round soon.
#[must_use]
pub fn smallest() -> Geometry {
    Geometry {
        size: 1 << 20,
        tail_start: 1,
        lane_slots: 48,
        archive_start: 113,
        archive_slots: 4,
        history_start: 134,
        history_slots: 64,
    }
}

/// A MiB as `create` divides it.
fn mebibyte() -> Geometry {
    Geometry::for_size(1 << 20).expect("the least size")
}

/// Eight of them.
fn eight() -> Geometry {
    Geometry::for_size(8 << 20).expect("a size that can be")
}

/// Samples every 5 s, commits every 20 s: as long as a minute, as short as a few writes.
fn run(number: u64, seconds: u64) -> Run {
    Run {
        boot: u8::try_from(number).expect("few boots"),
        interval_ns: 5 * SECOND_NS,
        commit_ns: 20 * SECOND_NS,
        width: Width::Narrow,
        compare_readings: true,
        ..Run::seconds(number, seconds)
    }
}

/// Samples that hardly compress: a frame holds a quarter as many.
fn loud(number: u64, seconds: u64) -> Run {
    Run { width: Width::Loud, ..run(number, seconds) }
}

fn chapter(run: Run) -> Chapter {
    Chapter { run, moods: Vec::new(), from_s: 0 }
}

fn late(run: Run, from_s: u64) -> Chapter {
    Chapter { run, moods: Vec::new(), from_s }
}

/// The run that is started on whatever a cut has left: long enough for a seal.
#[must_use]
pub fn next_run(number: u64) -> Run {
    let boot = 100 + u8::try_from(number % 100).expect("a small number");
    Run { boot, commit_ns: 5 * SECOND_NS, ..run(number, 100) }
}

/// All scripts.
#[must_use]
pub fn all() -> Vec<Script> {
    calm().into_iter().chain(moody()).collect()
}

/// Scripts on a disk that does what it is told.
#[must_use]
pub fn calm() -> Vec<Script> {
    let script = |name, geometry, chapters| Script { name, geometry, chapters };
    let stop = |run: Run, reason| Run { end: End::Stop(reason), ..run };
    let hourly = |number, hours: u64| Run {
        interval_ns: 120 * SECOND_NS,
        commit_ns: 480 * SECOND_NS,
        oom_kills: (1..=hours).map(|hour| hour * 30 - 7).collect(),
        ..loud(number, hours * 3600)
    };
    vec![
        script("first-commits", mebibyte(), vec![chapter(run(1, 105))]),
        script("seal", smallest(), vec![late(run(1, 425), 270)]),
        script("tail-wraps", smallest(), vec![late(loud(1, 2500), 2000)]),
        script("history-wraps", smallest(), vec![late(loud(1, 4300), 3700), chapter(run(2, 125))]),
        script("archive-wraps", smallest(), vec![late(hourly(1, 13), 36_000)]),
        script("loud-seals", mebibyte(), vec![late(loud(1, 1450), 800), chapter(loud(2, 125))]),
        script("restart", mebibyte(), vec![chapter(run(1, 135)), chapter(run(2, 85))]),
        script(
            "restart-same-boot",
            smallest(),
            vec![late(run(1, 295), 290), chapter(Run { boot: 1, ..run(2, 145) })],
        ),
        script(
            "restarts-of-a-full-tail",
            smallest(),
            vec![late(loud(1, 2090), 2080), late(run(2, 75), 0), chapter(run(3, 75))],
        ),
        // The tail does not reach back to the first sealed frames.
        script("restart-of-8-MiB", eight(), vec![late(loud(1, 7500), 7480), chapter(run(2, 125))]),
        script("stop", mebibyte(), vec![chapter(stop(run(1, 93), stop_reason::MACHINE_SHUTDOWN))]),
        script(
            "stop-and-start",
            smallest(),
            vec![
                late(stop(run(1, 293), stop_reason::SERVICE_STOP), 250),
                chapter(Run { boot: 1, ..run(2, 125) }),
            ],
        ),
        script(
            "dying",
            smallest(),
            vec![late(
                Run {
                    interval_ns: SECOND_NS,
                    commit_ns: 10 * SECOND_NS,
                    dying_from_ns: Some(BEGIN_NS + 30 * SECOND_NS),
                    ..run(1, 75)
                },
                30,
            )],
        ),
        script("precision", mebibyte(), vec![late(Run { precision: 5, ..run(1, 400) }, 300)]),
    ]
}

/// Scripts on a disk that stalls, fails, fills up or goes.
#[must_use]
pub fn moody() -> Vec<Script> {
    let script = |name, geometry, chapters| Script { name, geometry, chapters };
    let moody = |run: Run, from_s: u64, moods: &[(u64, u64, Mood)]| Chapter {
        run,
        moods: moods.to_vec(),
        from_s,
    };
    vec![
        script(
            "stall-9s",
            mebibyte(),
            vec![moody(run(1, 145), 0, &[(35, 90, Mood::Slow(9 * SECOND_NS))])],
        ),
        script(
            "stall-60s",
            smallest(),
            vec![moody(run(1, 305), 30, &[(35, 160, Mood::Slow(60 * SECOND_NS))])],
        ),
        script(
            "stall-in-a-seal",
            smallest(),
            vec![moody(run(1, 335), 295, &[(295, 315, Mood::Slow(9 * SECOND_NS))])],
        ),
        script(
            "stall-3h",
            smallest(),
            vec![moody(run(1, 11_200), 30, &[(35, 60, Mood::Slow(10_800 * SECOND_NS))])],
        ),
        script(
            "stall-for-ever",
            smallest(),
            vec![moody(run(1, 405), 100, &[(150, 170, Mood::Slow(u64::MAX))])],
        ),
        script(
            "sync-fails-once",
            smallest(),
            vec![moody(run(1, 245), 60, &[(75, 95, Mood::SyncFails(5))])],
        ),
        script(
            "sync-fails-long",
            smallest(),
            vec![moody(run(1, 405), 60, &[(75, 245, Mood::SyncFails(5))])],
        ),
        script(
            "disk-full",
            smallest(),
            vec![moody(run(1, 305), 60, &[(75, 165, Mood::WriteFails(28))])],
        ),
        script(
            "read-only",
            smallest(),
            vec![moody(run(1, 305), 60, &[(75, 1000, Mood::WriteFails(30))])],
        ),
        script("disk-gone", smallest(), vec![moody(run(1, 305), 60, &[(75, 1000, Mood::Gone)])]),
    ]
}
