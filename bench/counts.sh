#!/usr/bin/env bash
# What is counted and not timed: instructions of a sample, of its row and of frames, system calls of a sample and of a whole
# second. Fails if a count has grown by more than the margin beside it in counts.limits.
#
#   bench/counts.sh
#
# Samples are taken of a captured kernel (fixtures/trees) with sixty processes beside it, frames are made of a fixture, so that
# the counts are the same wherever the processor is; those of a whole second are of this machine. Wants valgrind, strace, python3.
set -eu
cd "$(dirname "$0")/.."
for tool in valgrind strace python3; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool"; exit 0; }
done
[ "$(uname -m)" = x86_64 ] || { echo "skipped: the limits are those of x86-64"; exit 0; }
cargo build --release --locked --quiet -p flightrec-recorder --bins --example bench_sampling --example bench_commit
release=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d "${TMPDIR:-/var/tmp}/flightrec-bench.XXXXXX")
pid=
trap '[ -z "$pid" ] || wait "$pid" || true; rm -rf "$work"' EXIT

python3 - fixtures "$work" <<'PYTHON' || { echo "skipped: python3 has no zstandard"; exit 0; }
import pathlib, sys
import zstandard
fixtures, work = map(pathlib.Path, sys.argv[1:])
with open(fixtures / "good-compile-load.frec.zst", "rb") as packed, open(work / "compile.frec", "wb") as plain:
    zstandard.ZstdDecompressor().copy_stream(packed, plain)
def put(path, text):
    path = work / "root" / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
for file in (fixtures / "trees/x86-64.tree").read_text().removeprefix("==> ").split("\n==> "):
    head, _, text = file.partition("\n")
    if ": " not in head:
        put(head, text.rstrip("\n") + "\n")
for number in range(60):
    pid = 100 + 7 * number
    put(f"proc/{pid}/stat", f"{pid} (worker-{number}) S 1 {pid} {pid} 0 -1 4194560 {number * 900} 0 {number} 0 {number * 831} {number * 97} "
        f"0 0 20 0 {1 + number % 5} 0 {1000 + number} {number * 9000000} {number * 1300} 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 {number} 0 0 0\n")
    put(f"proc/{pid}/io", f"rchar: {number * 51}\nwchar: 7\nsyscr: 3\nsyscw: 4\nread_bytes: {number * 40960}\nwrite_bytes: {number * 8192}\n"
        "cancelled_write_bytes: 0\n")
    put(f"proc/{pid}/status", f"Name:\tworker-{number}\nState:\tS (sleeping)\nVmRSS:\t {number * 5200} kB\nVmSwap:\t 0 kB\n")
    put(f"proc/{pid}/cgroup", f"0::/system.slice/worker-{number % 10}.service\n")
PYTHON

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null | awk '/Collected/ { print $NF }'
}
calls() {
    strace -f -c -o "$work/calls" "$@" >/dev/null
    awk '$NF == "total" { print $(NF > 5 ? NF - 2 : NF - 1) }' "$work/calls"
}
# What a hundred more of a kind cost, each.
each() { # COUNTER KIND
    local few many
    few=$("$1" "$release/examples/bench_sampling" only "$2" 100 "$work/root")
    many=$("$1" "$release/examples/bench_sampling" only "$2" 200 "$work/root")
    echo $(((many - few) / 100))
}

take=$(each instructions take)
tick=$(each instructions tick)
steps=$("$release/examples/bench_commit" "$work/compile.frec" only all)
tails=$(echo "$steps" | sed 's/.* rows, \([0-9]*\) tail.*/\1/')
seals=$(echo "$steps" | sed 's/.* frames, \([0-9]*\) seals.*/\1/')
commit() { instructions "$release/examples/bench_commit" "$work/compile.frec" only "$1"; }
rows_cost=$(commit rows)
tails_cost=$(commit tails)
all_cost=$(commit all)

# A whole second: the recorder as it is, when those that matter have their seats.
: >"$work/none.toml"
"$release/flightrecd" create "$work/r.frec" >/dev/null
"$release/flightrecd" run --config "$work/none.toml" --recording "$work/r.frec" --for 55s 2>"$work/log" &
pid=$!
sleep 30
timeout -s INT 20 strace -q -c -f -p "$pid" 2>"$work/strace" || true
second=$(awk '$NF == "total" { print int($(NF > 5 ? NF - 2 : NF - 1) / 20) }' "$work/strace")
wait "$pid" || true
pid=

grown=0
tell() { # NAME COUNT
    local name limit margin
    read -r name limit margin < <(grep "^$1 " bench/counts.limits)
    local most=$((limit + limit * margin / 100)) word=
    if [ -z "$2" ]; then
        word="not counted; is this strace or valgrind not as we know them?"
        grown=1
    elif [ "$2" -gt "$most" ]; then
        word="GROWN: more than $most"
        grown=1
    elif [ "$2" -lt $((limit - limit * margin / 100)) ]; then
        word="less: the limit may be lowered"
    fi
    printf '%-28s %10s  limit %10s + %2s %%  %s\n' "$name" "$2" "$limit" "$margin" "$word"
}
tell sample.instructions "$take"
tell row.instructions $((tick - take))
tell tail_frame.instructions $(((tails_cost - rows_cost) / tails))
tell seal.instructions $(((all_cost - tails_cost) / seals))
tell sample.system_calls "$(each calls take)"
tell second.system_calls "$second"
exit $grown
