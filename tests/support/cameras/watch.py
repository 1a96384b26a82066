"""Watches a source as the server does: opens it again, after a pause, whenever it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceFailed, SourceSpec


class Watch:
    """The frames and the failure of a source.

    Attributes:
        failures: so far.
        last: when the last frame was received, in monotonic seconds.
    """

    def __init__(self, spec: SourceSpec, pause: float) -> None:
        self._spec, self._pause = spec, pause
        self._changed = asyncio.Event()
        self.failures: list[SourceFailed] = []
        self.last = 0.0

    async def run(self) -> None:
        while True:
            try:
                async with open_source(self._spec, SourceRules()) as frames:
                    async for frame in frames:
                        self.last = frame.at
                        self._changed.set()
            except SourceFailed as failed:
                self.failures.append(failed)
                self._changed.set()
            await asyncio.sleep(self._pause)

    async def seconds_to_a_frame(self) -> float:
        """Wait for a frame that is received from now on; return the seconds."""
        began = time.monotonic()
        while self.last < began:
            await self._change()
        return self.last - began

    async def failure(self) -> SourceFailed:
        """Wait for the next failure."""
        count = len(self.failures)
        while len(self.failures) == count:
            await self._change()
        return self.failures[-1]

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@asynccontextmanager
async def watched(spec: SourceSpec, pause: float = 1.0) -> AsyncIterator[Watch]:
    """Watch a source.

    Args:
        spec: of the source.
        pause: seconds between a failure and the next attempt.
    """
    watch = Watch(spec, pause)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
