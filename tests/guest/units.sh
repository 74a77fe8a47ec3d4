#!/usr/bin/env bash
# What the recorder says of units, beside what the kernel says: boots a Debian kernel with cgroup v2 under emulation,
# runs units and the real programs in it, and lets check_units.py compare. Then once more without the memory controller.
#
#   tests/guest/units.sh [FOLDER]         what came out is kept in FOLDER
#
# Wants: qemu-system-x86, cpio, kmod, strip, python3-zstandard, an x86-64 machine; 72 MB of packages.

set -e -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
. "$here/guest.sh"
python3 -c "import zstandard" 2>/dev/null || skip "the decoder of the specification wants python3-zstandard"
guest_begin "$@"
guest_packages

# It takes memory, processor and disk under a name of its own.
cp "$(command -v dd)" vector
cp "$(command -v dd)" leak
guest_programs "$PWD/vector" "$PWD/leak"
printf '#!/bin/sh\nwhile :; do :; done\n' >initrd/bin/burn
chmod +x initrd/bin/burn
guest_initrd "$here/units-init.sh" virtio_pci virtio_blk ext4

# Boots with these kernel options.
boot() {
    local name=$1
    shift
    rm -f data.img own.img
    truncate -s 512M data.img
    truncate -s 64M own.img
    guest_run "$name" -no-reboot -drive file=data.img,format=raw,if=virtio,cache=unsafe,throttling.bps-write=8000000 \
        -drive file=own.img,format=raw,if=virtio,cache=unsafe -append "console=ttyS0 quiet panic=-1 $*"
}

echo "Linux $release, cgroup v2, all controllers:"
boot controllers
python3 "$here/check_units.py" "$kept/controllers" controllers
echo "The same without the memory controller (cgroup_disable=memory):"
boot no-memory cgroup_disable=memory
python3 "$here/check_units.py" "$kept/no-memory" no-memory
