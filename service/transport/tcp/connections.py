"""Connections of sensors in this process: their limit, their sweep, their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Protocol

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import Overloaded

SWEEP_SECONDS = 1.0


class Swept(Protocol):
    """A connection as the sweep sees it."""

    async def sweep(self, now: float) -> None:
        """End a state that has lasted too long; ``now``: of ``time.monotonic``."""

    def drain(self) -> None:
        """Take no more samples; end once those that were taken are committed."""

    def abort(self) -> None:
        """End at once."""


class Connections:
    """All connections, of all ports."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most, self._metrics = most, metrics
        self._open: set[Swept] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._is_empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: Swept) -> None:
        """Count a connection; call ``leave`` when it ends, refused or not.

        Raises:
            Overloaded: there are as many connections as permitted.
        """
        self._open.add(connection)
        if len(self._open) > self._most:
            self._metrics.reject("connections")
            message = "The server has as many connections of sensors as it may have."
            raise Overloaded(message, retry_after=5)

    def leave(self, connection: Swept) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        self._note_end()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run work of a connection, which may outlive it; ``drain`` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._end_work)
        return task

    async def sweep_all(self) -> None:
        """Sweep once a second, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for connection in list(self._open):
                try:
                    await connection.sweep(time.monotonic())
                except Exception:  # noqa: BLE001 - the others are swept all the same
                    get_logger("sensors").exception("unexpected error")
                    connection.abort()

    async def drain(self, seconds: float) -> None:
        """End all connections: in order at first, at once after the time."""
        self._is_empty = asyncio.Event()
        for connection in list(self._open):
            connection.drain()
        self._note_end()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_empty.wait()
        for connection in list(self._open):
            connection.abort()
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _end_work(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._note_end()
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger("sensors").error("unexpected error", exc_info=error)

    def _note_end(self) -> None:
        if not self._open and not self._work:
            self._is_empty.set()
