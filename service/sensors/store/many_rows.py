"""Values of many rows in one statement, which runs in one step of the database.

SQLite gives the interpreter's lock away once for each step of a statement: a hundred rows of
``executemany`` would wait a hundred times for a busy event loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

MAX_ROWS = 1000
"""SQLite takes 32,766 values in a statement."""


class RowSource:
    """A table expression ``v`` of given columns, whose rows are parameters."""

    def __init__(self, dialect: str, columns: Mapping[str, str]) -> None:
        """``columns``: their types in PostgreSQL, by name."""
        self._is_sqlite, self._columns = dialect == "sqlite", columns
        named = (f"column{number} AS {name}" for number, name in enumerate(columns, 1))
        self._head = f"(SELECT {', '.join(named)} FROM (VALUES "  # noqa: S608 - our own names
        self._one = f"({', '.join('?' * len(columns))})"
        arrays = (f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), 1))
        self._unnested = f"unnest({', '.join(arrays)}) AS v({', '.join(columns)})"

    def parts(
        self, rows: Sequence[tuple[object, ...]]
    ) -> Iterator[tuple[str, tuple[object, ...], int]]:
        """Yield the expression, its parameters and their rows, at most ``MAX_ROWS`` each."""
        for start in range(0, len(rows), MAX_ROWS):
            part = rows[start : start + MAX_ROWS]
            if self._is_sqlite:
                expression = self._head + ", ".join([self._one] * len(part)) + ")) AS v"
                yield expression, tuple(chain.from_iterable(part)), len(part)
            else:
                columns = tuple(list(column) for column in zip(*part, strict=True))
                yield self._unnested, columns, len(part)
