"""A named, bounded pool of worker threads: the only place where images are processed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from observability.logging import get_logger

Result = TypeVar("Result")
SLOW_NICENESS = 10
Job = Callable[[], None]


class SlowWork(Exception):
    """Raised by work that would block a worker for long and belongs on the slow lane."""


class WorkerPool:
    """A fixed number of threads that run jobs in order of arrival.

    One pool serves decoding and inference of all models: with one thread per core, no image waits
    for a hand-over between threads, and threads never outnumber the cores. One more thread, of low
    priority, is the slow lane: it processes large images one at a time, which bounds memory too.
    The queues are unbounded; callers limit the jobs that they submit (see ``Batcher``).
    """

    def __init__(self, name: str, threads: int) -> None:
        self.size = threads
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._slow_jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # One flag per thread, so that no lock is needed; the last is that of the slow lane.
        self._is_busy = [False] * (threads + 1)
        self._threads = [
            threading.Thread(
                target=_work,
                args=(self._jobs, self._is_busy, number),
                name=f"{name}-{number}",
                daemon=True,
            )
            for number in range(threads)
        ]
        self._slow_thread = threading.Thread(
            target=_work_slowly,
            args=(self._slow_jobs, self._is_busy, threads),
            name=f"{name}-slow",
            daemon=True,
        )
        for thread in (*self._threads, self._slow_thread):
            thread.start()

    @property
    def has_one_job(self) -> bool:
        """Whether both queues are empty and at most one thread works: a job may use all cores."""
        return self._jobs.empty() and self._slow_jobs.empty() and sum(self._is_busy) <= 1

    def submit(self, job: Job) -> None:
        """Queue ``job``, which must answer its caller itself; if it raises, the bug is logged."""
        self._jobs.put(job)

    def submit_slowly(self, job: Job) -> None:
        """Queue ``job`` on the slow lane; see ``submit``."""
        self._slow_jobs.put(job)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Queue ``work``, wait for it, and return its result or raise its exception."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: Exception | None) -> None:
            if done.done():  # the caller has left
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(cast("Result", result))

        def job() -> None:
            result, error = None, None
            try:
                result = work()
            except Exception as raised:  # noqa: BLE001 - raised in the caller
                error = raised
            loop.call_soon_threadsafe(settle, result, error)

        self.submit(job)
        return await done

    def close(self) -> None:
        """Finish the queued jobs, then end the threads. Blocks."""
        self._slow_jobs.put(None)
        for _ in self._threads:
            self._jobs.put(None)
        for thread in (*self._threads, self._slow_thread):
            thread.join()


def _work(jobs: queue.SimpleQueue[Job | None], is_busy: list[bool], number: int) -> None:
    while (job := jobs.get()) is not None:
        is_busy[number] = True
        try:
            job()
        except Exception:  # noqa: BLE001 - a dead thread would silently reduce capacity
            get_logger("pool").exception("job raised: this is a bug")
        is_busy[number] = False
        del job


def _work_slowly(jobs: queue.SimpleQueue[Job | None], is_busy: list[bool], number: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # Linux has a priority for each thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SLOW_NICENESS)
    _work(jobs, is_busy, number)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores this process may use: affinity, limited by a container's CPU quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = cgroup.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control groups, or "max": no quota
        return cores
