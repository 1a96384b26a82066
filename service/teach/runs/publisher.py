"""Publishes the versions of runs through the control of the models, as any other version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from schemas.errors import ServiceError
from schemas.operator_error import OperatorError
from schemas.teach.run import RunFailure
from schemas.teach.verdict import Verdict
from service.core.lifecycle.model_control import ModelControl
from service.core.repository.publishing import DiskFull
from service.teach.runs.preparing import Folders
from service.teach.runs.problems import RunFailed
from service.teach.runs.publishing import as_candidate, as_default, write_draft
from service.teach.runs.records import StoredRun


@dataclass(frozen=True, slots=True)
class RunPublisher:
    """Implements ``supervisor.Publish``."""

    models: ModelControl
    folders: Folders

    async def __call__(self, run: StoredRun) -> int:
        """Publish what a run has written, once it passed the checks; return its number.

        Raises:
            RunFailed: it was refused, or the disk is full; nothing changed.
        """
        verdict = Verdict.model_validate_json(run.verdict or "")
        write = partial(write_draft, staged=self.folders.staging(run.id), verdict=verdict)
        change = as_default if run.options.promote else as_candidate
        try:
            return await self.models.add(run.options.model, write, by=run.created_by, change=change)
        except (ServiceError, OperatorError, OSError) as error:
            if isinstance(error, DiskFull) or isinstance(error.__cause__, DiskFull):
                message = "The disk of the model repository is full: nothing was published."
                raise RunFailed(RunFailure.DISK_FULL, message) from error
            detail = error.detail if isinstance(error, ServiceError) else str(error)
            raise RunFailed(RunFailure.REFUSED, detail) from error
