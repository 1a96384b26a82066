"""Copies of the embedded database, consistent while servers write to it."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

PREFIX = "before-migration-"
_WAIT_SECONDS = 30.0


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database into a new file of mode 0600.

    All pages are copied in one step: with smaller steps, every write of another connection starts
    the copy again.

    Raises:
        OSError: the database cannot be read, or the copy cannot be written. There is no copy then.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        uri = f"{source.resolve().as_uri()}?mode=rw"  # a new database is no copy
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new, pages=-1)
            # One file without a log beside it.
            new.execute("PRAGMA journal_mode=DELETE")
        with target.open("rb") as stream:
            os.fsync(stream.fileno())
    except (sqlite3.Error, OSError) as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise
        message = f"cannot copy {source}: {error}"
        raise OSError(message) from error


@dataclass(frozen=True, slots=True)
class MigrationCopies:
    """Keeps copies of the embedded database, made before its tables are changed.

    Attributes:
        folder: of the copies, ``before-migration-REVISION-TIME.db``; created if there is none.
        kept: number of copies, of which the oldest are removed; 0: none is made.
    """

    folder: Path
    kept: int

    def keep(self, database: Path, revision: str) -> None:
        """Copy the database, then remove the oldest copies.

        Raises:
            OSError: there is no copy. The tables must not be changed then.
        """
        if self.kept == 0:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = self.folder / f"{PREFIX}{revision}-{made}-{secrets.token_hex(2)}.db"
        part = target.with_name(f".{target.name}.part")
        copy_sqlite(database, part)
        part.replace(target)
        copies = sorted(self.folder.glob(f"{PREFIX}*.db"), key=lambda one: one.stat().st_mtime_ns)
        for old in copies[: -self.kept]:
            old.unlink(missing_ok=True)
