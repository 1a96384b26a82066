"""A condition on an event loop that anything on the loop may announce without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Signal:
    """Wakes all who wait; each looks at its own condition."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Let all waiting tasks look again."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait_for(self, holds: Callable[[], object]) -> None:
        """Wait until the condition holds."""
        while not holds():
            await self._event.wait()
