#!/usr/bin/env bash
# Does a recorder that runs for long take more and more? Its memory, descriptors and threads each minute, among processes that come
# and go, writes, and a log that grows and is rotated. Fails if memory grows after the first third, or anything else does.
#
#   bench/soak.sh [MINUTES] [TARGET]     30 minutes; TARGET as in footprint.sh
set -eu
cd "$(dirname "$0")/.."
minutes=${1:-30}
target=${2:-}
export CC_x86_64_unknown_linux_musl=${CC_x86_64_unknown_linux_musl:-musl-gcc}
cargo build --release --locked --quiet -p flightrec-recorder --bins ${target:+--target "$target"}
release=${CARGO_TARGET_DIR:-target}/$target/release
work=$(mktemp -d "${TMPDIR:-/var/tmp}/flightrec-bench.XXXXXX")
: >"$work/none.toml"
"$release/flightrecd" create "$work/r.frec" >/dev/null
export RUNTIME_DIRECTORY=$work/run
"$release/flightrecd" run --config "$work/none.toml" --recording "$work/r.frec" \
    --for "$((minutes * 60 + 30))s" 2>"$work/log" &
pid=$!

# The same load from the first minute to the last.
load() {
    renice -n 10 -p "$BASHPID" >/dev/null
    while [ ! -e "$work/over" ]; do
        dd if=/dev/zero of="$work/data" bs=64k count=64 conv=fdatasync 2>/dev/null
        head -c 300000 /dev/urandom | gzip >/dev/null
        for _ in 1 2 3 4 5 6 7 8; do (sleep 3 & exec true); done
        sleep 2
    done
}
load &
load=$!
trap ': >"$work/over"; wait "$load" || true; wait "$pid" || true; rm -rf "$work"' EXIT

field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/status"; }
sleep 20
echo "minute resident, KiB  locked, KiB  threads  descriptors"
first=0 worst=0 failed=0
for minute in $(seq 0 "$minutes"); do
    [ -d "/proc/$pid" ] || { echo "the recorder has ended:"; cat "$work/log"; exit 1; }
    resident=$(field VmRSS) threads=$(field Threads) descriptors=$(ls "/proc/$pid/fd" | wc -l)
    printf '%6s %14s %12s %8s %12s\n' "$minute" "$resident" "$(field VmLck)" "$threads" "$descriptors"
    if [ "$minute" -le $((minutes / 3)) ]; then
        first=$((resident > first ? resident : first))
    else
        worst=$((resident > worst ? resident : worst))
    fi
    [ "$minute" = "$minutes" ] || sleep 60
done
cat "$work/log"
# Processes and units that were not there before take a place in tables, as they come.
[ "$worst" -le $((first + 64)) ] || { echo "GROWN: from $first to $worst KiB"; failed=1; }
exit $failed
