#!/usr/bin/env bash
# What only a board has, from the kernel's own drivers: temperature, frequency and throttling (ACPI), undervoltage (an I2C
# chip), Wi-Fi (two radios in software), the watchdog, the words of a kernel that died (ramoops) and why the machine was
# reset. One guest, three boots: the first ends in a panic, the second by its watchdog. check_board.py compares.
#
#   tests/guest/board.sh [FOLDER]         what came out is kept in FOLDER
#
# Wants: qemu-system-x86, cpio, kmod, strip, python3, an x86-64 machine; 76 MB of packages.

set -e -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
. "$here/guest.sh"
guest_begin "$@"
guest_packages acpica-tools hostapd iw i2c-tools libi2c0 libnl-3-200 libnl-genl-3-200 libnl-route-3-200 libssl3
guest_programs tree/usr/sbin/hostapd tree/sbin/iw tree/usr/sbin/i2cset
tree/usr/bin/iasl -p board "$here/board.asl" >log || { cat log; exit 1; }
guest_initrd "$here/board-init.sh" virtio_pci virtio_blk ext4 ramoops cpufreq_userspace acpi-cpufreq thermal \
    i2c-dev i2c-stub ltc4261 mac80211_hwsim i6300esb

# 2 MiB for ramoops that no kernel uses as memory; three serial ports more for the registers of board.asl.
truncate -s 64M own.img
# An AMD of family 15, which is what qemu makes of "max", has frequencies of its own kind.
guest_run board -cpu max,vendor=GenuineIntel -drive file=own.img,format=raw,if=virtio,cache=unsafe -acpitable file=board.aml \
    -serial null -serial null -serial null -device i6300esb -action watchdog=reset \
    -append "console=ttyS0 quiet nokaslr panic=1 memmap=2M\$0x10000000"
echo "Linux $release, three boots:"
python3 "$here/check_board.py" "$kept/board"
