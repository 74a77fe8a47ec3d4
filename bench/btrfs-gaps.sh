#!/usr/bin/env bash
# What one commit costs a device with btrfs, when commits are further and further apart. Needs root,
# loop devices and mkfs.btrfs; all gaps are measured at once, so it takes as long as the longest.
#
#   bench/btrfs-gaps.sh [SECONDS:COUNT]...    (10:12 40:6 150:3)
set -eu
cd "$(dirname "$0")/.."
skip() { echo "skipped: $*"; exit 0; }
[ "$(id -u)" = 0 ] || skip "mounting a loop device needs root"
for tool in losetup mkfs.btrfs python3; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done
[ -d /dev/shm ] || skip "there is no /dev/shm to hold the images"
cargo build --quiet -p flightrec-recorder --bins
flightrecd=${CARGO_TARGET_DIR:-target}/debug/flightrecd
work=$(mktemp -d /dev/shm/flightrec-gaps.XXXXXX)
loops=()
cleanup() {
    wait || true
    for mount in "$work"/*/; do
        if mountpoint -q "$mount"; then umount "$mount"; fi
    done
    for loop in "${loops[@]}"; do losetup -d "$loop" || true; done
    rm -rf "$work"
}
trap cleanup EXIT

[ $# -gt 0 ] || set -- 10:12 40:6 150:3
for gap in "$@"; do
    image=$work/${gap%:*}.img
    truncate -s 300M "$image"
    mkfs.btrfs -q "$image" >/dev/null
    loop=$(losetup -f --show "$image")
    loops+=("$loop")
    mkdir "$work/${gap%:*}"
    mount -o noatime "$loop" "$work/${gap%:*}"
    "$flightrecd" create "$work/${gap%:*}/r.frec" --size 8MiB >/dev/null 2>&1
done
sync
index=0
for gap in "$@"; do
    python3 - "$work/${gap%:*}/r.frec" "$(basename "${loops[$index]}")" "${gap%:*}" "${gap#*:}" <<'PY' &
import mmap, os, sys, time
path, loop, gap, count = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
file = os.open(path, os.O_RDWR | os.O_DIRECT)
block = mmap.mmap(-1, 4096)
def written():
    return int(open(f"/sys/block/{loop}/stat").read().split()[6]) * 512
time.sleep(35)  # what the creation left to the next transaction
before = written()
for number in range(count):
    block[0:4] = os.urandom(4)
    os.pwrite(file, block, 4096 * (8 + number % 2 * 128 + number // 2))
    os.fdatasync(file)
    time.sleep(gap)
inside = written() - before
time.sleep(35)  # the last transaction
whole = written() - before
print(f"{count} commits {gap:.0f} s apart: {inside // count} bytes each, "
      f"{whole // count} with the last transaction")
PY
    index=$((index + 1))
done
wait
