#!/bin/sh
# First flight: records this machine for some twenty seconds, kills the recorder without warning,
# and rebuilds those seconds from the file alone.
#
#   sh first-flight.sh             needs cargo and a C compiler; no root, nothing is installed
#   KEEP=1 sh first-flight.sh      keeps the recording, to try more commands on it
#
# Ends with 0 only if every sample that was acknowledged is there.
set -eu
cd "$(dirname "$0")"

# say LINE...: one line each.
say() { printf '%s\n' "$@"; }
fail() { printf '\nFAILED: %s\n' "$*" >&2; exit 1; }
# show COMMAND...: what is typed, and what it answers.
show() { say "" "\$ $*" ""; "$@"; }

seconds=18
folder='' recorder='' work=''
clean_up() {
    for pid in $recorder $work; do kill -9 "$pid" 2>/dev/null || true; done
    if [ -z "$folder" ]; then return; fi
    if [ "${KEEP:-}" = 1 ]; then say "" "kept: $folder"; else rm -rf "$folder"; fi
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

command -v cargo >/dev/null || fail "there is no cargo; Rust 1.89 or later is needed"
say "Building both programs; the first time this takes some minutes."
quiet=--quiet
if [ -t 2 ]; then quiet=''; fi
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked $quiet --target-dir "$target" \
    -p flightrec-recorder -p flightrec-reader || fail "cargo could not build, see above"
target=$(cd "$target" && pwd)
PATH=$target/release:$PATH
export LC_ALL=C
command -v flightrecd >/dev/null || fail "cargo has put the programs elsewhere than $target/release"

# A recording in RAM would be complete until the moment that it is for, so flightrecd refuses to
# make one there. A place on a disk or card is looked for; RAM is the last resort.
place() {
    folder=$(mktemp -d "$1/first-flight.XXXXXX" 2>/dev/null) || { folder=''; return 1; }
    cd "$folder"
}
for base in "${TMPDIR:-/tmp}" /var/tmp "$target" "${HOME:-/}"; do
    place "$base" || continue
    if flightrecd create recording.frec --size 8MiB >created 2>refused; then break; fi
    if ! grep -q 'RAM' refused; then cat refused >&2; fail "no recording could be made; set TMPDIR to a folder on a disk"; fi
    cd "$OLDPWD"
    rm -rf "$folder"
    folder=''
done
force=''
if [ -z "$folder" ]; then
    force=' --force'
    place "${TMPDIR:-/tmp}" || fail "no folder to write to; set TMPDIR"
    flightrecd create recording.frec --size 8MiB --force >created 2>refused ||
        { cat refused >&2; fail "no recording could be made"; }
fi
say "" "In $folder:" "" "\$ flightrecd create recording.frec --size 8MiB$force"
cat created
if [ -n "$force" ]; then
    say "(--force, because every place that was tried is in RAM: good enough to try it" \
        "out, useless against a power cut)"
fi

say "" "\$ flightrecd run --recording recording.frec --interval 1s --commit 5s &"
flightrecd run --config /dev/null --recording recording.frec --interval 1s --commit 5s \
    --ack-log acknowledged 2>told &
recorder=$!
# From the sixth second on there is something to see: one busy core, and 32 MiB written.
# Killed two or three seconds after a commit, so that there is something to lose.
printf 'recording this machine for %s s, with some work in the middle ' "$seconds"
second=0
while [ "$second" -lt "$seconds" ]; do
    second=$((second + 1))
    if [ "$second" = 6 ]; then
        (while :; do :; done) &
        work=$!
        dd if=/dev/zero of=ballast bs=1048576 count=32 2>/dev/null
    fi
    if [ "$second" = 13 ]; then { kill -9 "$work" && wait "$work"; } 2>/dev/null || true; work=''; fi
    sleep 1
    printf '.'
    kill -0 "$recorder" 2>/dev/null || { say ""; cat told >&2; fail "the recorder ended by itself"; }
done
say ""
killed_at=$(cut -d' ' -f1 /proc/uptime)
say "" "\$ kill -KILL $recorder"
kill -KILL "$recorder"
wait "$recorder" 2>/dev/null || true
recorder=''

say "" "The recorder is gone. It could tell nobody and close nothing; what follows comes" \
    "from the file alone."
show flightrec dump --last 30m recording.frec
show flightrec boots recording.frec
show flightrec verify recording.frec

# What the recorder called durable, sample by sample, against what the reader found.
flightrec dump --boot all --format jsonl recording.frec >rebuilt.jsonl
cut -d' ' -f2,3 acknowledged | sort >wanted
sed -n 's/^{"schema":1,.*"run":"\([0-9a-f]*\)","tick":\([0-9]*\),.*/\1 \2/p' rebuilt.jsonl |
    sort >found
acknowledged=$(wc -l <wanted)
missing=$(comm -23 wanted found | wc -l)
say "" "Told durable before the kill: $((acknowledged)) samples. Missing from the file: $((missing))."
sed -n 's/^{"schema":1,.*"boottime_s":\([0-9.]*\),.*/\1/p' rebuilt.jsonl | tail -n 1 |
    awk -v killed="$killed_at" '{
        age = killed - $1
        if (age >= 0 && age < 60) printf "The newest of them was %.1f s old at the kill.\n", age
    }'

if grep -q '^flightrecd: ' told; then
    say "" "Protections that the recorder asked for and did not get here:"
    sed 's/^flightrecd: /  /' told | cut -c 1-80
    say "Root outside of a container usually gets them. A recording names what it lacked:" \
        "flightrec boots --json FILE"
else
    say "" "The recorder got all protections that it asked for."
fi
[ "$acknowledged" -gt 0 ] || fail "nothing was ever durable"
[ "$missing" -eq 0 ] || fail "samples that were durable are gone"
