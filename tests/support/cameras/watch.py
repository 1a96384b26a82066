"""Cameras as the server watches them: its watcher, its pauses and its sources, as shipped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from auth.store.database import Database, database_url, open_database
from observability.metrics.metrics import Metrics
from schemas.cameras import CameraSpec
from service.cameras.pipeline.budget import Budget
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from service.cameras.store.cameras import CameraStore
from service.cameras.store.events import EventStore
from service.cameras.watching.classifying import Answered
from service.cameras.watching.recording import Recorder
from service.cameras.watching.watcher import Tools, Watcher
from service.coordination.kept_events import Retention
from tests.support.cameras.fakes import FakeModels

MOST_CAMERAS = 100


class Watch:
    """The frames and the failures of a watched camera.

    Attributes:
        failures: so far.
        last: when the last frame was received, in monotonic seconds.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.failures: list[SourceFailed] = []
        self.last = 0.0

    @asynccontextmanager
    async def open(self, spec: SourceSpec) -> AsyncIterator[AsyncIterator[Frame]]:
        """Open the source that the watcher asks for."""
        try:
            async with open_source(spec, SourceRules()) as frames:
                yield self._seen(frames)
        except SourceFailed as failed:
            self.failures.append(failed)
            self._changed.set()
            raise

    async def _seen(self, frames: AsyncIterator[Frame]) -> AsyncIterator[Frame]:
        async for frame in frames:
            self.last = frame.at
            self._changed.set()
            yield frame

    async def seconds_to_a_frame(self) -> float:
        """Wait for a frame that is received from now on; return the seconds."""
        began = time.monotonic()
        while self.last < began:
            await self._change()
        return self.last - began

    async def fails(self, times: int = 1) -> None:
        """Wait for so many failures from now on."""
        count = len(self.failures) + times
        while len(self.failures) < count:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class OneLabel(FakeModels):
    """Answers alike for every picture."""

    async def classify(self, camera: str, image: bytes, model: str | None) -> Answered:
        assert image
        return await super().classify(camera, b"red", model)


class Watching:
    """Watches cameras of one store until the block of ``watching`` ends."""

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self._cameras, self._stack = CameraStore(database), stack
        self._events = EventStore(database, Retention(1e6, 1000))
        self._metrics, self._budget = Metrics(), Budget(2)

    async def watch(self, name: str, url: str) -> Watch:
        """Add a camera with the default configuration, and watch it."""
        camera = await self._cameras.add(name, CameraSpec(url=url), None, most=MOST_CAMERAS)
        watch, metrics = Watch(), self._metrics.cameras
        tools = Tools(watch.open, OneLabel(), lambda _: None, self._budget, metrics, 2**20)
        recorder = Recorder(camera, self._cameras, self._events, lambda _: None)
        task = asyncio.create_task(Watcher(camera, tools, recorder).run())
        self._stack.push_async_callback(_stop, task)
        return watch


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Watching]:
    """Watch cameras; ``folder``: of their store."""
    async with (
        open_database(database_url(None, folder / "potoo.db")) as database,
        AsyncExitStack() as stack,
    ):
        yield Watching(database, stack)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
