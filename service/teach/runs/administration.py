"""Runs for callers: begun, shown, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

from observability.logs.audit import Audit, AuditEvent
from schemas.errors import Conflict, NotFound
from schemas.teach.run import RunBase, RunOptions, RunState
from service.core.repository.repository import Repository
from service.teach.datasets.photos.writing import missing_dataset
from service.teach.datasets.records import PhotoIds, StoredDataset, StoredPhoto
from service.teach.datasets.store.datasets import DatasetStore
from service.teach.datasets.store.files import in_thread
from service.teach.datasets.store.photos import PhotoStore
from service.teach.runs.preparing import check_labels, find_base
from service.teach.runs.records import StoredRun
from service.teach.runs.states import StepRefused
from service.teach.runs.store import NoSuchDataset, RunStore, RunUnderWay
from service.teach.runs.supervisor import RunSupervisor

MOST_LISTED = 50
_TRIES = 5


@dataclass(frozen=True, slots=True)
class RunAdministration:
    """Administration of runs. Every method raises ``NotReady`` if the store does not answer.

    ``by``: the acting account.

    Attributes:
        default_model: returns the default model of the server, if it has one.
        clock: seconds since the epoch.
    """

    runs: RunStore
    datasets: DatasetStore
    photos: PhotoStore
    repository: Repository
    supervisor: RunSupervisor
    audit: Audit
    default_model: Callable[[], str | None]
    clock: Callable[[], float]
    new_id: PhotoIds

    async def find_base(self, options: RunOptions) -> RunBase:
        """Return the version whose features a run would use.

        Raises:
            ModelNotFound, Conflict: see ``preparing.find_base``.
        """
        return await in_thread(partial(find_base, self.repository, options, self.default_model()))

    async def begin(
        self, dataset: str, options: RunOptions, base: RunBase, *, by: str
    ) -> StoredRun:
        """Begin a run; it is done in the background.

        Args:
            base: see ``find_base``.

        Raises:
            NotFound: there is no such dataset.
            Conflict: the labels are too few, or the dataset has a run that is not finished.
        """
        stored = await self.datasets.get(dataset) or missing_dataset()
        check_labels(stored, await self.photos.all(dataset))
        if options.foreign is not None:
            await self._require_foreign(options.foreign)
        now = self.clock()
        run = StoredRun(
            id=self.new_id(),
            dataset=dataset,
            options=options,
            base=base,
            created=now,
            changed=now,
            created_by=by,
        )
        try:
            await self.runs.add(run)
        except NoSuchDataset:
            missing_dataset()
        except RunUnderWay as error:
            raise Conflict(f"The dataset has a run that is not finished: {error}.") from None
        model = options.model
        self.audit.record(
            AuditEvent.RUN_BEGUN, account=by, dataset=dataset, run=run.id, model=model
        )
        self.supervisor.nudge()
        return run

    async def get(self, dataset: str, run_id: str) -> StoredRun:
        """Return a run.

        Raises:
            NotFound: there is no such run of the dataset.
        """
        return await self.runs.get(dataset, run_id) or _missing_run()

    async def of_dataset(self, dataset: str) -> list[StoredRun]:
        """Return the runs of a dataset, the newest first.

        Raises:
            NotFound: there is no such dataset.
        """
        await self.dataset(dataset)
        return await self.runs.of_dataset(dataset, MOST_LISTED)

    async def dataset(self, name: str) -> StoredDataset:
        """Return a dataset.

        Raises:
            NotFound: there is no such dataset.
        """
        return await self.datasets.get(name) or missing_dataset()

    async def photos_of(self, run: StoredRun) -> list[StoredPhoto]:
        """Return the photos that the dataset of a run has now."""
        return await self.photos.all(run.dataset)

    async def cancel(self, dataset: str, run_id: str, *, by: str) -> StoredRun:
        """Cancel a run; a cancelled one stays so.

        Raises:
            NotFound: there is no such run.
            Conflict: it is finished, or its version is being published.
        """
        for _ in range(_TRIES):
            run = await self.get(dataset, run_id)
            if run.state is RunState.CANCELLED:
                return run
            try:
                cancelled = replace(run, progress=run.progress.cancelled())
            except StepRefused as error:
                message = f"The run is {error.state}, and cannot be cancelled any more."
                raise Conflict(message) from None
            saved = await self.runs.save(cancelled, was=run.state)
            if saved is not None:
                self.audit.record(AuditEvent.RUN_CANCELLED, account=by, dataset=dataset, run=run_id)
                await self.supervisor.stop_run(run_id)
                return saved
        raise Conflict("The run goes on too quickly to be cancelled.")

    async def _require_foreign(self, name: str) -> None:
        if await self.datasets.get(name) is None:
            message = f"There is no dataset '{name}' of foreign photos."
            raise Conflict(message)


def _missing_run() -> NoReturn:
    raise NotFound("There is no run with this id in the dataset.")
