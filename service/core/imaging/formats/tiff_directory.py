"""Reader and writer of the first directory of a TIFF. TIFF 6.0, BigTIFF."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidImage

Values = NDArray[Any]


class Tag(IntEnum):
    """The fields that pixels need; all others are dropped."""

    WIDTH = 256
    HEIGHT = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES_PER_PIXEL = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    MAX_SAMPLE_VALUE = 281
    PLANAR_CONFIGURATION = 284
    T4_OPTIONS = 292
    T6_OPTIONS = 293
    PREDICTOR = 317
    COLOR_MAP = 320
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    JPEG_PROC = 512
    JPEG_INTERCHANGE_FORMAT = 513
    JPEG_INTERCHANGE_FORMAT_LENGTH = 514
    JPEG_RESTART_INTERVAL = 515
    JPEG_LOSSLESS_PREDICTORS = 517
    JPEG_POINT_TRANSFORMS = 518
    JPEG_Q_TABLES = 519
    JPEG_DC_TABLES = 520
    JPEG_AC_TABLES = 521
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    YCBCR_POSITIONING = 531
    REFERENCE_BLACK_WHITE = 532


MAX_COUNTS = {
    Tag.BITS_PER_SAMPLE: 8,
    Tag.EXTRA_SAMPLES: 8,
    Tag.SAMPLE_FORMAT: 8,
    Tag.JPEG_LOSSLESS_PREDICTORS: 8,
    Tag.JPEG_POINT_TRANSFORMS: 8,
    Tag.JPEG_Q_TABLES: 8,
    Tag.JPEG_DC_TABLES: 8,
    Tag.JPEG_AC_TABLES: 8,
    Tag.YCBCR_COEFFICIENTS: 3,
    Tag.YCBCR_SUBSAMPLING: 2,
    Tag.REFERENCE_BLACK_WHITE: 6,
    Tag.STRIP_OFFSETS: 2**20,
    Tag.STRIP_BYTE_COUNTS: 2**20,
    Tag.TILE_OFFSETS: 2**20,
    Tag.TILE_BYTE_COUNTS: 2**20,
    Tag.COLOR_MAP: 3 * 2**16,
    Tag.JPEG_TABLES: 2**16,
}
"""Maximum number of values of a field, 1 for all others; further values are ignored."""
_KINDS = dict(zip(range(1, 9), ("u1", "u1", "u2", "u4", "u4", "i1", "u1", "i2"), strict=True))
_KINDS |= {9: "i4", 10: "i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
"""NumPy's types by those of fields."""
_RATIONALS = {5, 10}
_SHORT, _LONG, _LONG8, _IFD8 = 3, 4, 16, 18


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of a directory: their values by tag, in the machine's byte order, and their types."""

    order: str
    """The file's byte order: ``<`` or ``>``."""
    values: dict[int, Values]
    kinds: dict[int, int]

    def numbers(self, tag: Tag) -> tuple[int, ...]:
        """Return the whole numbers of a field; empty if it is missing or has others."""
        found = self.values.get(tag)
        if found is None or found.dtype.kind not in "ui":
            return ()
        return tuple(found.tolist())

    def number(self, tag: Tag, default: int) -> int:
        """Return the first number of a field."""
        return next(iter(self.numbers(tag)), default)

    def set(self, tag: Tag, values: Values) -> None:
        """Set the values of a field; the type stays, or is SHORT for a new field."""
        self.values[tag] = values
        self.kinds.setdefault(tag, _SHORT)

    def drop(self, *tags: Tag) -> None:
        """Remove fields."""
        for tag in tags:
            self.values.pop(tag, None)


def read_fields(data: bytes) -> Fields:
    """Read the fields of a TIFF's first directory that pixels need; the first of duplicates.

    Raises:
        InvalidImage: the directory, or one of these fields, reaches beyond the end of the file.
    """
    order, is_big = ("<" if data[:2] == b"II" else ">"), 43 in data[2:4]
    word, word_bytes = ("Q", 8) if is_big else ("I", 4)
    entry = np.dtype([("tag", f"{order}u2"), ("rest", f"V{2 + 2 * word_bytes}")])
    fields = Fields(order, {}, {})
    try:
        (start,) = struct.unpack_from(order + word, data, word_bytes)
        (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, start)
        first = start + (8 if is_big else 2)
        tags = np.frombuffer(data, entry, count, first)["tag"]
        known = np.flatnonzero(np.isin(tags, list(Tag)))
        for place in known[np.unique(tags[known], return_index=True)[1]].tolist():
            at = first + place * entry.itemsize
            tag, kind, count = struct.unpack_from(f"{order}HH{word}", data, at)
            if kind not in _KINDS or not count:
                continue
            number = np.dtype(order + _KINDS[kind])
            parts = 2 if kind in _RATIONALS else 1
            size = count * parts * number.itemsize
            at += 4 + word_bytes
            if size > word_bytes:
                (at,) = struct.unpack_from(order + word, data, at)
            wanted = min(count, MAX_COUNTS.get(tag, 1)) * parts
            values = np.frombuffer(data, number, wanted, at)
            fields.values[tag] = values.astype(number.newbyteorder("="))
            fields.kinds[tag] = kind
    except (struct.error, ValueError, OverflowError) as error:
        raise InvalidImage from error
    return fields


def written(fields: Fields, data: bytes, order: str) -> bytes:
    """Return the file with a directory of these fields appended, as classic TIFF.

    Args:
        order: the byte order, ``<`` or ``>``, of the header and the directory.

    Raises:
        InvalidImage: a number does not fit into classic TIFF.
    """
    start = len(data) + len(data) % 2
    entries, apart = [struct.pack(f"{order}H", len(fields.values))], bytearray()
    free = start + 2 + 12 * len(fields.values) + 4
    for tag, values in sorted(fields.values.items()):
        kind = fields.kinds[tag]
        if kind in {_LONG8, _IFD8}:
            kind = _LONG
            if values.size and values.max() >= 2**32:
                raise InvalidImage
        stored = values.astype(order + _KINDS[kind]).tobytes()
        count = values.size // (2 if kind in _RATIONALS else 1)
        entries.append(struct.pack(f"{order}HHI", tag, kind, count))
        if len(stored) > 4:
            entries.append(struct.pack(f"{order}I", free + len(apart)))
            apart += stored + bytes(len(stored) % 2)
        else:
            entries.append(stored.ljust(4, b"\0"))
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(f"{order}HI", 42, start)
    body = memoryview(data)[len(header) :]
    return b"".join((header, body, bytes(start - len(data)), *entries, bytes(4), apart))
