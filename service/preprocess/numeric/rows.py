"""Rows of numbers with the names of their columns, their limits, and errors that name a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidParameter, PayloadTooLarge, Violation

Values = NDArray[np.float64]
BODY = "/body"
MAX_NAME_CHARS = 256
_SHOWN_CHARS = 32


class InvalidRows(InvalidParameter):
    """The rows cannot be used; the message names row and column, counted from 1."""

    def __init__(self, detail: str, pointer: str = BODY) -> None:
        """``pointer``: JSON pointer of the fault, such as ``/body/rows/3/0``."""
        super().__init__(detail, violations=(Violation(pointer, detail),))


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Bounds of the rows of one call."""

    max_rows: int
    max_columns: int
    max_cell_characters: int

    def check(self, rows: int, columns: int) -> None:
        """Check a number of rows and columns.

        Raises:
            PayloadTooLarge: there are too many.
            InvalidRows: there are none.
        """
        if rows > self.max_rows:
            raise PayloadTooLarge(f"More than the {self.max_rows} rows that are taken.")
        if columns > self.max_columns:
            raise PayloadTooLarge(f"More than the {self.max_columns} columns that are taken.")
        if not rows or not columns:
            raise InvalidRows("There are no rows." if columns else "The rows have no columns.")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of numbers.

    Attributes:
        values_NC: float64 [N, columns], C-contiguous, N and columns at least 1; never infinite,
            NaN where a number is missing. Not to be changed.
        columns: one name for each column, unique; or empty.
    """

    values_NC: Values
    columns: tuple[str, ...] = field(default=())

    @property
    def width(self) -> int:
        """The number of columns."""
        return int(self.values_NC.shape[1])

    @property
    def nan_counts(self) -> NDArray[np.int64]:
        """The number of NaN in each column."""
        found: NDArray[np.int64] = np.isnan(self.values_NC).sum(axis=0, dtype=np.int64)
        return found


def raw_rows(data: bytes, width: int, columns: tuple[str, ...], limits: RowLimits) -> Rows:
    """Return rows of little-endian float64, one after another.

    Args:
        width: numbers in a row.
        columns: one name for each column, or none.

    Raises:
        InvalidRows: the bytes are no whole number of rows, or the names are not as many.
        PayloadTooLarge: more rows or columns than are taken.
    """
    limits.check(1, width)
    if len(data) % (8 * width):
        raise InvalidRows(f"{len(data)} bytes are no whole number of rows of {width} float64.")
    values_NC = np.frombuffer(data, "<f8").reshape(-1, width).astype(np.float64)
    limits.check(*values_NC.shape)
    if len(columns) not in {0, width}:
        raise InvalidRows(f"There are {len(columns)} names, but {width} columns.")
    names = check_names(columns)
    check_finite(values_NC, names)
    return Rows(values_NC, names)


def column_name(columns: Sequence[str], column: int) -> str:
    """Return a column in words: its name, or its number from 1 on."""
    if columns and columns[column]:
        return f"column '{shortened(columns[column])}'"
    return f"column {column + 1}"


def refuse_cell(
    row: int, column: int, columns: Sequence[str], reason: str, *, pointer: str | None = None
) -> NoReturn:
    """Raise ``InvalidRows`` for one cell; ``row`` and ``column`` count from 0."""
    detail = f"Row {row + 1}, {column_name(columns, column)}: {reason}."
    raise InvalidRows(detail, pointer or BODY)


def shortened(text: str) -> str:
    """Return a cell or a name for a message, without control characters."""
    kept = "".join(mark if mark.isprintable() else "?" for mark in text[:_SHOWN_CHARS])
    return kept if len(text) <= _SHOWN_CHARS else f"{kept}..."


def check_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns.

    Raises:
        InvalidRows: two columns have the same name, or one has none or a very long one.
    """
    known: set[str] = set()
    for place, name in enumerate(columns):
        if not name:
            raise InvalidRows(f"Column {place + 1} has no name, as others have.")
        if len(name) > MAX_NAME_CHARS:
            message = f"The name of column {place + 1} is longer than {MAX_NAME_CHARS} characters."
            raise InvalidRows(message)
        if name in known:
            raise InvalidRows(f"Two columns have the name '{shortened(name)}'.")
        known.add(name)
    return tuple(columns)


def check_columns(rows: Rows, scaler: str, width: int, names: Sequence[str]) -> None:
    """Check that rows have the columns of a scaler, and, where both have names, the same names.

    Raises:
        InvalidRows: they differ; the message names the first difference.
    """
    if rows.width != width:
        message = f"The rows have {rows.width} columns, but the scaler '{scaler}' has {width}."
        raise InvalidRows(message)
    if not rows.columns:
        return
    for place, (given, wanted) in enumerate(zip(rows.columns, names, strict=False)):
        if given != wanted:
            raise InvalidRows(
                f"Column {place + 1} is '{shortened(given)}', but the scaler '{scaler}' has "
                f"'{shortened(wanted)}' there."
            )


def check_finite(values_NC: Values, columns: Sequence[str], *, first_row: int = 0) -> None:
    """Check that no number is infinite.

    Args:
        first_row: number of rows before these ones, for the message.

    Raises:
        InvalidRows: one is; the message names it.
    """
    is_infinite_NC = np.isinf(values_NC)
    if is_infinite_NC.any():
        row, column = np.argwhere(is_infinite_NC)[0].tolist()
        reason = "the number is infinite, or too large for float64"
        refuse_cell(first_row + row, column, columns, reason)


def check_results(values_NC: Values, rows: Rows) -> Values:
    """Return scaled rows.

    Raises:
        InvalidRows: a result is infinite.
    """
    is_infinite_NC = np.isinf(values_NC)
    if is_infinite_NC.any():
        row, column = np.argwhere(is_infinite_NC)[0].tolist()
        refuse_cell(row, column, rows.columns, "the scaled number is too large for float64")
    return values_NC
