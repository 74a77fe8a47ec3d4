#!/usr/bin/env bash
# The thrash laboratory: an arm64 guest of 256 MB on a disk like a cheap SD card goes the way of the founding incident, is
# held there, and loses its power. Beside the recorder a control process that never touches the disk; both leave the guest
# by other ways than the disk. check_thrash.py compares. docs/thrash.md tells what was seen.
#
#   tests/guest/thrash.sh [--variant V] [--minutes N] [--runs N] [--seed N] [--without PROTECTION,...] [FOLDER]
#
# V: founding, stall, forks, dstate, full, zram, noswap, oom, leak. PROTECTION: lock_memory, nice, oom_score_adj, io_flusher.
# The card's physics stand in slow_disk.py. The truth leaves through a serial port: its driver has its buffers since it was
# opened, so that a line needs neither memory nor disk, and its time is in it. What comes out is kept in FOLDER.
#
# Wants: qemu-system-arm, cpio, kmod, e2fsprogs, python3, pip (ziglang, a C compiler for arm64), rustup; 60 MB of packages.
# FLIGHTREC_GUEST_DEBS: a folder with the packages. FLIGHTREC_ARM64_BIN: one with programs built before.

set -e -u -o pipefail
export PATH=$PATH:/sbin:/usr/sbin
variant=founding minutes=3 runs=1 seed=1 without= folder=
while [ $# -gt 0 ]; do
    case $1 in
        --variant) variant=$2; shift 2 ;;
        --minutes) minutes=$2; shift 2 ;;
        --runs) runs=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --without) without=$2; shift 2 ;;
        -*) echo "there is no $1; see the head of this file"; exit 2 ;;
        *) folder=$1; shift ;;
    esac
done
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
top=$PWD
skip() { echo "skipped: $*"; exit 0; }
for tool in qemu-system-aarch64 cpio depmod modprobe mke2fs python3 dpkg-deb apt-get; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done

target=aarch64-unknown-linux-musl
programs=${CARGO_TARGET_DIR:-$top/target}
if [ -z "${FLIGHTREC_ARM64_BIN:-}" ]; then
    python3 -c 'import ziglang' 2>/dev/null || skip "no zig: pip install ziglang"
    rustup target add $target >/dev/null 2>&1 || skip "no standard library for $target to be had"
    export CC_aarch64_unknown_linux_musl=$top/.ci/zig-cc AR_aarch64_unknown_linux_musl=$top/.ci/zig-ar
    export ZIG_TARGET=aarch64-linux-musl CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
    log=$(mktemp)
    cargo build --locked --release --target $target -p flightrec-recorder --bins 2>"$log" &&
        cargo build --locked --release --target $target -p flightrec-tests --example thrash 2>"$log" || { cat "$log"; exit 1; }
    rm "$log"
    FLIGHTREC_ARM64_BIN=$programs/$target/release
    cp "$FLIGHTREC_ARM64_BIN/examples/thrash" "$FLIGHTREC_ARM64_BIN/"
fi
arm64_bin=$(cd "$FLIGHTREC_ARM64_BIN" && pwd)
cargo build --locked --quiet --release -p flightrec-reader --bin flightrec
reader=$programs/release/flightrec

work=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null || true; rm -rf "$work"' EXIT
kept=${folder:-$work/out}
mkdir -p "$kept"
kept=$(cd "$kept" && pwd)
cd "$work"

# Packages of another architecture: apt with lists of its own, so that the machine's are left alone.
if [ -z "${FLIGHTREC_GUEST_DEBS:-}" ]; then
    mkdir -p debs apt/lists/partial apt/cache/archives/partial
    apt=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists"
        -o Dir::State::status=/dev/null -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=)
    apt-get "${apt[@]}" -q update >log 2>&1 || skip "no lists of packages can be had: $(tail -n 1 log)"
    image=$(apt-cache "${apt[@]}" depends linux-image-arm64 | sed -n 's/.*Depends: *\(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    (cd debs && apt-get "${apt[@]}" download -q "$image" busybox-static) >log 2>&1 || skip "no Debian kernel can be had: $(tail -n 1 log)"
    FLIGHTREC_GUEST_DEBS=$work/debs
fi
for package in "$FLIGHTREC_GUEST_DEBS"/*.deb; do dpkg-deb -x "$package" root; done
release=$(ls root/lib/modules)

mkdir -p initrd/bin initrd/modules initrd/proc initrd/sys initrd/dev initrd/disk
cp root/bin/busybox initrd/bin/
cp "$here/thrash-init.sh" initrd/init
chmod +x initrd/init
depmod -b root "$release"
wanted='virtio_pci virtio_blk ext4'
[ "$variant" != zram ] || wanted="$wanted zram"
for module in $wanted; do
    modprobe -d root -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | cat -n | while read -r number file; do
    cp "$file" "initrd/modules/$((100 + number))-$(basename "$file")"
done
(cd initrd && find . | cpio -o -H newc 2>/dev/null | gzip -1) >initrd.gz

# The disk: one file system for programs, logs, recording and swap.
mkdir -p disk/bin disk/sbin disk/own disk/proc disk/sys disk/dev disk/run disk/tmp disk/etc disk/var/log disk/var/lib
cp root/bin/busybox disk/bin/
# What a trivial command needs, in files that nobody else has open.
for program in sh ls wc; do cp root/bin/busybox disk/own/$program; done
cp "$arm64_bin/flightrecd" "$arm64_bin/flightrecd-core" "$arm64_bin/thrash" disk/bin/
cp "$arm64_bin/thrash" disk/bin/vector
cp "$here/thrash-init.sh" disk/own/init
head -c 24M /dev/urandom >disk/own/code
chmod +x disk/own/init disk/bin/*

for number in $(seq "$runs"); do
    run=$kept/$variant${without:+-without-${without//,/-}}-$((seed + number - 1))
    rm -rf "$run"
    mkdir -p "$run"
    rm -f disk.img
    truncate -s 900M disk.img
    mke2fs -q -F -t ext4 -b 4096 -d disk disk.img
    socket() { echo "socket,id=$1,path=$run/$1.port"; }
    python3 "$here/thrash_machine.py" "$run" disk.img $((seed + number - 1)) "$variant" "$minutes" \
        qemu-system-aarch64 -machine virt -accel tcg,thread=multi -cpu cortex-a72 -smp 2 -m 256 -display none -monitor none \
        -no-reboot -serial stdio -kernel root/boot/vmlinuz-* -initrd initrd.gz \
        -blockdev "driver=nbd,node-name=card,server.type=unix,server.path=$run/disk" \
        -device virtio-blk-pci,drive=card -chardev "$(socket truth)" -chardev "$(socket acks)" -chardev "$(socket probe)" \
        -chardev "$(socket stacks)" -device pci-serial-4x,chardev1=truth,chardev2=acks,chardev3=probe,chardev4=stacks \
        -append "console=ttyAMA0 loglevel=4 panic=-1 thrash_variant=$variant thrash_without=$without" &
    machine=$!
    wait "$machine" || { tail -n 20 "$run/console"; echo "the guest did not come to its cut; what it said stands above"; exit 1; }
    machine=
    rm -f "$run"/*.port "$run/disk"
    "$reader" carve disk.img -o "$run/recording.frec" --force >"$run/carve.txt" 2>&1 || true
    "$reader" dump --format jsonl --boot all "$run/recording.frec" >"$run/dump.jsonl" 2>"$run/dump.err" || true
    for view in boots events verify top dump; do "$reader" $view "$run/recording.frec" >"$run/$view.txt" 2>&1 || true; done
done
python3 "$here/check_thrash.py" "$kept" "$variant${without:+-without-${without//,/-}}"
