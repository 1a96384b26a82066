"""Transactions of few statements and queries of many rows, without the cost of a session.

A session of SQLAlchemy on SQLite takes more than a millisecond of the event loop's thread, whatever
it writes. Here a transaction is one call of one thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

Connect = Callable[[], sqlite3.Connection]


class Statement(NamedTuple):
    """A statement in the dialect of the database.

    Attributes:
        text: with ``?`` on SQLite, with ``$1`` on PostgreSQL.
        rows: number of rows that it must change.
    """

    text: str
    parameters: tuple[object, ...]
    rows: int


class SqliteWriter:
    """One connection with a thread of its own."""

    def __init__(self, connect: Connect) -> None:
        """``connect``: called on the thread, at the first use."""
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "potoo-store")

    async def apply(self, statements: Sequence[Statement]) -> bool:
        """Run statements in one transaction; see ``Database.apply``."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._apply, statements
        )

    async def fetch(self, text: str, parameters: tuple[object, ...]) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query; see ``Database.fetch``."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._fetch, text, parameters
        )

    async def close(self) -> None:
        """Finish what runs, and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _fetch(self, text: str, parameters: tuple[object, ...]) -> Sequence[tuple[Any, ...]]:
        return self._opened().execute(text, parameters).fetchall()

    def _apply(self, statements: Sequence[Statement]) -> bool:
        connection = self._opened()
        run = connection.execute
        run("BEGIN IMMEDIATE")
        try:
            for text, parameters, rows in statements:
                if run(text, parameters).rowcount != rows:
                    run("ROLLBACK")
                    return False
            run("COMMIT")
        except BaseException:
            if connection.in_transaction:
                run("ROLLBACK")
            raise
        return True

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
