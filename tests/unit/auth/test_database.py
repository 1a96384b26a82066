"""The store's database: URL, file, and failures."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from auth.database import BadDatabaseUrl, Database, database_url, open_database, reason
from auth.tables import AccountRow, SessionRow
from schemas.errors import NotReady
from tests.support.auth.identity_kit import HASH, Clock, Kit, open_kit, opened
from tests.support.servers.databases import free_port, postgres_server

pytestmark = pytest.mark.anyio

PASSWORD = "hunter2"


def account(name: str) -> AccountRow:
    return AccountRow(
        name=name,
        kind="person",
        secret_hash=HASH,
        scopes="",
        models=None,
        may_introspect=False,
        is_disabled=False,
        created=0.0,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///potoo.db", "sqlite+aiosqlite:///potoo.db"),
        ("sqlite:////var/lib/potoo.db", "sqlite+aiosqlite:////var/lib/potoo.db"),
        ("postgresql://me:pw@db/potoo", "postgresql+asyncpg://me:pw@db/potoo"),
        ("postgresql+psycopg2://db:5433/potoo", "postgresql+asyncpg://db:5433/potoo"),
        ("postgresql://db/potoo?sslmode=require", "postgresql+asyncpg://db/potoo?ssl=require"),
        ("postgresql:///potoo?host=/run/pg", "postgresql+asyncpg:///potoo?host=%2Frun%2Fpg"),
    ],
)
def test_a_database_is_reached_through_the_driver_that_we_use(given: str, used: str) -> None:
    url = database_url(given, Path("unused"))
    assert url.render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "given",
    [
        "",
        PASSWORD,
        f"mysql://me:{PASSWORD}@db/potoo",
        f"postgres://me:{PASSWORD}@db/potoo",
        f"postgresql://me:{PASSWORD}@db:port/potoo",
        f"postgresql://me:{PASSWORD}@db/potoo?application_name=potoo",
        f"postgresql://me@db/potoo?password={PASSWORD}",
        f"redis://:{PASSWORD}@db/0",
        f"//me:{PASSWORD}@db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///potoo.db?mode=ro",
        "sqlite:///file:potoo?mode=memory&uri=true",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(BadDatabaseUrl, match="the database URL m") as caught:
        database_url(given, Path("unused"))
    assert PASSWORD not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "folder", ["plain", "with space", "with#hash", "ünï", "with?mark", "with%41percent", "a:b@c"]
)
async def test_the_embedded_database_lies_where_it_was_asked_for(
    tmp_path: Path, folder: str
) -> None:
    file = tmp_path / folder / "potoo.db"
    async with open_database(database_url(None, file)) as database, database.read() as session:
        rows = (await session.execute(text("PRAGMA database_list"))).all()
        assert ("main", str(file)) in [tuple(row)[1:] for row in rows]


async def test_only_its_owner_may_read_the_embedded_database(tmp_path: Path) -> None:
    file = tmp_path / "data" / "potoo.db"
    async with open_database(database_url(None, file)) as database:
        async with database.write() as session:
            session.add(account("anna"))
        found = {path.name: mode(path) for path in file.parent.iterdir()}
    assert found["potoo.db"] == 0o600
    assert len(found) == 3, "the files beside it hold the same rows"
    assert set(found.values()) == {0o600}
    assert mode(file.parent) == 0o700


async def test_what_was_written_outlives_the_process(database_url: str) -> None:
    async with opened(database_url) as first, first.write() as session:
        session.add(account("anna"))
    async with opened(database_url) as second, second.read() as session:
        assert await session.get(AccountRow, "anna")


async def test_an_exception_undoes_what_was_written(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as session:
            session.add(account("anna"))
            await session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with database.write() as session:
        session.add(account("anna"))


async def test_what_is_read_is_never_written(database: Database) -> None:
    async with database.write() as session:
        session.add(account("anna"))
    async with database.read() as session:
        row = await session.get(AccountRow, "anna")
        assert row is not None
        row.scopes = "admin"
        await session.flush()
    async with database.read() as session:
        assert await session.scalar(select(AccountRow.scopes)) == ""


async def test_a_session_needs_its_account(kit: Kit) -> None:
    row = SessionRow(
        id="1",
        account="nobody",
        client_id="",
        device="",
        scopes="",
        created=0.0,
        last_seen=0.0,
        expires=0.0,
        handle="1",
        current="1",
        previous=None,
        rotated=None,
        answered=0.0,
    )
    with pytest.raises(IntegrityError):
        async with kit.database.write() as session:
            session.add(row)


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    async with asyncio.timeout(60), database.write() as writing:
        writing.add(account("anna"))
        await writing.flush()
        async with database.read() as reading:
            assert await reading.get(AccountRow, "anna") is None


async def test_a_statement_that_fails_is_not_ready_and_says_nothing_to_the_caller(
    database: Database,
) -> None:
    async with database.write() as session:
        await session.execute(text("DROP TABLE sessions"))
    with pytest.raises(NotReady) as caught:
        async with database.read() as session:
            await session.get(SessionRow, PASSWORD)
    assert caught.value.retry_after == 5
    assert caught.value.detail == "The account store does not answer."
    told = reason(caught.value)
    assert "sessions" in told
    assert "SELECT" not in told
    assert "\n" not in told
    assert PASSWORD not in str(caught.value.__cause__)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" * 100])
async def test_a_file_that_is_no_database_is_not_ready(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "potoo.db"
    file.write_bytes(content)
    with pytest.raises(NotReady):
        async with opened(f"sqlite:///{file}"):
            pass
    assert file.read_bytes() == content


@pytest.mark.parametrize("file", ["missing/potoo.db", ""])
async def test_a_file_that_cannot_be_opened_is_not_ready(tmp_path: Path, file: str) -> None:
    with pytest.raises(NotReady):
        async with opened(f"sqlite:///{tmp_path / file}"):
            pass


@pytest.mark.parametrize(
    "broken",
    [
        "postgresql://postgres:hunter2@127.0.0.1:1/potoo",
        "{server}_missing",
        "{server}?sslmode=require",
        "{server}?sslmode=hunter2",
        "{server}?host=hunter2.invalid",
        "postgresql://hunter2.invalid/potoo",
    ],
)
async def test_a_server_that_cannot_be_used_is_not_ready(postgres: str, broken: str) -> None:
    with pytest.raises(NotReady) as caught:
        async with opened(broken.format(server=postgres)):
            pass
    assert reason(caught.value)
    assert PASSWORD not in caught.value.detail


async def test_a_server_that_went_away_is_not_ready_and_may_come_back(
    tmp_path_factory: pytest.TempPathFactory, clock: Clock
) -> None:
    folder, port = tmp_path_factory.mktemp("postgres-again"), free_port()
    async with AsyncExitStack() as stack:
        async with elsewhere(postgres_server(folder, port)) as url:
            kit = await stack.enter_async_context(open_kit(url, clock))
            await kit.add("anna")
        for use in (kit.accounts.get("anna"), kit.sessions.end("anna"), kit.revocations.refresh()):
            with pytest.raises(NotReady):
                await use
        async with elsewhere(postgres_server(folder, port)):
            assert await kit.accounts.get("anna")


@asynccontextmanager
async def elsewhere(server: AbstractContextManager[str]) -> AsyncIterator[str]:
    """Start and stop a server in another thread, which needs its own event loop."""
    yield await asyncio.to_thread(server.__enter__)
    await asyncio.to_thread(server.__exit__, None, None, None)


async def test_whoever_finds_no_connection_free_is_told_to_come_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.database.WAIT_SECONDS", 0.05)
    monkeypatch.setattr("auth.database.CONNECTIONS", 1)
    async with opened(database_url) as database, database.read() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(NotReady):
            async with database.read() as other:
                await other.execute(text("SELECT 1"))
        assert await session.scalar(text("SELECT 1")) == 1
