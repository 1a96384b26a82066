"""Runs as the store has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import BaseModel

from schemas.teach.run import (
    Run,
    RunBase,
    RunOptions,
    RunProgress,
    RunState,
    RunSummary,
    SkippedPhoto,
)
from schemas.teach.verdict import Verdict
from service.teach.runs.states import Progress


class RunDetails(BaseModel):
    """The part of a run that no query looks at."""

    options: RunOptions
    base: RunBase
    attempts: int = 0
    skipped: list[SkippedPhoto] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run. ``created``, ``changed``: seconds since the epoch.

    Attributes:
        photos_done: photos that have features, of ``photos_total``; 0: not begun.
        verdict: JSON of a ``Verdict``.
    """

    id: str
    dataset: str
    options: RunOptions
    base: RunBase
    created: float
    changed: float
    created_by: str
    progress: Progress = field(default_factory=Progress)
    photos_done: int = 0
    photos_total: int = 0
    skipped: tuple[SkippedPhoto, ...] = ()
    verdict: str | None = None

    @property
    def state(self) -> RunState:
        """Where the run is."""
        return self.progress.state


def shown_summary(run: StoredRun) -> RunSummary:
    """Return a run as lists show it."""
    return RunSummary(**_shared(run))


def shown_run(run: StoredRun) -> Run:
    """Return a run as callers see it."""
    verdict = None if run.verdict is None else Verdict.model_validate_json(run.verdict)
    return Run(**_shared(run), skipped=list(run.skipped), verdict=verdict)


def _shared(run: StoredRun) -> dict[str, object]:
    progress = None
    if run.photos_total:
        progress = RunProgress(done=run.photos_done, total=run.photos_total)
    return {
        "id": run.id,
        "dataset": run.dataset,
        "model": run.options.model,
        "state": run.state,
        "progress": progress,
        "base": run.base,
        "version": run.progress.version,
        "promoted": run.options.promote,
        "created": datetime.fromtimestamp(run.created, UTC),
        "changed": datetime.fromtimestamp(run.changed, UTC),
        "created_by": run.created_by,
        "error": run.progress.error,
    }
