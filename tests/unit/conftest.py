"""Fixtures of the unit tests: clean environment and logging, a small disk, databases."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from auth.store.database import Database
from observability.logs.logging import QUIET_LIBRARIES
from tests.support.auth.identity_kit import Log, opened
from tests.support.servers.databases import emptied, fresh_database, migrated

TOUCHED = ("", *QUIET_LIBRARIES, "uvicorn.error", "python_multipart", "alembic")


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("POTOO_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Restore the logging configuration after the test."""
    handlers = logging.root.handlers
    levels = {name: logging.getLogger(name).level for name in TOUCHED}
    yield
    logging.root.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = ("-t", "tmpfs", "-o", "size=256k", "potoo-test", str(folder))
    mounted = shutil.which("mount") and os.geteuid() == 0
    if not mounted or subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


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
def log() -> Iterator[Log]:
    """Events logged during the test."""
    with capture_logs() as lines:
        yield lines
