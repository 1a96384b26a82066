"""Fixtures of datasets."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from auth.store.database import Database
from tests.support.auth.identity_kit import opened
from tests.support.teach.kit import Kit, open_kit


@pytest.fixture
async def embedded(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The embedded database, for tests that are not about SQL."""
    file = tmp_path / "embedded.db"
    shutil.copy(sqlite_template, file)
    async with opened(f"sqlite:///{file}") as database:
        yield database


@pytest.fixture
def kit(embedded: Database, tmp_path: Path) -> Iterator[Kit]:
    """Datasets."""
    with open_kit(embedded, tmp_path / "data") as kit:
        yield kit
