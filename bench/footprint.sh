#!/usr/bin/env bash
# What a running recorder takes: memory, threads, descriptors, and system calls in a steady state.
#
#   bench/footprint.sh [SECONDS]    counts system calls for so many seconds (20)
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-20}
cargo build --release --quiet -p flightrec-recorder --bins
release=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d "${TMPDIR:-/var/tmp}/flightrec-bench.XXXXXX")
: >"$work/none.toml"
"$release/flightrecd" create "$work/r.frec" >/dev/null
"$release/flightrecd" run --config "$work/none.toml" --recording "$work/r.frec" \
    --for "$((seconds + 45))s" 2>"$work/log" &
pid=$!
trap 'wait "$pid" || true; rm -rf "$work"' EXIT
sleep 30
echo "$(stat -c %s "$release/flightrecd") bytes of program (dynamically linked to the C library)"
grep -E '^(VmPeak|VmLck|VmHWM|VmRSS|RssAnon|RssFile|VmStk|VmSwap|Threads|voluntary_ctxt|nonvoluntary)' "/proc/$pid/status"
echo "descriptors: $(ls "/proc/$pid/fd" | wc -l)"
sched() { awk '{ sum += $1 } END { printf "%.0f", sum / 1000 }' /proc/"$pid"/task/*/schedstat; }
before=$(sched)
sleep "$((seconds / 2))"
echo "CPU time of all threads: $(( ($(sched) - before) / (seconds / 2) )) us per second, commits included"
if command -v strace >/dev/null; then
    timeout -s INT "$seconds" strace -q -c -f -p "$pid" 2>"$work/strace" || true
    echo "system calls in $seconds s, all threads:"
    sed -n '1,30p' "$work/strace"
fi
cat "$work/log"
