"""Fixtures of the core's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.models.house import House, opened


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A served version."""
    async with opened(tmp_path / "models", lambda house: house.add(1)) as started:
        yield started
