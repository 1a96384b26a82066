"""Does the runs of the store one after another, in the one process that holds the lease."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from observability.logs.logging import get_logger
from observability.metrics.run_metrics import RunMetrics
from schemas.errors import NotReady
from schemas.teach.run import RunBase, RunFailure, RunState
from service.core.repository.repository import Repository
from service.teach.datasets.records import StoredPhoto
from service.teach.datasets.store.datasets import DatasetStore
from service.teach.datasets.store.files import PhotoFiles, in_thread
from service.teach.datasets.store.photos import PhotoStore
from service.teach.runs.job import Message, Said
from service.teach.runs.preparing import Folders, make_job, warm_job
from service.teach.runs.problems import RunFailed
from service.teach.runs.process import ProcessEnded, TeachingProcess
from service.teach.runs.publishing import published_by
from service.teach.runs.records import StoredRun
from service.teach.runs.states import Progress
from service.teach.runs.store import RunStore
from service.teach.runs.watch import RunWatch

NOTE_SECONDS = 0.5
"""Progress is stored so often."""
AHEAD = 4
"""Photos whose features are computed ahead at a time: a run waits no longer."""
MOST_AHEAD = 10_000
_ENDED = "The server was ended while the run went on."


class Publish(Protocol):
    """Publishes what a run has written."""

    async def __call__(self, run: StoredRun) -> int:
        """Return the number of the version.

        Raises:
            RunFailed: the version was refused; nothing changed.
        """


class _Lost(Exception):
    """The run was cancelled or removed meanwhile."""


class RunSupervisor:
    """The runs of the store. Belongs to the event loop."""

    def __init__(
        self,
        runs: RunStore,
        datasets: DatasetStore,
        photos: PhotoStore,
        files: PhotoFiles,
        folders: Folders,
        process: TeachingProcess,
        publish: Publish,
        base_of: Callable[[str], Awaitable[tuple[RunBase, str | None] | None]],
        watch: RunWatch,
        metrics: RunMetrics,
        *,
        poll: float,
    ) -> None:
        """Create a supervisor, which begins with ``run``.

        Args:
            base_of: the base and the tensor to compute features of a dataset's photos ahead with.
            poll: seconds between looks for runs that another process added.
        """
        self._runs, self._datasets, self._photos, self._files = runs, datasets, photos, files
        self._folders, self._process, self._publish = folders, process, publish
        self._base_of, self._watch, self._metrics, self._poll = base_of, watch, metrics, poll
        self._nudged = asyncio.Event()
        self._current: str | None = None
        self._is_leading = False
        self._ahead: deque[tuple[str, str]] = deque(maxlen=MOST_AHEAD)
        self._log = get_logger("teach")

    def nudge(self) -> None:
        """Look for runs now."""
        self._nudged.set()

    def warm(self, dataset: str, digests: Collection[str]) -> None:
        """Compute the features of photos ahead, so that a run has less to do.

        In a process that does not do the runs, nothing happens: the run computes them then.
        """
        if self._is_leading:
            self._ahead.extend((dataset, digest) for digest in digests)
            self._nudged.set()

    async def stop_run(self, run_id: str) -> None:
        """End the process if it works on a run, which was cancelled."""
        self._watch.announce()
        if self._current == run_id:
            await self._process.stop()

    async def run(self) -> None:
        """Do the runs, and wait for more, until cancelled."""
        self._is_leading = True
        try:
            await self._remove_staged()
            while True:
                self._nudged.clear()
                try:
                    has_worked = await self._work()
                except NotReady:  # the store logs why
                    has_worked = False
                if not has_worked:
                    await self._wait()
        finally:
            self._is_leading = False
            await self._process.stop()

    async def _work(self) -> bool:
        """Do one thing; return whether there was any."""
        for run in await self._runs.unfinished():
            if run.state is RunState.QUEUED:
                await self._do(run)
            else:  # by a process that died, or the store did not answer
                await self._resume(run, _ENDED)
            return True
        if self._ahead:
            await self._compute_ahead()
            return True
        return False

    async def _wait(self) -> None:
        waiting = asyncio.create_task(self._nudged.wait())
        await asyncio.wait([waiting], timeout=self._poll)
        waiting.cancel()

    async def _do(self, run: StoredRun) -> None:
        began = time.perf_counter()
        self._current = run.id
        try:
            run = await self._step(run, run.progress.begun())
            run = await self._teach(run)
            run = await self._step(run, run.progress.advanced(RunState.PUBLISHING))
            version = await self._publish(run)
            run = await self._step(run, run.progress.done(version))
            self._log.info("run done", run=run.id, model=run.options.model, version=version)
        except _Lost:
            return
        except ProcessEnded as error:
            await self._resume(run, str(error), is_known=True)
        except RunFailed as failed:
            run = await self._fail(run, failed)
        finally:
            self._current = None
            await in_thread(partial(_remove, self._folders.staging(run.id)))
        self._metrics.finished(str(run.state), time.perf_counter() - began)

    async def _teach(self, run: StoredRun) -> StoredRun:
        """Have the process write the files of a version.

        Raises:
            RunFailed, ProcessEnded: it did not.
        """
        dataset = await self._datasets.get(run.dataset)
        if dataset is None:
            raise _Lost
        photos = await self._photos.all(run.dataset)
        foreign: list[StoredPhoto] = []
        if run.options.foreign is not None:
            foreign = await self._photos.all(run.options.foreign)
        job = make_job(run, dataset, photos, foreign, self._path_of, self._folders)
        await in_thread(partial(_make_empty, self._folders, run.id))
        noted = 0.0
        async with aclosing(self._process.do(job)) as messages:
            async for message in messages:
                changed = heard(run, message)
                now = time.monotonic()
                is_due = message.said is not Said.PROGRESS or now >= noted + NOTE_SECONDS
                if changed is not run and is_due:
                    noted = now
                    changed = await self._save(changed, run.state)
                run = changed
                if message.said is Said.FAILED:
                    if message.trace:
                        self._log.error("run failed", run=run.id, trace=message.trace)
                    raise RunFailed(message.code or RunFailure.INTERNAL, message.detail)
        return run

    def _path_of(self, photo: StoredPhoto) -> Path:
        return self._files.path(photo.digest)

    async def _compute_ahead(self) -> None:
        dataset = self._ahead[0][0]
        digests: list[str] = []
        while self._ahead and self._ahead[0][0] == dataset and len(digests) < AHEAD:
            digests.append(self._ahead.popleft()[1])
        found = await self._base_of(dataset)
        if found is None:
            return
        job = warm_job(*found, digests, self._files, self._folders)
        try:
            async with aclosing(self._process.do(job)) as messages:
                async for message in messages:
                    if message.said is Said.FAILED:
                        self._log.warning("features not computed ahead", reason=message.detail)
        except ProcessEnded as error:
            self._log.warning("features not computed ahead", reason=str(error))

    async def _resume(self, run: StoredRun, reason: str, *, is_known: bool = False) -> None:
        """Queue a run again after an interruption, or finish it.

        Args:
            is_known: it was not being published.
        """
        self._metrics.interrupted()
        published = None
        if not is_known:
            repository = Repository(self._folders.models)
            find = partial(published_by, repository, run.options.model, run.id)
            published = await in_thread(find)
        progress = run.progress.interrupted(reason, published)
        self._log.warning("run interrupted", run=run.id, reason=reason, state=str(progress.state))
        try:
            await self._step(run, progress)
        except _Lost:
            return

    async def _fail(self, run: StoredRun, failed: RunFailed) -> StoredRun:
        self._log.warning("run failed", run=run.id, code=str(failed.code), reason=failed.detail)
        try:
            return await self._step(run, run.progress.failed(failed.code, failed.detail))
        except _Lost:
            return run

    async def _step(self, run: StoredRun, progress: Progress) -> StoredRun:
        return await self._save(replace(run, progress=progress), run.state)

    async def _save(self, run: StoredRun, was: RunState) -> StoredRun:
        """Store a run.

        Raises:
            _Lost: its state is another one by now.
        """
        saved = await self._runs.save(run, was=was)
        self._watch.announce()
        if saved is None:
            raise _Lost
        return saved

    async def _remove_staged(self) -> None:
        """Remove the files of runs that died before they were published."""
        staging = self._folders.staging("")
        if await in_thread(staging.exists):
            await in_thread(partial(_remove, staging))


def heard(run: StoredRun, message: Message) -> StoredRun:
    """Return the run as a message changes it; the same object if it does not."""
    if message.said is Said.STATE and message.state is not None:
        progress = run.progress.advanced(message.state)
        return run if progress is run.progress else replace(run, progress=progress)
    if message.said is Said.PROGRESS:
        return replace(run, photos_done=message.done, photos_total=message.total)
    if message.said is Said.SKIPPED and message.skipped is not None:
        return replace(run, skipped=(*run.skipped, message.skipped))
    if message.said is Said.TENSOR:
        return replace(run, base=run.base.model_copy(update={"tensor": message.tensor}))
    if message.said is Said.VERDICT:
        return replace(run, verdict=message.verdict)
    return run


def _make_empty(folders: Folders, run: str) -> None:
    """Make the empty folder of a run's files.

    Raises:
        RunFailed: the disk is full, or cannot be written.
    """
    folder = folders.staging(run)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        message = "The data folder of the server is full or cannot be written."
        raise RunFailed(RunFailure.DISK_FULL, message) from error


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
