"""The newest frame of a stream, handed out at most once each interval; older frames are dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress

from service.cameras.sources.due import Due
from service.cameras.sources.source import Frame, SourceFailed


class NewestFrame:
    """A place for one frame between a task that receives and a task that uses them."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._failure: SourceFailed | None = None
        self._changed = asyncio.Event()

    def put(self, image: bytes) -> None:
        """Replace the frame."""
        self._frame = Frame(image, time.monotonic())
        self._changed.set()

    def fail(self, failure: SourceFailed) -> None:
        """Make ``get`` raise this once the last frame is taken."""
        self._failure = failure
        self._changed.set()

    async def get(self, due: Due) -> Frame:
        """Take the newest frame when it is due, waiting for one.

        Raises:
            SourceFailed: there are no more frames; at once, due or not.
        """
        while True:
            await self._changed.wait()
            wait = due.wait(time.monotonic())
            if self._frame and (self._failure or wait <= 0):
                frame, self._frame = self._frame, None
                due.take(time.monotonic())
                return frame
            if self._failure:
                raise self._failure
            self._changed.clear()
            if self._frame:
                await self._changed_within(wait)
                self._changed.set()

    async def _changed_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


@asynccontextmanager
async def received(
    newest: NewestFrame, receive: Coroutine[None, None, None], every: float
) -> AsyncIterator[AsyncIterator[Frame]]:
    """Run ``receive``, which puts frames into ``newest``, and give them out when due.

    Args:
        newest: where ``receive`` puts its frames.
        receive: runs until it raises ``SourceFailed``, or is cancelled.
        every: interval in seconds.
    """

    async def run() -> None:
        try:
            await receive
        except SourceFailed as failure:
            newest.fail(failure)

    async def frames() -> AsyncIterator[Frame]:
        due = Due(every)
        while True:
            yield await newest.get(due)

    task = asyncio.create_task(run())
    try:
        yield frames()
    finally:
        task.cancel()
        await asyncio.wait({task})
