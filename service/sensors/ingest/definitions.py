"""Follows the store: sensors that were changed, removed, paused, or that are silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Never

from observability.logs.logging import get_logger
from schemas.errors import NotReady
from schemas.sensors import SensorEvent
from service.coordination.finishing import finish
from service.sensors.ingest.channel import LiveChannel
from service.sensors.ingest.ports import SensorMetrics, SensorStore
from service.sensors.ingest.tracking import Tracker
from service.sensors.records import Glance, StoredSensor

TICK_SECONDS = 1.0
FOREIGN_SECONDS = 10.0
"""A sensor that another process receives is silent no sooner: it stores its times this often."""
MANY = 8
"""Changed sensors that are read one by one."""


class Follower:
    """Looks at the store each second.

    Attributes:
        sensors: as stored at the last look, by name.
    """

    def __init__(
        self,
        store: SensorStore,
        tracker: Tracker,
        channels: dict[str, LiveChannel],
        metrics: SensorMetrics,
        *,
        on_event: Callable[[SensorEvent], None],
        on_tick: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``channels``: by the name of their sensor. ``clock``: seconds since the epoch."""
        self._store, self._tracker, self._channels = store, tracker, channels
        self._metrics, self._on_event, self._on_tick = metrics, on_event, on_tick
        self._clock = clock
        self._wanted = asyncio.Event()
        self.sensors: dict[str, StoredSensor] = {}

    def nudge(self) -> None:
        """Look at once: this process has changed the store."""
        self._wanted.set()

    async def run(self) -> Never:
        """Follow the store until cancelled."""
        while True:
            try:
                self._on_tick()
                self._tracker.flush()
                await finish(self.look())
            except NotReady:
                pass  # the database logs it; channels go on as they are
            except Exception:  # noqa: BLE001 - channels go on
                get_logger("sensors").exception("look at the store failed: this is a bug")
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()

    async def look(self) -> None:
        """Compare the store with what is known; raises ``NotReady``."""
        glances = {one.name: one for one in await self._store.glance()}
        await self._read(glances)
        for name in self._tracker.names():
            if name not in glances:
                self._tracker.forget(name, is_removed=True)
        for name, channel in list(self._channels.items()):
            self._check(name, channel)
        now = self._clock()
        for one in glances.values():
            if (before := self._silent_before(one, now)) is not None:
                await self._record_silence(one.name, before, now)

    async def _read(self, glances: dict[str, Glance]) -> None:
        """Read the sensors that were changed."""
        sensors, changed = {}, []
        for name, one in glances.items():
            before = self.sensors.get(name)
            if before is None or (before.created, before.revision) != (one.created, one.revision):
                changed.append(name)
            else:
                sensors[name] = before
        if len(changed) > MANY:
            sensors = {one.name: one for one in await self._store.all()}
        else:
            for name in changed:
                if (found := await self._store.get(name)) is not None:
                    sensors[name] = found
        self.sensors = sensors

    def _check(self, name: str, channel: LiveChannel) -> None:
        """End a channel whose sensor is another one now."""
        stored = self.sensors.get(name)
        if stored is not None and stored is channel.checked:
            return  # the same as at the last look
        channel.checked = stored
        if stored is None:
            # A channel may be younger than the look.
            if channel.opened_at < self._clock() - TICK_SECONDS:
                channel.end("removed", is_released=False)
        elif stored.is_paused or stored.spec != channel.spec:
            channel.end("changed")

    def _silent_before(self, one: Glance, now: float) -> float | None:
        """Return the time since which a sensor sends nothing, if it became silent; else None."""
        tracked = self._tracker.get(one.name)
        if tracked is not None and tracked.is_silent is not one.is_silent:
            tracked.is_silent = one.is_silent
            self._metrics.set_silent(one.name, is_silent=one.is_silent)
        stored = self.sensors.get(one.name)
        if stored is None or one.is_paused or one.is_silent:
            return None
        seen, patience = one.seen, stored.spec.silent_after_seconds
        if one.name not in self._channels:
            patience = max(patience, FOREIGN_SECONDS)
        if tracked is not None and tracked.seen is not None:
            seen = max(tracked.seen, seen or 0.0)
        return None if seen is None or now - seen <= patience else now - patience

    async def _record_silence(self, name: str, before: float, now: float) -> None:
        event = await self._store.silence(name, seen_before=before, at=now)
        if event is None:
            return
        self._on_event(event)
        if (tracked := self._tracker.get(name)) is not None:
            tracked.is_silent = True
            self._metrics.set_silent(name, is_silent=True)
