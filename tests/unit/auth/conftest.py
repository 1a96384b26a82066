"""Identity over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.auth.identity_kit import Clock, Kit, open_kit
from tests.support.servers.databases import fresh_database


@pytest.fixture
def clock() -> Clock:
    return Clock()


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
