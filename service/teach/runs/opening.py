"""Builds the parts of runs on an open store, and does the runs until they are closed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.errors import ServiceError
from schemas.teach.run import RunBase, RunOptions
from service.coordination.ports import Leases
from service.coordination.turns import working
from service.core.lifecycle.model_control import ModelControl
from service.core.repository.repository import Repository
from service.settings import Settings
from service.teach.datasets.opening import Datasets
from service.teach.datasets.records import PhotoIds
from service.teach.datasets.store.files import in_thread
from service.teach.runs.administration import RunAdministration
from service.teach.runs.preparing import Folders, find_base
from service.teach.runs.process import TeachingProcess
from service.teach.runs.publisher import RunPublisher
from service.teach.runs.store import RunStore
from service.teach.runs.supervisor import RunSupervisor
from service.teach.runs.watch import RunWatch

LEASE = "teach"
POLL_SECONDS = 30.0
SHARED_POLL_SECONDS = 1.0
"""Where several processes take calls, which one of them does the runs of."""
BASE_SECONDS = 10.0
"""The base of a dataset's photos is looked up so often while features are computed ahead."""
_ANY_MODEL = "any"


@dataclass(frozen=True, slots=True)
class Runs:
    """The objects of runs that routes use."""

    administration: RunAdministration
    supervisor: RunSupervisor
    watch: RunWatch


class _Bases:
    """The base to compute features of a dataset's photos ahead with: that of its last run."""

    def __init__(
        self, runs: RunStore, repository: Repository, default_model: Callable[[], str | None]
    ) -> None:
        self._runs, self._repository, self._default_model = runs, repository, default_model
        self._found: dict[str, tuple[float, tuple[RunBase, str | None] | None]] = {}

    async def of(self, dataset: str) -> tuple[RunBase, str | None] | None:
        """Return the base and its tensor, None for the penultimate; None if there is no base."""
        now = time.monotonic()
        until, found = self._found.get(dataset, (0.0, None))
        if now >= until:
            found = await self._find(dataset)
            self._found = {dataset: (now + BASE_SECONDS, found)}
        return found

    async def _find(self, dataset: str) -> tuple[RunBase, str | None] | None:
        last = await self._runs.of_dataset(dataset, 1)
        options = last[0].options if last else RunOptions(model=_ANY_MODEL)
        with suppress(ServiceError):
            find = partial(find_base, self._repository, options, self._default_model())
            return await in_thread(find), options.feature
        return None


@asynccontextmanager
async def open_runs(
    settings: Settings,
    database: Database,
    audit: Audit,
    metrics: Metrics,
    models: ModelControl,
    leases: Leases,
    datasets: Datasets,
    default_model: Callable[[], str | None],
) -> AsyncIterator[Runs]:
    """Do the runs of the store, in one process of all, until the ``with`` block ends."""
    folders = Folders(settings.models, settings.data_dir)
    runs, repository, watch = RunStore(database), Repository(settings.models), RunWatch()
    is_shared = settings.workers > 1 or settings.database_url is not None
    supervisor = RunSupervisor(
        runs,
        datasets.store,
        datasets.photos,
        datasets.files,
        folders,
        TeachingProcess(),
        RunPublisher(models, folders),
        _Bases(runs, repository, default_model).of,
        watch,
        metrics.runs,
        poll=SHARED_POLL_SECONDS if is_shared else POLL_SECONDS,
    )
    administration = RunAdministration(
        runs=runs,
        datasets=datasets.store,
        photos=datasets.photos,
        repository=repository,
        supervisor=supervisor,
        audit=audit,
        default_model=default_model,
        clock=time.time,
        new_id=PhotoIds(),
    )
    async with working(leases, LEASE, [supervisor.run]):
        yield Runs(administration, supervisor, watch)
