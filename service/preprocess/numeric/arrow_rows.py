"""Rows of an Apache Arrow IPC stream, by nanoarrow: the extra ``arrow``.

Every column is of numbers; null is NaN. Dictionaries, nested types and compressed buffers are
refused: the body as a whole may be compressed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ServiceError, UnsupportedMediaType
from service.preprocess.numeric.rows import (
    InvalidRows,
    RowLimits,
    Rows,
    Values,
    check_finite,
    check_names,
    column_name,
)

if TYPE_CHECKING:
    from nanoarrow.c_array import CArrayView

_DTYPES = {
    "double": "<f8",
    "float": "<f4",
    "half_float": "<f2",
    **{f"int{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
"""NumPy's types of Arrow's; Boolean values are bits."""


def require_arrow() -> None:
    """Raise ``UnsupportedMediaType`` if the extra ``arrow`` is not installed."""
    if importlib.util.find_spec("nanoarrow") is None:
        raise UnsupportedMediaType(
            "This server cannot read Arrow streams: it needs potoo[arrow]. Send JSON, CSV or .npy."
        )


def read_arrow(data: bytes | bytearray, limits: RowLimits) -> Rows:
    """Return the rows of an Arrow IPC stream.

    Raises:
        UnsupportedMediaType: the extra ``arrow`` is not installed.
        InvalidRows: it is no such stream, is cut off, or a column is not of numbers.
        PayloadTooLarge: more rows or columns than are taken.
    """
    require_arrow()
    batches: list[Values] = []
    columns: tuple[str, ...] = ()
    with _refusing():
        import nanoarrow as na
        from nanoarrow.ipc import InputStream

        with InputStream.from_readable(bytes(data)) as source, na.c_array_stream(source) as stream:
            fields = list(stream.get_schema().children)
            limits.check(1, len(fields))
            columns = tuple(field.name or "" for field in fields)
            rows = 0
            for batch in stream:
                rows += len(batch)
                limits.check(max(rows, 1), len(fields))
                batches.append(_numbers(batch.view(), columns))
    values_NC = np.concatenate(batches) if batches else np.empty((0, len(columns)))
    limits.check(*values_NC.shape)
    columns = check_names(columns)
    check_finite(values_NC, columns)
    return Rows(values_NC, columns)


def arrow_stream(values_NC: Values, columns: tuple[str, ...]) -> bytes:
    """Return rows as an Arrow IPC stream of one batch of doubles; NaN stays NaN.

    Raises:
        UnsupportedMediaType: the extra ``arrow`` is not installed.
    """
    require_arrow()
    import nanoarrow as na
    from nanoarrow.ipc import StreamWriter

    names = columns or tuple(map(str, range(values_NC.shape[1])))
    children = [
        na.c_array_from_buffers(na.float64(), len(values_NC), [None, np.ascontiguousarray(column)])
        for column in values_NC.T
    ]
    schema = na.struct(dict.fromkeys(names, na.float64()))
    batch = na.c_array_from_buffers(schema, len(values_NC), [None], children=children)
    file = BytesIO()
    with StreamWriter.from_writable(file) as writer:
        writer.write_stream(batch)
    return file.getvalue()


def _numbers(batch: CArrayView, columns: tuple[str, ...]) -> Values:
    """Return the numbers of a record batch, float64 [N, columns]."""
    values_NC = np.empty((len(batch), batch.n_children))
    for place in range(batch.n_children):
        column = batch.child(place)
        kind, first, end = column.storage_type, column.offset, column.offset + len(column)
        if column.dictionary is not None or kind not in {*_DTYPES, "bool"}:
            raise InvalidRows(f"The {column_name(columns, place)} is not of numbers.")
        if not len(column):
            continue
        if kind == "bool":
            numbers = _bits(column.buffer(1))
        else:
            numbers = np.frombuffer(column.buffer(1), _DTYPES[kind])
        values_NC[:, place] = numbers[first:end]
        if column.null_count:
            is_number_N = _bits(column.buffer(0))[first:end]
            values_NC[is_number_N == 0, place] = np.nan
    return values_NC


def _bits(buffer: object) -> NDArray[np.uint8]:
    packed = np.frombuffer(buffer, np.uint8)  # type: ignore[call-overload]
    return np.unpackbits(packed, bitorder="little")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn the errors of nanoarrow into ours."""
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:
        raise InvalidRows("This is no Arrow IPC stream of numbers, or it is cut off.") from error
