"""Removes old answers as new ones are stored, beside the commits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Never

from schemas.errors import NotReady
from service.sensors.store.results import ResultStore

EVERY_SECONDS = 600.0
"""Interval of removals by age."""
SHARE = 0.05
"""Answers beyond the allowed number, as a part of it, before they are removed."""


class Pruner:
    """Calls ``ResultStore.prune`` in time."""

    def __init__(self, results: ResultStore, most: int) -> None:
        """``most``: answers that are kept."""
        self._results, self._step = results, max(1, int(most * SHARE))
        self._stored = 0
        self._due = asyncio.Event()

    def note(self, stored: int) -> None:
        """Count stored answers."""
        self._stored += stored
        if self._stored >= self._step:
            self._due.set()

    @property
    def is_due(self) -> bool:
        """Whether enough answers were stored since the last removal."""
        return self._due.is_set()

    async def run(self) -> Never:
        """Remove old answers until cancelled."""
        while True:
            self._stored = 0
            self._due.clear()
            with contextlib.suppress(NotReady):  # the database logs it
                await self._results.prune()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), EVERY_SECONDS)
