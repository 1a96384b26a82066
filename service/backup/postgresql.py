"""PostgreSQL in a backup, by its own programs ``pg_dump``, ``pg_restore`` and ``psql``.

The password goes to them by the environment, which other users cannot read, never as an argument.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import URL

from service.backup.manifest import BackupRefused

ASIDE = "before_restore_"
"""Prefix of the schema that keeps the tables which a restore replaced."""
_CONNECT_SECONDS = "10"
_REVISION = "SELECT version_num FROM alembic_version"
_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
_USERS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def dump_postgresql(url: URL, target: Path, without: Collection[str]) -> str:
    """Dump a database as of one moment; return the revision of its tables.

    Args:
        without: tables whose rows are left out.

    Raises:
        BackupRefused: a program is missing or fails.
    """
    revision = _ask(url, _REVISION)
    excluded = [f"--exclude-table-data=public.{table}" for table in sorted(without)]
    _run(
        url,
        *("pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=30s"),
        *(f"--exclude-schema={ASIDE}*", *excluded, f"--file={target}"),
    )
    target.chmod(0o600)
    return revision


def require_free(url: URL, *, replace: bool) -> None:
    """Check that a backup may be restored into a database.

    Args:
        replace: whether it may have tables.

    Raises:
        BackupRefused: it may not, or servers use it.
    """
    for program in ("pg_restore", "psql"):
        _program(program)
    if _ask(url, _TABLES) != "0" and not replace:
        raise BackupRefused(
            "the database is not empty: --replace keeps its tables aside and restores the backup"
        )
    if (users := _ask(url, _USERS)) != "0":
        raise BackupRefused(
            f"the database is in use by {users} connections: stop the servers first"
        )


def check_dump(file: Path) -> None:
    """Check that a file of a backup can be read as a dump.

    Raises:
        BackupRefused: it cannot.
    """
    _call([_program("pg_restore"), "--list", str(file)], {})


def restore_postgresql(url: URL, file: Path) -> str | None:
    """Restore a dump into the schema ``public``; all of it or nothing.

    Returns:
        The schema that keeps the tables that were there; None if there were none.

    Raises:
        BackupRefused: a program fails; the old tables are back then.
    """
    aside = None
    if _ask(url, _TABLES) != "0":
        aside = ASIDE + time.strftime("%Y%m%d_%H%M%S", time.gmtime())
        _ask(url, f"ALTER SCHEMA public RENAME TO {aside}; CREATE SCHEMA public")
    try:
        _run(
            url,
            *("pg_restore", "--single-transaction", "--exit-on-error"),
            *("--no-owner", "--no-privileges", f"--dbname={url.database}", str(file)),
        )
    except BackupRefused:
        put_back(url, aside)
        raise
    return aside


def put_back(url: URL, aside: str | None) -> None:
    """Undo a restore."""
    again = f"ALTER SCHEMA {aside} RENAME TO public" if aside else "CREATE SCHEMA public"
    _ask(url, f"DROP SCHEMA public CASCADE; {again}")


def _ask(url: URL, statement: str) -> str:
    options = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--single-transaction")
    return _run(url, "psql", *options, "--set=ON_ERROR_STOP=1", f"--command={statement}").strip()


def _run(url: URL, program: str, *arguments: str) -> str:
    query = url.query
    given = {
        "PGHOST": query.get("host") or url.host,
        "PGPORT": query.get("port") or url.port,
        "PGUSER": url.username,
        "PGDATABASE": url.database,
        "PGPASSWORD": url.password,
        "PGSSLMODE": query.get("ssl") or query.get("sslmode"),
        "PGCONNECT_TIMEOUT": _CONNECT_SECONDS,
    }
    environment = {name: str(value) for name, value in given.items() if value is not None}
    return _call([_program(program), "--no-password", *arguments], environment)


def _call(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = re.sub(r"\s+", " ", done.stderr).strip()
        raise BackupRefused(f"{Path(command[0]).name}: {lines or done.returncode}")
    return done.stdout


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BackupRefused(
            f"there is no {name} on this machine: install PostgreSQL's client programs, of the "
            "server's version or a later one"
        )
    return found
