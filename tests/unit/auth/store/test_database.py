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

from auth.store.database import (
    BadDatabaseUrl,
    Database,
    _close_to_others,
    database_url,
    open_database,
    reason,
)
from auth.store.tables import AccountRow, SessionRow
from observability.logs.logging import configure_logging
from observability.settings import ObservabilitySettings
from schemas.errors import NotReady
from tests.support.auth.identity_kit import HASH, Clock, Kit, open_kit, opened
from tests.support.servers.databases import free_port, postgres_folder, postgres_server

pytestmark = [pytest.mark.anyio, pytest.mark.sql]

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


def modes(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir()}


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
def test_database_url_gets_the_async_driver(given: str, used: str) -> None:
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
def test_invalid_database_url_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(BadDatabaseUrl, match="the database URL m") as caught:
        database_url(given, Path("unused"))
    assert PASSWORD not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "folder", ["plain", "with space", "with#hash", "ünï", "with?mark", "with%41percent", "a:b@c"]
)
async def test_embedded_database_is_created_at_the_given_path(tmp_path: Path, folder: str) -> None:
    file = tmp_path / folder / "potoo.db"
    async with open_database(database_url(None, file)) as database, database.read() as session:
        rows = (await session.execute(text("PRAGMA database_list"))).all()
        assert ("main", str(file)) in [tuple(row)[1:] for row in rows]


async def test_embedded_database_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "data" / "potoo.db"
    async with open_database(database_url(None, file)) as database:
        async with database.write() as session:
            session.add(account("anna"))
        found = modes(file.parent)
    assert found["potoo.db"] == 0o600
    assert len(found) == 3, "the files beside it hold the same rows"
    assert set(found.values()) == {0o600}
    assert mode(file.parent) == 0o700


async def test_configured_sqlite_file_is_private_to_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "own.db"
    async with opened(f"sqlite:///{file}"):
        found = modes(tmp_path)
    assert "own.db" in found
    assert set(found.values()) == {0o600}


async def test_a_store_that_others_may_read_is_closed_to_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "potoo.db"
    async with open_database(database_url(None, file)) as database, database.write() as session:
        session.add(account("anna"))
    left = file.with_name("potoo.db-journal")
    left.touch()
    for path in (file, left):
        path.chmod(0o644)
    capsys.readouterr()
    configure_logging(ObservabilitySettings())
    async with open_database(database_url(None, file)) as database:
        assert set(modes(tmp_path).values()) == {0o600}
        async with database.read() as session:
            assert await session.get(AccountRow, "anna")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("closed it" in line and "0644" in line for line in lines)
    async with open_database(database_url(None, file)):
        assert capsys.readouterr().err == ""


def test_a_store_that_cannot_be_closed_to_others_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = Path("/proc/self/status")  # its mode cannot be changed, even by root
    if not file.exists():
        pytest.skip("there is no /proc")
    configure_logging(ObservabilitySettings())
    _close_to_others(file)
    (line,) = capsys.readouterr().err.splitlines()
    assert "open to other users" in line
    assert "0444" in line


async def test_written_rows_survive_reopening(database_url: str) -> None:
    async with opened(database_url) as first, first.write() as session:
        session.add(account("anna"))
    async with opened(database_url) as second, second.read() as session:
        assert await session.get(AccountRow, "anna")


async def test_exception_rolls_back_the_transaction(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as session:
            session.add(account("anna"))
            await session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with database.write() as session:
        session.add(account("anna"))


async def test_read_session_persists_no_change(database: Database) -> None:
    async with database.write() as session:
        session.add(account("anna"))
    async with database.read() as session:
        row = await session.get(AccountRow, "anna")
        assert row is not None
        row.scopes = "admin"
        await session.flush()
    async with database.read() as session:
        assert await session.scalar(select(AccountRow.scopes)) == ""


async def test_session_without_account_violates_the_foreign_key(kit: Kit) -> None:
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


async def test_reader_does_not_wait_for_writer(database: Database) -> None:
    async with asyncio.timeout(60), database.write() as writing:
        writing.add(account("anna"))
        await writing.flush()
        async with database.read() as reading:
            assert await reading.get(AccountRow, "anna") is None


WRITERS = 50


async def test_waiting_writers_take_no_connection_from_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.store.database.WAIT_SECONDS", 0.5)
    monkeypatch.setattr("auth.store.database.CONNECTIONS", 2)
    written = list[int]()
    async with opened(f"sqlite:///{tmp_path / 'potoo.db'}") as database:

        async def write(number: int) -> None:
            async with database.write() as session:
                session.add(account(f"device-{number}"))
            written.append(number)

        async with asyncio.TaskGroup() as group, database.write() as first:
            first.add(account("anna"))
            await first.flush()
            for number in range(WRITERS):
                group.create_task(write(number))
            await asyncio.sleep(0)
            async with database.read() as reading:
                assert await reading.get(AccountRow, "anna") is None
        assert written == list(range(WRITERS)), "in their order"


async def test_writer_whose_turn_does_not_come_raises_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.store.database.TURN_SECONDS", 0.01)
    async with opened(f"sqlite:///{tmp_path / 'potoo.db'}") as database:
        async with database.write():
            with pytest.raises(NotReady):
                async with database.write():
                    pass
        async with database.write() as session:
            session.add(account("anna"))


async def test_failing_statement_raises_not_ready_without_details(
    database: Database,
) -> None:
    async with database.write() as session:
        await session.execute(text("DROP TABLE sessions"))
    with pytest.raises(NotReady) as caught:
        async with database.read() as session:
            await session.get(SessionRow, PASSWORD)
    assert caught.value.retry_after == 5
    assert caught.value.detail == "The store does not answer."
    told = reason(caught.value)
    assert "sessions" in told
    assert "SELECT" not in told
    assert "\n" not in told
    assert PASSWORD not in str(caught.value.__cause__)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" * 100])
async def test_non_database_file_raises_not_ready(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "potoo.db"
    file.write_bytes(content)
    with pytest.raises(NotReady):
        async with opened(f"sqlite:///{file}"):
            pass
    assert file.read_bytes() == content


@pytest.mark.parametrize("file", ["missing/potoo.db", ""])
async def test_unopenable_file_raises_not_ready(tmp_path: Path, file: str) -> None:
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
async def test_unusable_server_raises_not_ready_without_password(
    postgres: str, broken: str
) -> None:
    with pytest.raises(NotReady) as caught:
        async with opened(broken.format(server=postgres)):
            pass
    assert reason(caught.value)
    assert PASSWORD not in caught.value.detail


@pytest.mark.process
async def test_stopped_server_raises_not_ready_until_it_returns(
    clock: Clock,
) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(postgres_folder())
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


async def test_exhausted_connection_pool_raises_not_ready(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.store.database.WAIT_SECONDS", 0.5)
    monkeypatch.setattr("auth.store.database.CONNECTIONS", 1)
    async with opened(database_url) as database, database.read() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(NotReady):
            async with database.read() as other:
                await other.execute(text("SELECT 1"))
        assert await session.scalar(text("SELECT 1")) == 1
