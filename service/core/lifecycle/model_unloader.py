"""Unloading of models beside live traffic: wait for leases, drain, free the memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from observability.logs.logging import get_logger
from schemas.serving import VersionState
from service.core.lifecycle.background_executor import BackgroundExecutor
from service.core.serving.model import Model
from service.core.serving.registry import Registry

LEASE_SECONDS = 0.02
"""Seconds between checks whether a replaced model is still leased."""


class ModelUnloader:
    """The step from READY over UNLOADING to UNLOADED. Belongs to the event loop."""

    def __init__(
        self, registry: Registry, background: BackgroundExecutor, after_release: Callable[[], None]
    ) -> None:
        """``after_release``: called on the background thread after a model was freed."""
        self._registry, self._background, self._after_release = registry, background, after_release
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = get_logger("models")

    def unload(self, name: str, number: int) -> None:
        """Take a version out of service at once, and free its memory once it is idle."""
        model = self._registry.begin_unloading(name, number)
        if model is not None:
            self._start(self._unload(name, number, model))

    def free(self, model: Model) -> None:
        """Free a model that is in the registry no more, once it is idle."""
        self._start(self._free(model))

    async def finish(self) -> None:
        """Wait for all unloads that have begun."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _unload(self, name: str, number: int, model: Model) -> None:
        await self._free(model)
        version = self._registry.version(name, number)
        if version is None or version.state is not VersionState.UNLOADING:
            return  # it was requested again meanwhile
        self._log.info("model unloaded", model=name, version=number)
        if version.is_on_disk:
            self._registry.set_state(name, number, VersionState.UNLOADED)
        else:
            self._registry.remove_version(name, number)

    async def _free(self, model: Model) -> None:
        while self._registry.is_leased(model):  # noqa: ASYNC110 - rare, and not urgent
            await asyncio.sleep(LEASE_SECONDS)
        await model.drain()
        # Freeing takes a while, so it runs off the event loop.
        await self._background.run(model.release)
        await self._background.run(self._after_release)
