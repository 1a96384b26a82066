"""FlatBuffers: enough of the format to read and write the messages of Arrow's IPC streams.

Every offset of a message is checked before it is followed, so that any bytes may be read. The
format: https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_VECTOR = 2**17
"""Elements of a vector: two buffers for each of 65,536 columns. More are damage."""
_FORMATS = {1: "<B", 2: "<h", 4: "<i", 8: "<q"}


class Damaged(ValueError):
    """The bytes are no such message."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table at a position of a message. Absent members have the value 0, or are None."""

    data: memoryview
    place: int

    def integer(self, slot: int, size: int) -> int:
        """Return a signed number, or an unsigned one of one byte."""
        found = self._member(slot)
        return 0 if found is None else _read(self.data, found, _FORMATS[size])

    def table(self, slot: int) -> Table | None:
        """Return a table."""
        found = self._target(slot)
        return None if found is None else Table(self.data, found)

    def text(self, slot: int) -> str:
        """Return a string; empty if it is absent."""
        found = self._target(slot)
        if found is None:
            return ""
        size = _read(self.data, found, "<I")
        end = found + 4 + size
        if end > len(self.data):
            raise Damaged
        return str(self.data[found + 4 : end], "utf-8")

    def tables(self, slot: int) -> Iterator[Table]:
        """Yield the tables of a vector."""
        for place in self._elements(slot, 4):
            yield Table(self.data, place + _read(self.data, place, "<I"))

    def pairs(self, slot: int) -> Iterator[tuple[int, int]]:
        """Yield the elements of a vector of structures of two signed 8-byte numbers."""
        for place in self._elements(slot, 16):
            yield _read(self.data, place, "<q"), _read(self.data, place + 8, "<q")

    def _elements(self, slot: int, size: int) -> Iterator[int]:
        found = self._target(slot)
        if found is None:
            return
        count = _read(self.data, found, "<I")
        if count > MAX_VECTOR or found + 4 + count * size > len(self.data):
            raise Damaged
        yield from range(found + 4, found + 4 + count * size, size)

    def _target(self, slot: int) -> int | None:
        found = self._member(slot)
        return None if found is None else found + _read(self.data, found, "<I")

    def _member(self, slot: int) -> int | None:
        members = self.place - _read(self.data, self.place, "<i")
        where = 4 + 2 * slot
        if where + 2 > _read(self.data, members, "<H"):
            return None
        offset = _read(self.data, members + where, "<H")
        return self.place + offset if offset else None


def root(data: memoryview) -> Table:
    """Return the table that a message is."""
    return Table(data, _read(data, 0, "<I"))


@dataclass(frozen=True, slots=True)
class Number:
    """A number of some bytes, to be written."""

    value: int
    size: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A vector of structures of two 8-byte numbers, to be written."""

    pairs: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Record:
    """A table, to be written: its members by their slots."""

    members: Mapping[int, Number | str | Record | Sequence[Record] | Pairs]


def message_bytes(record: Record) -> bytes:
    """Return a message, padded to a multiple of 8 bytes."""
    data = bytearray(4)
    _point(data, 0, _write_table(data, record))
    _align(data, 8)
    return bytes(data)


def _write_table(data: bytearray, record: Record) -> int:
    """Append a table and what it refers to; return its place."""
    slots = max(record.members, default=-1) + 1
    places, end = {}, 4
    for slot, member in record.members.items():
        size = member.size if isinstance(member, Number) else 4
        end += -end % size
        places[slot] = end
        end += size
    _align(data, 2)
    members = len(data)
    data += struct.pack("<HH", 4 + 2 * slots, end)
    data += struct.pack(f"<{slots}H", *(places.get(slot, 0) for slot in range(slots)))
    _align(data, 8)  # of the members too, as their places count from here
    table = len(data)
    data += struct.pack("<i", table - members) + bytes(end - 4)
    for slot, member in record.members.items():
        place = table + places[slot]
        if isinstance(member, Number):
            struct.pack_into(_FORMATS[member.size], data, place, member.value)
        else:
            _point(data, place, _write_member(data, member))
    return table


def _write_member(data: bytearray, member: str | Record | Sequence[Record] | Pairs) -> int:
    if isinstance(member, Record):
        return _write_table(data, member)
    if isinstance(member, str):
        _align(data, 4)
        place, text = len(data), member.encode()
        data += struct.pack("<I", len(text)) + text + b"\0"
        return place
    if isinstance(member, Pairs):
        data += bytes((4 - len(data)) % 8)  # the elements begin at a multiple of 8
        place = len(data)
        data += struct.pack("<I", len(member.pairs))
        for pair in member.pairs:
            data += struct.pack("<qq", *pair)
        return place
    _align(data, 4)
    place = len(data)
    data += struct.pack("<I", len(member)) + bytes(4 * len(member))
    for number, one in enumerate(member):
        _point(data, place + 4 + 4 * number, _write_table(data, one))
    return place


def _point(data: bytearray, place: int, target: int) -> None:
    struct.pack_into("<I", data, place, target - place)


def _align(data: bytearray, size: int) -> None:
    data += bytes(-len(data) % size)


def _read(data: memoryview, place: int, form: str) -> int:
    if place < 0:  # ``struct`` would count from the end
        raise Damaged
    try:
        (value,) = struct.unpack_from(form, data, place)
    except struct.error as error:
        raise Damaged from error
    return int(value)
