#!/usr/bin/env python3
"""The selftest of spec_decoder.py: an encoder just large enough, and what the decoder makes of its bytes."""

import collections
import contextlib
import io
import json
import random
import sys
import tempfile
import zlib

from spec_decoder import DATED_FROM_MS, Timeline, decode
from spec_frames import (
    ARCHIVE, ATTRIBUTES, Body, Cursor, Damage, ENTITY_KINDS, EVENTS, FRAME_MAGIC, Frame, HEADER, HEADER_BYTES, Header,
    HISTORY, MARK_BYTES, MASK, MAX_BODY, MIB, SERIES, SLOT, SUPERBLOCK, SUPERBLOCK_MAGIC, TAIL, VITALS, inflate,
    load_zstd, parse_column, place, spec_table, unzigzag)


def put(*numbers):
    out = bytearray()
    for number in numbers:
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return bytes(out)


def zigzag(value):
    value = (value & MASK) - (((value & MASK) >> 63) << 64)
    return ((value << 1) ^ (value >> 63)) & MASK


def put_string(text):
    return put(len(text.encode())) + text.encode()


def put_column(values, mode):
    steps = [(b - a) & MASK for a, b in zip(values, values[1:])]
    if mode in (2, 4):
        steps = steps[:1] + [(b - a) & MASK for a, b in zip(steps, steps[1:])]
    numbers = collections.deque(steps if mode in (5, 6) else map(zigzag, steps))
    out = put(zigzag(values[0]))
    while numbers and mode:
        out += put(number := numbers.popleft())
        if mode in (3, 4, 6) and number == 0:
            further = 0
            while numbers and numbers[0] == 0:
                further += numbers.popleft() + 1
            out += put(further)
    return out


def put_runs(numbers):
    """Ascending numbers as runs: their count, then for each what is skipped and its length minus 1."""
    runs, end = [], 0
    for number in numbers:
        if runs and number == end:
            runs[-1][1] += 1
        else:
            runs.append([number - end, 0])
        end = number + 1
    return put(len(runs), *(number for run in runs for number in run))


def put_body(ticks, machine, entities=(), groups=(), events=()):
    """`machine`: series -> values of all samples; `groups`: (entity, spans as (skip, length), series -> values)."""
    groups = [(0, (), machine), *groups]
    samples = put(len(ticks)) + put_runs([tick - ticks[0] for tick in ticks]) + put(len(groups))
    for entity, spans, columns in groups:
        samples += put(entity, len(spans), *(number for skip, length in spans for number in (skip, length - 1)))
        samples += put_runs(list(columns))
    modes = [(i % 7 if len(set(values)) > 1 and i % 7 else 0 if len(set(values)) == 1 else 1, values)
             for i, values in enumerate(values for _, _, columns in groups for values in columns.values())]
    samples += bytes(mode for mode, _ in modes) + b"".join(put_column(values, mode) for mode, values in modes)
    listed = put(len(entities))
    for kind, name, pairs in entities:
        listed += put(kind) + put_string(name) + put(len(pairs), *(number for pair in pairs for number in pair))
    told = put(len(events))
    for kind, tick, offset_ms, args, text in events:
        told += put(kind, tick - ticks[0], offset_ms, len(args), *map(zigzag, args)) + put_string(text)
    sections = ((1, listed), (99, b"from the future"), (2, samples), (3, told))
    return b"".join(put(kind, len(data)) + data for kind, data in sections)


def geometry(size):  # 2.1
    n = size // SLOT
    lane, archive = min(max(n // 32, 48), 512), min(max(n // 64, 16), 256)
    return n, lane, archive, n - 35 - 2 * lane - archive, (2 * lane - 50) // 3


class Builder:
    """A recording of 1 MiB in memory."""

    def __init__(self):
        self.data, self.id = bytearray(MIB), b"recording-number"
        n, self.lane, self.archive, self.history, _ = geometry(MIB)
        self.first = {TAIL: 1, ARCHIVE: 17 + 2 * self.lane, HISTORY: 34 + 2 * self.lane + self.archive}
        for copy, slot in enumerate((0, self.first[HISTORY] - 1, n - 1)):
            raw = bytearray(SUPERBLOCK.pack(SUPERBLOCK_MAGIC, 0, 1, 0, 0, copy, SLOT, self.id, bytes(16), MIB, 0,
                                            self.first[TAIL], self.lane, self.first[ARCHIVE], self.archive,
                                            self.first[HISTORY], self.history, bytes(32)))
            raw[8:12] = zlib.crc32(raw[12:128]).to_bytes(4, "little")
            self.data[slot * SLOT:slot * SLOT + 128] = raw

    def place(self, area, seq):
        return place(area, seq, self.lane, self.archive, self.history)

    def frame(self, area, seq, boot, ticks, body, codec=0, **other):
        payload = load_zstd()[2](body) if codec else body
        slots = -(-(HEADER_BYTES + len(payload)) // SLOT)
        fields = dict(magic=FRAME_MAGIC, header_crc=0, version=1, incompatible_flags=0, compatible_flags=0, area=area,
                      codec=codec, recording_id=self.id, boot_id=bytes([boot]) * 16, run_id=bytes([boot]) * 8, seq=seq,
                      first_tick=ticks[0], last_tick=ticks[-1], interval_ns=10**9, boottime_ns=0, monotonic_ns=0,
                      realtime_ns=0, boot_ordinal=boot, slot=self.place(area, seq), slots=slots, clock_flags=0,
                      payload_len=len(payload), body_len=len(body), payload_crc=zlib.crc32(payload), facts_crc=0,
                      budget_kib=0) | other
        raw = bytearray(HEADER.pack(*Header(**fields)))
        raw[4:8] = zlib.crc32(raw[8:]).to_bytes(4, "little")
        return bytes(raw + payload).ljust(slots * SLOT, b"\0")

    def write(self, area, seq, raw):
        at = (self.first[area] + self.place(area, seq)) * SLOT
        self.data[at:at + len(raw)] = raw

    def salvage(self, area, seq, raw):  # 4.1
        tail = bytes([area]) + seq.to_bytes(8, "little")
        crc = zlib.crc32(raw[4:8] + tail).to_bytes(4, "little")
        self.write(area, seq, raw[:SLOT - MARK_BYTES] + b"SLV" + tail[:1] + crc + tail[1:])


def decode_bytes(data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        counts, timeline = decode(file.name)
        return {verdict: count for verdict, count in counts.items() if count}, list(timeline.lines())


def machine_series(ticks, samples, offset, synced, late):
    return {1: offset, 2: [0] * len(ticks), 3: synced, 4: samples, 6: late, 17: [0] * len(ticks),
            36: [35 + i for i in range(len(ticks))], 50: [7] * len(ticks), 900: [1] * len(ticks)}


def sample_recording():
    """Boot 1 with a history frame, an overlapping tail frame and a salvaged one; boot 2 ends in a torn frame."""
    build, date_ms = Builder(), DATED_FROM_MS
    entities = [(3, "sh", [(1, 42), (2, 4200), (77, 1)]), (2, "eth0", []), (6, "soc", [])]
    groups = [(1, [(1, 2)], {205: [3, 5], 201: [9, 9]}), (2, (), {160: [1, 1, 2, 2], 901: [4] * 4}),
              (3, (), {260: [-5 & MASK] * 4})]
    groups = [(entity, spans, dict(sorted(columns.items()))) for entity, spans, columns in groups]
    ticks = [100, 101, 102, 103]
    first = machine_series(ticks, [7, 8, 9, 10], [date_ms, date_ms, date_ms + 3, date_ms + 1], [0, 1, 0, 0], [2] * 4)
    history = put_body(ticks, first, entities, groups, [(8, 101, 250, (), "“hm”"), (4, 101, 250, (0, -1, 5), "")])
    build.write(HISTORY, 5, build.frame(HISTORY, 5, 1, ticks, history, codec=1))
    ticks = [103, 104, 107]
    body = put_body(ticks, machine_series(ticks, [10, 11, 12], [date_ms + 1] * 3, [0, 1, 1], [2, 0, 0]),
                    events=[(8, 103, 1, (), "once"), (2, 108, 0, (2,), "")])
    tail = build.frame(TAIL, 40, 1, [103, 108], body)
    build.write(TAIL, 40, tail)
    build.salvage(HISTORY, 6, tail)
    build.write(TAIL, 41, tail)  # misplaced: it says 40
    ticks = [50, 51]
    body = put_body(ticks, machine_series(ticks, [1, 2], [5, 5], [0, 0], [0, 0]))
    build.write(TAIL, 80, build.frame(TAIL, 80, 2, ticks, body))
    torn = bytearray(build.frame(TAIL, 81, 2, ticks, body))
    torn[HEADER_BYTES + 9] ^= 1
    build.write(TAIL, 81, torn)
    build.write(TAIL, 82, build.frame(TAIL, 82, 2, ticks, body, recording_id=bytes(16)))
    build.write(TAIL, 83, build.frame(TAIL, 83, 2, ticks, body, version=2))
    return build


def selftest():
    def refuses(function, *args, **named):
        try:
            function(*args, **named)
        except Damage:
            return True
        return False

    # 1
    assert zlib.crc32(b"123456789") == 0xCBF43926
    for value in (0, 1, 127, 128, 1 << 63, MASK):
        assert Cursor(put(value)).varint() == value
    assert all(refuses(Cursor(bytes.fromhex(raw)).varint) for raw in ("", "80", "8000", "ff" * 9 + "02", "ff" * 11))
    for value in (0, -1, 1, -(1 << 63), (1 << 63) - 1):
        assert unzigzag(zigzag(value)) == value
    # 6.2
    chance = random.Random(1)
    columns = [[5], [0, MASK, 0, 1 << 63, 1 << 63, 1 << 63, 7], [3] * 9, [i * i // 9 for i in range(50)],
               [chance.choice((0, 0, 0, 1, chance.getrandbits(64))) for _ in range(200)]]
    for values in columns:
        for mode in range(0 if len(set(values)) == 1 else 1, 7):
            cursor = Cursor(put_column(values, mode))
            got = parse_column(cursor, mode, len(values))
            cursor.end()
            assert list(got * len(values) if len(got) == 1 else got) == values, (mode, values)
    assert refuses(parse_column, Cursor(put(0, 0, 3)), 3, 4) and refuses(parse_column, Cursor(put(0)), 7, 1)
    _, _, compress = load_zstd()
    assert inflate(compress(b"x" * 9), 9) == b"x" * 9
    assert refuses(inflate, compress(b"x" * 10), 9) and refuses(inflate, compress(bytes(1 << 26)), 9)
    assert refuses(inflate, compress(b"x") + b"y", 1) and refuses(inflate, compress(b"x")[:-1], 1)
    # the tables of the specification
    assert (SUPERBLOCK.size, HEADER.size) == (128, HEADER_BYTES)
    for size, *numbers in spec_table("size", "N", "L", "A"):
        assert geometry(int(size)) == tuple(map(int, numbers))
    for area, *numbers in spec_table("area", "seq", "L"):
        seq, lane, archive, history, slot = map(int, numbers)
        assert place({"tail": TAIL, "archive": ARCHIVE, "history": HISTORY}[area], seq, lane, archive, history) == slot
    assert set(VITALS) <= {series.name for series in SERIES.values()} and len(SERIES) > 100
    assert SERIES[36].show(5) == "0.05" and SERIES[260].show(-5 & MASK) == "-0.5" and SERIES[13].show(2) == "8192"
    assert EVENTS[4] == ("alert", ["from", "to"]) and ENTITY_KINDS[9] == "swap"
    assert ATTRIBUTES[2] == "start_ticks" and MAX_BODY == MIB
    selftest_recording()
    print("ok")


def selftest_recording():
    build = sample_recording()
    counts, lines = decode_bytes(build.data)
    assert counts == {"outside": 35, "blank": 213, "live": 4, "misplaced": 1, "torn": 1, "foreign": 1,
                      "newer": 1}, counts
    parsed = [json.loads(line) for line in lines]
    what = [one["gap"]["cause"] if "gap" in one else one.get("event", one).get("tick") for one in parsed]
    assert what == ["damaged", 100, 101, 101, 101, 102, 103, 103, 104, "sampler late", 107, 108,
                    "recorder stopped", 50, 51], what
    assert parsed[0] == {"gap": {"from_s": None, "to_s": 100.002, "boot": 1, "cause": "damaged"}}
    assert parsed[12] == {"gap": {"from_s": 107.0, "to_s": None, "boot": 1, "cause": "recorder stopped"}}
    alert, mark = parsed[3]["event"], parsed[4]["event"]
    assert alert["args"] == {"from": 0, "to": -1, "arg3": 5} and mark["text"] == "“hm”" and mark["kind"] == "mark"
    assert (mark["time"], mark["clock"], mark["boottime_s"]) == ("2024-01-01T00:01:41.250Z", "synced", 101.25)
    sample = parsed[2]
    assert list(sample) == ("schema time clock boot boot_id run tick boottime_s values processes units logs").split()
    assert (sample["time"], sample["clock"]) == ("2024-01-01T00:01:41.002Z", "synced")
    assert sample["boot_id"] == "01010101-0101-0101-0101-010101010101" and sample["run"] == "01" * 8
    wanted = {"load.1m": 0.36, "mem.total_bytes": 7 * 16384, "net.eth0.rx_bytes": 1024, "thermal.soc.celsius": -0.5,
              "series.900": 1, "series.901.eth0": 4}
    assert {name: sample["values"][name] for name in wanted} == wanted
    assert sample["processes"] == [{"name": "sh", "pid": 42, "start_ticks": 4200, "unit": None,
                                    "values": {"process.user": 9, "process.rss_bytes": 3 * 16384}}]
    assert parsed[6]["values"]["load.1m"] == 0.35  # V3: the salvaged frame has the greater history seq
    assert parsed[1]["processes"] == [] and parsed[1]["clock"] == "redated"
    # 103 is redated between 101 and 104: two thirds of one millisecond, rounded down
    assert parsed[6]["time"] == "2024-01-01T00:01:43.002Z" and parsed[6]["clock"] == "redated"
    assert (parsed[13]["time"], parsed[13]["clock"]) == (None, "unsynced")
    # the other superblocks, none at all (B2: the misplaced frame counts now), a short file (B3)
    data = bytearray(build.data)
    history_slots = build.first[HISTORY] - 1
    for slot in (0, history_slots, MIB // SLOT - 1):
        data[slot * SLOT] ^= 1
        counts, others = decode_bytes(data)
        assert others[1:] == lines[1:]
    assert json.loads(others[0])["gap"]["cause"] == "overwritten"  # without geometry (V6)
    assert "misplaced" not in counts and counts["live"] == 5
    assert decode_bytes(build.data[:-SLOT * 100])[0]["absent"] == 100
    # V6: samples 1 to 100 of a run; all but 1 and 100 are gone, lawfully once the writer has passed the first
    for area, seq, cause in ((HISTORY, 77, "damaged"), (HISTORY, 78, "overwritten"), (TAIL, 143, "damaged")):
        laps = Builder()
        for at, area, tick in ((1, area, 1), (seq, HISTORY, 100)):
            body = put_body([tick], machine_series([tick], [tick], [5], [0], [0]))
            laps.write(area, at, laps.frame(area, at, 1, [tick], body))
        assert json.loads(decode_bytes(laps.data)[1][1])["gap"]["cause"] == cause
    # hostile bytes with honest checksums: never anything but a verdict
    chance = random.Random(2)
    raw = bytes(build.data[(build.first[TAIL] + build.place(TAIL, 40)) * SLOT:][:SLOT])
    header = Header._make(HEADER.unpack_from(raw))
    for _ in range(3000):
        payload = bytearray(raw[HEADER_BYTES:HEADER_BYTES + header.payload_len])
        for _ in range(chance.randint(1, 4)):
            payload[chance.randrange(len(payload))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        try:
            frame, timeline = Frame(header, bytes(payload), None), Timeline()
            timeline.take(frame, Body(frame))
            for line in timeline.lines():
                json.loads(line)
        except Damage:
            pass


if __name__ == "__main__":
    if not load_zstd():
        print("no zstd module for Python: compression.zstd, zstandard or pyzstd", file=sys.stderr)
        sys.exit(77)
    with contextlib.redirect_stderr(io.StringIO()):  # notes about what is broken on purpose
        selftest()
