"""The queue for an event loop: every call runs in one thread, so a slow disk blocks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from client.sensors.queue.disk_queue import DiskQueue
from client.sensors.queue.segment import StoredFrame
from schemas.sensor_wire.packing import Samples

T = TypeVar("T")


class QueueWorker:
    """A queue and its thread. The attributes of ``queue`` may be read from any thread.

    Attributes:
        sync_seconds: 0: samples are on disk when ``append`` returns; more: that often; None: the
            operating system decides, and samples are sent before they are on disk.
    """

    def __init__(self, open_queue: Callable[[], DiskQueue], sync_seconds: float | None) -> None:
        self._open, self.sync_seconds = open_queue, sync_seconds
        self._thread = ThreadPoolExecutor(1, "potoo-queue")
        self.queue: DiskQueue

    async def open(self) -> None:
        """Open the queue.

        Raises:
            QueueError: see ``DiskQueue``.
        """
        try:
            self.queue = await self._run(self._open)
        except BaseException:
            self._thread.shutdown()
            raise

    @property
    def sendable(self) -> int:
        """Samples below this sequence may be sent."""
        return self.queue.next_sequence if self.sync_seconds is None else self.queue.synced

    async def append(self, values: Samples, at: float | None) -> range:
        """Append samples, and sync if ``sync_seconds`` is 0; see ``DiskQueue.append``."""

        def work() -> range:
            numbers = self.queue.append(values, at)
            if self.sync_seconds == 0:
                self.queue.sync()
            return numbers

        return await self._run(work)

    async def read(self, sequence: int, *, below: int, max_bytes: int) -> list[StoredFrame]:
        """See ``DiskQueue.read``."""
        return await self._run(lambda: self.queue.read(sequence, below=below, max_bytes=max_bytes))

    async def confirm(self, safe: int) -> None:
        """See ``DiskQueue.confirm``."""
        await self._run(lambda: self.queue.confirm(safe))

    async def sync(self) -> None:
        """See ``DiskQueue.sync``."""
        if self.queue.synced < self.queue.next_sequence:
            await self._run(self.queue.sync)

    async def restart(self) -> None:
        """See ``DiskQueue.restart``."""
        await self._run(self.queue.restart)

    async def close(self) -> None:
        """Sync and close the queue, and end the thread."""
        try:
            await self._run(self.queue.close)
        finally:
            self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
