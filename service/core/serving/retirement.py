"""How a model that was replaced ends: unused, drained, freed; while the others answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.core.serving.loader import Loader
from service.core.serving.model import Model
from service.core.serving.registry import Registry

LEASE_SECONDS = 0.02
"""Between looks at whether a model that was replaced is still being used."""


class Retirement:
    """Closes models that the registry does not give out any more. Belongs to the event loop."""

    def __init__(
        self, registry: Registry, loader: Loader, after_release: Callable[[], None]
    ) -> None:
        """``after_release``: called on the loader's thread when a model was freed."""
        self._registry, self._loader, self._after_release = registry, loader, after_release
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, model: Model, on_end: Callable[[], None] = lambda: None) -> None:
        """Closes ``model`` as soon as it can be, then calls ``on_end``."""
        task = asyncio.create_task(self._close(model, on_end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Waits for those that have begun."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self, model: Model, on_end: Callable[[], None]) -> None:
        while self._registry.is_leased(model):  # noqa: ASYNC110 - rare, and nobody waits for it
            await asyncio.sleep(LEASE_SECONDS)
        await model.drain()
        # Freeing takes a while, so it happens off the loop.
        await self._loader.run(model.release)
        await self._loader.run(self._after_release)
        on_end()
