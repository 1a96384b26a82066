"""ModelUnloader of replaced models beside live traffic: wait for leases, drain, free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.core.lifecycle.background_executor import BackgroundExecutor
from service.core.serving.model import Model
from service.core.serving.registry import Registry

LEASE_SECONDS = 0.02
"""Seconds between checks whether a replaced model is still leased."""


class ModelUnloader:
    """Closing of models that left the registry. Belongs to the event loop."""

    def __init__(
        self, registry: Registry, background: BackgroundExecutor, after_release: Callable[[], None]
    ) -> None:
        """``after_release``: called on the loader's thread after a model was freed."""
        self._registry, self._background, self._after_release = registry, background, after_release
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, model: Model, on_end: Callable[[], None] = lambda: None) -> None:
        """Start to close ``model`` once no lease is held, then call ``on_end``."""
        task = asyncio.create_task(self._close(model, on_end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for all unloads that have begun."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self, model: Model, on_end: Callable[[], None]) -> None:
        while self._registry.is_leased(model):  # noqa: ASYNC110 - rare, and not urgent
            await asyncio.sleep(LEASE_SECONDS)
        await model.drain()
        # Freeing takes a while, so it runs off the event loop.
        await self._background.run(model.release)
        await self._background.run(self._after_release)
        on_end()
