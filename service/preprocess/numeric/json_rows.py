"""Rows in JSON: ``{"rows": [[1.5, null], ...], "columns": ["a", "b"]}``; null is NaN."""

from __future__ import annotations

from itertools import chain

import numpy as np
import orjson

from schemas.errors import InvalidParameter, InvalidRequest, Violation
from service.preprocess.numeric.rows import (
    BODY,
    InvalidRows,
    RowLimits,
    Rows,
    Values,
    check_finite,
    check_names,
    refuse_cell,
)

MEMBERS = {"rows", "columns"}
_NUMBERS = {int, float, type(None)}


def read_json(data: bytes | bytearray, limits: RowLimits, pointer: str = BODY) -> Rows:
    """Return the rows of a JSON document.

    Args:
        pointer: JSON pointer of the document, for the messages.

    Raises:
        InvalidRequest: this is no JSON.
        InvalidParameter: it has other members.
        InvalidRows: a row is ragged, or a cell is no number.
        PayloadTooLarge: more rows or columns than are taken.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"This is no JSON: {error.msg} at {error.pos}.") from None
    return rows_of_json(document, limits, pointer)


def rows_of_json(document: object, limits: RowLimits, pointer: str = BODY) -> Rows:
    """Return the rows of a parsed document; errors as ``read_json``."""
    if not isinstance(document, dict) or "rows" not in document:
        fault = Violation(pointer, 'Send {"rows": [[...], ...]}, and "columns" if they have names.')
        raise InvalidParameter(violations=(fault,))
    for name in document.keys() - MEMBERS:
        fault = Violation(f"{pointer}/{name}", "There is no such member.")
        raise InvalidParameter(violations=(fault,))
    rows = document["rows"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise InvalidRows("The rows must be a list of lists.", f"{pointer}/rows")
    limits.check(len(rows), len(rows[0]) if rows else 0)
    columns = _names(document.get("columns", []), len(rows[0]), pointer)
    return Rows(_values(rows, columns, pointer), columns)


def _names(given: object, width: int, pointer: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise InvalidRows("The columns must be a list of names.", f"{pointer}/columns")
    if len(given) not in {0, width}:
        message = f"There are {len(given)} names, but {width} columns."
        raise InvalidRows(message, f"{pointer}/columns")
    return check_names(given)


def _values(rows: list[list[object]], columns: tuple[str, ...], pointer: str) -> Values:
    width = len(rows[0])
    for number, row in enumerate(rows):
        if len(row) != width:
            message = f"Row {number + 1} has {len(row)} numbers, not {width}."
            raise InvalidRows(message, f"{pointer}/rows/{number}")
    if not set(map(type, chain.from_iterable(rows))) <= _NUMBERS:
        _refuse_other(rows, columns, pointer)
    values_NC = np.array(rows, np.float64)  # None becomes NaN
    check_finite(values_NC, columns)
    return values_NC


def _refuse_other(rows: list[list[object]], columns: tuple[str, ...], pointer: str) -> None:
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            if type(cell) not in _NUMBERS:
                refuse_cell(
                    number,
                    column,
                    columns,
                    "this is neither a number nor null",
                    pointer=f"{pointer}/rows/{number}/{column}",
                )
