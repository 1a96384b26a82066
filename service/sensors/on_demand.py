"""Sensors, opened at their first use.

A server without sensors neither imports the modules that receive samples, nor polls the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING

from sqlalchemy import text

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from service.core.serving.classifier import Classifier
from service.settings import Settings

if TYPE_CHECKING:
    from service.sensors.opening import Sensors

Open = Callable[[], AbstractAsyncContextManager["Sensors"]]


class SensorsOnDemand:
    """Opens sensors once, and closes them if they were opened."""

    def __init__(self, open_sensors: Open) -> None:
        self._open, self._stack = open_sensors, AsyncExitStack()
        self._opening: asyncio.Task[Sensors] | None = None

    async def get(self) -> Sensors:
        """Return the sensors; open them the first time.

        Raises:
            Conflict: the configuration defines more sensors than the server may have.
            NotReady: the store does not answer; the next call tries again.
        """
        opening = self._opening
        if opening is None or (opening.done() and opening.exception() is not None):
            # A task of its own: it goes on without the request that came first, and without its id.
            entering = self._stack.enter_async_context(self._open())
            opening = self._opening = asyncio.create_task(entering, context=Context())
        return await asyncio.shield(opening)

    async def close(self) -> None:
        """Close the sensors if they were opened."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        await self._stack.aclose()


@asynccontextmanager
async def sensors_on_demand(
    settings: Settings, database: Database, audit: Audit, metrics: Metrics, classifier: Classifier
) -> AsyncIterator[SensorsOnDemand]:
    """Receive samples until the ``with`` block ends: at once if there are sensors, or a port.

    Raises:
        Conflict: the configuration defines more sensors than the server may have.
        NotReady: the store does not answer.
    """

    def open_now() -> AbstractAsyncContextManager[Sensors]:
        from service.sensors.opening import open_sensors

        return open_sensors(settings, database, audit, metrics, classifier)

    sensors = SensorsOnDemand(open_now)
    try:
        given = settings.sensors
        if given.has_ports or given.mqtt or given.definitions or await _has_some(database):
            await sensors.get()
        yield sensors
    finally:
        await sensors.close()


async def _has_some(database: Database) -> bool:
    """Return whether the store has sensors; without their tables, which take long to import."""
    async with database.read() as session:
        return (await session.scalar(text("SELECT 1 FROM sensors LIMIT 1"))) is not None
