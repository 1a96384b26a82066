"""Transactions of few statements with many rows, without the cost of a session.

A session of SQLAlchemy on SQLite takes more than a millisecond of the event loop's thread, whatever
it writes. Here a transaction is one call of one thread.

A transaction is a generator: it yields statements, and is sent what each has done. So the same one
runs on either database.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar, cast

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

Connect = Callable[[], sqlite3.Connection]
Result = TypeVar("Result")


class Statement(NamedTuple):
    """A statement in the dialect of the database: with ``?`` on SQLite, ``$1`` on PostgreSQL."""

    text: str
    parameters: tuple[object, ...] = ()


class Done(NamedTuple):
    """The effect of a statement.

    Attributes:
        changed: rows that it changed.
        rows: that it returned.
    """

    changed: int
    rows: Sequence[Sequence[Any]]


Steps = Generator[Statement, Done, Result]
"""A transaction, or a part of one; an exception rolls it back."""


class SqliteWriter:
    """One connection with a thread of its own."""

    def __init__(self, connect: Connect) -> None:
        """``connect``: called on the thread, at the first use."""
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "potoo-store")

    async def perform(self, steps: Steps[Result]) -> Result:
        """Run a transaction; see ``Database.perform``."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._perform, steps)

    async def fetch(self, query: Statement, columns: Sequence[str]) -> Sequence[Sequence[Any]]:
        """Return the rows of a query; see ``Database.fetch``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._fetch, query, columns)

    async def close(self) -> None:
        """Finish what runs, and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _perform(self, steps: Steps[Result]) -> Result:
        connection = self._opened()
        run = connection.execute
        run("BEGIN IMMEDIATE")
        try:
            statement = next(steps)
            while True:
                cursor = run(*statement)
                rows = cursor.fetchall() if cursor.description else ()
                statement = steps.send(Done(cursor.rowcount, rows))
        except StopIteration as end:
            run("COMMIT")
            return cast("Result", end.value)
        except BaseException:
            if connection.in_transaction:
                run("ROLLBACK")
            raise

    def _fetch(self, query: Statement, columns: Sequence[str]) -> Sequence[Sequence[Any]]:
        # As one row: for each row the driver gives the interpreter's lock away, and thousands of
        # them would wait as often for a busy event loop, which would wait for them.
        row = f"json_array({', '.join(columns)})"
        text = f"SELECT json_group_array({row}) FROM ({query.text})"  # noqa: S608 - our own names
        ((rows,),) = self._opened().execute(text, query.parameters)
        found: Sequence[Sequence[Any]] = orjson.loads(rows)
        return found

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def perform_on(connection: AsyncConnection, steps: Steps[Result]) -> Result:
    """Run a part of the transaction of a connection."""
    try:
        statement = next(steps)
        while True:
            result = await connection.exec_driver_sql(*statement)
            rows = result.all() if result.returns_rows else ()
            statement = steps.send(Done(result.rowcount, rows))
    except StopIteration as end:
        return cast("Result", end.value)
