"""A source and models written by hand, at the seams of a watcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from schemas.cameras import CameraAnswer, Crop
from schemas.errors import ServiceError
from service.cameras.pipeline.pictures import Prepared
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from service.cameras.watching.classifying import Answered
from service.cameras.watching.live import now
from service.coordination.agreement import FrameAnswer

Step = bytes | SourceFailed


class FakeSource:
    """Gives what is put into it: frames and failures."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[Step] = asyncio.Queue()
        self.opened: list[SourceSpec] = []

    def give(self, *steps: Step) -> None:
        for step in steps:
            self.steps.put_nowait(step)

    @asynccontextmanager
    async def open(self, spec: SourceSpec) -> AsyncIterator[AsyncIterator[Frame]]:
        self.opened.append(spec)
        yield self._frames()

    async def _frames(self) -> AsyncIterator[Frame]:
        while True:
            step = await self.steps.get()
            if isinstance(step, SourceFailed):
                raise step
            if step == b"end":
                return
            yield Frame(step, time.monotonic())


@dataclass
class FakeModels:
    """A frame is its label; the grey copy is its first byte."""

    error: ServiceError | None = None
    classified: list[bytes] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)

    async def prepare(
        self,
        camera: str,
        frame: bytes,
        crop: Crop | None,
        *,
        has_gate: bool,
    ) -> Prepared:
        self.owners.add(camera)
        assert crop is None
        return Prepared(frame, frame[:1] if has_gate else None, 0.001)

    async def classify(self, camera: str, image: bytes, model: str | None) -> Answered:
        if self.error is not None:
            raise self.error
        self.classified.append(image)
        self.owners.add(camera)
        assert model is None
        label = image.decode()
        shown = CameraAnswer(
            label=label, score=0.9, predictions=[], model="fake", version=1, at=now()
        )
        return Answered(FrameAnswer(label, 0.9, {}), shown, 0.001)

    async def preview(self, camera: str, frame: bytes) -> bytes:
        self.owners.add(camera)
        return frame
