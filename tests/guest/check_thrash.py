#!/usr/bin/env python3
"""Judges runs of the thrash laboratory (thrash.sh): the recording that survived, beside the control process.

    check_thrash.py FOLDER NAME          the runs are FOLDER/NAME-SEED

What is compared is the time since the disk became slow. Of each process the times at which it took a sample: the recorder's
from what is durable after the cut, the control's from its serial port.
"""

import collections
import csv
import json
import pathlib
import re
import statistics
import sys

CALM_S, DYING_S, TICK_S = 10, 1, 1
LATE_S, BAD_S = 1.5, 2.0
# A tick comes late by so much in a busy emulator, and a line from a serial port too.
SLACK_S = 0.5


def lines(path):
    """(arrival, words) of each whole line of a serial port."""
    for line in path.read_text(errors="replace").splitlines():
        at, *words = line.split()
        yield float(at), words


def gaps(times):
    """[(length, from)], the longest first"""
    return sorted(((after - before, before) for before, after in zip(times, times[1:])), reverse=True)


class Run:
    def __init__(self, folder):
        self.folder = folder
        self.story = {words: at for at, words in ((at, " ".join(words)) for at, words in lines(folder / "story"))}
        truth = [(at, int(words[2]) / 1e9) for at, words in lines(folder / "truth") if words[:1] == ["control"] and len(words) == 4]
        # Boot time + offset = the time of the machine outside; the line that was fastest out knows it best.
        self.offset = min(at - boottime for at, boottime in truth)
        self.begin, self.cut = (self.story[what] - self.offset for what in ("slow", "cut"))
        self.zombie = self.story.get("zombie")
        self.control = [boottime for _, boottime in truth]
        told = [json.loads(line) for line in (folder / "dump.jsonl").read_text().splitlines()]
        self.samples = [line for line in told if "values" in line]
        self.events = [line["event"] for line in told if "event" in line]
        self.taken = [sample["boottime_s"] for sample in self.samples]
        self.acks = [(at - self.offset, int(words[2])) for at, words in lines(folder / "acks") if len(words) == 3 and words[2].isdigit()]
        self.facts = {}
        self.judge()

    def judge(self):
        facts, own, truth = self.facts, *([at for at in times if at >= self.begin] for times in (self.taken, self.control))
        own_gaps, truth_gaps = gaps(own), gaps(truth)
        facts["minutes of load"] = round((self.cut - self.begin) / 60, 1)
        facts["of it a zombie"] = round((self.cut + self.offset - self.zombie) / 60, 1) if self.zombie else "never"
        took = [int(words[2]) / 1000 for _, words in lines(self.folder / "probe") if words[:1] == ["took"]]
        facts["trivial command, median s"] = round(statistics.median(took), 1) if took else "none came back"
        facts["worst s"] = round(max(took), 1) if took else "none came back"
        facts["samples of recorder"], facts["of control"] = len(own), len(truth)
        for who, found in (("recorder", own_gaps), ("control", truth_gaps)):
            facts[f"gaps over {LATE_S} s, {who}"] = sum(length > LATE_S for length, _ in found)
            facts[f"worst gap s, {who}"] = round(found[0][0], 1)
        lonely = [gap for gap in own_gaps if gap[0] > BAD_S and not self.control_has(truth_gaps, gap)]
        facts[f"gaps over {BAD_S} s of the recorder alone"] = len(lonely)
        self.lonely = lonely
        facts["newest durable sample at the cut, s old"] = round(self.cut - self.taken[-1], 1)
        self.judge_ages()
        durable = {sample["tick"] for sample in self.samples}
        facts["acknowledged samples lost"] = len({tick for _, tick in self.acks} - durable)
        first, last = self.samples[0]["values"], self.samples[-1]["values"]
        later = next((s["values"] for s in self.samples if s["boottime_s"] > self.begin), last)
        facts["runs of the recorder"] = len({sample["run"] for sample in self.samples})
        facts["major faults since the start"] = last["recorder.major_faults"] - first["recorder.major_faults"]
        facts["minor faults under load"] = last["recorder.minor_faults"] - later["recorder.minor_faults"]
        stacks = (self.folder / "stacks").read_text() if (self.folder / "stacks").exists() else ""
        facts["times the sampler was seen looking for memory"] = sum("__alloc_pages" in line for line in stacks.splitlines())
        facts["resident KiB at the end"] = last["recorder.rss_bytes"] // 1024
        facts["grown under load by KiB"] = (last["recorder.rss_bytes"] - later["recorder.rss_bytes"]) // 1024
        worst = max(s["values"]["recorder.commit_worst_ms"] for s in self.samples)
        facts["worst write, s"] = round(worst / 1000, 1)
        facts["vector named in samples under load"] = self.share_naming("vector", own)

    def control_has(self, truth_gaps, gap):
        """A gap of the control's that begins or ends within this one."""
        length, begin = gap
        return any(own > LATE_S and at < begin + length and at + own > begin for own, at in truth_gaps)

    def judge_ages(self):
        """Age of the newest acknowledged sample just before the next was acknowledged, against the bound."""
        # Samples of one write come out in one piece.
        commits = []
        for at, tick in self.acks:
            if commits and at - commits[-1][0] < 0.05:
                commits[-1] = (commits[-1][0], max(tick, commits[-1][1]))
            else:
                commits.append((at, tick))
        by_tick = {sample["tick"]: sample for sample in self.samples}
        worst, excess, previous_s = 0.0, -1e9, 0.0
        for (_, tick), (at, _) in zip(commits, commits[1:] + [(self.cut, None)]):
            sample = by_tick.get(tick)
            if sample is None:
                continue
            # Once it is no longer dying, the longer interval holds.
            meanwhile = [s["values"].get("recorder.alert", 0) for s in self.samples if sample["boottime_s"] <= s["boottime_s"] <= at]
            calm = DYING_S if min(meanwhile) >= 2 else CALM_S
            done = next((s for s in self.samples if s["boottime_s"] > at), None)
            # At the cut the last one was still under way, since when only the medium knows.
            write_s = done["values"]["recorder.commit_last_ms"] / 1000 if done else at - sample["boottime_s"]
            age = at - sample["boottime_s"]
            if sample["boottime_s"] >= self.begin:
                worst = max(worst, age)
                excess = max(excess, age - (max(calm, previous_s) + write_s + TICK_S))
            previous_s = write_s
        self.facts["commits acknowledged"] = len(commits)
        self.facts["oldest the newest durable sample ever was, s"] = round(worst, 1)
        self.facts["beyond the age bound by s"] = round(excess, 1)

    def share_naming(self, name, own):
        under_load = [sample for sample in self.samples if sample["boottime_s"] >= self.begin + 30]
        naming = sum(any(process.get("name") == name for process in sample["processes"]) for sample in under_load)
        return f"{naming} of {len(under_load)}"

    def disk(self):
        """What the card did: operations, stalls, how long one waited."""
        waits, stalls, count = [], [], collections.Counter()
        with open(self.folder / "disk.csv") as rows:
            for row in csv.DictReader(rows):
                if None in row.values():
                    continue
                count[row["kind"]] += 1
                waits.append(float(row["end"]) - float(row["arrived"]))
                if float(row["stall_s"]):
                    stalls.append(float(row["stall_s"]))
        if not waits:
            return "nothing"
        waits.sort()
        return (f"{count['read']} reads, {count['write']} writes, {len(stalls)} stalls of together {sum(stalls):.0f} s; an operation "
                f"took {waits[len(waits) // 2] * 1000:.0f} ms in the median, {waits[len(waits) * 99 // 100]:.1f} s at the 99th percentile")

    def told(self):
        print(f"{self.folder.name}: {self.disk()}")
        for line in (self.folder / "console").read_text(errors="replace").splitlines():
            if re.search(r"major faults of|Killed|oom_score_adj|vector ended|panic|blocked for more", line):
                print("    " + " ".join(line.split()[1:])[:150])
        for length, begin in self.lonely[:5]:
            print(f"    the recorder alone was silent for {length:.1f} s from {begin:.1f} s on")
        alerts = [event for event in self.events if event["kind"] == "alert"]
        for event in alerts[:8]:
            print(f"    {event['boottime_s'] - self.begin:+.0f} s: alert {event['args'].get('from')} -> {event['args'].get('to')}: {event['text']}")


def main(folder, name):
    folders = sorted(path for path in pathlib.Path(folder).iterdir() if re.fullmatch(re.escape(name) + r"-\d+", path.name))
    runs = [Run(path) for path in folders if (path / "dump.jsonl").exists()]
    if not runs:
        print(f"no run of {name} in {folder}")
        return 1
    for run in runs:
        run.told()
    print(f"\n{name}: each run, and the median")
    for fact in runs[0].facts:
        values = [run.facts[fact] for run in runs]
        numbers = [value for value in values if isinstance(value, (int, float))]
        median = f"{statistics.median(numbers):g}" if len(numbers) == len(values) else ""
        print(f"  {fact:<44} {' '.join(f'{value!s:>7}' for value in values)} | {median:>6}")
    failures = verdicts(runs)
    for failure in failures:
        print(f"  NOT OK: {failure}")
    return 1 if failures else 0


def verdicts(runs):
    """Growth: before Linux 6.2 each thread keeps up to 64 pages to itself before they are counted."""
    def median(fact):
        return statistics.median(run.facts[fact] for run in runs)

    failures = []
    for fact in (f"gaps over {LATE_S} s", "worst gap s"):
        own, truth = median(f"{fact}, recorder"), median(f"{fact}, control")
        if own > 1.2 * truth + 0.05:
            failures.append(f"{fact}: {own:g}, of the control {truth:g}")
    for fact, most in ((f"gaps over {BAD_S} s of the recorder alone", 0), ("beyond the age bound by s", SLACK_S),
                       ("acknowledged samples lost", 0), ("runs of the recorder", 1), ("major faults since the start", 0),
                       ("grown under load by KiB", 256)):
        found = max(run.facts[fact] for run in runs)
        if found > most:
            failures.append(f"{fact}: {found}")
    return failures


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
