"""The store's database: SQLite by default, PostgreSQL if replicas share it.

Opening it migrates its tables, also when several servers start at the same moment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    closing,
    nullcontext,
    suppress,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import URL, Connection, event, inspect, make_url, select, table, text
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from auth.store.copies import MigrationCopies
from auth.store.direct_writes import Result, SqliteWriter, Statement, Steps, perform_on
from observability.logs.logging import get_logger
from observability.metrics.store_watch import StoreWatch
from schemas.errors import NotReady

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

HEAD = "0006"
"""The newest migration: knowing it saves importing Alembic at every start."""
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
PARAMETERS: dict[str, set[str]] = {
    "sqlite": set(),
    "postgresql": {"host", "port", "ssl", "sslmode"},
}
"""Accepted query parameters of the URL; the drivers fail on others."""
CONNECTIONS = 10
WAIT_SECONDS = 5.0
"""Timeout for a connection, and for a writer of SQLite in another process."""
TURN_SECONDS = 15.0
"""Timeout for the other writers of this process, where the database is SQLite."""
SIDE_FILES = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite keeps beside a database; they hold the same rows."""
_MIGRATION_LOCK = 0x706F746F6F  # arbitrary; unlikely to be taken by another program


class BadDatabaseUrl(Exception):
    """The URL is malformed or names an unsupported database.

    The message omits the URL, which may hold a password.
    """


class Database:
    """Short transactions. Every use raises ``NotReady`` if the database does not answer.

    Attributes:
        reading: of failures to read; None if the caller shows them.
        writing: of failures to write. A database may be readable on a full disk.
    """

    reading: StoreWatch | None = None
    writing: StoreWatch | None = None

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(immediate=True)
        self.dialect = engine.dialect.name
        self._direct: SqliteWriter | None = None
        # Writers that wait in SQLite hold a connection each, and get their turns in no order.
        self._turn: AbstractAsyncContextManager[None] = (
            _Turns() if self.dialect == "sqlite" else nullcontext()
        )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a read-only transaction."""
        async with (
            _available(self.reading),
            AsyncSession(self._engine, expire_on_commit=False) as session,
        ):
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction, committed on exit unless an exception leaves it.

        Raises:
            IntegrityError: if a constraint is violated, such as a taken name.
        """
        async with (
            _available(self.writing),
            self._turn,
            AsyncSession(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    async def perform(self, steps: Steps[Result]) -> Result:
        """Run a transaction: the quickest way to write many rows.

        Args:
            steps: its statements, in the dialect of the database; what they return is returned.

        Raises:
            Exception: raised by ``steps``; nothing is changed then.
        """
        async with _available(self.writing), self._turn:
            if self.dialect == "sqlite":
                return await self._sqlite.perform(steps)
            async with self._writing.begin() as connection:
                return await perform_on(connection, steps)

    async def fetch(self, query: Statement, columns: Sequence[str]) -> Sequence[Sequence[Any]]:
        """Return the rows of a query, in any order: the quickest way to read many.

        Args:
            columns: the names of its columns, of text, numbers and NULL. SQLite gives 0 and 1 for
                booleans, and 15 digits of other numbers than integers.
        """
        async with _available(self.reading):
            if self.dialect == "sqlite":
                return await self._sqlite.fetch(query, columns)
            async with self._engine.connect() as connection:
                return (await connection.exec_driver_sql(*query)).all()

    @property
    def _sqlite(self) -> SqliteWriter:
        if self._direct is None:
            self._direct = SqliteWriter(self._connect_sqlite)
        return self._direct

    def _connect_sqlite(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._engine.url.database or "", timeout=WAIT_SECONDS)
        _tune_sqlite(connection, None)
        return connection

    def insert(self, into: type[object]) -> sqlite.Insert | postgresql.Insert:
        """Build an ``INSERT`` that has ``on_conflict_do_update`` on both databases."""
        if self.dialect == "sqlite":
            return sqlite.insert(into)
        from sqlalchemy.dialects import postgresql  # imports its drivers: only if it is used

        return postgresql.insert(into)

    async def migrate(self, copies: MigrationCopies | None = None) -> None:
        """Migrate the tables; one server at a time.

        Args:
            copies: keeps a copy of an embedded database with tables before they are changed.
        """
        async with _available():
            async with self._engine.connect() as connection:
                revision = await connection.run_sync(_revision)
            if revision == HEAD:
                return
            if revision is not None and revision > HEAD:
                message = "a later version of Potoo has changed its tables"
                raise InvalidRequestError(message)
            file = self._engine.url.database
            if copies and revision and file and self.dialect == "sqlite":
                await asyncio.to_thread(copies.keep, Path(file), revision)
            async with self._writing.begin() as connection:
                if self.dialect == "postgresql":
                    lock = text("SELECT pg_advisory_xact_lock(:key)")
                    await connection.execute(lock, {"key": _MIGRATION_LOCK})
                await connection.run_sync(_upgrade)

    async def close(self) -> None:
        """Close the connections."""
        if self._direct is not None:
            await self._direct.close()
        await self._engine.dispose()


@asynccontextmanager
async def open_database(url: URL, copies: MigrationCopies | None = None) -> AsyncIterator[Database]:
    """Open the database and migrate its tables.

    A file of SQLite is closed to other users first: it holds hashes of passwords and tokens.

    Args:
        copies: see ``Database.migrate``.

    Raises:
        NotReady: if it does not answer.
    """
    options: dict[str, object] = {
        "pool_size": CONNECTIONS,
        "max_overflow": 0,
        "pool_timeout": WAIT_SECONDS,
    }
    if url.get_backend_name() == "postgresql":
        options |= {
            # A database that was restarted or failed over must not cost a request.
            "pool_pre_ping": True,
            "connect_args": {"timeout": WAIT_SECONDS, "command_timeout": WAIT_SECONDS},
        }
    if url.database and url.get_backend_name() == "sqlite":
        async with _available():
            await asyncio.to_thread(_prepare_file, Path(url.database))
    engine = create_async_engine(url, hide_parameters=True, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    database = Database(engine)
    try:
        await database.migrate(copies)
        yield database
    finally:
        await database.close()


def database_url(given: str | None, file: Path) -> URL:
    """Return the configured URL with our driver, or the URL of the embedded database.

    Args:
        file: of the embedded database; created if there is none, for its owner only.

    Raises:
        BadDatabaseUrl: if the URL is malformed or names an unsupported database.
    """
    if given is None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        return URL.create(DRIVERS["sqlite"], database=str(file))
    try:
        url = make_url(given)
        url = url.set(drivername=DRIVERS[url.get_backend_name()])
        if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
            raise ValueError  # every connection would have its own database
    except (ArgumentError, KeyError, ValueError):
        message = "the database URL must be postgresql://USER:PASSWORD@HOST/NAME or sqlite:///FILE"
        raise BadDatabaseUrl(message) from None
    if url.query.keys() - PARAMETERS[url.get_backend_name()]:
        message = "of parameters the database URL may have host, port and sslmode, for PostgreSQL"
        raise BadDatabaseUrl(message)
    if mode := url.query.get("sslmode"):
        # asyncpg calls the usual sslmode ssl.
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url


def reason(error: NotReady) -> str:
    """Return why the database did not respond: one line for the operator, without the statement."""
    return _line(error.__cause__)


class _Turns(asyncio.Lock):
    """One writer at a time, in the order of their calls.

    Raises:
        TimeoutError: the turn does not come within ``TURN_SECONDS``.
    """

    async def acquire(self) -> Literal[True]:
        """Wait for the turn."""
        async with asyncio.timeout(TURN_SECONDS):
            return await super().acquire()


def _line(cause: BaseException | None) -> str:
    if isinstance(cause, DBAPIError) and cause.orig is not None:
        cause = cause.orig
    return " ".join(str(cause).split()) or type(cause).__name__


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = table("alembic_version", sql_column("version_num"))
    return connection.execute(select(version.c.version_num)).scalar()


def _upgrade(connection: Connection) -> None:
    # Hide the migration steps from the operator.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic.command import upgrade
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    upgrade(config, "head")


def _prepare_file(file: Path) -> None:
    """Close the file to other users, and check that it is a database.

    If the driver's thread failed to open it, that thread might outlive the event loop and print an
    error.
    """
    with suppress(OSError):  # it exists, or SQLite reports why it cannot be made
        # Exclusive: closing a file that exists would drop this process's locks on it.
        os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o600))
    for one in (file, *(file.with_name(file.name + suffix) for suffix in SIDE_FILES)):
        _close_to_others(one)
    try:
        with closing(sqlite3.connect(file, timeout=WAIT_SECONDS)) as connection:
            connection.execute("PRAGMA schema_version")
            _use_write_ahead_log(connection)
    except sqlite3.Error as error:
        raise OSError(str(error)) from error


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Let readers and the writer not wait for each other; the file keeps the mode.

    SQLite does not wait by itself for another process that changes the mode at the same time.
    """
    ends_at = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= ends_at:
                raise
            time.sleep(0.01)
        else:
            return


def _close_to_others(file: Path) -> None:
    """Remove the permissions of group and others from a file, or log a warning.

    A file may have them after a copy or a restored backup. SQLite gives the files that it
    makes beside a database the mode of the database.
    """
    try:
        mode = file.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) or not mode & 0o077:
        return
    log, shown = get_logger("auth"), f"{stat.S_IMODE(mode):04o}"
    try:
        file.chmod(stat.S_IMODE(mode) & 0o700)
    except FileNotFoundError:  # another process has just removed a journal
        pass
    except OSError as error:
        log.warning("store is open to other users", file=str(file), mode=shown, reason=str(error))
    else:
        log.warning("store was open to other users; closed it", file=str(file), mode=shown)


def _tune_sqlite(connection: DBAPIConnection | sqlite3.Connection, _record: object) -> None:
    # We begin transactions ourselves; the driver would begin them late, and not for DDL.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # Readers and the writer do not wait for each other; a second process waits a while. No
        # change, unless the file was replaced: see ``_use_write_ahead_log``.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={int(WAIT_SECONDS * 1000)}")
        cursor.close()
    except Exception:  # not a database; the connection owns a thread, so close it here
        connection.close()
        raise


def _begin_sqlite(connection: Connection) -> None:
    # A read transaction that starts to write fails at once if another wrote meanwhile.
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@asynccontextmanager
async def _available(watch: StoreWatch | None = None) -> AsyncIterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError) as error:
        if watch is not None:
            watch.failed(_line(error))
        message = "The store does not answer."
        raise NotReady(message, retry_after=5) from error
    if watch is not None:
        watch.worked()
