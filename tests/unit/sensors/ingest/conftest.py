"""An intake on a store and models in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.sensors.site import NAME, Site, spec_of


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site with one sensor."""
    made = Site()
    made.store.add(NAME, spec_of())
    yield made
    for intake in made.intakes:
        await intake.close()
