# Boots a Debian kernel with the programs of this repository in it, under emulation. Sourced by units.sh and board.sh, from
# the top of the repository; neither root nor network but for the packages.
#
#   guest_begin [FOLDER]              checks the tools, builds the programs; what comes out is kept in FOLDER ($kept)
#   guest_packages NAME...            brings the kernel, a busybox and these, and unpacks them into $work/tree
#   guest_programs FILE...            they and their libraries will be in /bin
#   guest_initrd INIT MODULE...       packs it; the modules lie in /modules in the order in which they need each other
#   guest_run NAME OPTION...          runs qemu; what the guest brought out is unpacked into $kept/NAME
#
# FLIGHTREC_GUEST_DEBS: a folder with the packages, if they shall not be downloaded. FLIGHTREC_BIN: one of programs built
# before.

export PATH=$PATH:/sbin:/usr/sbin
skip() { echo "skipped: $*"; exit 0; }

guest_begin() {
    [ "$(uname -m)" = x86_64 ] || skip "the programs of this machine do not run in the guest"
    for tool in qemu-system-x86_64 cpio depmod modprobe strip python3 dpkg-deb apt-get ldd; do
        command -v "$tool" >/dev/null || skip "there is no $tool"
    done
    if [ -z "${FLIGHTREC_BIN:-}" ]; then
        cargo build --quiet -p flightrec-recorder -p flightrec-reader --bins
        FLIGHTREC_BIN=${CARGO_TARGET_DIR:-target}/debug
    fi
    bin=$(cd "$FLIGHTREC_BIN" && pwd)
    debs=${FLIGHTREC_GUEST_DEBS:-}
    [ -z "$debs" ] || debs=$(cd "$debs" && pwd)
    work=$(mktemp -d)
    qemu=
    trap guest_end EXIT
    kept=${1:-$work}
    mkdir -p "$kept"
    kept=$(cd "$kept" && pwd)
    cd "$work"
}

guest_end() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work"
}

guest_packages() {
    if [ -z "$debs" ]; then
        mkdir debs
        debs=$work/debs
        local image
        image=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: *\(linux-image-[^ ]*\)$/\1/p' | head -n 1)
        [ -n "$image" ] || skip "no list of packages has a Debian kernel"
        (cd debs && apt-get download -q "$image" busybox-static "$@") >log 2>&1 || skip "no Debian kernel can be had: $(tail -n 1 log)"
    fi
    for package in linux-image- busybox-static "${@/%/_}"; do
        for file in "$debs/$package"*.deb; do dpkg-deb -x "$file" tree; done
    done
    release=$(ls tree/lib/modules)
    export LD_LIBRARY_PATH=$work/tree/lib/x86_64-linux-gnu:$work/tree/usr/lib/x86_64-linux-gnu
    mkdir -p initrd/bin initrd/modules initrd/proc initrd/sys initrd/dev initrd/mnt initrd/etc
    cp tree/bin/busybox initrd/bin/
    for program in flightrecd flightrecd-core flightrec; do
        strip -o "initrd/bin/$program" "$bin/$program"
        guest_libraries "$bin/$program"
    done
}

guest_programs() {
    local program
    for program; do
        cp -L "$program" initrd/bin/
        guest_libraries "$program"
    done
}

guest_libraries() {
    local library
    ldd "$1" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | while read -r library; do
        local place=initrd${library#"$work/tree"}
        mkdir -p "$(dirname "$place")"
        cp -L "$library" "$place"
    done
}

guest_initrd() {
    cp "$1" initrd/init
    chmod +x initrd/init
    shift
    depmod -b tree "$release"
    for module; do
        modprobe -d tree -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++' | cat -n | while read -r number file; do
        cp "$file" "initrd/modules/$((100 + number))-$(basename "$file")"
    done
    (cd initrd && find . | cpio -o -H newc 2>/dev/null | gzip -1) >initrd.gz
}

guest_run() {
    local name=$1
    shift
    timeout 500 qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m 512 -display none -monitor none -serial stdio \
        -kernel tree/boot/vmlinuz-* -initrd initrd.gz "$@" </dev/null >"$kept/$name.log" 2>&1 &
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
