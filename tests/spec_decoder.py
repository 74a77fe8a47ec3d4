#!/usr/bin/env python3
"""A decoder of flightrec recordings, written from format-spec.md alone.

    spec_decoder.py RECORDING              the whole recording as JSON lines (section 9.6)
    spec_decoder.py --verdicts RECORDING   what every slot turned out to be (section 9.1)
    spec_decoder.py --selftest             the decoder against a small recording of its own

It proves that the specification suffices: the result must equal `flightrec dump --format jsonl`. The series, entity
kinds, attributes and events are read from the tables of ../format-spec.md, because that text is right by definition.

The story runs from bytes to lines: the file is divided into slots (2, 3), each slot is judged (9.1), each live frame is
decoded (5, 6), copies of one sample are joined (V3), and the timeline is ordered, dated and printed (9.2 - 9.6).
Numbers behind a # name sections and rules of the specification.
"""

import array
import bisect
import collections
import contextlib
import functools
import io
import itertools
import json
import os
import random
import struct
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

SPEC = Path(__file__).resolve().parent.parent / "format-spec.md"
SLOT = 4096
HEADER_BYTES, MARK_BYTES = 144, 16
MIB = 1 << 20
MASK = (1 << 64) - 1
DATED_FROM_MS = 1704067200000  # 2024-01-01, V5
TAIL, ARCHIVE, HISTORY = 1, 2, 3
SIZE = "size of a recording, bytes"
# 9.1; and "outside": superblocks, which 9.1 does not judge
VERDICTS = "unreadable absent inner blank damaged newer foreign misplaced torn live outside".split()


class Damage(Exception):
    """The bytes break a rule of the specification."""


class Refused(Exception):
    """The recording as a whole cannot be read; the message says why."""


# ---- the tables of the specification ------------------------------------------------------------------------------

def spec_tables(*header):
    """The rows of every table of the specification whose header begins with these cells."""
    tables, inside = [], False
    for line in SPEC.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif tuple(cells[:len(header)]) == header:
            inside = True
            tables.append([])
        elif inside and cells[0].strip("-:"):
            tables[-1].append(cells)
    return tables


def spec_table(*header):
    return spec_tables(*header)[0]


def spec_layout(name, member):
    """(struct, namedtuple) of the fixed-width table that has the field `member`."""
    rows = next(rows for rows in spec_tables("Offset", "Size", "Field", "Type") if member in [row[2] for row in rows])
    codes = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q"}
    layout = struct.Struct("<" + "".join(codes.get(row[3]) or f"{row[1]}s" for row in rows))
    return layout, collections.namedtuple(name, [row[2] for row in rows])


@dataclass
class Series:
    number: int
    name: str
    signed: bool = False
    scale: int = 1
    decimals: int = 0

    def number_of(self, stored):
        return stored - ((stored >> 63) << 64) if self.signed else stored

    def show(self, stored):  # S1
        stored = self.number_of(stored)
        if not self.decimals:
            return str(stored * self.scale)
        whole, rest = divmod(abs(stored), 10 ** self.decimals)
        return f"{'-' * (stored < 0)}{whole}.{rest:0{self.decimals}}"


def read_series(number, name, _unit, kind, scale, *_):  # 7, S1
    times, _, divisor = scale.partition("/")
    return Series(int(number), name, kind == "signed", int(times), max(len(divisor) - 1, 0))


def read_event(_, name, arguments, *_rest):  # 6.3
    return name, [argument.strip() for argument in arguments.split(",") if argument.strip()]


SERIES = {int(row[0]): read_series(*row) for row in spec_table("number", "name", "unit")}
ENTITY_KINDS = {int(row[0]): row[1] for row in spec_table("kind", "entity", "name", "key")}  # 6.1
ATTRIBUTES = {int(row[1]): row[0] for row in spec_table("attribute", "id")}  # 6.1
EVENTS = {int(row[0]): read_event(*row) for row in spec_table("kind", "event", "arguments")}
LIMITS = {row[0]: int(row[1]) for row in spec_table("what", "limit")}  # 12
MAX_SLOTS, MAX_BODY = LIMITS["slots of a history frame"], LIMITS["body of a frame, bytes"]
MAX_READINGS, MAX_TEXT = LIMITS["readings in a frame"], LIMITS["text of an event or message, bytes"]


# ---- bytes --------------------------------------------------------------------------------------------------------

class Cursor:
    """Reads varints, strings and bytes from front to back (1)."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def more(self):
        return self.at < len(self.data)

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Damage("ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self, least=0, most=MASK):
        value = shift = 0
        while True:
            if self.at >= len(self.data) or shift > 63:
                raise Damage("varint does not end")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        if shift and not byte:
            raise Damage("varint longer than needed")
        if not least <= value <= most:
            raise Damage("number out of range")
        return value

    def signed(self):
        return unzigzag(self.varint())

    def string(self, limit):
        return self.take(self.varint(most=limit)).decode("utf-8", "replace")

    def end(self):
        if self.more():
            raise Damage("bytes left over")


def unzigzag(value):
    return (value >> 1) ^ -(value & 1)


def load_zstd():
    """The first zstd module there is, as (maker of a streaming decompressor, its error, compressor)."""
    try:
        from compression import zstd
        return zstd.ZstdDecompressor, zstd.ZstdError, zstd.compress
    except ImportError:
        pass
    try:
        import zstandard
        return (lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError,
                zstandard.ZstdCompressor().compress)
    except ImportError:
        pass
    try:
        import pyzstd
        return pyzstd.ZstdDecompressor, pyzstd.ZstdError, pyzstd.compress
    except ImportError:
        print("spec_decoder.py needs a zstd module: compression.zstd, zstandard or pyzstd", file=sys.stderr)
        sys.exit(77)


def inflate(payload, size):
    """Exactly one zstd frame of exactly `size` bytes. Fed in crumbs, so that a bomb cannot grow far beyond `size`."""
    make, error, _ = load_zstd()
    stream, out, at = make(), bytearray(), 0
    try:
        while at < len(payload) and not stream.eof and len(out) <= size:
            out += stream.decompress(payload[at:at + 64])
            at += 64
    except error as why:
        raise Damage(f"zstd: {why}") from None
    if not stream.eof or stream.unused_data or at < len(payload) or len(out) != size:
        raise Damage("not one zstd frame of body_len bytes")
    return bytes(out)


# ---- superblock and places ----------------------------------------------------------------------------------------

SUPERBLOCK, Superblock = spec_layout("Superblock", "created_realtime_ns")
SUPERBLOCK_MAGIC = bytes.fromhex("f8464c545245430a")


def areas_of(block):
    """area -> (first slot, slots)."""
    return {TAIL: (block.tail_start, 2 * block.lane_slots), ARCHIVE: (block.archive_start, block.archive_slots),
            HISTORY: (block.history_start, block.history_slots)}


def parse_superblock(data):  # 3, B1
    """(block, "good" | "newer"), or None where there is none to be believed."""
    if len(data) < SLOT or data[:8] != SUPERBLOCK_MAGIC or zlib.crc32(data[12:128]) != u32_at(data, 8):
        return None
    block = Superblock._make(SUPERBLOCK.unpack_from(data))
    if block.version > 1 or block.incompatible_flags:
        return block, "newer"
    if block.version != 1 or block.slot_size != SLOT or block.size % SLOT:
        return None
    if not LIMITS[f"{SIZE}, at least"] <= block.size <= LIMITS[f"{SIZE}, at most"]:
        return None
    free_from = 1  # slot 0 is the superblock's own
    for first, slots in sorted(areas_of(block).values()):
        if not slots or first < free_from:
            return None
        free_from = first + slots
    return (block, "good") if free_from <= block.size // SLOT else None


def u32_at(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def place(area, seq, L, A, H):  # P1 - P3
    if area == TAIL:
        return (seq % 2) * L + (seq // 2) % L
    return seq % (A if area == ARCHIVE else H)


class Recording:
    """The file: its size, its superblock if there is a good one, and reads that may fail."""

    def __init__(self, path):
        if os.path.isdir(path):
            raise Refused("this is a directory")
        self.fd = os.open(path, os.O_RDONLY)
        self.file_slots = os.lseek(self.fd, 0, os.SEEK_END) // SLOT
        self.block = self.find_superblock()
        self.slots = self.block.size // SLOT if self.block else self.file_slots  # B3
        self.recording_id = self.block.recording_id if self.block else None

    def read(self, offset, count):
        """The bytes, or None if the medium refuses or the file ends before."""
        try:
            data = os.pread(self.fd, count, offset)
        except (OSError, OverflowError):
            return None
        return data if len(data) == count else None

    def find_superblock(self):  # B1, B4
        def good_of(slots):
            found = [parse_superblock(self.read(slot * SLOT, SLOT) or b"") for slot in slots]
            newer.extend(1 for one in found if one and one[1] == "newer")
            return [one[0] for one in found if one and one[1] == "good"]

        newer = []
        good = good_of(sorted({0, max(self.file_slots - 1, 0)}))
        if not good:
            candidates = (slot for slot in range(self.file_slots) if self.read(slot * SLOT, 8) == SUPERBLOCK_MAGIC)
            good = good_of(candidates)
        if not good and newer:
            raise Refused("the recording is newer than me")
        if len({block._replace(copy=0, crc=0) for block in good}) > 1:
            note("the superblocks differ; the first one counts")
        return min(good, key=lambda block: block.copy) if good else None

    def locate(self, slot):
        """(area, index in it), or None for a superblock and whatever else lies in no area."""
        for area, (first, slots) in areas_of(self.block).items():
            if first <= slot < first + slots:
                return area, slot - first
        return None

    def place(self, area, seq):
        return place(area, seq, self.block.lane_slots, self.block.archive_slots, self.block.history_slots)


# ---- frames -------------------------------------------------------------------------------------------------------

HEADER, Header = spec_layout("Header", "payload_crc")
FRAME_MAGIC = bytes.fromhex("f8465231")


@dataclass(eq=False)
class Frame:
    header: Header
    payload: bytes
    mark: tuple  # (area, seq) of the salvage mark, or None

    def rank(self):  # V3: history before tail, then by seq
        area, seq = self.mark or (self.header.area, self.header.seq)
        return (seq if area == HISTORY else 0, self.header.seq if self.header.area == TAIL else 0)


def salvage_mark(data):  # 4.1
    mark = data[SLOT - MARK_BYTES:]
    if mark[:3] != b"SLV" or zlib.crc32(data[4:8] + mark[3:4] + mark[8:]) != u32_at(mark, 4):
        return None
    return mark[3], int.from_bytes(mark[8:], "little")


def in_place(recording, header, mark, slot):  # row 9
    where = recording.locate(slot)
    if header.area == TAIL and mark and mark[0] == where[0] != TAIL:
        return mark[1] > 0 and recording.place(*mark) == where[1]
    fits = where[1] + header.slots <= areas_of(recording.block)[where[0]][1]
    return fits and header.seq > 0 and where == (header.area, header.slot) == (
        header.area, recording.place(header.area, header.seq))


def judge(recording, slot, data):
    """Rows 4 to 12 of 9.1: (verdict, frame or None, body or None)."""
    if not any(data[:HEADER_BYTES]):
        return "blank", None, None
    header = Header._make(HEADER.unpack_from(data))
    if header.magic != FRAME_MAGIC or header.header_crc != zlib.crc32(data[8:HEADER_BYTES]):
        return "damaged", None, None
    if header.version > 1 or header.incompatible_flags:
        return "newer", None, None
    if header.recording_id != recording.recording_id:
        return "foreign", None, None
    room = header.slots * SLOT - HEADER_BYTES - (MARK_BYTES if header.area == TAIL else 0)  # F1
    most_slots = {TAIL: 1, ARCHIVE: 1, HISTORY: MAX_SLOTS}.get(header.area, 0)
    if (header.version != 1 or not 1 <= header.slots <= most_slots or header.payload_len > room
            or header.body_len > MAX_BODY or header.codec > 1
            or (header.codec == 0 and header.payload_len != header.body_len)
            or not header.interval_ns or header.first_tick > header.last_tick):
        return "damaged", None, None
    mark = salvage_mark(data) if header.area == TAIL else None
    if recording.block and not in_place(recording, header, mark, slot):
        return "misplaced", None, None
    payload = recording.read(slot * SLOT + HEADER_BYTES, header.payload_len) if header.slots > 1 else \
        data[HEADER_BYTES:HEADER_BYTES + header.payload_len]
    if payload is None or zlib.crc32(payload) != header.payload_crc:
        return "torn", None, None
    frame = Frame(header, payload, mark)
    try:
        return "live", frame, Body(frame)
    except Damage:
        return "damaged", None, None


def commonest_id(recording):  # B2
    """The recording_id that most frames bear, for want of a superblock."""
    ids = collections.Counter()
    for slot in range(recording.slots):
        data = recording.read(slot * SLOT, SLOT)
        if data and data[:4] == FRAME_MAGIC and zlib.crc32(data[8:HEADER_BYTES]) == u32_at(data, 4):
            header = Header._make(HEADER.unpack_from(data))
            length = min(header.payload_len, MAX_SLOTS * SLOT)
            payload = recording.read(slot * SLOT + HEADER_BYTES, length)
            if payload is not None and zlib.crc32(payload) == header.payload_crc:
                ids[header.recording_id] += 1
    return ids.most_common(1)[0][0] if ids else None


def look_at_all(recording, take):  # V1
    """Judges every slot, hands the live frames to `take` and counts the verdicts."""
    counts, inner_until = collections.Counter(), 0
    if not recording.block:
        note("no good superblock; places are not checked")
        recording.recording_id = commonest_id(recording)
    for slot in range(min(recording.slots, recording.file_slots)):
        if recording.block and recording.locate(slot) is None:
            counts["outside"] += 1
            continue
        data = recording.read(slot * SLOT, SLOT)
        if data is None:
            verdict = "unreadable"
        elif slot < inner_until:
            verdict = "inner"
        else:
            verdict, frame, body = judge(recording, slot, data)
            if verdict == "live":
                inner_until = slot + frame.header.slots
                take(frame, body)
        counts[verdict] += 1
    counts["absent"] += max(recording.slots - recording.file_slots, 0)
    if counts["newer"] and not counts["live"]:
        raise Refused("the recording needs a newer reader")
    if not recording.block and not counts["live"]:
        raise Refused("this is not a recording")
    return counts


# ---- body ---------------------------------------------------------------------------------------------------------

Entity = collections.namedtuple("Entity", "kind name attributes")
Event = collections.namedtuple("Event", "tick offset_ms kind args text")  # compares in the order of 9.6
Group = collections.namedtuple("Group", "entity spans columns")
MACHINE = Entity(0, "", {})


class Body:
    """The sections of one frame, decoded (6)."""

    def __init__(self, frame):
        header = frame.header
        data = frame.payload if header.codec == 0 else inflate(frame.payload, header.body_len)
        self.first_tick, self.last_tick = header.first_tick, header.last_tick
        self.entities, self.ticks, self.groups, self.events = [MACHINE], [], [], []
        sections, cursor = {}, Cursor(data)
        while cursor.more():
            kind, length = cursor.varint(), cursor.varint()
            if kind in sections:
                raise Damage("a section occurs twice")
            sections[kind] = cursor.take(length)
        # in the order of their numbers, because later ones speak of entities
        parsers = {1: self.parse_entities, 2: self.parse_samples, 3: self.parse_events,
                   4: lambda cursor: parse_facts(cursor, header.facts_crc), 5: self.parse_messages}
        for kind, parse in parsers.items():  # R1: others are skipped
            if kind in sections:
                cursor = Cursor(sections[kind])
                parse(cursor)
                cursor.end()

    def parse_entities(self, cursor):  # 6.1
        for _ in range(cursor.varint(most=LIMITS["entities in a frame"])):
            kind, name = cursor.varint(), cursor.string(LIMITS["name of an entity, bytes"])
            pairs = [(cursor.varint(), cursor.varint()) for _ in range(cursor.varint(most=16))]
            known = {ATTRIBUTES[number]: value for number, value in pairs if number in ATTRIBUTES}  # R2
            self.entities.append(Entity(kind, name, known))

    def parse_samples(self, cursor):  # 6.2
        n = cursor.varint(1, LIMITS["samples in a frame"])
        next_tick = self.first_tick
        for run in range(cursor.varint(1, n)):
            start = next_tick + cursor.varint(most=MASK if run else 0)
            next_tick = start + cursor.varint(most=n - len(self.ticks) - 1) + 1
            if next_tick - 1 > self.last_tick:
                raise Damage("tick above last_tick")
            self.ticks.extend(range(start, next_tick))
        if len(self.ticks) != n:
            raise Damage("tick runs do not add up")
        heads, readings = [], 0
        for _ in range(cursor.varint(most=LIMITS["groups in a frame"])):
            entity, spans, lists = self.parse_group_head(cursor, n)
            readings += sum(length for _, length in spans) * sum(map(len, lists))
            if readings > MAX_READINGS:  # R3
                raise Damage("too many readings")
            heads.append((entity, spans, lists))
        modes = iter(cursor.take(sum(len(numbers) for *_, lists in heads for numbers in lists)))
        seen = {}  # (entity, series) -> the samples that have it, as a bit set
        for entity, spans, lists in heads:
            m, columns = sum(length for _, length in spans), []
            present = sum(((1 << length) - 1) << start for start, length in spans)
            for number in itertools.chain(*lists):
                if seen.get((entity, number), 0) & present:
                    raise Damage("a reading occurs twice in a sample")
                seen[entity, number] = seen.get((entity, number), 0) | present
                series = SERIES.get(number) or Series(number, f"series.{number}")  # R4
                columns.append((series, parse_column(cursor, next(modes), m)))
            self.groups.append(Group(entity, spans, columns))

    def parse_group_head(self, cursor, n):
        """(entity, spans as (first sample, length), series numbers as ranges)."""
        entity, spans, lists, at = cursor.varint(most=len(self.entities) - 1), [], [], 0
        for _ in range(cursor.varint(most=n)):
            at += cursor.varint(most=n)
            spans.append((at, cursor.varint(most=n) + 1))
            at += spans[-1][1]
            if at > n:
                raise Damage("span beyond the samples")
        at = 0
        for _ in range(cursor.varint(1, 64)):
            at += cursor.varint()
            lists.append(range(at, at + cursor.varint(most=MAX_READINGS) + 1))
            at = lists[-1].stop
            if at > MASK + 1:
                raise Damage("series number beyond 64 bits")
        return entity, spans or [(0, n)], lists

    def parse_events(self, cursor):  # 6.3
        for _ in range(cursor.varint(most=LIMITS["events in a frame"])):
            kind, tick, offset_ms = cursor.varint(), self.first_tick + cursor.varint(), cursor.varint()
            if tick > MASK:
                raise Damage("tick beyond 64 bits")
            args = tuple(cursor.signed() for _ in range(cursor.varint(most=8)))
            text = cursor.string(MAX_TEXT)
            self.events.append(Event(tick, offset_ms, kind, args, text))

    def parse_messages(self, cursor):  # 6.5: not part of the JSON lines, but a rule broken here breaks the frame
        for _ in range(cursor.varint(most=256)):
            cursor.varint(most=MASK - self.first_tick)
            cursor.varint(most=len(self.entities) - 1)
            cursor.varint(most=7)
            cursor.varint()
            cursor.string(MAX_TEXT)

    def readings(self, sample):
        """(entity, series, stored value) of one sample, in the order of groups and columns."""
        for group in self.groups:
            row = row_of(group.spans, sample)
            if row is not None:
                for series, values in group.columns:
                    yield self.entities[group.entity], series, values[row] if len(values) > 1 else values[0]

    def vitals(self):
        """Of every sample the readings that order and date it, as numbers by name."""
        vitals = [{} for _ in self.ticks]
        for group in self.groups:
            for series, values in group.columns if group.entity == 0 else ():
                if series.name in VITALS:
                    samples = itertools.chain(*(range(start, start + length) for start, length in group.spans))
                    for sample, value in zip(samples, values if len(values) > 1 else itertools.repeat(values[0])):
                        vitals[sample][series.name] = series.number_of(value)
        return vitals


def row_of(spans, sample):
    """Which of a group's values belongs to a sample; None if it has none there."""
    row = 0
    for start, length in spans:
        if sample < start + length:
            return row + sample - start if sample >= start else None
        row += length
    return None


def parse_column(cursor, mode, m):  # 6.2
    """The m values of a column; one value only if it is constant."""
    if mode > 6:
        raise Damage("unknown column mode")
    value = cursor.signed() & MASK
    values, step = array.array("Q", [value]), 0
    if mode == 0:
        return values
    for number in parse_numbers(cursor, m - 1, runs=mode in (3, 4, 6)):
        if mode in (1, 3):
            step = unzigzag(number)
        elif mode in (2, 4):
            step += unzigzag(number)  # the first one counts from a step of 0
        else:
            step = number
        value = (value + step) & MASK
        values.append(value)
    return values


def parse_numbers(cursor, count, runs):
    numbers = []
    while len(numbers) < count:
        number = cursor.varint()
        numbers.append(number)
        if runs and number == 0:
            numbers.extend([0] * cursor.varint(most=count - len(numbers)))
    return numbers


def parse_facts(cursor, facts_crc):  # 6.4: fixed width; nothing of it is in the JSON lines
    if len(cursor.data) > LIMITS["run facts, bytes"] or zlib.crc32(cursor.data) != facts_crc:  # R8
        raise Damage("run facts")
    version = int.from_bytes(cursor.take(2), "little")
    if version > 1:  # of a later recorder
        cursor.at = len(cursor.data)
        return
    cursor.take(16 + 8 + 8 + 4 + 4)
    for _ in range(int.from_bytes(cursor.take(8), "little")):
        for _ in ("name", "value"):
            cursor.take(int.from_bytes(cursor.take(8), "little"))


# ---- timeline -----------------------------------------------------------------------------------------------------

VITALS = ("clock.realtime_offset_ms", "clock.suspended_ms", "clock.synced", "recorder.samples", "recorder.late_ms",
          "recorder.dropped_samples")
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

    def start_ns(self):
        if self.samples:
            return self.samples[min(self.samples)].time_ns
        event = min(self.events)
        return event.tick * self.events[event] + event.offset_ms * 10**6

    def stopped(self):
        """The last event, if it is a stop."""
        last = max(self.events, default=None)
        return last if last and EVENTS.get(last.kind, ("",))[0] == "stop" else None


@dataclass
class Boot:
    boot_id: bytes
    ordinal: int = 0
    tail_seq: int = 0
    runs: dict = field(default_factory=dict)


class Timeline:
    def __init__(self):
        self.boots, self.differing = {}, 0

    def take(self, frame, body):
        header = frame.header
        boot = self.boots.setdefault(header.boot_id, Boot(header.boot_id))
        boot.ordinal = max(boot.ordinal, header.boot_ordinal)
        if header.area == TAIL:
            boot.tail_seq = max(boot.tail_seq, header.seq)
        if not body.ticks and not body.events:
            return
        run = boot.runs.setdefault(header.run_id, Run(boot, header.run_id))
        for index, (tick, vitals) in enumerate(zip(body.ticks, body.vitals())):
            run.samples.setdefault(tick, Sample(tick, [])).copies.append(Copy(frame, index, vitals))
        for event in body.events:
            run.events.setdefault(event, header.interval_ns)

    def order(self):  # V4
        for boot in self.boots.values():
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
                ticks = list(run.samples)
                for tick in sorted(set(run.samples) | set(events)):
                    if tick in run.samples:
                        sample = run.samples[tick]
                        yield from gap_lines(before, sample, run)
                        yield self.sample_line(run, sample)
                        before = sample, run
                    for event in events[tick]:
                        nearest = ticks[max(bisect.bisect_right(ticks, tick) - 1, 0)] if ticks else None
                        yield event_line(run, event, run.samples.get(nearest))
        if self.differing:
            note(f"{self.differing} readings differ between copies of one sample")

    def sample_line(self, run, sample):
        joined = {}
        for copy in sample.copies:
            for key, (label, values) in show_readings(copy).items():
                mine = joined.setdefault(key, (label, {}))[1]
                for name, number in values.items():
                    self.differing += mine.setdefault(name, number) != number
        objects = {"processes": [], "units": [], "logs": []}
        for (where, *_), (label, values) in joined.items():
            if where in objects:
                objects[where].append(json_object(label + [("values", json_object(values.items()))]))
        values = joined.get(("values",), ([], {}))[1]
        head = moment(run, sample.tick, sample.time_ns, sample)
        return json_object([("schema", "1"), *head, ("values", json_object(values.items())),
                            *((where, f"[{','.join(members)}]") for where, members in objects.items())])


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


def gap_cause(a, run_a, b, run_b):  # V6
    if run_a.boot is not run_b.boot:
        with_events = [run for run in run_a.boot.runs.values() if run.events]
        stop = with_events[-1].stopped() if with_events else None
        return "recorder stopped" if stop and stop.args[:1] != (1,) else "power off"
    if run_a is not run_b:
        return "recorder stopped" if run_a.stopped() else "recorder off"
    if b.tick == a.tick + 1:
        return None
    taken, dropped = b.grew(a, "recorder.samples"), b.grew(a, "recorder.dropped_samples")
    if dropped > 0 and dropped == taken - 1:
        return "not durable"
    if taken > 1:
        return "damaged"
    if 2 * b.grew(a, "clock.suspended_ms") * 10**6 >= b.interval_ns:
        return "suspended"
    return "sampler late"


def gap_lines(before, b, run_b):
    """The gap before sample b, if there is one. A first sample in mid-timeline always has a cause of the table."""
    a, run_a = before or (None, run_b)
    if a:
        cause = gap_cause(a, run_a, b, run_b)
    else:
        cause = "overwritten" if b.vitals.get("recorder.samples", 0) > 1 else None
    if cause:
        yield json_object([("gap", json_object([
            ("from_s", seconds(a.time_ns) if a else "null"),
            ("to_s", seconds(b.time_ns) if run_a.boot is run_b.boot else "null"),
            ("boot", run_a.boot.ordinal), ("cause", quote(cause))]))])


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
        return quote((datetime(1970, 1, 1) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z")
    except OverflowError:  # no year between 1 and 9999
        return "null"


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
        ("args", json_object(args)), ("text", quote(event.text))]))])


# tail frames overlap, so the same few are wanted again and again; all of them decoded would not fit in memory
cached_body = functools.lru_cache(maxsize=16)(Body)


def show_readings(copy):
    """key of an object in the line -> (its label, series name -> number as text)."""
    body, shown = cached_body(copy.frame), {}
    for entity, series, value in body.readings(copy.index):
        kind, get = ENTITY_KINDS.get(entity.kind), entity.attributes.get
        key, label = ("values",), []
        if kind == "process":
            key = ("processes", get("pid"), get("start_ticks"))
            label = [("name", quote(entity.name)), *((name, json.dumps(get(name))) for name in ("pid", "start_ticks"))]
        elif kind in ("unit", "log"):
            key, label = (kind + "s", entity.name), [("name", quote(entity.name))]
        values = shown.setdefault(key, (label, {}))[1]
        values[series.name.replace("{}", entity.name)] = series.show(value)  # of two of one name the later counts
    return shown


def note(text):
    print(f"spec_decoder.py: {text}", file=sys.stderr)


def decode(path):
    """(verdict counts, timeline)."""
    timeline = Timeline()
    return look_at_all(Recording(path), timeline.take), timeline


# ---- selftest: an encoder just large enough ------------------------------------------------------------------------

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
    return n, lane, archive, n - 3 - 2 * lane - archive, (2 * lane - 50) // 3


class Builder:
    """A recording of 1 MiB in memory."""

    def __init__(self):
        self.data, self.id = bytearray(MIB), b"recording-number"
        n, self.lane, self.archive, self.history, _ = geometry(MIB)
        self.first = {TAIL: 1, ARCHIVE: 1 + 2 * self.lane, HISTORY: 2 + 2 * self.lane + self.archive}
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
    groups = [(1, [(1, 2)], {205: [3, 5], 201: [9, 9]}), (2, (), {160: [1, 1, 2, 2]}), (3, (), {260: [-5 & MASK] * 4})]
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
    assert counts == {"outside": 3, "blank": 245, "live": 4, "misplaced": 1, "torn": 1, "foreign": 1,
                      "newer": 1}, counts
    parsed = [json.loads(line) for line in lines]
    what = [one["gap"]["cause"] if "gap" in one else one.get("event", one).get("tick") for one in parsed]
    assert what == ["overwritten", 100, 101, 101, 101, 102, 103, 103, 104, "sampler late", 107, 108,
                    "recorder stopped", 50, 51], what
    assert parsed[0] == {"gap": {"from_s": None, "to_s": 100.002, "boot": 1, "cause": "overwritten"}}
    assert parsed[12] == {"gap": {"from_s": 107.0, "to_s": None, "boot": 1, "cause": "recorder stopped"}}
    alert, mark = parsed[3]["event"], parsed[4]["event"]
    assert alert["args"] == {"from": 0, "to": -1, "arg3": 5} and mark["text"] == "“hm”" and mark["kind"] == "mark"
    assert (mark["time"], mark["clock"], mark["boottime_s"]) == ("2024-01-01T00:01:41.250Z", "synced", 101.25)
    sample = parsed[2]
    assert list(sample) == ("schema time clock boot boot_id run tick boottime_s values processes units logs").split()
    assert (sample["time"], sample["clock"]) == ("2024-01-01T00:01:41.002Z", "synced")
    assert sample["boot_id"] == "01010101-0101-0101-0101-010101010101" and sample["run"] == "01" * 8
    wanted = {"load.1m": 0.36, "mem.total_bytes": 7 * 16384, "net.eth0.rx_bytes": 1024, "thermal.soc.celsius": -0.5,
              "series.900": 1}
    assert {name: sample["values"][name] for name in wanted} == wanted
    assert sample["processes"] == [{"name": "sh", "pid": 42, "start_ticks": 4200,
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
        assert others == lines
    assert "misplaced" not in counts and counts["live"] == 5
    assert decode_bytes(build.data[:-SLOT * 100])[0]["absent"] == 100
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


def main(args):
    if args == ["--selftest"]:
        with contextlib.redirect_stderr(io.StringIO()):  # notes about what is broken on purpose
            return selftest()
    verdicts = args[:1] == ["--verdicts"]
    if len(args) != 1 + verdicts or args[-1].startswith("--"):
        print(__doc__, file=sys.stderr)
        return 2
    load_zstd()
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
