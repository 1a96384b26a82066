"""Identity over a real database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from auth.store.database import Database
from tests.support.auth.identity_kit import Clock, Kit, Log, open_kit, opened
from tests.support.servers.databases import emptied, fresh_database, migrated


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with tables and no rows."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrated(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_tables(postgres: str) -> Iterator[str]:
    """A database on PostgreSQL with tables, which every test empties."""
    with fresh_database(postgres) as url:
        migrated(url)
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def tables_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with tables, of each kind."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_tables")
        emptied(url)
        return url
    file = tmp_path / "potoo.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), file)
    return f"sqlite:///{file}"


@pytest.fixture
async def database(tables_url: str) -> AsyncIterator[Database]:
    """The opened database."""
    async with opened(tables_url) as database:
        yield database


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
async def kit(tables_url: str, clock: Clock) -> AsyncIterator[Kit]:
    """A server's identity objects with default settings."""
    async with open_kit(tables_url, clock) as kit:
        yield kit


@pytest.fixture
def log() -> Iterator[Log]:
    """Events logged during the test."""
    with capture_logs() as lines:
        yield lines
