#!/usr/bin/env bash
# What one commit costs at the device: bytes and flushes, from the counters of loop devices in
# memory. Needs root, loop devices and mkfs.ext4; xfs and btrfs are measured where their mkfs is.
#
#   bench/device-bytes.sh [SECONDS]    a window of so many seconds (60), one commit a second
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
skip() { echo "skipped: $*"; exit 0; }
[ "$(id -u)" = 0 ] || skip "mounting a loop device needs root"
for tool in losetup mkfs.ext4 python3; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done
losetup -f >/dev/null 2>&1 || skip "there are no loop devices"
[ -d /dev/shm ] || skip "there is no /dev/shm to hold the images"

cargo build --release --quiet -p flightrec-recorder -p flightrec-reader --bins
cargo build --release --quiet -p flightrec-recorder --example bench_write
release=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d /dev/shm/flightrec-bench.XXXXXX)
loops=()
cleanup() {
    # Only what this script mounted and started; a recorder that still runs ends by its --for.
    wait || true
    for mount in "$work"/*/; do
        if mountpoint -q "$mount"; then umount "$mount"; fi
    done
    for loop in "${loops[@]}"; do losetup -d "$loop" || true; done
    rm -rf "$work"
}
trap cleanup EXIT

# fresh NAME FILESYSTEM OPTIONS: a device of its own for each figure, so that all run at once.
fresh() {
    local name=$1 kind=$2 options=$3
    truncate -s 400M "$work/$name.img"
    case $kind in
    ext4) mkfs.ext4 -q -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$work/$name.img" ;;
    xfs) mkfs.xfs -q "$work/$name.img" ;;
    btrfs) mkfs.btrfs -q "$work/$name.img" >/dev/null ;;
    esac
    local loop
    loop=$(losetup -f --show "$work/$name.img")
    loops+=("$loop")
    mkdir "$work/$name"
    mount -t "$kind" -o "$options" "$loop" "$work/$name"
    "$release/flightrecd" create "$work/$name/r.frec" >/dev/null 2>"$work/$name.warnings"
    echo "${loop#/dev/}" >"$work/$name.loop"
}

# Sectors written and flushes so far.
counters() { awk '{ print $7, $16 }' "/sys/block/$(cat "$work/$1.loop")/stat"; }

# Ticks are whole seconds of boot time and a commit follows within milliseconds: half a second
# later all is written that the next sample will count as acknowledged.
half_past() {
    python3 - <<'PY'
import time
now = time.clock_gettime(time.CLOCK_BOOTTIME)
time.sleep((0.5 - now) % 1.0)
print(int(time.clock_gettime(time.CLOCK_BOOTTIME)))
PY
}

: >"$work/none.toml"
names=()
add() { names+=("$1"); fresh "$1" "$2" "$3"; }
add ext4-tuned ext4 noatime,commit=600,errors=remount-ro
add ext4-default ext4 defaults
if command -v mkfs.xfs >/dev/null; then add xfs-default xfs defaults; fi
if command -v mkfs.btrfs >/dev/null; then add btrfs-default btrfs defaults; fi
methods=(direct+fdatasync buffered+fdatasync direct+dsync buffered+fsync mmap+msync)
for method in "${methods[@]}"; do
    fresh "$method" ext4 noatime,commit=600,errors=remount-ro
    fresh "$method-default" ext4 defaults
done
sync
sleep 2

for name in "${names[@]}"; do
    "$release/flightrecd" run --config "$work/none.toml" --recording "$work/$name/r.frec" \
        --interval 1s --commit 1s --for "$((seconds + 14))s" 2>"$work/$name.log" &
done
for method in "${methods[@]}"; do
    for name in "$method" "$method-default"; do
        counters "$name" >"$work/$name.before"
        {
            "$release/examples/bench_write" "$work/$name/r.frec" "$method" "$seconds" 1000 >/dev/null
            counters "$name" >"$work/$name.after"
        } &
    done
done

# The start (scan, first commit with the run facts) and the stop stay outside of the window.
sleep 8
from=$(half_past)
for name in "${names[@]}"; do counters "$name" >"$work/$name.before"; done
sleep "$((seconds - 1))"
to=$(half_past)
for name in "${names[@]}"; do counters "$name" >"$work/$name.after"; done
wait

echo "recorder, --interval 1s --commit 1s, ticks $from to $to:"
for name in "${names[@]}"; do
    "$release/flightrec" dump --boot all --format jsonl "$work/$name/r.frec" >"$work/$name.jsonl" || true
    python3 - "$work/$name" "$from" "$to" <<'PY'
import json, sys
base, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
said = {}
for line in open(base + ".jsonl"):
    sample = json.loads(line)
    if "values" in sample:
        said[sample["tick"]] = sample["values"]
# The sample of the next tick counts what was acknowledged when the counters were read.
series = ["recorder.commits", "recorder.written_bytes"]
commits, given = (said[last + 1][name] - said[first + 1][name] for name in series)
before, after = (list(map(int, open(base + end).read().split())) for end in (".before", ".after"))
written, flushes = (after[0] - before[0]) * 512, after[1] - before[1]
sealed = given - commits * 4096
print(f"  {base.rsplit('/', 1)[1]:16} {commits} commits, {sealed} bytes of seals among {given} given; "
      f"device: {written} bytes = {written / commits:.1f} per commit, "
      f"{written / given:.4f} of what was given; {flushes} flushes = {flushes / commits:.3f} per commit")
PY
done
echo "one 4 KiB block a second, $seconds blocks, ext4 noatime,commit=600 | ext4 defaults:"
for method in "${methods[@]}"; do
    for name in "$method" "$method-default"; do
        paste -d' ' "$work/$name.before" "$work/$name.after" | awk -v n="$seconds" -v name="$name" \
            '{ printf "  %-28s %9.1f bytes and %.3f flushes per block\n", name, ($3-$1)*512/n, ($4-$2)/n }'
    done
done
