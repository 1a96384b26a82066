"""Reading of rows in every form that is taken: JSON, CSV, Arrow IPC streams, ``.npy``."""

from __future__ import annotations

from enum import StrEnum

from service.preprocess.numeric.arrow_rows import read_arrow
from service.preprocess.numeric.csv_rows import CsvOptions, read_csv
from service.preprocess.numeric.json_rows import read_json
from service.preprocess.numeric.npy_rows import read_npy
from service.preprocess.numeric.rows import RowLimits, Rows

JSON_CELL_BYTES, CELL_BYTES = 56, 24
"""Memory of one cell while it is read: a parsed JSON number; a float64, copied twice."""


class RowFormat(StrEnum):
    """Forms of rows, by media type."""

    JSON = "application/json"
    CSV = "text/csv"
    ARROW = "application/vnd.apache.arrow.stream"
    NPY = "application/x-npy"


def read_rows(data: bytes | bytearray, form: RowFormat, csv: CsvOptions, limits: RowLimits) -> Rows:
    """Return the rows of a body. Blocks for as long as it takes to parse.

    Raises:
        InvalidRows: the rows cannot be used; the message names row and column.
        InvalidRequest, InvalidParameter: JSON of another shape.
        PayloadTooLarge: more rows, columns or characters of a cell than are taken.
        UnsupportedMediaType: an Arrow stream without the extra ``arrow``.
    """
    if form is RowFormat.CSV:
        return read_csv(data, csv, limits)
    if form is RowFormat.ARROW:
        return read_arrow(data, limits)
    if form is RowFormat.NPY:
        return read_npy(data, limits)
    return read_json(data, limits)


def reading_bytes(data: bytes | bytearray, form: RowFormat, csv: CsvOptions) -> int:
    """Estimate the memory that the rows of a body take beside it, before they are parsed."""
    if form is RowFormat.JSON:
        return JSON_CELL_BYTES * (data.count(b",") + data.count(b"["))
    if form is RowFormat.CSV:
        mark = {"comma": b",", "semicolon": b";", "tab": b"\t"}[csv.separator]
        return CELL_BYTES * (data.count(mark) + data.count(b"\n") + 1)
    return 3 * len(data)
