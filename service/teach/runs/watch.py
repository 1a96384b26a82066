"""Tells waiting callers that a run changed: at once in this process, by looking in another one."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

POLL_SECONDS = 1.0
"""Interval of looks at the store for changes of another process, while somebody waits."""


class RunWatch:
    """Changes of runs in this process."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def announce(self) -> None:
        """Wake all that wait."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, timeout: float = POLL_SECONDS) -> float:
        """Wait until a run may have changed; return the seconds that it took.

        Args:
            timeout: at most so long.
        """
        began = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        return time.monotonic() - began
