"""Teaching, opened at its first use: a server without datasets does not import its modules."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import NotReady
from service.core.engine.pool import WorkerPool
from service.settings import Settings

if TYPE_CHECKING:
    from service.teach.datasets.opening import Datasets

FOLDER = Path("teach")
"""In the data folder: everything that teaching keeps on the disk."""


class TeachOnDemand:
    """Builds the parts of teaching once, when they are asked for."""

    def __init__(self, build_datasets: Callable[[], Datasets]) -> None:
        self._build_datasets = build_datasets
        self._datasets: Datasets | None = None

    @property
    def datasets(self) -> Datasets:
        """The objects of datasets."""
        if self._datasets is None:
            self._datasets = self._build_datasets()
        return self._datasets


@asynccontextmanager
async def teach_on_demand(
    settings: Settings, database: Database, audit: Audit, metrics: Metrics, pool: WorkerPool
) -> AsyncIterator[TeachOnDemand]:
    """Offer teaching until the ``with`` block ends; first sweep what a killed process left."""

    def build() -> Datasets:
        from service.teach.datasets.opening import build_datasets

        return build_datasets(settings, database, audit, metrics, pool)

    teach = TeachOnDemand(build)
    sweeping: asyncio.Task[None] | None = None
    if (settings.data_dir / FOLDER).exists():
        sweeping = asyncio.create_task(_sweep(teach))
    try:
        yield teach
    finally:
        if sweeping is not None:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping


async def _sweep(teach: TeachOnDemand) -> None:
    try:
        await teach.datasets.writer.sweep()
    except (NotReady, OSError) as error:
        get_logger("teach").warning("photos not swept", reason=str(error))
