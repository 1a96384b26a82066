"""Announcements of new events: at once in this process, within a second from another one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from schemas.errors import NotReady
from service.coordination.ports import KeptEvents

Event = TypeVar("Event")

POLL_SECONDS = 1.0
"""Interval of looks at the store for events of other processes, while somebody waits."""


class EventFeed(Generic[Event]):
    """The kept events, and waiting for the next one. Implements the port ``Events``."""

    def __init__(self, store: KeptEvents[Event], *, poll: float = POLL_SECONDS) -> None:
        self._store, self._poll = store, poll
        self._newest = 0
        self._grown = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def after(self, cursor: int, limit: int) -> Sequence[Event]:
        """See ``KeptEvents.after``."""
        return await self._store.after(cursor, limit)

    async def newest(self) -> int:
        """See ``KeptEvents.newest``. An announced one may be higher: its source was removed."""
        announced = self._newest
        newest = await self._store.newest()
        if self._newest == announced:  # else another one came meanwhile
            self._newest = newest
        return newest

    def announce(self, event: int) -> None:
        """Wake everything that waits for an event with this id."""
        if event > self._newest:
            self._newest = event
            self._grown.set()
            self._grown = asyncio.Event()

    async def wait(self, cursor: int, timeout: float) -> None:
        """Wait until there may be an event above the cursor, at most ``timeout`` seconds."""
        until = time.monotonic() + timeout
        with contextlib.suppress(TimeoutError):
            while self._newest <= cursor and (left := until - time.monotonic()) > 0:
                grown = self._grown
                if self._looking is None or self._looking.done():
                    self._looking = asyncio.create_task(self._look())
                looking = self._looking
                growing = asyncio.create_task(grown.wait())
                try:
                    await asyncio.wait(
                        (looking, growing), timeout=left, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    growing.cancel()

    async def _look(self) -> None:
        """Look at the store once, for all that wait."""
        with contextlib.suppress(NotReady):  # the database logs it
            self.announce(await self._store.newest())
        await asyncio.sleep(self._poll)

    async def close(self) -> None:
        """End the look that may be under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
