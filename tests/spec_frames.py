"""Bytes to frames: the lower half of spec_decoder.py, sections 1 to 7 and 9.1 of format-spec.md.

The file is divided into slots (2, 3), each slot is judged (9.1), each live frame is decoded (5, 6). Series, entity
kinds, attributes, events and limits are read from the tables of the specification, because that text is right by
definition. Numbers behind a # name its sections and rules.
"""

import array
import collections
import contextlib
import importlib
import itertools
import os
import re
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

SPEC = Path(__file__).resolve().parent.parent / "format-spec.md"
SLOT = 4096
HEADER_BYTES, MARK_BYTES = 144, 16
MIB = 1 << 20
MASK = (1 << 64) - 1
TAIL, ARCHIVE, HISTORY = 1, 2, 3
SIZE = "size of a recording, bytes"
VITALS = ("clock.realtime_offset_ms", "clock.suspended_ms", "clock.synced", "recorder.samples", "recorder.late_ms",
          "recorder.dropped_samples")


class Damage(Exception):
    """The bytes break a rule of the specification."""


class Refused(Exception):
    """The recording as a whole cannot be read; the message says why."""


def note(text):
    """What the specification wants reported."""
    print(f"spec_decoder.py: {text}", file=sys.stderr)


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
RESTART = {int(number): word for row in spec_table("attribute", "id") if row[0] == "restart"
           for number, word in re.findall(r"(\d) ([a-z-]+)", row[2])}  # 6.1
EVENTS = {int(row[0]): read_event(*row) for row in spec_table("kind", "event", "arguments")}
LIMITS = {row[0]: int(row[1]) for row in spec_table("what", "limit")}  # 12
MAX_SLOTS, MAX_BODY = LIMITS["slots of a history frame"], LIMITS["body of a frame, bytes"]
MAX_SERIES = 65535  # 6.2
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
    """(maker of a streaming decompressor, its error, compressor), or None where Python has no zstd module."""
    for name in ("compression.zstd", "zstandard", "pyzstd"):
        with contextlib.suppress(ImportError):
            zstd = importlib.import_module(name)
            if name == "zstandard":
                return lambda: zstd.ZstdDecompressor().decompressobj(), zstd.ZstdError, zstd.ZstdCompressor().compress
            return zstd.ZstdDecompressor, zstd.ZstdError, zstd.compress
    return None


def inflate(payload, size):
    """Exactly one zstd frame of exactly `size` bytes. Fed in crumbs, so that a bomb cannot grow far beyond `size`."""
    zstd = load_zstd()
    if not zstd:
        note("a frame with codec 1, and no zstd module: compression.zstd, zstandard or pyzstd")
        sys.exit(77)
    make, error, _ = zstd
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
NOTE, Note = spec_layout("Note", "note_crc")
NO_WINDOW = (2**32, 0), (-1, 0), 0  # of a snapshot whose note cannot be read


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


def snapshot_window(block, data):  # B5
    """(first place, last place, E of the recording) of a snapshot; None for what is none."""
    if not block.compatible_flags & 1:
        return None
    note = Note._make(NOTE.unpack_from(data, SUPERBLOCK.size))
    if note.note_crc != zlib.crc32(data[SUPERBLOCK.size + 4:SUPERBLOCK.size + NOTE.size]):
        return NO_WINDOW
    return (note.from_ordinal, note.from_ns), (note.to_ordinal, note.to_ns), note.history_end


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
        self.block, self.window = self.find_superblock()
        self.history_end = self.window[2] if self.window else 0
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
            read = [self.read(slot * SLOT, SLOT) or b"" for slot in slots]
            found = [(parse_superblock(data), data) for data in read]
            newer.extend(1 for one, _ in found if one and one[1] == "newer")
            return [(one[0], snapshot_window(one[0], data)) for one, data in found if one and one[1] == "good"]

        newer = []
        good = good_of(sorted({0, max(self.file_slots - 1, 0)}))
        if not good:
            candidates = (slot for slot in range(self.file_slots) if self.read(slot * SLOT, 8) == SUPERBLOCK_MAGIC)
            good = good_of(candidates)
        if not good and newer:
            raise Refused("the recording is newer than me")
        if len({(block._replace(copy=0, crc=0), window) for block, window in good}) > 1:
            note("the superblocks differ; the first one counts")
        if not good:
            return None, None
        good.sort(key=lambda one: one[0].copy)
        block, window = good[0]
        readable = [other for _, other in good if other and other != NO_WINDOW]
        return block, readable[0] if window and readable else window

    def locate(self, slot):
        """(area, index in it), or None for a superblock and whatever else lies in no area."""
        return next(((area, slot - first) for area, (first, slots) in areas_of(self.block).items()
                     if first <= slot < first + slots), None)

    def is_outside(self, slot, data):
        """Whether 9.1 does not judge the slot."""
        return self.locate(slot) is None if self.block else data and data[:8] == SUPERBLOCK_MAGIC

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

    def history_seq(self):
        area, seq = self.mark or (self.header.area, self.header.seq)
        return seq if area == HISTORY else 0

    def rank(self):  # V3: history before tail, then by seq
        return self.history_seq(), self.header.seq if self.header.area == TAIL else 0


def salvage_mark(data):  # 4.1
    mark = data[SLOT - MARK_BYTES:]
    whole = zlib.crc32(data[4:8] + mark[3:4] + mark[8:]) == u32_at(mark, 4)
    if mark[:3] != b"SLV" or mark[3] not in (ARCHIVE, HISTORY) or not whole:
        return None
    return mark[3], int.from_bytes(mark[8:], "little")


def in_place(recording, header, mark, slot):  # row 9
    area, index = recording.locate(slot)
    if mark:
        return mark[1] > 0 and recording.place(*mark) == index
    fits = index + header.slots <= areas_of(recording.block)[area][1]
    return fits and header.seq > 0 and (header.area, header.slot) == (area, index) and (
        recording.place(area, header.seq) == index)


def parse_header(data):  # rows 4 to 6
    """The header, or the verdict as text."""
    if not any(data[:HEADER_BYTES]):
        return "blank"
    header = Header._make(HEADER.unpack_from(data))
    if header.magic != FRAME_MAGIC or header.header_crc != zlib.crc32(data[8:HEADER_BYTES]):
        return "damaged"
    return "newer" if header.version > 1 or header.incompatible_flags else header


def is_possible(header):  # row 8, F1, F6
    room = header.slots * SLOT - HEADER_BYTES - (MARK_BYTES if header.area == TAIL else 0)
    most_slots = {TAIL: 1, ARCHIVE: 1, HISTORY: MAX_SLOTS}.get(header.area, 0)
    return (header.version == 1 and 1 <= header.slots <= most_slots and header.payload_len <= room
            and header.slots == -(-(HEADER_BYTES + header.payload_len) // SLOT) and header.body_len <= MAX_BODY
            and (header.codec == 1 or header.codec == 0 and header.payload_len == header.body_len)
            and header.interval_ns > 0 and header.first_tick <= header.last_tick
            and header.last_tick * header.interval_ns < 1 << 63)


def read_payload(recording, slot, header):  # row 10
    payload = recording.read(slot * SLOT + HEADER_BYTES, header.payload_len)
    return payload if payload is not None and zlib.crc32(payload) == header.payload_crc else None


def judge(recording, slot, data):
    """Rows 4 to 12 of 9.1: (verdict, frame or None, body or None)."""
    header = parse_header(data)
    if isinstance(header, str):
        return header, None, None
    if header.recording_id != recording.recording_id:
        return "foreign", None, None
    if not is_possible(header):
        return "damaged", None, None
    mark = salvage_mark(data) if header.area == TAIL else None
    if recording.block:
        if mark and mark[0] != recording.locate(slot)[0]:
            mark = None
        if not in_place(recording, header, mark, slot):
            return "misplaced", None, None
    frame = Frame(header, read_payload(recording, slot, header), mark)
    if frame.history_seq():  # V6: how far the writer came
        recording.history_end = max(recording.history_end, frame.history_seq() + header.slots)
    if frame.payload is None:
        return "torn", None, None
    try:
        return "live", frame, Body(frame)
    except Damage:
        return "damaged", None, None


def commonest_id(recording):  # B2
    """The recording_id that most frames bear, for want of a superblock."""
    ids = collections.Counter()
    for slot in range(recording.slots):
        data = recording.read(slot * SLOT, SLOT)
        header = parse_header(data) if data else "unreadable"
        if not isinstance(header, str) and is_possible(header) and read_payload(recording, slot, header) is not None:
            ids[header.recording_id] += 1
    return ids.most_common(1)[0][0] if ids else None


def look_at_all(recording, take):  # V1
    """Judges every slot, hands the live frames to `take` and counts the verdicts."""
    counts, inner_until = collections.Counter(), 0
    if not recording.block:
        note("no good superblock; places are not checked")
        recording.recording_id = commonest_id(recording)
    for slot in range(min(recording.slots, recording.file_slots)):
        data = recording.read(slot * SLOT, SLOT)
        if recording.is_outside(slot, data):
            verdict = "outside"
        elif data is None:
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
        self.entities, self.ticks, self.groups, self.events, self.messages = [MACHINE], [], [], [], []
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
            kind, name = cursor.varint(1), cursor.string(LIMITS["name of an entity, bytes"])
            count = cursor.varint(most=LIMITS["attributes of an entity"])
            pairs = [(cursor.varint(), cursor.varint()) for _ in range(count)]
            known = {ATTRIBUTES[number]: value for number, value in pairs if number in ATTRIBUTES}  # R2
            if "restart" in known:
                known["restart"] = RESTART.get(known["restart"])
            self.entities.append(Entity(kind, name, known))
        for entity in self.entities:  # a unit is called by its name; any other number is ignored
            number = entity.attributes.pop("unit", 0)
            if 0 < number < len(self.entities) and ENTITY_KINDS.get(self.entities[number].kind) == "unit":
                entity.attributes["unit"] = self.entities[number].name

    def parse_samples(self, cursor):  # 6.2
        n = cursor.varint(1, LIMITS["samples in a frame"])
        next_tick = self.first_tick
        for _ in range(cursor.varint(1, n)):
            start = next_tick + cursor.varint()
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
        for _ in range(cursor.varint(1, LIMITS["lists in the header of a group"])):
            at += cursor.varint()
            lists.append(range(at, at + cursor.varint(most=MAX_SERIES) + 1))
            at = lists[-1].stop
            if at > MAX_SERIES + 1:
                raise Damage("series number too large")
        return entity, spans or [(0, n)], lists

    def parse_tick(self, cursor):
        return self.first_tick + cursor.varint(most=self.last_tick - self.first_tick)

    def parse_events(self, cursor):  # 6.3
        for _ in range(cursor.varint(most=LIMITS["events in a frame"])):
            kind, tick, offset_ms = cursor.varint(), self.parse_tick(cursor), cursor.varint()
            args = tuple(cursor.signed() for _ in range(cursor.varint(most=LIMITS["arguments of an event"])))
            text = cursor.string(MAX_TEXT)
            self.events.append(Event(tick, offset_ms, kind, args, text))

    def parse_messages(self, cursor):  # 6.5
        for _ in range(cursor.varint(most=LIMITS["messages in a frame"])):
            tick, source = self.parse_tick(cursor), cursor.varint(most=len(self.entities) - 1)
            severity, count, text = cursor.varint(most=7), cursor.varint(), cursor.string(MAX_TEXT)
            name = self.entities[source].name if source else None
            self.messages.append(((tick, severity, name is not None, name or "", text), count))

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
    if version != 1:
        if not version:
            raise Damage("run facts of version 0")
        cursor.at = len(cursor.data)  # of a later recorder
        return
    cursor.take(16 + 8 + 8 + 4 + 4)
    for _ in range(int.from_bytes(cursor.take(8), "little")):
        for _ in ("name", "value"):
            try:
                cursor.take(int.from_bytes(cursor.take(8), "little")).decode("utf-8")
            except UnicodeDecodeError:
                raise Damage("run facts: a text that is not UTF-8") from None
