#!/usr/bin/env bash
# Alerts over a machine's ordinary load, of which none is wanted: an apt upgrade, the rotation of a log that has grown large, what cron
# runs in its hour, a backup, a compilation, and nothing. Needs root, network and debootstrap; takes 15 minutes.
#
#   bench/false-alerts.sh [FOLDER]        the recording is kept in FOLDER
#
# The load is Debian's own, in a tree of its own (debootstrap); the recorder is that of this machine, with its settings.
set -eu
cd "$(dirname "$0")/.."
skip() { echo "skipped: $*"; exit 0; }
[ "$(id -u)" = 0 ] || skip "chroot needs root"
command -v debootstrap >/dev/null || skip "there is no debootstrap"
cargo build --quiet --release -p flightrec-recorder -p flightrec-reader --bins
bin=$PWD/${CARGO_TARGET_DIR:-target}/release
sources=$PWD
work=$(mktemp -d)
export RUNTIME_DIRECTORY=$work/run
mkdir "$RUNTIME_DIRECTORY"
recorder=
cleanup() {
    [ -z "$recorder" ] || kill "$recorder" 2>/dev/null || true
    umount "$work/tree/proc" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
kept=${1:-$work}
mkdir -p "$kept"
recording=$kept/ordinary.frec
rm -f "$recording"

# A release as it was, without what came since: something to upgrade.
mirror=http://deb.debian.org/debian
debootstrap --variant=minbase --include=logrotate,man-db,rsyslog,cron,python3,git,openssh-server,ca-certificates \
    bookworm "$work/tree" "$mirror" >"$work/log" 2>&1 || skip "no Debian tree can be had: $(tail -n 1 "$work/log")"
mount -t proc proc "$work/tree/proc"
inside() { chroot "$work/tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }

"$bin/flightrecd" create "$recording" --size 16MiB >/dev/null
"$bin/flightrecd" run --recording "$recording" 2>"$work/recorder" &
recorder=$!
sleep 15
phase() {
    "$bin/flightrec" mark "phase $1" >/dev/null
    sleep 3
    shift
    "$@" >>"$work/log" 2>&1 || echo "$* failed: $(tail -n 1 "$work/log")"
}

upgrade() {
    for suite in bookworm-updates bookworm-backports; do echo "deb $mirror $suite main"; done >>"$work/tree/etc/apt/sources.list"
    echo "deb http://deb.debian.org/debian-security bookworm-security main" >>"$work/tree/etc/apt/sources.list"
    inside apt-get -q update
    inside apt-get -q -y dist-upgrade
    inside apt-get -q -y install build-essential linux-headers-amd64 python3-dev perl-doc vim
}

rotation() {
    local line='2026-11-27T03:14:15.926535+01:00 house agent[1234]: delivered 17 records to the collector in 12 ms, none left'
    yes "$line" | head -c 400M >"$work/tree/var/log/syslog"
    sync "$work/tree/var/log/syslog"
    inside logrotate -f /etc/logrotate.conf
    inside logrotate -f /etc/logrotate.conf
}

# apt-compat sleeps up to half an hour first.
cron_hour() {
    rm -f "$work/tree/etc/cron.daily/apt-compat"
    rm -rf "$work/tree/var/cache/man"/*
    inside run-parts /etc/cron.hourly
    inside run-parts /etc/cron.daily
    inside run-parts /etc/cron.weekly
    inside mandb -c
}

backup() {
    tar -C "$work/tree" -cf - usr var | gzip -1 >"$work/backup.tar.gz"
    sync "$work/backup.tar.gz"
}

compile() {
    CARGO_TARGET_DIR=$work/target cargo build --manifest-path "$sources/Cargo.toml" --release -p flightrec-recorder
}

phase "apt upgrade" upgrade
phase "log rotation" rotation
phase "cron hour" cron_hour
phase "backup" backup
phase "compilation" compile
phase "nothing" sleep 60
sleep 3
kill "$recorder"
wait "$recorder" || true
recorder=
"$bin/flightrec" dump --boot all --format jsonl "$recording" >"$work/dump.jsonl"
python3 - "$work/dump.jsonl" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
events = [line["event"] for line in lines if "event" in line]
samples = [line for line in lines if "values" in line]
marks = [(event["boottime_s"], event["text"].removeprefix("phase ")) for event in events if event["kind"] == "mark"]
grade = {0: "calm", 1: "warn", 2: "dying"}
print(f"{'load':14} {'samples':>7} {'busy':>6} {'iowait':>7} {'written':>9}  alerts")
for (begin, name), (end, _) in zip(marks, marks[1:] + [(float("inf"), "")]):
    own = [sample for sample in samples if begin <= sample["boottime_s"] < end]
    grew = lambda series: own[-1]["values"][series] - own[0]["values"][series]
    idle, wait = grew("cpu.idle"), grew("cpu.iowait")
    all_of = sum(grew(f"cpu.{kind}") for kind in ("user", "nice", "system", "irq", "softirq", "steal")) + idle + wait
    written = sum(grew(series) for series in own[0]["values"] if series.startswith("disk.") and series.endswith(".write_bytes"))
    told = [f"{grade[event['args']['to']]} ({event['text']})" for event in events
            if event["kind"] == "alert" and begin <= event["boottime_s"] < end and event["args"]["to"] > event["args"]["from"]]
    print(f"{name:14} {len(own):7} {100 * (all_of - idle - wait) / all_of:5.0f}% {100 * wait / all_of:6.0f}% "
          f"{written / 1e6:6.0f} MB  {len(told)} {'; '.join(told)}".rstrip())
PY
