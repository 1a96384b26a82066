"""Rows of runs. A state changes only from the one that the writer knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import delete, select, update

from auth.store.database import Database
from schemas.teach.run import RunError, RunState
from service.teach.datasets.tables import DatasetRow, TeachRunRow
from service.teach.runs.records import RunDetails, StoredRun
from service.teach.runs.states import FINISHED, Progress

MOST_KEPT = 50
"""Finished runs of a dataset that are kept."""
_FINISHED = sorted(FINISHED)


class RunUnderWay(Exception):
    """The dataset has a run that is not finished. ``args``: its id."""


class NoSuchDataset(Exception):
    """The dataset is gone."""


class RunStore:
    """Runs by id. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._clock = database, clock

    async def add(self, run: StoredRun) -> None:
        """Add a run, and remove the oldest finished ones of its dataset.

        Raises:
            NoSuchDataset: there is no such dataset.
            RunUnderWay: the dataset has an unfinished run.
        """
        async with self._database.write() as session:
            # Other writers of the dataset wait for this row.
            dataset = select(DatasetRow.name).where(DatasetRow.name == run.dataset)
            if await session.scalar(dataset.with_for_update()) is None:
                raise NoSuchDataset
            of_dataset = TeachRunRow.dataset == run.dataset
            unfinished = select(TeachRunRow.id).where(
                of_dataset, TeachRunRow.state.not_in(_FINISHED)
            )
            if (other := await session.scalar(unfinished.limit(1))) is not None:
                raise RunUnderWay(other)
            session.add(TeachRunRow(id=run.id, created=run.created, **_values(run)))
            kept = select(TeachRunRow.id).where(of_dataset).order_by(TeachRunRow.id.desc())
            old = list(await session.scalars(kept.offset(MOST_KEPT)))
            await session.execute(delete(TeachRunRow).where(TeachRunRow.id.in_(old)))

    async def get(self, dataset: str, run_id: str) -> StoredRun | None:
        """Return a run of a dataset, or None."""
        async with self._database.read() as session:
            row = await session.get(TeachRunRow, run_id)
            return _stored(row) if row is not None and row.dataset == dataset else None

    async def of_dataset(self, dataset: str, limit: int) -> list[StoredRun]:
        """Return the runs of a dataset, the newest first."""
        query = select(TeachRunRow).where(TeachRunRow.dataset == dataset)
        query = query.order_by(TeachRunRow.id.desc()).limit(limit)
        async with self._database.read() as session:
            return [_stored(row) for row in await session.scalars(query)]

    async def unfinished(self) -> list[StoredRun]:
        """Return the runs that are to be done, the oldest first."""
        query = select(TeachRunRow).where(TeachRunRow.state.not_in(_FINISHED))
        async with self._database.read() as session:
            rows = await session.scalars(query.order_by(TeachRunRow.id))
            return [_stored(row) for row in rows]

    async def save(self, run: StoredRun, *, was: RunState) -> StoredRun | None:
        """Store a run whose state was ``was``; None if it is another one by now, or removed."""
        changed = replace(run, changed=self._clock())
        query = (
            update(TeachRunRow)
            .where(TeachRunRow.id == run.id, TeachRunRow.state == str(was))
            .values(**_values(changed))
            .returning(TeachRunRow.id)
        )
        async with self._database.write() as session:
            found = await session.scalar(query)
        return None if found is None else changed


def _values(run: StoredRun) -> dict[str, object]:
    details = RunDetails(
        options=run.options,
        base=run.base,
        attempts=run.progress.attempts,
        skipped=list(run.skipped),
    )
    error = run.progress.error
    return {
        "dataset": run.dataset,
        "state": str(run.state),
        "step": f"{run.photos_done}/{run.photos_total}" if run.photos_total else None,
        "base": f"{run.base.name}/{run.base.version}",
        "model": run.options.model,
        "version": run.progress.version,
        "changed": run.changed,
        "created_by": run.created_by,
        "error": None if error is None else error.model_dump_json(),
        "verdict": run.verdict,
        "details": details.model_dump_json(),
    }


def _stored(row: TeachRunRow) -> StoredRun:
    details = RunDetails.model_validate_json(row.details)
    done, _, total = (row.step or "0/0").partition("/")
    error = None if row.error is None else RunError.model_validate_json(row.error)
    return StoredRun(
        id=row.id,
        dataset=row.dataset,
        options=details.options,
        base=details.base,
        created=row.created,
        changed=row.changed,
        created_by=row.created_by,
        progress=Progress(RunState(row.state), details.attempts, row.version, error),
        photos_done=int(done),
        photos_total=int(total),
        skipped=tuple(details.skipped),
        verdict=row.verdict,
    )
