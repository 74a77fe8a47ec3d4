//! Other parameters for the compressor, on real bodies: what would they bring?
//!
//! `bench_compressor FILE...` takes the bodies of all history frames (FILE is a recording), or a
//! body as it is (any other file), compresses each with several parameter sets and prints bytes,
//! the context's memory and CPU time. The first set is the one in use.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a tool for developers"
)]

mod recorded;

use flightrec_recorder::sys;
use zstd::zstd_safe::{CCtx, CParameter, Strategy};

fn bodies_of(path: &str) -> Vec<Vec<u8>> {
    let bodies: Vec<Vec<u8>> = recorded::history(path).into_iter().map(|(_, body)| body).collect();
    if bodies.is_empty() { vec![std::fs::read(path).unwrap()] } else { bodies }
}

/// How often each set compresses all bodies.
const ROUNDS: u32 = 5;

/// Window, chain, hash and search logs, minimum match, strategy; or a stock level.
enum Choice {
    Own([u32; 5], Strategy),
    Level(i32),
}

fn context(choice: &Choice) -> CCtx<'static> {
    let mut context = CCtx::create();
    let mut set = |parameter| context.set_parameter(parameter).unwrap();
    set(CParameter::ChecksumFlag(false));
    set(CParameter::DictIdFlag(false));
    match choice {
        Choice::Level(level) => set(CParameter::CompressionLevel(*level)),
        Choice::Own([window, chain, hash, search, least], strategy) => [
            CParameter::WindowLog(*window),
            CParameter::ChainLog(*chain),
            CParameter::HashLog(*hash),
            CParameter::SearchLog(*search),
            CParameter::MinMatch(*least),
            CParameter::TargetLength(0),
            CParameter::Strategy(*strategy),
        ]
        .map(set)[0],
    };
    context
}

fn main() {
    use Choice::{Level, Own};
    use Strategy::{ZSTD_btopt, ZSTD_fast, ZSTD_lazy2};
    let bodies: Vec<Vec<u8>> = std::env::args().skip(1).flat_map(|path| bodies_of(&path)).collect();
    let plain: usize = bodies.iter().map(Vec::len).sum();
    println!("{} bodies of {} bytes in all", bodies.len(), plain);
    let choices = [
        ("in use", Own([13, 10, 10, 4, 4], ZSTD_lazy2)),
        ("window 15", Own([15, 10, 10, 4, 4], ZSTD_lazy2)),
        ("window 17", Own([17, 10, 10, 4, 4], ZSTD_lazy2)),
        ("window 15, tables 13", Own([15, 13, 13, 4, 4], ZSTD_lazy2)),
        ("window 17, tables 16", Own([17, 16, 16, 6, 4], ZSTD_lazy2)),
        ("tables 8", Own([13, 8, 8, 4, 4], ZSTD_lazy2)),
        ("minimum match 3", Own([13, 10, 10, 4, 3], ZSTD_btopt)),
        ("fast", Own([13, 10, 10, 1, 4], ZSTD_fast)),
        ("level 1", Level(1)),
        ("level 3", Level(3)),
        ("level 9", Level(9)),
        ("level 19", Level(19)),
    ];
    let mut in_use = None;
    for (name, choice) in &choices {
        let mut context = context(choice);
        let mut packed = vec![0; 2 << 20];
        let start_ns = sys::process_cpu_ns();
        let mut total = 0;
        for _ in 0..ROUNDS {
            let sizes = bodies.iter().map(|body| context.compress2(&mut packed[..], body).unwrap());
            total = sizes.sum();
        }
        let us = (sys::process_cpu_ns() - start_ns) as f64 / 1000.0 / f64::from(ROUNDS);
        let base = *in_use.get_or_insert(total);
        println!(
            "{name:>21}: {total:7} bytes ({:+.2} %), {:5} KiB of context, {:7.0} us a body",
            (total as f64 / base as f64 - 1.0) * 100.0,
            context.sizeof() / 1024,
            us / bodies.len() as f64,
        );
    }
}
