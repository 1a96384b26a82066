"""Rows of CSV (RFC 4180) in UTF-8, read in chunks of rows: a large file needs little memory.

The first row is the header if one of its cells is neither a number nor empty; ``header`` says
otherwise. Empty cells and NaN, NA and null are NaN. Empty lines are skipped.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Final

import numpy as np

from schemas.errors import PayloadTooLarge
from schemas.preprocess.numeric import Header, Separator
from service.preprocess.numeric.rows import (
    InvalidRows,
    RowLimits,
    Rows,
    Values,
    check_finite,
    check_names,
    refuse_cell,
    shortened,
)

SEPARATORS: Final[dict[Separator, str]] = {"comma": ",", "semicolon": ";", "tab": "\t"}
CHUNK_ROWS = 4096
_PIECE_BYTES = 2**16
_MISSING = {"", "nan", "na", "null", "n/a"}
_PLAIN = re.compile(r"[0-9.eE+-]*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""Read other spellings that ``float`` takes, such as ``1_000`` and ``infinity``, as text."""


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How CSV is written."""

    separator: Separator = "comma"
    header: Header = "auto"


class CsvReader:
    """An iterator over chunks of rows.

    Attributes:
        columns: the names in the header; empty if there is none. Known after the first chunk.
        rows: the number of rows so far.
    """

    def __init__(self, lines: Iterable[str], options: CsvOptions, limits: RowLimits) -> None:
        """``lines``: see ``lines_of``."""
        self.columns: tuple[str, ...] = ()
        self._limits, self._header = limits, options.header
        self._source = csv.reader(lines, delimiter=SEPARATORS[options.separator], strict=True)
        self.rows = 0
        self._width = 0

    def __iter__(self) -> Iterator[Values]:
        """Yield chunks, float64 [N, columns].

        Raises:
            InvalidRows: a row is ragged, a cell is no number, or the quotes are wrong.
            PayloadTooLarge: more rows, columns or characters of a cell than are taken.
        """
        chunk: list[list[str]] = []
        for cells in self._records():
            if not self._width and self._begins(cells):
                continue
            if len(cells) != self._width:
                number = self.rows + len(chunk) + 1
                raise InvalidRows(
                    f"Row {number} has {len(cells)} cells, not {self._width} (line {self._line})."
                )
            chunk.append(cells)
            if len(chunk) == CHUNK_ROWS:
                yield self._numbers(chunk)
                chunk = []
        if chunk:
            yield self._numbers(chunk)
        self._limits.check(self.rows, self._width or 1)

    @property
    def _line(self) -> int:
        return self._source.line_num

    def _records(self) -> Iterator[list[str]]:
        longest = self._limits.max_cell_characters
        try:
            for cells in self._source:
                if max(map(len, cells), default=0) > longest:
                    self._refuse_long(cells)
                if cells:
                    yield cells
        except csv.Error as error:
            # The module's own limit of a field, 128 Ki characters, is above ours in general.
            if "field limit" in str(error):
                self._refuse_long([])
            raise InvalidRows(f"Line {self._line} is no CSV: {error}.") from None

    def _refuse_long(self, cells: list[str]) -> None:
        longest = self._limits.max_cell_characters
        place = next((number for number, cell in enumerate(cells) if len(cell) > longest), None)
        where = f"line {self._line}" + ("" if place is None else f", column {place + 1}")
        raise PayloadTooLarge(
            f"The cell in {where} is longer than the {longest} characters that are taken."
        )

    def _begins(self, cells: list[str]) -> bool:
        """Note the width; return whether these cells are the header."""
        self._width = len(cells)
        self._limits.check(1, self._width)
        found = any(not _is_number(cell) for cell in cells)
        if self._header == "absent" or (self._header == "auto" and not found):
            return False
        self.columns = check_names([cell.strip() for cell in cells])
        return True

    def _numbers(self, chunk: list[list[str]]) -> Values:
        self._limits.check(self.rows + len(chunk), self._width)
        values_NC = _plain_numbers(chunk, self._width)
        if values_NC is None:
            values_NC = np.empty((len(chunk), self._width))
            for row, cells in enumerate(chunk):
                try:
                    values_NC[row] = [_number(cell) for cell in cells]
                except ValueError:
                    self._refuse_text(self.rows + row, cells)
        check_finite(values_NC, self.columns, first_row=self.rows)
        self.rows += len(chunk)
        return values_NC

    def _refuse_text(self, row: int, cells: list[str]) -> None:
        for column, cell in enumerate(cells):
            if not _is_number(cell):
                refuse_cell(row, column, self.columns, f"'{shortened(cell)}' is no number")


def read_csv(data: bytes | bytearray, options: CsvOptions, limits: RowLimits) -> Rows:
    """Return the rows of CSV.

    Raises:
        InvalidRows, PayloadTooLarge: see ``CsvReader``.
    """
    pieces = (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES))
    reader = CsvReader(lines_of(pieces, limits), options, limits)
    chunks = list(reader)
    return Rows(np.concatenate(chunks), reader.columns)


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a file in pieces."""
    while piece := file.read(_PIECE_BYTES):
        yield piece


def lines_of(pieces: Iterable[bytes | bytearray], limits: RowLimits) -> Iterator[str]:
    """Yield the lines of UTF-8 text with their ends; a byte order mark is skipped.

    Raises:
        InvalidRows: the text is no UTF-8, or has a NUL.
        PayloadTooLarge: a line is longer than a row can be.
    """
    longest = limits.max_columns * (limits.max_cell_characters + 3)
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest, number = "", 0
    for piece, is_last in _marked(pieces):
        try:
            rest += decoder.decode(bytes(piece), final=is_last)
        except UnicodeDecodeError:
            raise InvalidRows(f"The text is no UTF-8, after line {number}.") from None
        # Not ``splitlines``: cells may contain the other separators of lines that Unicode knows.
        *whole, rest = rest.split("\n")
        for line in [*whole, rest] if is_last else whole:
            number += 1
            if "\0" in line:
                raise InvalidRows(f"Line {number} has a NUL.")
            yield f"{line}\n"
        if len(rest) > longest:
            raise PayloadTooLarge(f"Line {number + 1} is longer than a row can be.")


def _marked(pieces: Iterable[bytes | bytearray]) -> Iterator[tuple[bytes | bytearray, bool]]:
    """Yield each piece, and an empty last one, marked."""
    for piece in pieces:
        yield piece, False
    yield b"", True


def _plain_numbers(chunk: list[list[str]], width: int) -> Values | None:
    """Return the numbers of cells that have the characters of numbers alone; else None. Quick."""
    if not _PLAIN.fullmatch("".join(chain.from_iterable(chunk))):
        return None
    try:
        values = np.fromiter(map(float, chain.from_iterable(chunk)), np.float64)
    except ValueError:
        return None
    return values.reshape(-1, width)


def _number(cell: str) -> float:
    """Return the number of a cell; raise ``ValueError`` if it has none."""
    if _NUMBER.fullmatch(cell):
        return float(cell)
    text = cell.strip()
    if text.lower() in _MISSING:
        return np.nan
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return float(text)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True
