"""When a photo was taken, by its EXIF metadata (CIPA DC-008, Exif 2.32)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

_EXIF_DIRECTORY = 0x8769
_CHANGED = 0x0132
_ORIGINAL, _DIGITISED = 0x9003, 0x9004
_OFFSET, _SUBSECONDS = 0x9011, 0x9291
_ASCII, _LONG = 2, 4
_ENTRY_BYTES = 12
MAX_ENTRIES = 200
"""Entries of a directory that are read; cameras write about forty."""
MAX_TEXT = 64
_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(r"([+-])(\d\d):(\d\d)")


def capture_time(exif: bytes) -> float | None:
    """Return when a photo was taken, in seconds since the epoch; None if EXIF does not say it.

    Without a time zone, the camera's clock is taken for UTC.

    Args:
        exif: a TIFF header and its data (TIFF 6.0), optionally after ``Exif`` and two zeros.
    """
    if exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        first = dict(_entries(exif, order, start))
        pointer = first.get(_EXIF_DIRECTORY)
        found = dict(_entries(exif, order, pointer)) if isinstance(pointer, int) else {}
    except struct.error:
        return None
    text = found.get(_ORIGINAL) or found.get(_DIGITISED) or first.get(_CHANGED)
    return _seconds(text, found.get(_OFFSET), found.get(_SUBSECONDS))


def _entries(exif: bytes, order: str, start: int) -> Iterator[tuple[int, str | int]]:
    """Yield tag and value of the texts and pointers of a directory."""
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for number in range(min(count, MAX_ENTRIES)):
        position = start + 2 + number * _ENTRY_BYTES
        tag, kind, length, value = struct.unpack_from(f"{order}HHII", exif, position)
        if kind == _LONG:
            yield tag, value
        elif kind == _ASCII and length <= MAX_TEXT:
            at = position + 8 if length <= 4 else value
            text = exif[at : at + length].split(b"\0")[0]
            yield tag, text.decode("ascii", "replace").strip()


def _seconds(text: object, zone: object, subseconds: object) -> float | None:
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    offset = _ZONE.fullmatch(zone) if isinstance(zone, str) else None
    try:
        at = datetime(*(int(part) for part in match.groups()), tzinfo=UTC)  # type: ignore[arg-type, misc]
        if offset is not None:
            ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            at = at.replace(tzinfo=timezone(-ahead if offset[1] == "-" else ahead))
    except ValueError:  # 0000:00:00, which cameras without a set clock write
        return None
    fraction = 0.0
    if isinstance(subseconds, str) and subseconds.isascii() and subseconds.isdigit():
        fraction = float(f"0.{subseconds}")
    return at.timestamp() + fraction
