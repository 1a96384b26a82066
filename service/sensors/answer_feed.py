"""Kept answers of all sensors in order, and waiting for the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from schemas.errors import NotReady
from service.sensors.records import KeptAnswer

POLL_SECONDS = 1.0
"""Between looks for the answers of other processes."""
HOLE_SECONDS = 2.0
"""Answers behind a hole in the ids wait so long: another transaction may fill it."""


class KeptAnswers(Protocol):
    """The kept answers of all sensors. Both methods raise ``NotReady``."""

    async def after_of_all(self, cursor: int, limit: int) -> Sequence[KeptAnswer]:
        """Return answers with an id above the cursor, oldest first."""

    async def newest_id(self) -> int:
        """Return the id of the newest answer; 0 before the first."""


class AnswerFeed:
    """Kept answers, and waiting for the next one. Implements ``Events`` for one reader."""

    def __init__(
        self,
        kept: KeptAnswers,
        *,
        has_holes: bool,
        poll: float = POLL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create it.

        Args:
            has_holes: ids may be stored in another order than they were given (PostgreSQL).
            poll: seconds between looks.
            clock: seconds since the epoch.
        """
        self._kept, self._has_holes = kept, has_holes
        self._poll, self._clock = poll, clock
        self._stored = asyncio.Event()

    def announce(self) -> None:
        """Wake what waits: this process has stored answers."""
        self._stored.set()

    async def after(self, cursor: int, limit: int) -> Sequence[KeptAnswer]:
        """See ``KeptEvents.after``."""
        self._stored.clear()  # by what is read now, and what is stored from now on
        found = await self._kept.after_of_all(cursor, limit)
        if self._has_holes:
            fresh = self._clock() - HOLE_SECONDS
            for number, one in enumerate(found):
                if one.id != cursor + 1 and one.at.timestamp() > fresh:
                    return found[:number]
                cursor = one.id
        return found

    async def newest(self) -> int:
        """See ``KeptEvents.newest``."""
        return await self._kept.newest_id()

    async def wait(self, cursor: int, timeout: float) -> None:
        """Wait until there may be an answer above the cursor, at most ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, self._poll)):
                    await self._stored.wait()
            except TimeoutError:
                with suppress(NotReady):
                    if await self._kept.newest_id() > cursor:
                        return
            else:
                return
