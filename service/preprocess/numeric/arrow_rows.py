"""Rows of an Apache Arrow IPC stream: read, and written.

By our own reader, for streams come from anybody: nanoarrow 0.9 corrupts memory on damaged ones, and
pyarrow has 90 MB. Every column is of numbers, in little-endian order; null is NaN. Dictionaries,
nested types and compressed buffers are refused: the body as a whole may be compressed.

The format: https://arrow.apache.org/docs/format/Columnar.html; slots are those of ``Message.fbs``
and ``Schema.fbs``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import PayloadTooLarge
from service.preprocess.numeric.flat_buffer import (
    Damaged,
    Number,
    Pairs,
    Record,
    Table,
    message_bytes,
    root,
)
from service.preprocess.numeric.rows import (
    InvalidRows,
    RowLimits,
    Rows,
    Values,
    check_finite,
    check_names,
    column_name,
)

_CONTINUATION = 0xFFFFFFFF
_SCHEMA, _BATCH = 1, 3
"""Types of messages."""
_INT, _FLOAT, _BOOL = 2, 3, 6
"""Types of fields."""
_FLOATS = {0: "<f2", 1: "<f4", 2: "<f8"}
_VERSION = 4
"""V5, of Arrow 1.0 and later."""
_BITS = "bits"
MAX_BITS = 4 * 2**20
"""Numbers in a shorter stream: Boolean columns take 64 times their size as float64."""


class _Message(NamedTuple):
    kind: int
    header: Table
    body: memoryview


def read_arrow(data: bytes | bytearray, limits: RowLimits) -> Rows:
    """Return the rows of an Arrow IPC stream.

    Raises:
        InvalidRows: it is no such stream, is cut off, or a column is not of numbers.
        PayloadTooLarge: more rows or columns than are taken.
    """
    try:
        return _read(memoryview(data), limits)
    except (Damaged, UnicodeDecodeError) as error:
        raise InvalidRows("This is no Arrow IPC stream, or it is damaged.") from error


def arrow_stream(values_NC: Values, columns: tuple[str, ...]) -> bytes:
    """Return rows as an Arrow IPC stream of one batch of doubles; NaN stays NaN."""
    count, width = values_NC.shape
    names = columns or tuple(map(str, range(width)))
    double = Record({0: Number(2, 2)})
    fields = [
        Record({0: name, 1: Number(1, 1), 2: Number(_FLOAT, 1), 3: double, 5: []}) for name in names
    ]
    schema = Record({0: Number(0, 2), 1: fields})
    size = 8 * count
    buffers = [part for place in range(width) for part in ((size * place, 0), (size * place, size))]
    batch = Record({0: Number(count, 8), 1: Pairs([(count, 0)] * width), 2: Pairs(buffers)})
    return b"".join(
        (
            _encapsulated(_SCHEMA, schema, 0),
            _encapsulated(_BATCH, batch, size * width),
            np.ascontiguousarray(values_NC.T, "<f8").tobytes(),
            struct.pack("<II", _CONTINUATION, 0),
        )
    )


def _encapsulated(kind: int, header: Record, body_length: int) -> bytes:
    message = message_bytes(
        Record({0: Number(_VERSION, 2), 1: Number(kind, 1), 2: header, 3: Number(body_length, 8)})
    )
    return struct.pack("<II", _CONTINUATION, len(message)) + message


def _read(data: memoryview, limits: RowLimits) -> Rows:
    messages = _messages(data)
    schema = next(messages, None)
    if schema is None or schema.kind != _SCHEMA or schema.header.integer(0, 2):
        raise Damaged
    fields = list(schema.header.tables(1))
    limits.check(1, len(fields))
    columns = tuple(field.text(0) for field in fields)
    dtypes = [_dtype(field, columns, place) for place, field in enumerate(fields)]
    batches: list[Values] = []
    rows = 0
    for message in messages:
        count = message.header.integer(0, 8)
        if message.kind != _BATCH or count < 0:
            raise Damaged
        rows += count
        limits.check(max(rows, 1), len(fields))
        if rows * len(fields) > max(len(data), MAX_BITS):
            raise PayloadTooLarge(f"More than {MAX_BITS} numbers in fewer bytes.")
        batches.append(_numbers(message, count, dtypes))
    limits.check(rows, len(fields))
    values_NC = np.concatenate(batches)
    columns = check_names(columns)
    check_finite(values_NC, columns)
    return Rows(values_NC, columns)


def _messages(data: memoryview) -> Iterator[_Message]:
    """Yield the messages of a stream, up to its mark of the end, or the end of the data."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise Damaged
        mark, size = struct.unpack_from("<Ii", data, at)
        at += 8
        if mark != _CONTINUATION or size < 0 or at + size > len(data):
            raise Damaged
        if not size:
            return
        message = root(data[at : at + size])
        at += size
        length, header = message.integer(3, 8), message.table(2)
        if header is None or length < 0 or at + length > len(data):
            raise Damaged
        yield _Message(message.integer(1, 1), header, data[at : at + length])
        at += length


def _dtype(field: Table, columns: tuple[str, ...], place: int) -> str:
    """Return NumPy's type of a column, or ``bits``.

    Raises:
        InvalidRows: it is not of numbers.
    """
    kind, details = field.integer(2, 1), field.table(3)
    if details is not None and field.table(4) is None:
        if kind == _BOOL:
            return _BITS
        if kind == _FLOAT and (found := _FLOATS.get(details.integer(0, 2))):
            return found
        if kind == _INT and (bits := details.integer(0, 4)) in {8, 16, 32, 64}:
            return f"<{'i' if details.integer(1, 1) else 'u'}{bits // 8}"
    raise InvalidRows(f"The {column_name(columns, place)} is not of numbers.")


def _numbers(message: _Message, count: int, dtypes: list[str]) -> Values:
    """Return the numbers of a record batch, float64 [count, columns]."""
    header, body = message.header, message.body
    nodes, buffers = list(header.pairs(1)), list(header.pairs(2))
    if header.table(3) is not None:
        raise InvalidRows("The buffers of the Arrow stream are compressed: compress the body.")
    if len(nodes) != len(dtypes) or len(buffers) != 2 * len(dtypes):
        raise Damaged
    values_NC = np.empty((count, len(dtypes)))
    for place, (dtype, (length, nulls)) in enumerate(zip(dtypes, nodes, strict=True)):
        if length != count:
            raise Damaged
        validity, numbers = (_part(body, *each) for each in buffers[2 * place : 2 * place + 2])
        if dtype == _BITS:
            values_NC[:, place] = _bits(numbers, count)
        elif np.dtype(dtype).itemsize * count > len(numbers):
            raise Damaged
        else:
            values_NC[:, place] = np.frombuffer(numbers, dtype, count)
        if nulls:
            values_NC[_bits(validity, count) == 0, place] = np.nan
    return values_NC


def _part(body: memoryview, offset: int, length: int) -> memoryview:
    if offset < 0 or length < 0 or offset + length > len(body):
        raise Damaged
    return body[offset : offset + length]


def _bits(packed: memoryview, count: int) -> NDArray[np.uint8]:
    """Return bits, the lowest first, as numbers."""
    if len(packed) * 8 < count:
        raise Damaged
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count, bitorder="little")
