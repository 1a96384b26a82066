"""One run in the process of a command: prepared, taught, published."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from schemas.teach.run import RunBase, RunOptions
from schemas.teach.verdict import Verdict
from service.core.repository.repository import Repository
from service.teach.datasets.records import StoredDataset, StoredPhoto
from service.teach.runs.job import Job, Message, Said
from service.teach.runs.preparing import Folders, check_labels, find_base, make_job
from service.teach.runs.problems import RunFailed
from service.teach.runs.records import StoredRun
from service.teach.runs.supervisor import heard
from service.teach.runs.teaching import Teacher

Notice = Callable[[StoredRun], None]
"""Called whenever the run changes."""
NICENESS = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What to teach with. ``path_of``: where the bytes of a photo are."""

    dataset: StoredDataset
    photos: Sequence[StoredPhoto]
    foreign: Sequence[StoredPhoto]
    path_of: Callable[[StoredPhoto], Path]


class OfflineRun:
    """A run of a command. Every method blocks; the process goes to the lowest priority."""

    def __init__(self, folders: Folders, default_model: str | None, *, by: str) -> None:
        """``by``: the user, for the security log."""
        with suppress(OSError):
            os.nice(NICENESS)
        self._folders, self._default_model, self._by = folders, default_model, by
        self._repository = Repository(folders.models)
        self._teacher = Teacher(threads=os.cpu_count() or 1)

    def prepare(self, subject: Subject, options: RunOptions) -> StoredRun:
        """Return a run that can begin.

        Raises:
            ModelNotFound, Conflict: see ``find_base`` and ``check_labels``.
        """
        check_labels(subject.dataset, subject.photos)
        base = self._base(options)
        now = time.time()
        return StoredRun(
            id=secrets.token_hex(10),
            dataset=subject.dataset.name,
            options=options,
            base=base,
            created=now,
            changed=now,
            created_by=self._by,
        )

    def teach(self, run: StoredRun, subject: Subject, notice: Notice) -> StoredRun:
        """Write the files of a version into the folder of the run.

        Raises:
            RunFailed: it did not succeed; nothing was written into the repository.
        """
        job = self._job(run, subject)
        folder = Path(job.output)
        folder.mkdir(mode=0o700, parents=True)
        return self._do(replace(run, progress=run.progress.begun()), job, notice)

    def judge(self, run: StoredRun, subject: Subject, notice: Notice) -> Verdict:
        """Return the verdict that a run would give, and write nothing.

        Raises:
            RunFailed: no head can be fitted.
        """
        listener = _Listener(replace(run, progress=run.progress.begun()), notice)
        return self._teacher.judge(self._job(run, subject), listener)

    def remove_files(self, run: StoredRun) -> None:
        """Remove the folder of a run."""
        shutil.rmtree(self._folders.staging(run.id), ignore_errors=True)

    def _job(self, run: StoredRun, subject: Subject) -> Job:
        return make_job(
            run, subject.dataset, subject.photos, subject.foreign, subject.path_of, self._folders
        )

    def _do(self, run: StoredRun, job: Job, notice: Notice) -> StoredRun:
        listener = _Listener(run, notice)
        self._teacher.do(job, listener)
        if listener.failure is not None:
            raise listener.failure
        return listener.run

    def _base(self, options: RunOptions) -> RunBase:
        return find_base(self._repository, options, self._default_model)


class _Listener:
    """Follows what a teacher says."""

    def __init__(self, run: StoredRun, notice: Notice) -> None:
        self.run, self._notice = run, notice
        self.failure: RunFailed | None = None

    def __call__(self, message: Message) -> None:
        if message.said is Said.FAILED and message.code is not None:
            self.failure = RunFailed(message.code, message.detail)
        self.run = heard(self.run, message)
        self._notice(self.run)
