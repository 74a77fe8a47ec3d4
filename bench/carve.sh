#!/usr/bin/env bash
# How fast `flightrec carve` searches an image, against `dd` that only reads it.
#
#   bench/carve.sh [IMAGE [RUNS]]    without IMAGE one is made: 1 GiB, mostly noise as compressed
#                                    files are, with a recording of 64 MiB in it if there is one
#                                    (bench/dump.sh makes it)
set -eu
cd "$(dirname "$0")/.."
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 0; }
cargo build --release --quiet -p flightrec-reader --bin flightrec
release=${CARGO_TARGET_DIR:-target}/release
image=${1:-$release/carve.img}
if [ ! -e "$image" ]; then
    recording=$release/big_recording.frec
    # Without one, a small one out of the fixtures.
    if [ ! -e "$recording" ]; then
        recording=$release/carve.frec
        python3 -c 'import sys, zstandard; sys.stdout.buffer.write(zstandard.ZstdDecompressor().decompress(
            open("fixtures/good-wrapped-twice.frec.zst", "rb").read(), 64 << 20))' > "$recording"
    fi
    head -c 300001280 /dev/urandom > "$image"
    cat "$recording" >> "$image"
    head -c $(((1 << 30) - $(stat -c %s "$image"))) /dev/urandom >> "$image"
fi
# The two alternate, so that a busy moment of the machine meets both.
python3 - "$release/flightrec" "$image" "${2:-15}" <<'PY'
import os, statistics, subprocess, sys, time
program, image, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
cases = {
    "dd bs=1M": ["dd", f"if={image}", "of=/dev/null", "bs=1M", "status=none"],
    "carve, the list": [program, "carve", image],
}
seen = {name: [] for name in cases}
for turn in range(runs + 1):
    for name, arguments in cases.items():
        began = time.monotonic()
        subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)
        if turn > 0:  # the first fills the cache
            seen[name].append((time.monotonic() - began) * 1000)
floor = statistics.median(seen["dd bs=1M"])
print(f"{os.path.getsize(image) / 2**20:.0f} MiB, {runs} runs each, cache warm: median (least, greatest)")
for name, ms in seen.items():
    median = statistics.median(ms)
    print(f"{name:>16}: {median:6.1f} ms ({min(ms):.1f}, {max(ms):.1f}), {median / floor:.2f} x dd")
PY
