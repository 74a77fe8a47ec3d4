#!/usr/bin/env python3
"""A decoder of flightrec recordings, written from format-spec.md alone.

    spec_decoder.py RECORDING              the whole recording as JSON lines (section 9.6)
    spec_decoder.py --verdicts RECORDING   what every slot turned out to be (section 9.1)

It proves that the specification suffices: the result must equal `flightrec dump --format jsonl`. spec_frames.py makes
frames of bytes; here copies of one sample are joined (V3), and the timeline is ordered, dated and printed (9.2 - 9.6).
spec_decoder_selftest.py tries both. Numbers behind a # name sections and rules of the specification.
"""

import bisect
import collections
import functools
import itertools
import json
import os
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from spec_frames import Body, ENTITY_KINDS, EVENTS, Recording, Refused, SERIES, TAIL, VITALS, look_at_all, note

DATED_FROM_MS = 1704067200000  # 2024-01-01, V5
# 9.1; and "outside": superblocks, which 9.1 does not judge
VERDICTS = "unreadable absent inner blank damaged newer foreign misplaced torn live outside".split()


# ---- timeline -----------------------------------------------------------------------------------------------------

Copy = collections.namedtuple("Copy", "frame index vitals")  # one sample as one frame holds it


@dataclass
class Sample:
    tick: int
    copies: list
    interval_ns: int = 0
    vitals: dict = field(default_factory=dict)
    time_ns: int = 0  # boot time
    offset_ms: int = None  # what turns boot time into real time, by V5
    clock: str = "unsynced"

    def join(self):  # V3, W6: every reading that a copy holds; where they differ, the first copy counts
        self.copies.sort(key=lambda copy: copy.frame.rank(), reverse=True)
        self.interval_ns = self.copies[0].frame.header.interval_ns
        for copy in reversed(self.copies):
            self.vitals.update(copy.vitals)
        self.time_ns = self.tick * self.interval_ns + self.vitals.get("recorder.late_ms", 0) * 10**6  # 9.2

    def history_end(self):
        """Seq behind the frame that counts, if that lies in the history."""
        frame = self.copies[0].frame
        return frame.history_seq() + frame.header.slots if frame.history_seq() else None

    def stands_only_in(self, seqs):
        """Whether all copies stand in tail frames of these seqs, or in salvaged copies of them."""
        return all(copy.frame.header.area == TAIL and copy.frame.header.seq in seqs for copy in self.copies)

    def behind(self, lap):
        """Whether the history was written on over what lay beside it: the lap ends at the seq `lap` (V6)."""
        end = self.history_end()
        return lap is not None and end is not None and end <= lap + 32

    def grew(self, before, name):
        if name in self.vitals and name in before.vitals:
            return self.vitals[name] - before.vitals[name]
        return 0


@dataclass
class Run:
    boot: object
    run_id: bytes
    samples: dict = field(default_factory=dict)  # tick -> Sample
    events: dict = field(default_factory=dict)  # Event -> interval_ns; the key is R6, so copies fall together
    messages: dict = field(default_factory=dict)  # key (R9) -> [count, interval_ns]
    tail_seqs: dict = field(default_factory=dict)  # of its live tail frames, salvaged ones included: seq -> bit 2

    def start_ns(self):
        if self.samples:
            return self.samples[min(self.samples)].time_ns
        event = min(self.events)
        return event.tick * self.events[event] + event.offset_ms * 10**6

    def newest_tail_seqs(self):
        """The newest tail frame's, and before it those in a row with bit 2, if it has that (V6)."""
        newest_first = sorted(self.tail_seqs, reverse=True)
        in_a_row = list(itertools.takewhile(self.tail_seqs.get, newest_first))
        return in_a_row or newest_first[:1]

    def stopped(self):
        """The stop that the run ends with, if it does (V6)."""
        newest = max((event[:2] for event in self.events), default=())
        stops = [event for event in self.events if event[:2] == newest and EVENTS.get(event.kind, ("",))[0] == "stop"]
        return max(stops) if stops and newest[0] >= max(self.samples, default=0) else None


@dataclass
class Boot:
    boot_id: bytes
    ordinal: int = 0
    tail_seq: int = 0
    runs: dict = field(default_factory=dict)


class Timeline:
    def __init__(self):
        self.boots, self.differing = {}, 0
        self.lap = None  # where the last lap of the history ended, E - H of V6
        self.window = None  # of a snapshot, B5

    def take(self, frame, body):
        header = frame.header
        boot = self.boots.setdefault(header.boot_id, Boot(header.boot_id))
        boot.ordinal = max(boot.ordinal, header.boot_ordinal)
        if header.area == TAIL:
            boot.tail_seq = max(boot.tail_seq, header.seq)
        if not body.ticks and not body.events and not body.messages:
            return
        run = boot.runs.setdefault(header.run_id, Run(boot, header.run_id))
        if header.area == TAIL:
            run.tail_seqs[header.seq] = bool(header.compatible_flags & 4)
        for index, (tick, vitals) in enumerate(zip(body.ticks, body.vitals())):
            run.samples.setdefault(tick, Sample(tick, [])).copies.append(Copy(frame, index, vitals))
        for event in body.events:
            run.events.setdefault(event, header.interval_ns)
        for key, count in body.messages:
            known = run.messages.setdefault(key, [count, header.interval_ns])
            known[0] = max(known[0], count)

    def order(self):  # V4
        for boot in self.boots.values():
            boot.runs = {run_id: run for run_id, run in boot.runs.items() if run.samples or run.events}
            for run in boot.runs.values():
                run.samples = dict(sorted(run.samples.items()))
                for sample in run.samples.values():
                    sample.join()
            boot.runs = dict(sorted(boot.runs.items(), key=lambda item: (item[1].start_ns(), item[0])))
            date([sample for run in boot.runs.values() for sample in run.samples.values()])
        boots = sorted(self.boots.values(), key=lambda boot: (boot.ordinal, boot.tail_seq, boot.boot_id))
        for one, other in zip(boots, boots[1:]):
            if one.ordinal == other.ordinal:
                note(f"two boots have the ordinal {one.ordinal}")
        return boots

    def lines(self):  # 9.6
        before = None  # the last sample and its run
        for boot in self.order():
            for run in boot.runs.values():
                events = collections.defaultdict(list)
                for event in sorted(run.events):
                    events[event.tick].append(event)
                messages = collections.defaultdict(list)
                for key in sorted(run.messages):
                    messages[key[0]].append(key)
                ticks = list(run.samples)
                for tick in sorted(set(run.samples) | set(events) | set(messages)):
                    if tick in run.samples:
                        sample = run.samples[tick]
                        yield from gap_lines(before, sample, run, self.lap, self.window)
                        yield self.sample_line(run, sample)
                        before = sample, run
                    nearest = ticks[max(bisect.bisect_right(ticks, tick) - 1, 0)] if ticks else None
                    for event in events[tick]:
                        yield event_line(run, event, run.samples.get(nearest))
                    for key in messages[tick]:
                        yield message_line(run, key, run.samples.get(nearest))
        if self.differing:
            note(f"{self.differing} readings differ between copies of one sample")

    def sample_line(self, run, sample):
        """Readings are joined by entity and series (V3, W6), and only then named."""
        entities, joined = {}, {}
        for copy in sample.copies:
            for (key, number), (entity, series, value) in readings_by_key(copy).items():
                entities.setdefault(key, entity)
                self.differing += joined.setdefault((key, number), (series, value))[1] != value
        values, objects = {}, {"processes": {}, "units": {}, "logs": {}}
        for (key, _), (series, value) in joined.items():
            entity = entities[key]
            kind = ENTITY_KINDS.get(entity.kind)
            place = {"process": "processes", "unit": "units", "log": "logs"}.get(kind)
            shown = objects[place].setdefault(key, {}) if place else values
            named = series.number in SERIES or place or kind == "machine"  # R4
            name = series.name.replace("{}", entity.name) if named else f"{series.name}.{entity.name}"
            shown[name] = series.show(value)
        lists = [(place, ",".join(json_object(label(entities[key]) + [("values", json_object(shown.items()))])
                                  for key, shown in found.items())) for place, found in objects.items()]
        head = moment(run, sample.tick, sample.time_ns, sample)
        return json_object([("schema", "1"), *head, ("values", json_object(values.items())),
                            *((place, f"[{members}]") for place, members in lists)])


def date(samples):  # V5
    """Gives the samples of a boot their offset and the name of their clock."""
    synced = [i for i, sample in enumerate(samples)
              if sample.vitals.get("clock.synced") == 1 and VITALS[0] in sample.vitals]
    for sample in samples:
        sample.offset_ms = sample.vitals.get(VITALS[0])
    for i, sample in enumerate(samples):
        if not synced:
            continue
        right = bisect.bisect_left(synced, i)
        if right < len(synced) and synced[right] == i:
            sample.clock = "synced"
            continue
        sample.clock = "redated"
        a, b = samples[synced[max(right - 1, 0)]], samples[synced[min(right, len(synced) - 1)]]
        sample.offset_ms = a.offset_ms
        if 0 < right < len(synced) and b.time_ns > a.time_ns:
            sample.offset_ms += ((b.offset_ms - a.offset_ms) * (sample.time_ns - a.time_ns)
                                 // (b.time_ns - a.time_ns))


def is_outside(a, run_a, b, run_b, window):  # V6
    """Whether what lies between a and b lies outside of the window of a snapshot."""
    if window is None:
        return False
    first, last, _ = window
    place_a = run_a.boot.ordinal, a.tick * a.interval_ns
    place_b = run_b.boot.ordinal, b.tick * b.interval_ns
    stranger = any(not first[0] <= place[0] <= last[0] for place in (place_a, place_b))
    return place_b < first or place_a > last or run_a.boot is not run_b.boot and stranger


def gap_cause(a, run_a, b, run_b, lap, window):  # V6
    outside = is_outside(a, run_a, b, run_b, window)
    if run_a is not run_b and outside:
        return "left out"
    if run_a.boot is not run_b.boot:
        stop = list(run_a.boot.runs.values())[-1].stopped()
        return "recorder stopped" if stop and stop.args[:1] != (1,) else "power off"
    if run_a is not run_b:
        return "recorder stopped" if run_a.stopped() else "recorder off"
    if b.tick == a.tick + 1:
        return None
    taken, dropped = b.grew(a, "recorder.samples"), b.grew(a, "recorder.dropped_samples")
    if dropped > 0 and dropped == taken - 1:
        return "not durable"
    if taken > 1 and outside:
        return "left out"
    if taken > 1 and b.stands_only_in(run_b.newest_tail_seqs()):
        return "not durable"
    if taken > 1:
        return "overwritten" if a.behind(lap) or b.behind(lap) else "damaged"
    if 2 * b.grew(a, "clock.suspended_ms") * 10**6 >= b.interval_ns:
        return "suspended"
    return "sampler late"


def lost_beginning(b, lap):  # V6
    """Why the run of b, its first sample, does not begin with it."""
    taken, dropped = (b.vitals.get(name, 0) for name in ("recorder.samples", "recorder.dropped_samples"))
    if taken <= 1:
        return None
    if dropped == taken - 1:
        return "not durable"
    end = b.history_end()
    return "damaged" if lap is not None and end is not None and end > lap + 96 else "overwritten"


def gap_lines(before, b, run_b, lap, window):
    """The gaps before sample b: behind the sample before it, and from the beginning of its run."""
    a, run_a = before or (None, None)
    cause = gap_cause(a, run_a, b, run_b, lap, window) if a else None
    if cause:
        yield gap_line(seconds(a.time_ns), seconds(b.time_ns) if run_a.boot is run_b.boot else "null", run_a, cause)
    cause = lost_beginning(b, lap) if run_a is not run_b else None
    if cause:
        yield gap_line("null", seconds(b.time_ns), run_b, cause)


def gap_line(from_s, to_s, run, cause):
    return json_object([("gap", json_object([
        ("from_s", from_s), ("to_s", to_s), ("boot", run.boot.ordinal), ("cause", quote(cause))]))])


# ---- JSON ---------------------------------------------------------------------------------------------------------

def quote(text):
    return json.dumps(text, ensure_ascii=False)


def json_object(members):
    return "{" + ",".join(f"{quote(key)}:{value}" for key, value in members) + "}"


def seconds(ns):
    ms = ns // 10**6
    return f"{ms // 1000}.{ms % 1000:03}"


def rfc3339(ms):
    try:
        date = datetime(1970, 1, 1) + timedelta(milliseconds=ms)
    except OverflowError:
        return "null"
    return quote(date.isoformat(timespec="milliseconds") + "Z") if date.year >= 1970 else "null"


def moment(run, tick, time_ns, dated_by):
    """The keys that a sample and an event share; `dated_by` is the sample that gives the offset, or None."""
    time, clock = "null", dated_by.clock if dated_by else "unsynced"
    if dated_by and dated_by.offset_ms is not None:
        ms = time_ns // 10**6 + dated_by.offset_ms
        if clock != "unsynced" or ms >= DATED_FROM_MS:
            time = rfc3339(ms)
    h = run.boot.boot_id.hex()
    return [("time", time), ("clock", quote(clock)), ("boot", run.boot.ordinal),
            ("boot_id", quote(f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}")), ("run", quote(run.run_id.hex())),
            ("tick", tick), ("boottime_s", seconds(time_ns))]


def event_line(run, event, dated_by):
    name, names = EVENTS.get(event.kind, (f"event.{event.kind}", []))  # R5
    args = [(names[i] if i < len(names) else f"arg{i + 1}", value) for i, value in enumerate(event.args)]
    time_ns = event.tick * run.events[event] + event.offset_ms * 10**6
    return json_object([("event", json_object([
        ("kind", quote(name)), *moment(run, event.tick, time_ns, dated_by),
        ("args", json_object(args)), ("text", quote("" if name == "process" else event.text))]))])


def message_line(run, key, dated_by):
    (tick, severity, has_source, source, text), (count, interval_ns) = key, run.messages[key]
    return json_object([("message", json_object([
        *moment(run, tick, tick * interval_ns, dated_by), ("source", quote(source) if has_source else "null"),
        ("severity", severity), ("count", count), ("text", quote(text))]))])


# tail frames overlap, so the same few are wanted again and again; all of them decoded would not fit in memory
cached_body = functools.lru_cache(maxsize=128)(Body)


def shown(value):
    return quote(value) if isinstance(value, str) else json.dumps(value)


def label(entity):
    """What an object of `processes`, `units` or `logs` says of its entity."""
    ids = {"process": ("pid", "start_ticks", "unit"), "unit": ("memory_max_bytes", "restart")}.get(
        ENTITY_KINDS.get(entity.kind), ())
    return [("name", quote(entity.name)), *((name, shown(entity.attributes.get(name))) for name in ids)]


def readings_by_key(copy):
    """(key of the entity, series number) -> (entity, series, stored value); a later group's value counts."""
    found = {}
    for entity, series, value in cached_body(copy.frame).readings(copy.index):
        key = entity.kind, entity.name
        if ENTITY_KINDS.get(entity.kind) == "process":
            key = entity.kind, entity.attributes.get("pid"), entity.attributes.get("start_ticks")
        first, *_ = found.get((key, series.number), (entity,))
        found[key, series.number] = first, series, value
    return found


def decode(path):
    """(verdict counts, timeline)."""
    recording, timeline = Recording(path), Timeline()
    counts = look_at_all(recording, timeline.take)
    if recording.block:
        timeline.lap = recording.history_end - recording.block.history_slots
        timeline.window = recording.window
    return counts, timeline


def main(args):
    verdicts = args[:1] == ["--verdicts"]
    if len(args) != 1 + verdicts or args[-1].startswith("--"):
        print(__doc__, file=sys.stderr)
        return 2
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        counts, timeline = decode(args[-1])
        if verdicts:
            print("".join(f"{verdict} {counts[verdict]}\n" for verdict in VERDICTS if counts[verdict]), end="")
        else:
            for line in timeline.lines():
                print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Refused, OSError) as why:
        note(why)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
