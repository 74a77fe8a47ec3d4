#!/usr/bin/env bash
# Pages of 16 KiB, as the kernel of a Raspberry Pi 5 has them: the recorder as it is shipped for arm64, on Debian's kernel of that
# kind, under emulation. Beside it what that kernel says of the same process. docs/kernels.md tells what was seen.
#
#   tests/guest/pages.sh [FOLDER]        what comes out is kept in FOLDER
#
# Wants: qemu-system-arm, kmod, cpio, xz, e2fsprogs, python3, pip (ziglang, a C compiler for arm64), rustup; 100 MB of packages.
# FLIGHTREC_GUEST_DEBS: a folder with the packages. FLIGHTREC_ARM64_BIN: one with programs built before.
set -e -u -o pipefail
export PATH=$PATH:/sbin:/usr/sbin
folder=${1:-}
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
top=$PWD
skip() { echo "skipped: $*"; exit 0; }
for tool in qemu-system-aarch64 cpio depmod modprobe mke2fs debugfs xz python3 dpkg-deb apt-get; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done

target=aarch64-unknown-linux-musl
programs=${CARGO_TARGET_DIR:-$top/target}
if [ -z "${FLIGHTREC_ARM64_BIN:-}" ]; then
    python3 -c 'import ziglang' 2>/dev/null || skip "no zig: pip install ziglang"
    rustup target add $target >/dev/null 2>&1 || skip "no standard library for $target to be had"
    export CC_aarch64_unknown_linux_musl=$top/.ci/zig-cc AR_aarch64_unknown_linux_musl=$top/.ci/zig-ar
    export ZIG_TARGET=aarch64-linux-musl CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
    cargo build --locked --quiet --release --target $target -p flightrec-recorder --bins
    FLIGHTREC_ARM64_BIN=$programs/$target/release
fi
arm64_bin=$(cd "$FLIGHTREC_ARM64_BIN" && pwd)
cargo build --locked --quiet --release -p flightrec-reader --bin flightrec
reader=$programs/release/flightrec

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kept=${folder:-$work/out}
mkdir -p "$kept"
kept=$(cd "$kept" && pwd)
cd "$work"

# The release before has no such kernel: lists of our own, from where this machine has its packages.
if [ -z "${FLIGHTREC_GUEST_DEBS:-}" ]; then
    mkdir -p debs apt/lists/partial apt/cache/archives/partial
    where=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${where:-none} trixie main" >apt/sources.list
    apt=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists"
        -o Dir::State::status=/dev/null -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=
        -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null)
    apt-get "${apt[@]}" -q update >log 2>&1 || skip "no lists of packages can be had: $(tail -n 1 log)"
    image=$(apt-cache "${apt[@]}" depends linux-image-arm64-16k | sed -n 's/.*Depends: *\(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    (cd debs && apt-get "${apt[@]}" download -q "$image" busybox-static) >log 2>&1 || skip "no Debian kernel can be had: $(tail -n 1 log)"
    FLIGHTREC_GUEST_DEBS=$work/debs
fi
for package in "$FLIGHTREC_GUEST_DEBS"/*.deb; do dpkg-deb -x "$package" root; done
[ -d root/lib/modules ] || ln -s usr/lib root/lib
release=$(ls root/lib/modules)

mkdir -p initrd/bin initrd/modules initrd/proc initrd/sys initrd/dev disk
cp "$(find root -path '*bin/busybox' | head -n 1)" initrd/bin/busybox
cp "$arm64_bin/flightrecd" "$arm64_bin/flightrecd-core" initrd/bin/
cp "$here/pages-init.sh" initrd/init
chmod +x initrd/init
depmod -b root "$release"
for module in virtio_pci virtio_blk ext4; do
    modprobe -d root -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | cat -n | while read -r number file; do
    name=initrd/modules/$((100 + number))-$(basename "$file" .xz)
    case $file in *.xz) xz -dc "$file" >"$name" ;; *) cp "$file" "$name" ;; esac
done
(cd initrd && find . | cpio -o -H newc 2>/dev/null | gzip -1) >initrd.gz
truncate -s 64M disk.img
mke2fs -q -F -t ext4 -b 4096 -d disk disk.img
timeout 300 qemu-system-aarch64 -machine virt -accel tcg,thread=multi -cpu cortex-a76 -smp 2 -m 512 -display none -monitor none \
    -no-reboot -serial stdio -kernel "$(echo root/boot/vmlinuz-*)" -initrd initrd.gz \
    -drive file=disk.img,format=raw,if=none,id=card -device virtio-blk-pci,drive=card \
    -append "console=ttyAMA0 loglevel=4 panic=-1" </dev/null >"$kept/console" 2>&1 || true
grep -q 'told end' "$kept/console" || { tail -n 20 "$kept/console"; echo "the guest did not come to its end; what it said stands above"; exit 1; }
debugfs -R "dump recording.frec $kept/recording.frec" disk.img 2>/dev/null
for view in status boots top; do "$reader" $view --json "$kept/recording.frec" >"$kept/$view.json"; done
"$reader" dump --boot all --format jsonl "$kept/recording.frec" >"$kept/dump.jsonl"
"$reader" verify "$kept/recording.frec"
"$reader" status "$kept/recording.frec"

python3 - "$kept" <<'PYTHON'
import json, pathlib, sys
kept = pathlib.Path(sys.argv[1])
told = {}
for line in (kept / "console").read_text(errors="replace").splitlines():
    if line.startswith("told "):
        name, _, value = line[5:].strip().partition(" ")
        told[name] = value
read = lambda name: json.loads((kept / name).read_text())
status, top = read("status.json"), read("top.json")
samples = [json.loads(line) for line in (kept / "dump.jsonl").read_text().splitlines()]
hog, hog_kib = map(int, told["hog"].split())
print(f'{told["uname"]}: pages of {told["page_kib"]} KiB, {len(samples)} samples, recorder {told["VmRSS"]} KiB, told {status["recorder"]["rss_bytes"] // 1024}')
own = next(process for process in top["processes"] if process["pid"] == hog)
print(f'a process with {hog_kib} KiB, told {own["memory_bytes"] // 1024}')
assert told["page_kib"] == "16" and told["exit"] == "0", told
assert len(samples) > 100
# Not taken at the same moment, and `stat` leaves out what each processor has not handed in yet, up to 32 pages.
assert abs(status["recorder"]["rss_bytes"] / 1024 - int(told["VmRSS"])) <= 1024, (status, told)
assert abs(own["memory_bytes"] / 1024 - hog_kib) <= 1024, (own, told)
assert int(told["VmLck"]) >= int(told["VmRSS"]) - 256, told
assert status["missing"] == [] and status["lost_sources"] == [], status
# O_DIRECT (octal 0200000 on arm64) on the recording.
assert any(int(flags, 8) & 0o200000 for flags in told["flags"].split()), told
print("a recorder on pages of 16 KiB: as it should be")
PYTHON
