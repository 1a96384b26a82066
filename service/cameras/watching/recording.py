"""Records the changes of one camera in the store, once each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from observability.logs.logging import get_logger
from schemas.cameras import CameraEvent
from schemas.errors import NotReady
from service.cameras.store.cameras import CameraStore, StoredCamera
from service.cameras.store.events import Change, EventStore
from service.cameras.watching.live import Live, now

RETRY_SECONDS = 2.0
"""Pause after a failure of the store, such as a full disk."""


class Recorder:
    """Compares a camera with what is stored of it, and stores the differences as events.

    A change that cannot be stored, as on a full disk, is tried again later. If the camera has
    changed back by then, there is no event.
    """

    def __init__(
        self,
        camera: StoredCamera,
        cameras: CameraStore,
        events: EventStore,
        announce: Callable[[CameraEvent], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``announce``: called with each event once it is stored. ``clock``: monotonic seconds."""
        self._name, self._state, self._is_silent = camera.name, camera.state, camera.is_silent
        self._cameras, self._events, self._announce = cameras, events, announce
        self._clock = clock
        self._lock = asyncio.Lock()
        self._retry_at = 0.0
        self._is_failing = False

    async def sync(self, live: Live, score: float | None) -> None:
        """Store what changed.

        Args:
            score: of the state's label.
        """
        if self._is_same(live) or self._clock() < self._retry_at:
            return
        async with self._lock:
            try:
                if live.is_silent != self._is_silent:
                    await self._record_signal(live)
                if live.state != self._state:
                    await self._record_state(live, score)
            except NotReady as error:
                self._retry_at = self._clock() + RETRY_SECONDS
                if not self._is_failing:
                    self._is_failing = True
                    get_logger("cameras").error(
                        "cannot keep events", camera=self._name, reason=str(error)
                    )
            else:
                self._is_failing = False

    def _is_same(self, live: Live) -> bool:
        return live.is_silent == self._is_silent and live.state == self._state

    async def _record_signal(self, live: Live) -> None:
        kind, state = ("silent" if live.is_silent else "back"), self._state
        is_silent = live.is_silent
        event = await self._events.record(
            Change(
                self._name,
                "silent" if is_silent else "back",
                now().timestamp(),
                state,
                state,
            )
        )
        if event is None:
            await self._read_again()
            return
        self._is_silent = is_silent
        get_logger("cameras").info(f"camera is {kind}", camera=self._name)
        self._announce(event)

    async def _record_state(self, live: Live, score: float | None) -> None:
        state, answer = live.state, live.answer
        at = now() if live.since is None else live.since
        event = await self._events.record(
            Change(
                self._name,
                "state",
                at.timestamp(),
                state,
                self._state,
                score,
                answer.model if answer else None,
                answer.version if answer else None,
            )
        )
        if event is None:
            await self._read_again()
            return
        self._state = state
        self._announce(event)

    async def _read_again(self) -> None:
        """Take over what another process stored; a removed camera has nothing."""
        self._retry_at = self._clock() + RETRY_SECONDS
        if (stored := await self._cameras.get(self._name)) is not None:
            self._state, self._is_silent = stored.state, stored.is_silent
