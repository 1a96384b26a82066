"""Migrations: from an empty database, from the first release, started concurrently."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from auth.passwords import verify_password
from auth.principal import Scope
from auth.store import database as store
from auth.store.accounts import AccountStore, Kind
from auth.store.database import HEAD, Database, reason
from auth.store.tables import Table
from schemas.errors import NotReady
from service.cameras.store.tables import CameraRow
from service.sensors.store.tables import SensorRow
from service.teach.datasets.tables import PhotoRow
from tests.support.auth.identity_kit import HASH, PHONE, SECRET, Clock, open_kit, opened
from tests.support.repository import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.sql]

SERVERS = 5
_first = sa.MetaData()
FIRST_RELEASE = sa.Table(
    "accounts",
    _first,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("password_hash", sa.String(255), nullable=False),
    sa.Column("scopes", sa.String(255), nullable=False),
    sa.Column("is_disabled", sa.Boolean, nullable=False),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
)
CREATED = datetime(2026, 3, 29, 1, 30, 0, 250_000, UTC)


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a database without migration, committed at the end."""
    engine = create_async_engine(store.database_url(url, Path("unused")))
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def leave_first_release(url: str) -> None:
    """Create the tables of the first release, with two accounts."""
    if url.startswith("sqlite"):
        file = store.database_url(url, Path("unused")).database or ""
        os.close(os.open(file, os.O_CREAT, 0o600))  # otherwise a start would warn
    async with bare(url) as connection:
        await connection.run_sync(_first.create_all)
        rows = [
            {"name": "anna", "scopes": "admin classify", "is_disabled": False, "created": CREATED},
            {"name": "ünï'", "scopes": "", "is_disabled": True, "created": CREATED},
        ]
        await connection.execute(
            FIRST_RELEASE.insert(), [{**row, "password_hash": HASH} for row in rows]
        )


async def tables(url: str) -> list[str]:
    async with bare(url) as connection:
        names = await connection.run_sync(lambda plain: sa.inspect(plain).get_table_names())
        return sorted(names)


async def differences(database: Database) -> list[object]:
    """Differences between the actual tables and those of the code."""

    def compare(connection: sa.Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, Table.metadata))

    async with database.read() as session:
        return await (await session.connection()).run_sync(compare)


async def test_migrations_of_an_empty_database_create_the_declared_tables(
    database_url: str,
) -> None:
    async with opened(database_url) as database:
        assert await differences(database) == []
    expected = {"accounts", "alembic_version", "revocations", "sessions", "sign_ins"}
    expected |= {"cameras", "camera_reports", "camera_events", "leases", "output_cursors"}
    expected |= {"sensors", "sensor_reports", "sensor_epochs", "sensor_results", "sensor_events"}
    expected |= {"datasets", "photos", "teach_runs"}
    assert set(await tables(database_url)) == expected


async def test_accounts_of_the_first_release_are_migrated(database_url: str, clock: Clock) -> None:
    await leave_first_release(database_url)
    async with open_kit(database_url, clock) as kit:
        anna, other = await kit.accounts.all()
        assert (anna.name, anna.kind, anna.is_disabled) == ("anna", Kind.PERSON, False)
        assert anna.scopes == {Scope.ADMIN, Scope.CLASSIFY}
        assert anna.created == CREATED.timestamp()
        assert (anna.models, anna.may_introspect, anna.weight) == (None, False, 1)
        assert verify_password(anna.secret_hash, SECRET)
        assert (other.name, other.is_disabled, other.scopes) == ("ünï'", True, frozenset())
        assert await differences(kit.database) == []
        await kit.sessions.open("anna", "anna", anna.scopes, PHONE)
        async with kit.database.read() as session:
            for row in (CameraRow, SensorRow, PhotoRow):
                assert list(await session.scalars(sa.select(row))) == []
    assert "accounts_0001" not in await tables(database_url)


async def test_database_time_zone_does_not_shift_timestamps(postgres_url: str) -> None:
    async with bare(postgres_url) as connection:
        await connection.run_sync(_first.create_all)
        there = CREATED.astimezone(timezone(timedelta(hours=5, minutes=45)))
        row = {"name": "anna", "password_hash": HASH, "scopes": "", "is_disabled": False}
        await connection.execute(FIRST_RELEASE.insert(), {**row, "created": there})
        await connection.execute(sa.text("ALTER ROLE postgres SET timezone = 'Asia/Kathmandu'"))
    try:
        async with opened(postgres_url) as database:
            (anna,) = await AccountStore(database).all()
            assert anna.created == CREATED.timestamp()
    finally:
        async with bare(postgres_url) as connection:
            await connection.execute(sa.text("ALTER ROLE postgres RESET timezone"))


async def test_repeated_start_changes_nothing(database_url: str, clock: Clock) -> None:
    async with open_kit(database_url, clock) as kit:
        await kit.add("anna")
    for _ in range(2):
        async with open_kit(database_url, clock) as kit:
            await kit.database.migrate()
            assert [account.name for account in await kit.accounts.all()] == ["anna"]


@pytest.mark.process
@pytest.mark.parametrize("is_fresh", [True, False])
async def test_concurrent_servers_migrate_without_error(
    database_url: str, *, is_fresh: bool
) -> None:
    if not is_fresh:
        await leave_first_release(database_url)
    program = """
import asyncio, sys
from pathlib import Path
from auth.store.accounts import AccountStore
from auth.store.database import database_url, open_database

async def main():
    import alembic.command
    print("ready", flush=True)
    sys.stdin.readline()
    async with open_database(database_url(sys.argv[1], Path())) as database:
        print(len(await AccountStore(database).all()))

asyncio.run(main())
"""
    command = [sys.executable, "-W", "error", "-c", program, database_url]
    servers = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here meanwhile
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(SERVERS)
    ]
    for server in servers:
        assert server.stdout is not None
        assert server.stdin is not None
        assert await asyncio.to_thread(server.stdout.readline) == b"ready\n"
    for server in servers:
        assert server.stdin is not None
        server.stdin.write(b"go\n")
        server.stdin.flush()
    ended = [await asyncio.to_thread(server.communicate, timeout=60) for server in servers]
    expected = b"0\n" if is_fresh else b"2\n"
    assert [
        (server.returncode, *outcome) for server, outcome in zip(servers, ended, strict=True)
    ] == [(0, expected, b"")] * SERVERS
    async with opened(database_url) as database:
        assert await differences(database) == []


def test_declared_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "auth/store/migrations"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True), "the code compares them as text"


async def test_newer_store_is_refused_unchanged(database_url: str) -> None:
    async with opened(database_url) as database, database.write() as session:
        await session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NotReady) as caught:
        async with opened(database_url):
            pass
    assert reason(caught.value) == "a later version of Potoo has changed its tables"


async def test_failed_migration_is_rolled_back(database_url: str) -> None:
    await leave_first_release(database_url)
    async with bare(database_url) as connection:
        await connection.execute(sa.text("CREATE TABLE sign_ins (wrong INTEGER)"))
    with pytest.raises(NotReady):
        async with opened(database_url):
            pass
    assert await tables(database_url) == ["accounts", "sign_ins"]
    async with bare(database_url) as connection:
        found = await connection.execute(sa.select(FIRST_RELEASE.c.name).order_by("name"))
        assert [name for (name,) in found] == ["anna", "ünï'"]
        await connection.execute(sa.text("DROP TABLE sign_ins"))
    async with opened(database_url) as database:
        assert len(await AccountStore(database).all()) == 2
