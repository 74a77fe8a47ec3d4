#!/usr/bin/env bash
# What the recorder says of units, beside what the kernel says: boots a Debian kernel with cgroup v2 under emulation,
# runs units and the real programs in it, and lets check_units.py compare. Then once more without the memory controller.
#
#   tests/guest/units.sh [FOLDER]         neither root nor network but for the kernel; what came out is kept in FOLDER
#
# Wants: qemu-system-x86, cpio, kmod, strip, python3, an x86-64 machine. `apt-get download` brings the kernel and a busybox,
# 72 MB, unless FLIGHTREC_GUEST_DEBS names a folder that has them. FLIGHTREC_BIN: a folder of programs built before.

set -e -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
skip() { echo "skipped: $*"; exit 0; }
[ "$(uname -m)" = x86_64 ] || skip "the programs of this machine do not run in the guest"
python3 -c "import zstandard" 2>/dev/null || skip "the decoder of the specification wants python3-zstandard"
for tool in qemu-system-x86_64 cpio depmod modprobe strip python3 dpkg-deb apt-get ldd; do
    PATH=$PATH:/sbin:/usr/sbin command -v "$tool" >/dev/null || skip "there is no $tool"
done
export PATH=$PATH:/sbin:/usr/sbin
if [ -z "${FLIGHTREC_BIN:-}" ]; then
    cargo build --quiet -p flightrec-recorder --bin flightrecd -p flightrec-reader --bin flightrec
    FLIGHTREC_BIN=${CARGO_TARGET_DIR:-target}/debug
fi
bin=$(cd "$FLIGHTREC_BIN" && pwd)
debs=${FLIGHTREC_GUEST_DEBS:-}
[ -z "$debs" ] || debs=$(cd "$debs" && pwd)
work=$(mktemp -d)
qemu=
cleanup() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
kept=${1:-$work}
mkdir -p "$kept"
kept=$(cd "$kept" && pwd)
cd "$work"

if [ -z "$debs" ]; then
    debs=$work
    image=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: *\(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$image" ] || skip "no list of packages has a Debian kernel"
    apt-get download -q "$image" busybox-static >log 2>&1 || skip "no Debian kernel can be had: $(tail -n 1 log)"
fi
for package in "$debs"/linux-image-*.deb "$debs"/busybox-static*.deb; do dpkg-deb -x "$package" root; done
release=$(ls root/lib/modules)

# A small root file system: a busybox, the programs with their libraries, the modules in the order in which they need each
# other.
mkdir -p initrd/bin initrd/modules initrd/proc initrd/sys initrd/dev initrd/mnt initrd/etc
cp root/bin/busybox initrd/bin/
for program in flightrecd flightrec; do strip -o "initrd/bin/$program" "$bin/$program"; done
# It takes memory, processor and disk under a name of its own.
cp "$(command -v dd)" initrd/bin/vector
cp "$(command -v dd)" initrd/bin/leak
for program in flightrecd flightrec vector; do ldd "initrd/bin/$program"; done |
    sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | sort -u | while read -r library; do
    mkdir -p "initrd$(dirname "$library")"
    cp -L "$library" "initrd$library"
done
printf '#!/bin/sh\nwhile :; do :; done\n' >initrd/bin/burn
cp "$here/units-init.sh" initrd/init
chmod +x initrd/bin/burn initrd/init
depmod -b root "$release"
for module in virtio_pci virtio_blk ext4; do
    modprobe -d root -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | cat -n | while read -r number file; do
    cp "$file" "initrd/modules/$((100 + number))-$(basename "$file")"
done
(cd initrd && find . | cpio -o -H newc 2>/dev/null | gzip -1) >initrd.gz

# Boots with these kernel options; what the guest brings out lies in the folder of that name.
boot() {
    local name=$1
    shift
    rm -f data.img own.img
    truncate -s 512M data.img
    truncate -s 64M own.img
    timeout 400 qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m 512 -display none -monitor none -serial stdio -no-reboot \
        -drive file=data.img,format=raw,if=virtio,cache=unsafe,throttling.bps-write=8000000 \
        -drive file=own.img,format=raw,if=virtio,cache=unsafe \
        -kernel root/boot/vmlinuz-* -initrd initrd.gz -append "console=ttyS0 quiet panic=-1 $*" \
        </dev/null >"$kept/$name.log" 2>&1 &
    qemu=$!
    wait "$qemu" || true
    qemu=
    rm -rf "${kept:?}/$name"
    mkdir "$kept/$name"
    tr -d '\r' <"$kept/$name.log" | sed -n '/^=== OUT BEGINS/,/^=== OUT ENDS/p' | sed '1d;$d' | base64 -d |
        tar -xz -C "$kept/$name" 2>/dev/null || true
    if ! grep -q "^=== OUT ENDS" "$kept/$name.log"; then
        tail -n 20 "$kept/$name.log"
        echo "the guest did not come to its end; what it said stands above"
        exit 1
    fi
}

echo "Linux $release, cgroup v2, all controllers:"
boot controllers
python3 "$here/check_units.py" "$kept/controllers" controllers
echo "The same without the memory controller (cgroup_disable=memory):"
boot no-memory cgroup_disable=memory
python3 "$here/check_units.py" "$kept/no-memory" no-memory
