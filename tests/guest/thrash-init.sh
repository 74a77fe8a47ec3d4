#!/bin/busybox sh
# The guest of thrash.sh. It runs twice: from the initrd, which brings the disk, and as the first process of that disk, so
# that programs and libraries are pages that the kernel may drop and has to read again, as on a board.
export PATH=/bin:/sbin
if [ ! -e /own ]; then
    /bin/busybox --install -s /bin
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t devtmpfs dev /dev
    for module in /modules/*.ko; do insmod "$module"; done
    echo none >/sys/block/vda/queue/scheduler
    mount -t ext4 -o noatime,commit=600,errors=remount-ro /dev/vda /disk
    cp /modules/*zram* /modules/*zsmalloc* /disk/ 2>/dev/null
    mount --move /proc /disk/proc
    mount --move /sys /disk/sys
    mount --move /dev /disk/dev
    exec switch_root /disk /own/init
fi

/bin/busybox --install -s /bin
word() { sed -n "s/.*$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
variant=$(word thrash_variant)
without=$(word thrash_without)
hostname opi4
ifconfig lo 127.0.0.1 up
mount -t tmpfs run /run
# Armbian's log2ram: /var/log is memory, and goes to the disk from time to time.
mount -t tmpfs -o size=50M log /var/log
for port in 0 1 2 3; do stty -F /dev/ttyS$port raw -echo; done

case $variant in
    zram)
        for module in /*zsmalloc*.ko /*zram*.ko; do insmod "$module"; done
        echo 128M >/sys/block/zram0/disksize
        mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
        ;;
    noswap | oom) ;;
    *)
        dd if=/dev/zero of=/swap bs=1M count=512 2>/dev/null
        chmod 600 /swap
        # Swap is read in pieces of 128 KB: at 60 operations a second memory would hardly change hands otherwise.
        echo 5 >/proc/sys/vm/page-cluster
        mkswap /swap >/dev/null && swapon /swap
        ;;
esac

mkdir -p /var/lib/flightrec
{
    echo 'recording = "/var/lib/flightrec/recording.frec"'
    case $without in *lock_memory*) echo 'lock_memory = false' ;; esac
    case $without in *nice*) echo 'nice = 0' ;; esac
} >/etc/flightrec.toml
flightrecd create /var/lib/flightrec/recording.frec --size 32MiB
# Without io_flusher: the capability it takes is given up, and what else wants it is set from outside.
held=
case $without in *io_flusher*) held="setpriv --bounding-set -sys_resource" ;; esac
$held flightrecd run --ack-log /dev/ttyS1 &
recorder=$!
thrash control /dev/ttyS0 &
thrash probe /dev/ttyS2 &
thrash watch $recorder /dev/ttyS3 &
sleep 2
case $without in
    *oom_score_adj*) echo 0 >/proc/$recorder/oom_score_adj ;;
    *io_flusher*) echo -900 >/proc/$recorder/oom_score_adj ;;
esac
echo "recorder $recorder, $(cat /proc/$recorder/oom_score_adj) oom_score_adj, $(grep VmLck /proc/$recorder/status), nice $(cut -d' ' -f19 /proc/$recorder/stat)"
grep -E "MemTotal|MemAvailable|SwapTotal" /proc/meminfo
sync
# A calm time first, against which the rest is seen.
sleep 20
echo READY
thrash server 8080 &
thrash services /own/code 300 &

# Each minute, as log2ram does.
copies() {
    mkdir -p /var/hdd.log
    while :; do
        sleep 60
        cp -f /var/log/* /var/hdd.log/
    done
}
# In its own shell, so that it begins anew when it was killed.
agent() { # LINES MIB_S LEFT_MIB
    while :; do
        vector agent 8080 /var/log/vector.log "$@"
        echo "vector ended with $?"
        sleep 1
    done
}
# Which of the recorder's threads had a major fault, and when. One that reads what swapped memory of others says has it too.
faults() {
    before=
    while :; do
        now=$(cat /proc/$recorder/task/*/stat | cut -d' ' -f2,12 | grep -v ' 0$' | tr '\n' ' ')
        [ "$now" = "$before" ] || echo "major faults of the recorder: $now"
        before=$now
        sleep 10
    done
}
faults &
copies &
case $variant in
    founding) agent 400 4 260 & ;;
    zram) agent 400 2 24 & ;;
    noswap) agent 400 1 16 & ;;
    oom) agent 400 10 0 & ;;
    leak) agent 5 1 150 & ;;
    stall) agent 100 0 4 & ;;
    forks)
        while :; do
            for n in 1 2 3 4 5; do (sleep 10; ls / >/dev/null) & done
            sleep 0.1
        done &
        ;;
    dstate)
        for n in $(seq 150); do
            (while :; do dd if=/dev/vda of=/dev/null bs=4k count=1000 skip=$((n * 700)) iflag=direct 2>/dev/null; done) &
        done
        ;;
    full)
        agent 400 0 4 &
        (while :; do dd if=/dev/zero of=/var/hdd.log/full bs=64k 2>/dev/null; sleep 5; done) &
        ;;
esac
while :; do sleep 1000; done
