#!/usr/bin/env python3
"""Compares what a recording says of units with what the kernel said in the same guest (units.sh).

    check_units.py FOLDER controllers|no-memory

Each reading must lie between two looks at the same file, one before it and one after; counters only grow, and memory may
fluctuate by as much as is said here. The recording is read with the reader, and its attributes with spec_frames.py.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from spec_frames import ENTITY_KINDS, Recording, look_at_all  # noqa: E402

MIB = 1 << 20
PAGE = 4096
# Time a sample may take in the emulated machine, seconds, and what figures are rounded down to.
LATE_S = 0.5
# Memory comes and goes by a little from one moment to the next: pages of a program that begins, of the kernel.
MEMORY_SLACK = MIB
# As units-init.sh sets them.
LIMITS = {"vector.service": 64 * MIB, "collector.service": 32 * MIB}


def looks(path):
    """unit -> [(begin, end, {reading: value})], from what the guest wrote down; half a look is left out."""
    found, look = {}, None
    for line in path.read_text().splitlines():
        key, *words = line.split()
        if key == "begin":
            begin, name, look = float(words[0]), words[1], {}
        elif key == "end":
            found.setdefault(name, []).append((begin, float(words[0]), look))
        elif key == "cpu.stat":
            name_of = {"user_usec": "unit.user_ms", "system_usec": "unit.system_ms"}
            if words[0] in name_of:
                look[name_of[words[0]]] = int(words[1]) // 1000
        elif key == "io.stat":
            numbers = dict(word.split("=") for word in words[1:])
            for name_of, key in (("unit.read_bytes", "rbytes"), ("unit.write_bytes", "wbytes")):
                look[name_of] = look.get(name_of, 0) + int(numbers.get(key, 0))
        elif key == "memory.events" and words[0] == "oom_kill":
            look["unit.oom_kills"] = int(words[1])
        elif key == "rss_pages":
            look["rss"] = int(words[0]) * PAGE
        elif key in ("memory.current", "memory.swap.current", "pids.current"):
            name_of = {"memory.current": "unit.memory_bytes", "memory.swap.current": "unit.swap_bytes",
                       "pids.current": "unit.tasks"}
            look[name_of[key]] = int(words[0])
    return found


class Check:
    def __init__(self, folder):
        self.folder, self.failures = folder, 0
        lines = (folder / "dump.jsonl").read_text().splitlines()
        self.timeline = [json.loads(line) for line in lines]
        self.samples = [line for line in self.timeline if "values" in line]
        self.events = [line["event"] for line in self.timeline if "event" in line]
        self.looks = looks(folder / "looks")

    def told(self, is_so, what):
        print(f"  {'ok' if is_so else 'NOT OK'}: {what}")
        self.failures += not is_so

    def unit(self, sample, name):
        return next((unit["values"] for unit in sample["units"] if unit["name"] == name), None)

    def readings(self, unit, is_rss):
        """Every reading of a unit against the looks around it."""
        compared, wrong = {}, []
        for sample in self.samples:
            values, at = self.unit(sample, unit), sample["boottime_s"]
            if values is None:
                continue
            before = [look for _, end, look in self.looks[unit] if end <= at]
            after = [look for begin, _, look in self.looks[unit] if begin >= at + LATE_S]
            if not before or not after:
                continue
            # Counters of a cgroup that was made anew begin anew: no look before it counts.
            low, high = before[-1], after[0]
            if any(low[key] > high[key] for key in ("unit.user_ms", "unit.system_ms")):
                continue
            for name, value in values.items():
                source = "rss" if is_rss and name == "unit.memory_bytes" else name
                if name == "unit.memory_bytes":
                    around = [look for begin, end, look in self.looks[unit] if end > at - 2 and begin < at + 2]
                    between = [look[source] for look in around]
                    least, most = min(between) - MEMORY_SLACK, max(between) + MEMORY_SLACK
                    # Between two looks it grew until the kernel killed somebody: that is at its limit.
                    if around[0].get("unit.oom_kills") != around[-1].get("unit.oom_kills"):
                        most = max(most, LIMITS[unit])
                else:
                    # What a look before the first byte does not list is 0.
                    least, most = low.get(source, 0), high.get(source, 0)
                    if name in ("unit.tasks",):
                        least, most = min(least, most), max(least, most)
                    scale = 4096 if "bytes" in name else 1
                    least = least // scale * scale
                compared[name] = compared.get(name, 0) + 1
                if not least <= value <= most:
                    wrong.append(f"{name} {value} at {at}, the kernel said {least} to {most}")
        for what in wrong[:5]:
            print(f"    {what}")
        counts = ", ".join(f"{name[5:]} {count}" for name, count in compared.items())
        self.told(not wrong and min(compared.values(), default=0) >= 5, f"{unit}, readings as the kernel says: {counts}")
        return compared

    def run(self, has_memory):
        vector = self.readings("vector.service", not has_memory)
        names = {"user_ms", "system_ms", "memory_bytes", "read_bytes", "write_bytes", "tasks"}
        names |= {"oom_kills", "swap_bytes"} if has_memory else set()
        self.told({name[5:] for name in vector} == names, f"vector.service has {' '.join(sorted(names))}")
        self.collector(has_memory)
        self.units_of_processes()
        self.rotation()
        self.attributes(has_memory)
        boot = json.loads((self.folder / "boots.json").read_text())["boots"][-1]
        told = boot["facts"]["units"]
        expected = "cgroup v2: cpu io memory pids" if has_memory else "cgroup v2: cpu io pids; sums over processes: memory"
        self.told(told == expected, f"run fact units: {told}")
        absent = boot["facts"]["absent"].split(", ")
        self.told(("memory controller" in absent) != has_memory, f"run fact absent: {', '.join(absent)}")
        kills = self.unit(self.samples[-1], "vector.service").get("unit.oom_kills")
        expected = 1 if has_memory else None
        self.told(kills == expected, f"oom_kills of vector.service at the end: {kills}")
        return self.failures

    def collector(self, has_memory):
        """A unit that begins anew under its old name is read from its new cgroup."""
        story = (self.folder / "story").read_text().splitlines()
        anew = next(float(line.split()[0]) for line in story if "anew" in line)
        self.looks["collector.service"] = [look for look in self.looks["collector.service"] if look[0] > anew]
        compared = self.readings("collector.service", not has_memory)
        if has_memory:
            self.told(compared.get("unit.oom_kills", 0) >= 5, "collector.service began anew and is read from its new cgroup")

    def units_of_processes(self):
        for name, unit in (("vector", "vector.service"), ("burn", "vector.service"), ("burn", "collector.service"),
                           ("flightrecd", None)):
            found = [own for own in self.samples[-1]["processes"] if own["name"] == name and own["unit"] == unit]
            self.told(len(found) == 1, f"process {name} says its unit: {unit}")
        top = json.loads((self.folder / "top.json").read_text())
        units = {unit["name"]: unit for unit in top["units"]}
        busy = units["vector.service"]
        self.told(30 < busy["cpu_percent"] < 60 and busy["write_bytes_per_s"] > 4e6,
                  f"top: vector.service takes {busy['cpu_percent']:.0f} % and writes {busy['write_bytes_per_s'] / 1e6:.1f} MB/s")

    def rotation(self):
        story = {line.split(maxsplit=1)[1]: float(line.split()[0]) for line in
                 (self.folder / "story").read_text().splitlines()}
        lived = story["logrotate ends"] - story["logrotate begins"]
        of = {event["kind"]: event for event in self.events if event["text"] == "logrotate.service"}
        self.told(set(of) == {"unit_start", "unit_end"}, "logrotate.service: unit_start and unit_end")
        told = of["unit_end"]["args"]["duration_ms"] / 1000
        self.told(abs(told - lived) < 2.5, f"it lived for {told:.1f} s, in truth {lived:.1f} s")
        gone_s = story["logrotate ends"]
        seen = [sample["boottime_s"] for sample in self.samples if self.unit(sample, "logrotate.service")]
        self.told(bool(seen) and max(seen) < gone_s + 2.5,
                  f"it is recorded until {max(seen, default=0)}, its cgroup was removed at {gone_s}")
        blocked = [event["text"] for event in self.events if event["kind"] == "blocked"]
        self.told(not blocked, "who waits for its disk and works in between is not called blocked")

    def attributes(self, has_memory):
        limits, restarts = set(), set()

        def take(_frame, body):
            limits.update((own.name, own.attributes.get("memory_max_bytes")) for own in body.entities
                          if ENTITY_KINDS.get(own.kind) == "unit" and own.name != "logrotate.service")
            restarts.update((own.name, own.attributes["restart"]) for own in body.entities if "restart" in own.attributes)

        look_at_all(Recording(self.folder / "r.frec"), take)
        expected = {(name, limit if has_memory else None) for name, limit in LIMITS.items()}
        self.told(limits == expected, f"limits of memory: {sorted(limits, key=str)}")
        self.told(restarts == {("vector.service", "on-failure")}, f"Restart=: {sorted(restarts)}")


def main(folder, kind):
    failures = Check(pathlib.Path(folder)).run(kind == "controllers")
    if failures:
        print(f"{failures} of these are wrong; what the guest brought out lies in {folder}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
