#!/bin/busybox sh
# The guest of board.sh. Its disk tells which boot it is.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
mkdir -p /own /run /etc
for module in /modules/*.ko; do
    case $module in
        *ramoops*) options="mem_address=0x10000000 mem_size=0x200000 record_size=0x10000 console_size=0x10000 ecc=1" ;;
        *i2c-stub*) options="chip_addr=0x10" ;;
        *i6300esb*) options="heartbeat=8" ;;
        *) options= ;;
    esac
    insmod $module $options || echo "no $module"
done
mount -t pstore pstore /sys/fs/pstore
mount -t ext4 -o noatime /dev/vda /own 2>/dev/null || { mke2fs /dev/vda >/dev/null && mount -t ext4 -o noatime /dev/vda /own; }
out=/own/out
mkdir -p $out
boot=$(($(cat /own/boot 2>/dev/null) + 1))
echo $boot >/own/boot
event() { read -r up rest </proc/uptime; echo "$boot $up $*" >>$out/story; }
temperature() { printf "\\x$(printf %x $1)" | dd of=/dev/port bs=1 seek=$((0x3EF)) conv=notrunc 2>/dev/null; }
zone=/sys/class/thermal/thermal_zone0
policy=/sys/devices/system/cpu/cpufreq/policy0
temperature 45

# What the kernel says, between the boot times before and after.
looks() {
    while :; do
        read -r up rest </proc/uptime
        echo "begin $up $boot"
        echo "celsius $(cat $zone/temp)"
        echo "frequency $(cat $policy/scaling_cur_freq)"
        echo "limit $(cat $policy/scaling_max_freq)"
        for device in /sys/class/thermal/cooling_device*; do
            [ "$(cat $device/type)" = Processor ] && echo "cooling $(cat $device/cur_state)"
        done
        while read -r name status link level rest; do
            [ "$name" = wlan1: ] && echo "signal $level"
        done </proc/net/wireless
        echo "watchdog $(cat /sys/class/watchdog/watchdog0/state)"
        read -r up rest </proc/uptime
        echo "end $up"
        # The second boot is cut off.
        [ $boot = 2 ] && sync
        sleep 0.4
    done 2>/dev/null
}
looks >>$out/looks &

echo ltc4261 0x10 >/sys/bus/i2c/devices/i2c-0/new_device
case $boot in
1)
    grep -H . $zone/type /sys/class/hwmon/hwmon*/name $policy/scaling_driver /sys/class/watchdog/watchdog0/identity >$out/drivers
    echo userspace >$policy/scaling_governor
    echo 1500000 >$policy/scaling_setspeed
    printf 'interface=wlan0\ndriver=nl80211\nssid=house\nhw_mode=g\nchannel=1\n' >/etc/hostapd.conf
    hostapd /etc/hostapd.conf >$out/hostapd 2>&1 &
    ifconfig wlan1 up
    sleep 3
    iw dev wlan1 connect house
    sleep 3
    flightrecd create /own/r.frec --size 4MiB >$out/create.txt 2>&1
    flightrecd run --recording /own/r.frec --for 200s >$out/run1.txt 2>&1 &
    sleep 8
    event the air is worse
    # -70 dBm, as the file wants it.
    echo 18446744073709551546 >/sys/kernel/debug/ieee80211/phy0/hwsim/rx_rssi
    event slower
    echo 1000000 >$policy/scaling_setspeed
    sleep 5
    event undervoltage begins
    for second in 1 2 3 4 5 6 7 8 9 10 11 12; do
        # The fault register of a LTC4261: undervoltage. The driver clears it when it has told.
        i2cset -f -y 0 0x10 1 2
        sleep 0.5
    done
    event undervoltage ends
    event hot
    echo 1000000 >$policy/scaling_max_freq
    temperature 90
    sleep 15
    grep -H . /sys/class/thermal/cooling_device*/* >>$out/drivers 2>/dev/null
    event cool
    temperature 45
    sleep 8
    cp /proc/net/wireless $out/wireless
    iw dev wlan1 link >$out/link
    event panic
    dmesg >$out/dmesg1
    sync
    echo c >/proc/sysrq-trigger
    ;;
2)
    ls -l /sys/fs/pstore >$out/pstore.list
    cat /sys/fs/pstore/dmesg-ramoops-0 >$out/pstore.text
    flightrecd run --recording /own/r.frec --for 200s >$out/run2.txt 2>&1 &
    sleep 8
    event hot again
    temperature 90
    sleep 12
    temperature 45
    event watchdog begins
    sync
    exec 3>/dev/watchdog
    sleep 60
    event the watchdog did not bite
    reboot -f
    ;;
*)
    cat /sys/class/watchdog/watchdog0/bootstatus >$out/bootstatus
    ls -l /sys/fs/pstore >$out/pstore.after
    flightrecd run --recording /own/r.frec --for 8s >$out/run3.txt 2>&1
    flightrec dump --format jsonl --boot all /own/r.frec >$out/dump.jsonl 2>$out/dump.err
    for view in events boots status doctor; do
        flightrec $view --json /own/r.frec >$out/$view.json 2>$out/$view.err
        flightrec $view /own/r.frec >$out/$view.txt 2>&1
    done
    for number in 1 2 3; do flightrec events --boot $number /own/r.frec; done >$out/events.txt 2>&1
    dmesg -n 1
    echo "=== OUT BEGINS"
    tar -cz -C $out . | base64
    echo "=== OUT ENDS"
    sleep 1
    poweroff -f
    ;;
esac
