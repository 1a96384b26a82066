"""Teaching, opened at its first use: a server without datasets does not import its modules."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import NotReady
from service.coordination.ports import Leases
from service.core.engine.pool import WorkerPool
from service.core.lifecycle.model_control import ModelControl
from service.settings import Settings

if TYPE_CHECKING:
    from schemas.teach.dataset import PhotoOrder
    from service.teach.datasets.opening import Datasets
    from service.teach.datasets.photos.writing import Removal
    from service.teach.runs.opening import Runs

FOLDER = Path("teach")
"""In the data folder: everything that teaching keeps on the disk."""
OpenRuns = Callable[["Datasets"], AbstractAsyncContextManager["Runs"]]


class TeachOnDemand:
    """Builds the parts of teaching once, when they are asked for."""

    def __init__(
        self, build_datasets: Callable[[], Datasets], open_runs: OpenRuns, features: Path
    ) -> None:
        """``features``: folder of the cache."""
        self._features = features
        self._build_datasets, self._open_runs = build_datasets, open_runs
        self._datasets: Datasets | None = None
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Runs] | None = None

    @property
    def datasets(self) -> Datasets:
        """The objects of datasets."""
        if self._datasets is None:
            self._datasets = self._build_datasets()
            self._datasets.writer.call_on_added(self._extract_ahead)
            self._datasets.writer.call_on_removed(self._forget)
            self._datasets.directory.ranking = self._ranking
        return self._datasets

    async def runs(self) -> Runs:
        """Return the objects of runs; begin to do the runs of the store the first time."""
        opening = self._opening
        if opening is None or (opening.done() and opening.exception() is not None):
            # A task of its own: it goes on without the request that came first, and without its id.
            entering = self._stack.enter_async_context(self._open_runs(self.datasets))
            opening = self._opening = asyncio.create_task(entering, context=Context())
        return await asyncio.shield(opening)

    async def sweep(self) -> None:
        """Remove files that a killed process left, and features that are not used any more."""
        await self.datasets.writer.sweep()
        if self._features.exists():
            from service.teach.datasets.store.files import in_thread
            from service.teach.features.cache import FeatureCache

            await in_thread(lambda: FeatureCache(self._features).sweep(time.time()))

    async def close(self) -> None:
        """Stop doing runs: those that are not finished go on after the next start."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        await self._stack.aclose()

    async def _ranking(self, dataset: str, order: PhotoOrder) -> Sequence[str]:
        return await (await self.runs()).administration.ranking(dataset, order)

    async def _forget(self, removal: Removal) -> None:
        if self._features.exists():
            from service.teach.datasets.store.files import in_thread
            from service.teach.features.cache import FeatureCache

            cache = FeatureCache(self._features)
            await in_thread(lambda: cache.forget(removal.unreferenced))

    async def _extract_ahead(self, dataset: str, digests: Collection[str]) -> None:
        (await self.runs()).supervisor.warm(dataset, digests)


@asynccontextmanager
async def teach_on_demand(
    settings: Settings,
    database: Database,
    audit: Audit,
    metrics: Metrics,
    pool: WorkerPool,
    models: ModelControl,
    leases: Leases,
    default_model: Callable[[], str | None],
) -> AsyncIterator[TeachOnDemand]:
    """Offer teaching until the ``with`` block ends.

    At first it sweeps what a killed process left, and goes on with runs that are not finished.
    """

    def build() -> Datasets:
        from service.teach.datasets.opening import build_datasets

        return build_datasets(settings, database, audit, metrics, pool)

    def open_now(datasets: Datasets) -> AbstractAsyncContextManager[Runs]:
        from service.teach.runs.opening import open_runs

        return open_runs(
            settings, database, audit, metrics, models, leases, datasets, default_model
        )

    teach = TeachOnDemand(build, open_now, settings.data_dir / FOLDER / "features")
    sweeping: asyncio.Task[None] | None = None
    if (settings.data_dir / FOLDER).exists():
        sweeping = asyncio.create_task(_sweep(teach))
    try:
        if await _has_runs(database):
            await teach.runs()
        yield teach
    finally:
        await teach.close()
        if sweeping is not None:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping


async def _has_runs(database: Database) -> bool:
    """Return whether runs are not finished; without their tables, which take long to import."""
    query = "SELECT 1 FROM teach_runs WHERE state NOT IN ('done', 'failed', 'cancelled') LIMIT 1"
    async with database.read() as session:
        return (await session.scalar(text(query))) is not None


async def _sweep(teach: TeachOnDemand) -> None:
    try:
        await teach.sweep()
    except (NotReady, OSError) as error:
        get_logger("teach").warning("photos not swept", reason=str(error))
