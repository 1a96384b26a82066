"""TIFF files written field by field, including invalid ones."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Value = int | Sequence[int] | NDArray[np.uint16] | bytes
_SHORT, _LONG, _UNDEFINED = 3, 4, 7


def tiff_of(
    fields: Mapping[int, Value], strips: Sequence[bytes] = (), *, order: str = "<"
) -> bytes:
    """Return a TIFF of one directory; StripOffsets and StripByteCounts are added for ``strips``.

    Args:
        fields: by tag; bytes are UNDEFINED, arrays SHORT, and numbers SHORT or LONG by their size.
    """
    body = bytearray()
    offsets = []
    for strip in strips:
        offsets.append(8 + len(body))
        body += strip + bytes(len(strip) % 2)
    entries: dict[int, Value] = dict(fields)
    if strips:
        entries = {273: offsets, 279: [len(strip) for strip in strips]} | entries
    start = 8 + len(body)
    directory, apart = bytearray(struct.pack(f"{order}H", len(entries))), bytearray()
    free = start + 2 + 12 * len(entries) + 4
    for tag, value in sorted(entries.items()):
        kind, count, stored = _stored(value, order)
        directory += struct.pack(f"{order}HHI", tag, kind, count)
        if len(stored) > 4:
            directory += struct.pack(f"{order}I", free + len(apart))
            apart += stored + bytes(len(stored) % 2)
        else:
            directory += stored.ljust(4, b"\0")
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return bytes(header + body + directory + bytes(4) + apart)


def _stored(value: Value, order: str) -> tuple[int, int, bytes]:
    """Return the type, the number and the bytes of a field's values."""
    if isinstance(value, bytes):
        return _UNDEFINED, len(value), value
    if isinstance(value, np.ndarray):
        return _SHORT, value.size, value.astype(f"{order}u2").tobytes()
    numbers = [value] if isinstance(value, int) else list(value)
    kind, code = (_SHORT, "H") if max(numbers) < 2**16 else (_LONG, "I")
    return kind, len(numbers), struct.pack(f"{order}{len(numbers)}{code}", *numbers)
