#!/usr/bin/env bash
# CPU time and memory of `flightrec dump --last 30m` out of a full recording.
#
#   bench/dump.sh [FILE [RUNS]]    without FILE one is made first: 64 MiB, a hundred boots, three
#                                  laps, which takes some minutes
set -eu
cd "$(dirname "$0")/.."
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 0; }
cargo build --release --quiet -p flightrec-reader --bin flightrec
release=${CARGO_TARGET_DIR:-target}/release
file=${1:-$release/big_recording.frec}
if [ ! -e "$file" ]; then
    cargo run --release --quiet -p flightrec-tests --example big_recording "$file"
fi
# Formats alternate, so that a busy moment of the machine meets all of them.
python3 - "$release/flightrec" "$file" "${2:-21}" <<'PY'
import os, statistics, sys
program, file, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
cases = {
    "dump --last 30m, text": ["dump", "--last", "30m", file],
    "dump --last 30m, jsonl": ["dump", "--last", "30m", "--format", "jsonl", file],
    "boots": ["boots", file],
    "verify": ["verify", file],
}

def run(arguments):
    """CPU time in ms and greatest memory in KiB of one run, and the bytes that it said."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        os.close(reader)
        os.execv(program, [program, *arguments])
    os.close(writer)
    said = 0
    while piece := os.read(reader, 1 << 20):
        said += len(piece)
    os.close(reader)
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 3), arguments
    return (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss, said

seen = {name: [] for name in cases}
for turn in range(runs + 1):
    for name, arguments in cases.items():
        figures = run(arguments)
        if turn > 0:  # the first fills the cache
            seen[name].append(figures)
print(f"{runs} runs each, cache warm: median (least, greatest)")
for name, figures in seen.items():
    cpu = [ms for ms, _, _ in figures]
    memory = max(kib for _, kib, _ in figures)
    print(f"{name:>24}: {statistics.median(cpu):6.1f} ms of CPU ({min(cpu):.1f}, {max(cpu):.1f}), "
          f"at most {memory / 1024:.1f} MiB resident, {figures[0][2]} bytes shown")
PY
