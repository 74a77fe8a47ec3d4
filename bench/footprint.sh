#!/usr/bin/env bash
# What a running recorder takes: memory, threads, descriptors, and system calls in a steady state.
#
#   bench/footprint.sh [SECONDS] [TARGET]    counts system calls for so many seconds (20)
#
# With x86_64-unknown-linux-musl as TARGET, and musl-gcc, the programs are static, as they are to be shipped.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-20}
target=${2:-}
export CC_x86_64_unknown_linux_musl=${CC_x86_64_unknown_linux_musl:-musl-gcc}
cargo build --release --quiet -p flightrec-recorder --bins ${target:+--target "$target"}
release=${CARGO_TARGET_DIR:-target}/$target/release
work=$(mktemp -d "${TMPDIR:-/var/tmp}/flightrec-bench.XXXXXX")
: >"$work/none.toml"
"$release/flightrecd" create "$work/r.frec" >/dev/null
"$release/flightrecd" run --config "$work/none.toml" --recording "$work/r.frec" \
    --for "$((seconds + 45))s" 2>"$work/log" &
pid=$!
trap 'wait "$pid" || true; rm -rf "$work"' EXIT
sleep 30
echo "$(stat -L -c %s "/proc/$pid/exe") bytes of program: $(readlink "/proc/$pid/exe" | sed 's#.*/##')"
grep -E '^(VmPeak|VmLck|VmHWM|VmRSS|RssAnon|RssFile|VmStk|VmSwap|Threads|voluntary_ctxt|nonvoluntary)' "/proc/$pid/status"
echo "resident, KiB, by what it is of:"
awk '/^[0-9a-f]+-/ { what = $6 == "" ? "memory" : $6; sub(/.*\//, "", what); what = what " " $2 }
    /^Rss:/ { sum[what] += $2 } END { for (what in sum) if (sum[what]) print "  " sum[what], what }' "/proc/$pid/smaps" | sort -rn
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
