#!/usr/bin/env bash
# CPU time and memory of `flightrec dump --last 30m`, and of `status`, out of a full recording.
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
import os, statistics, subprocess, sys
program, file, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
# Every slot has to be looked at: what reading the whole file costs is the floor.
cases = {
    "cat, the floor": ["/bin/cat", file],
    "dump --last 30m, text": [program, "dump", "--last", "30m", file],
    "dump --last 30m, jsonl": [program, "dump", "--last", "30m", "--format", "jsonl", file],
    "status": [program, "status", file],
    "boots": [program, "boots", file],
    "verify": [program, "verify", file],
}

nowhere = os.open(os.devnull, os.O_WRONLY)

def run(arguments):
    """CPU time of one run, ms. What it says goes nowhere: a pipe would cost what its reader is."""
    actions = [(os.POSIX_SPAWN_DUP2, nowhere, 1)]
    child = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 3), arguments
    return (usage.ru_utime + usage.ru_stime) * 1000

def memory(arguments):
    """Greatest memory, MiB: asked of a small parent, whose own size does not count."""
    command = ["/usr/bin/time", "-f", "%M", *arguments]
    try:
        told = subprocess.run(command, stdout=nowhere, stderr=subprocess.PIPE, text=True).stderr
    except FileNotFoundError:
        return "unknown, there is no /usr/bin/time"
    return f"{int(told.split()[-1]) / 1024:.1f} MiB"

seen = {name: [] for name in cases}
for turn in range(runs + 1):
    for name, arguments in cases.items():
        cpu = run(arguments)
        if turn > 0:  # the first fills the cache
            seen[name].append(cpu)
print(f"{runs} runs each, cache warm: median (least, greatest)")
for name, cpu in seen.items():
    print(f"{name:>24}: {statistics.median(cpu):6.1f} ms of CPU ({min(cpu):.1f}, {max(cpu):.1f}), "
          f"resident {memory(cases[name])}")
PY
