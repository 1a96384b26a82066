"""Fakes of the ports of results: what the store of cameras does, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.cameras import (
    Camera,
    CameraAnswer,
    CameraEvent,
    CameraSpec,
    CameraStatus,
    SourceKind,
)
from schemas.errors import NotReady
from service.coordination.ports import OutputCursor

BEGIN = datetime(2026, 12, 1, 8, tzinfo=UTC)


def event(number: int, camera: str = "door", state: str = "open", **changes: Any) -> CameraEvent:
    values = {
        "kind": "state",
        "at": BEGIN + timedelta(seconds=number),
        "previous": "closed",
        "score": 0.9,
        "model": "doors",
        "version": 1,
    }
    return CameraEvent(id=number, camera=camera, state=state, **{**values, **changes})


def camera(
    name: str = "door",
    state: str | None = "open",
    status: CameraStatus = CameraStatus.WATCHING,
    **changes: Any,
) -> Camera:
    answer = CameraAnswer(
        label=state, score=0.9, predictions=[], model="doors", version=1, at=BEGIN
    )
    made = Camera(
        name=name,
        kind=SourceKind.HTTP,
        spec=CameraSpec(url="http://192.168.1.20/snapshot.jpg"),
        has_credentials=False,
        status=status,
        state=state,
        since=BEGIN if state else None,
        answer=answer if state else None,
        last_frame_at=BEGIN,
        motion=None,
        frames=10,
        classified=10,
        problem=None,
    )
    return made.model_copy(update=changes)


def away() -> NotReady:
    return NotReady("The store does not answer.", retry_after=5)


class FakeEvents:
    """Kept events; ``failures`` uses of the store fail first."""

    def __init__(self, *events: CameraEvent) -> None:
        self.kept = list(events)
        self.failures = 0
        self.waits, self.waiting = 0, 0
        """How often it was waited, and how many wait now."""
        self._wakes = asyncio.Event()

    def add(self, *events: CameraEvent) -> None:
        self.kept += events
        self._wakes.set()

    def look(self) -> None:
        """End the next wait, or the one under way, as its time-out does."""
        self._wakes.set()

    async def after(self, cursor: int, limit: int) -> Sequence[CameraEvent]:
        self._fail()
        return [one for one in self.kept if one.id > cursor][:limit]

    async def newest(self) -> int:
        self._fail()
        return max((one.id for one in self.kept), default=0)

    async def wait(self, cursor: int, timeout: float) -> None:
        del timeout  # no test waits for it
        if any(one.id > cursor for one in self.kept):
            return
        self.waits += 1
        self.waiting += 1
        try:
            await self._wakes.wait()
            self._wakes.clear()
        finally:
            self.waiting -= 1

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise away()


class FakeCameras:
    """Cameras by name, shown while ``shown`` is set."""

    def __init__(self, *cameras: Camera) -> None:
        self.all = list(cameras)
        self.shown = asyncio.Event()
        self.shown.set()

    async def list(self) -> Sequence[Camera]:
        await self.shown.wait()
        return sorted(self.all, key=lambda camera: camera.name)


class FakeCursors:
    """Saved cursors; ``failures`` saves fail first."""

    def __init__(self, **saved: OutputCursor) -> None:
        self.saved = dict(saved)
        self.history: list[OutputCursor] = []
        self.failures = 0

    async def load(self, name: str) -> OutputCursor | None:
        return self.saved.get(name)

    async def save(self, name: str, cursor: OutputCursor) -> None:
        if self.failures:
            self.failures -= 1
            raise away()
        self.saved[name] = cursor
        self.history.append(cursor)


class FakeLeases:
    """Leases that are held while ``granted`` is set.

    ``losses`` end the first holds.
    """

    def __init__(self) -> None:
        self.losses: list[Exception] = []
        self.granted = asyncio.Event()
        self.granted.set()
        self.held: list[str] = []

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        await self.granted.wait()
        if self.losses:
            raise self.losses.pop(0)
        self.held.append(name)
        try:
            yield
        finally:
            self.held.remove(name)


@dataclass
class Time:
    """A clock that moves when somebody sleeps."""

    seconds: float = BEGIN.timestamp()
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)
