#!/bin/busybox sh
# The guest of pages.sh: records on an ext4 for some seconds, and says what the kernel says of the recorder.
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /sys/fs/cgroup /run /disk /var/log
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs run /run
for module in /modules/*.ko; do insmod "$module"; done
mount -t ext4 -o noatime /dev/vda /disk
ifconfig lo 127.0.0.1 up
ulimit -l unlimited
echo "told uname $(uname -r)"
echo "told page_kib $(sed -n 's/^KernelPageSize: *\([0-9]*\) kB/\1/p' /proc/self/smaps | head -n 1)"
flightrecd create /disk/recording.frec --size 4MiB
flightrecd run --recording /disk/recording.frec --interval 100ms --commit 500ms --for 20s &
recorder=$!
# A process with 48 MiB of its own, and one that wants the file system's pages.
dd if=/dev/zero of=/dev/null bs=48M 2>/dev/null &
hog=$!
sleep 18
for field in VmRSS VmLck VmSwap Threads; do echo "told $field $(sed -n "s/^$field:[ 	]*\([0-9]*\).*/\1/p" /proc/$recorder/status)"; done
echo "told flags $(sed -n 's/^flags:[ 	]*//p' /proc/$recorder/fdinfo/* 2>/dev/null | sort -u | tr '\n' ' ')"
echo "told hog $hog $(sed -n 's/^VmRSS:[ 	]*\([0-9]*\).*/\1/p' /proc/$hog/status)"
wait $recorder
echo "told exit $?"
kill $hog
cd /
umount /disk
sync
echo "told end"
poweroff -f
