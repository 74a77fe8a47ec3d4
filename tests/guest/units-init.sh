#!/bin/busybox sh
# The guest of units.sh: units as systemd makes them, programs in them, the recorder beside them, and each half second what
# the kernel itself says of them.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /out /own /run
mount -t tmpfs out /out
for module in /modules/*.ko; do insmod "$module"; done
mke2fs /dev/vda >/dev/null && mount -t ext4 -o noatime /dev/vda /mnt
mke2fs /dev/vdb >/dev/null && mount -t ext4 -o noatime /dev/vdb /own
echo guest >/proc/sys/kernel/hostname

# One controller at a time: the kernel refuses all of a list that has one which it lacks.
tree=/sys/fs/cgroup
mount -t cgroup2 cgroup2 $tree
slice=$tree/system.slice
mkdir $slice
for controller in cpu io memory pids; do
    for folder in $tree $slice; do
        echo "+$controller" >$folder/cgroup.subtree_control || echo "no $controller" >>/out/notes
    done
done 2>/dev/null
# A limit of memory, and one of time, so that the others are not starved.
make_unit() {
    mkdir $1
    echo $2 >$1/memory.max
    echo "$3 100000" >$1/cpu.max
} 2>/dev/null
mkdir -p /lib/systemd/system/vector.service.d
printf '[Service]\nRestart=always\n' >/lib/systemd/system/vector.service
printf '[Service]\nRestart=on-failure\n' >/lib/systemd/system/vector.service.d/own.conf
unit=$slice/vector.service
make_unit $unit 64M 50000
# In a unit: UNIT COMMAND...
in_unit() {
    echo 0 >"$1/cgroup.procs"
    shift
    exec "$@"
}

# What the kernel says, between the boot times before and after. A cgroup may go at any moment.
looks() {
    while :; do
        for folder in $unit $slice/collector.service; do
            [ -e $folder ] || continue
            read -r up rest </proc/uptime
            echo "begin $up ${folder##*/}"
            for file in cpu.stat memory.current memory.events memory.swap.current io.stat pids.current; do
                [ -e $folder/$file ] && while read -r line; do echo "$file $line"; done <$folder/$file
            done
            rss=0
            while read -r pid; do
                read -r size pages rest </proc/$pid/statm && rss=$((rss + pages))
            done <$folder/cgroup.procs
            echo "rss_pages $rss"
            read -r up rest </proc/uptime
            echo "end $up"
        done
        sleep 0.4
    done 2>/dev/null
}
looks >/out/looks &
looks_pid=$!
event() { read -r up rest </proc/uptime; echo "$up $*" >>/out/story; }

flightrecd create /own/r.frec --size 4MiB >/out/create.txt 2>&1
(in_unit $unit vector if=/dev/zero of=/mnt/log bs=16M count=25 oflag=direct 2>/dev/null) &
(in_unit $unit burn) &
# It begins anew under its old name while it is recorded, and its processes are in a cgroup below its own.
start_collector() {
    make_unit $slice/collector.service 32M 10000
    mkdir $slice/collector.service/inner
    (in_unit $slice/collector.service/inner burn) &
    collector=$!
}
start_collector
flightrecd run --recording /own/r.frec --for 25s >/out/run.txt 2>&1 &
recorder=$!
sleep 6
kill $collector
wait $collector
rmdir $slice/collector.service/inner $slice/collector.service
event collector begins anew
start_collector
mkdir $slice/logrotate.service
event logrotate begins
(in_unit $slice/logrotate.service burn) &
rotation=$!
sleep 6
kill $rotation
wait $rotation
rmdir $slice/logrotate.service
event logrotate ends
if [ -e $unit/memory.events ]; then
    sleep 2
    event leak
    (in_unit $unit leak if=/dev/zero of=/dev/null bs=200M count=1) 2>/dev/null
fi
wait $recorder
event recorder ended
kill $looks_pid
cat $unit/memory.events >/out/memory.events 2>/dev/null
flightrec dump --format jsonl --boot all /own/r.frec >/out/dump.jsonl 2>/out/dump.err
flightrec top --json /own/r.frec >/out/top.json
flightrec top /own/r.frec >/out/top.txt
flightrec events --json /own/r.frec >/out/events.json
flightrec events /own/r.frec >/out/events.txt
flightrec boots --json /own/r.frec >/out/boots.json
cp /own/r.frec /out/
dmesg >/out/dmesg
dmesg -n 1
echo "=== OUT BEGINS"
tar -cz -C /out . | base64
echo "=== OUT ENDS"
sleep 1
reboot -f
