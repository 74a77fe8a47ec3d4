#!/usr/bin/env python3
"""Compares what a recording says of a board's own parts with what the kernel said in the same guest (board.sh).

    check_board.py FOLDER

Each reading must be one that the kernel's file held between the sample's last look at it and the sample; slow files are
looked at once in five seconds at least.
"""

import json
import pathlib
import sys

# Age that a value of the slow thread may have, and time a sample may take in the emulated machine, seconds.
OLD_S = 6.5
LATE_S = 0.7

# What the guest wrote down -> the series, and how the recorder writes it.
SERIES = {
    "celsius": ("thermal.acpitz.celsius", lambda text: int(text) / 1000),
    "frequency": ("core.0.frequency_mhz", lambda text: int(text) // 1000),
    "limit": ("core.0.frequency_limit_mhz", lambda text: int(text) // 1000),
    "cooling": ("thermal.cooling_level", int),
    "signal": ("net.wlan1.signal_dbm", lambda text: int(text.rstrip("."))),
    "watchdog": ("watchdog.active", lambda text: int(text == "active")),
}


def looks(path):
    """boot -> [(begin, end, {key: value})]; half a look is left out, and what a boot wrote as it was cut off."""
    found, look = {}, None
    for line in path.read_text().splitlines():
        key, *words = line.lstrip("\0").split() or [""]
        if key == "begin":
            begin, boot, look = float(words[0]), int(words[1]), {}
        elif key == "end":
            found.setdefault(boot, []).append((begin, float(words[0]), look))
        elif look is not None and words and key in SERIES:
            look[key] = SERIES[key][1](words[0])
    return found


class Check:
    def __init__(self, folder):
        self.folder, self.failures = folder, 0
        lines = [json.loads(line) for line in (folder / "dump.jsonl").read_text().splitlines()]
        self.samples = [line for line in lines if "values" in line]
        self.events = [line["event"] for line in lines if "event" in line]
        self.boots = {boot["boot"]: boot for boot in json.loads((folder / "boots.json").read_text())["boots"]}
        self.looks = looks(folder / "looks")
        self.story = {}
        for line in (folder / "story").read_text().splitlines():
            boot, at, what = line.split(maxsplit=2)
            self.story[what] = (int(boot), float(at))

    def told(self, is_so, what):
        print(f"  {'ok' if is_so else 'NOT OK'}: {what}")
        self.failures += not is_so

    def readings(self, key, distinct):
        """Every reading of a series against the looks around it, in all boots."""
        name, compared, values, wrong = SERIES[key][0], 0, [], []
        for sample in self.samples:
            value, at = sample["values"].get(name), sample["boottime_s"]
            own = self.looks.get(sample["boot"], [])
            around = [look[key] for begin, end, look in own if key in look and end > at - OLD_S and begin < at + LATE_S]
            if value is None or not around or own[0][0] > at - OLD_S or own[-1][0] < at + LATE_S:
                continue
            compared += 1
            if value not in values:
                values.append(value)
            if value not in around:
                wrong.append(f"{name} {value} at {at}, the kernel said {around}")
        for what in wrong[:5]:
            print(f"    {what}")
        self.told(not wrong and compared >= 10 and len(values) >= distinct,
                  f"{name}: {compared} readings as the kernel says, {' '.join(map(str, values))}")

    def of_boot(self, boot, kind):
        return [event for event in self.events if event["boot"] == boot and event["kind"] == kind]

    def run(self):
        for key, distinct in (("celsius", 2), ("frequency", 3), ("limit", 2), ("cooling", 2), ("signal", 2), ("watchdog", 2)):
            self.readings(key, distinct)
        self.undervoltage()
        self.heat()
        self.pstore()
        self.resets()
        return self.failures

    def undervoltage(self):
        begin, end = self.story["undervoltage begins"][1], self.story["undervoltage ends"][1]
        low = [sample["boottime_s"] for sample in self.samples
               if sample["boot"] == 1 and sample["values"].get("power.undervoltage") == 1]
        high = [sample for sample in self.samples if sample["values"].get("power.undervoltage") == 0]
        self.told(low and begin <= low[0] <= begin + OLD_S and low[-1] <= end + OLD_S and high,
                  f"power.undervoltage in {len(low)} samples, {low[:1]} to {low[-1:]}; in truth {begin} to {end}")
        why = [event["text"] for event in self.of_boot(1, "alert")]
        self.told(any("voltage" in text for text in why), f"alerts: {why}")

    def heat(self):
        alert = next((event for event in self.of_boot(2, "alert") if "degrees" in event["text"]), None)
        hot = self.story["hot again"][1]
        self.told(alert is not None and hot <= alert["boottime_s"] <= hot + OLD_S + 5,
                  f"alert {alert and alert['text']!r} at {alert and alert['boottime_s']}, hot since {hot}")

    def pstore(self):
        told, text = self.of_boot(2, "pstore"), (self.folder / "pstore.text").read_text()
        for event in told[:4]:
            print(f"    {event['text']}")
        self.told(bool(told) and "Kernel panic - not syncing: sysrq triggered crash" in told[0]["text"],
                  f"pstore in boot 2: {len(told)} lines, the first tells why")
        self.told(all(event["text"] in text for event in told), "all of them are in the kernel's file, which is still there")
        when = {event["args"]["realtime_s"] for event in told}
        last = self.boots[1]["last"]
        panic = self.seconds(last["time"]) + self.story["panic"][1] - last["boottime_s"]
        self.told(len(when) == 1 and abs(min(when) - panic) < 3, f"it is dated {min(when, default=0)}, in truth {panic:.0f}")
        self.told(not self.of_boot(1, "pstore"), "pstore was empty in boot 1")

    def seconds(self, time):
        from datetime import datetime
        return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()

    def resets(self):
        status = int((self.folder / "bootstatus").read_text())
        facts = {boot: self.boots[boot]["facts"].get("reset") for boot in self.boots}
        self.told(status == 0x20 and facts == {1: None, 2: None, 3: "watchdog"},
                  f"run fact reset: {facts}; bootstatus in boot 3: {status:#x}")
        active = [sample["boottime_s"] for sample in self.samples
                  if sample["boot"] == 2 and sample["values"].get("watchdog.active") == 1]
        begin = self.story["watchdog begins"][1]
        self.told(bool(active) and begin <= active[0] <= begin + OLD_S, f"watchdog.active since {active[:1]}, in truth {begin}")
        absent = self.boots[1]["facts"]["absent"].split(", ")
        self.told(not {"temperature", "frequency", "undervoltage", "watchdog", "pstore"} & set(absent) and "eMMC life time" in absent,
                  f"run fact absent: {', '.join(absent)}")


def main(folder):
    failures = Check(pathlib.Path(folder)).run()
    if failures:
        print(f"{failures} of these are wrong; what the guest brought out lies in {folder}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
