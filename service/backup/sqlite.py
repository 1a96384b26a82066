"""The embedded database in a backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from auth.store.copies import copy_sqlite
from auth.store.database import open_database
from service.backup.manifest import BackupRefused


def dump_sqlite(database: Path, target: Path, without: Collection[str]) -> str:
    """Copy a database while servers use it; return the revision of its tables.

    Args:
        without: tables whose rows are left out.

    Raises:
        BackupRefused: the database has no tables yet.
        OSError: it cannot be read, or the copy cannot be written.
    """
    copy_sqlite(database, target)
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            revision = _revision(copy)
            present = {name for (name,) in copy.execute("SELECT name FROM sqlite_master")}
            for table in sorted(present & set(without)):
                copy.execute(f'DELETE FROM "{table}"')  # noqa: S608 - names of our own tables
            if without:
                copy.execute("VACUUM")  # deleted rows must not stay in the file
    except sqlite3.Error as error:
        raise BackupRefused(f"{database} cannot be copied: {error}") from error
    if revision is None:
        raise BackupRefused(f"there is nothing to back up: {database} has no tables yet")
    return revision


def check_sqlite(file: Path, revision: str) -> None:
    """Check that a file of a backup is a sound database of the revision that its manifest names.

    Raises:
        BackupRefused: it is not.
    """
    try:
        with closing(sqlite3.connect(file)) as database:
            (answer,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            found = _revision(database)
    except sqlite3.Error as error:
        answer, found = str(error), None
    if answer != "ok":
        raise BackupRefused(f"the database of the backup is damaged: {answer}")
    if found != revision:
        raise BackupRefused(f"the database of the backup has the revision {found}, not {revision}")


async def migrate_sqlite(file: Path) -> None:
    """Migrate a restored database, and leave one file without a log beside it."""
    async with open_database(URL.create("sqlite+aiosqlite", database=str(file))):
        pass
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode=DELETE")


def require_unused(file: Path) -> None:
    """Check that no server has the database open.

    Raises:
        BackupRefused: one has.
    """
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
            # Excludes all others: in write-ahead mode an open connection holds a lock.
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise BackupRefused(f"a server uses {file}: stop it first") from error
    except sqlite3.DatabaseError:  # damaged: a reason to restore
        pass


def _revision(database: sqlite3.Connection) -> str | None:
    try:
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return str(row[0]) if row else None
