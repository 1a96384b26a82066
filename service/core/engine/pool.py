"""A named, bounded pool of worker threads: the only place where images are processed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar, cast

from observability.logs.logging import get_logger
from service.core.engine.fair_queue import FairQueue, Flow, Turn

Result = TypeVar("Result")
SLOW_NICENESS = 10
OWN_SHARE = 4
"""Priority of the server's own jobs: that of a normal image."""
Job = Callable[[], None]


class SlowWork(Exception):
    """Raised by work that would block a worker for long and belongs on the slow lane."""


class _Signal(Enum):
    JOB = auto()
    STOP = auto()


class Lane:
    """Jobs that wait for the same threads: a fair queue, and a signal for each job in it.

    A thread waits for a signal without a lock, as this is what it does most. ``is_busy`` has one
    flag a thread, which needs no lock either.
    """

    def __init__(self, threads: int, clock: Callable[[], float]) -> None:
        self._queue: FairQueue[Job] = FairQueue()
        self._signals: queue.SimpleQueue[_Signal] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._clock = clock
        self.threads = threads
        self.is_busy = [False] * threads

    def __len__(self) -> int:
        """Return the number of items that wait."""
        return len(self._queue)

    def submit(self, jobs: Sequence[Job], turn: Turn, count: int = 1) -> None:
        """Queue jobs, all of one caller and model; ``count``: of items in each job."""
        with self._lock:
            for job in jobs:
                self._queue.push(job, turn, count)
        for _ in jobs:
            self._signals.put(_Signal.JOB)

    def expected_wait(self, turn: Turn, count: int, held: int) -> float:
        """See ``FairQueue.expected_wait``."""
        with self._lock:
            return self._queue.expected_wait(turn, count, self.threads, held)

    def longest_wait(self, held: int) -> float:
        """See ``FairQueue.longest_wait``."""
        return self._queue.longest_wait(self.threads, held)

    def work(self, number: int) -> None:
        """Run jobs on the calling thread, the one of that number, until ``stop``."""
        while self._signals.get() is _Signal.JOB:
            self.is_busy[number] = True
            self.run_next()
            self.is_busy[number] = False

    def run_next(self) -> None:
        """Run the job whose turn it is, and charge its time."""
        with self._lock:
            job, charge = self._queue.pop()
        began = self._clock()
        try:
            job()
        except Exception:  # noqa: BLE001 - a dead thread would silently reduce capacity
            get_logger("pool").exception("job raised: this is a bug")
        seconds = self._clock() - began
        with self._lock:
            self._queue.settle(charge, seconds)

    def stop(self) -> None:
        """End the threads once they have run what is queued."""
        for _ in range(self.threads):
            self._signals.put(_Signal.STOP)


class WorkerPool:
    """A fixed number of threads that run the jobs of all models, in turns: see ``FairQueue``.

    One pool serves decoding and inference of all models: with one thread per core, no image waits
    for a hand-over between threads, and threads never outnumber the cores. One more thread, of low
    priority, is the slow lane: it processes large images one at a time, which bounds memory too.
    The queues are unbounded; callers limit the jobs that they submit (see ``Batcher``).
    """

    def __init__(
        self, name: str, threads: int, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Start the threads; ``clock``: seconds, to measure jobs with."""
        self.size = threads
        self._lane, self._slow_lane = Lane(threads, clock), Lane(1, clock)
        # Jobs of the server itself: unpacking bodies, canaries. They take turns as a model does.
        self._own = Turn(Flow(), "", weight=1, share=OWN_SHARE)
        self._threads = [
            threading.Thread(
                target=self._lane.work, args=(number,), name=f"{name}-{number}", daemon=True
            )
            for number in range(threads)
        ]
        self._threads.append(
            threading.Thread(
                target=_work_slowly, args=(self._slow_lane,), name=f"{name}-slow", daemon=True
            )
        )
        for thread in self._threads:
            thread.start()

    @property
    def has_one_job(self) -> bool:
        """Whether both queues are empty and at most one thread works: a job may use all cores."""
        lane, slow = self._lane, self._slow_lane
        return not lane and not slow and sum(lane.is_busy) + slow.is_busy[0] <= 1

    @property
    def has_waiting_jobs(self) -> bool:
        """Whether jobs wait for a thread; those of the slow lane do not count."""
        return len(self._lane) > 0

    def submit(self, job: Job, turn: Turn | None = None) -> None:
        """Queue ``job``, which must answer its caller itself; if it raises, the bug is logged.

        Args:
            turn: whose work it is; None for the server's own.
        """
        self.submit_all((job,), turn or self._own)

    def submit_all(self, jobs: Sequence[Job], turn: Turn, count: int = 1) -> None:
        """Queue several jobs at once; see ``submit``.

        Args:
            count: of items in each job, which take as many turns and share its time.
        """
        self._lane.submit(jobs, turn, count)

    def submit_slowly(self, job: Job, turn: Turn | None = None) -> None:
        """Queue ``job`` on the slow lane; see ``submit``. Its turns are counted there alone."""
        self._slow_lane.submit((job,), turn or self._own)

    def expected_wait(self, turn: Turn, count: int, held: int) -> float:
        """Estimate the seconds until a thread takes the last of ``count`` new jobs.

        It counts what will run before, its mates aside: see ``FairQueue.expected_wait``.
        """
        return self._lane.expected_wait(turn, count, held)

    def longest_wait(self, held: int) -> float:
        """Return seconds that ``expected_wait`` never exceeds: see ``FairQueue.longest_wait``."""
        return self._lane.longest_wait(held)

    async def run(
        self, work: Callable[[], Result], turn: Turn | None = None, *, is_slow: bool = False
    ) -> Result:
        """Queue ``work``, wait for it, and return its result or raise its exception.

        Args:
            turn: see ``submit``.
            is_slow: run it on the slow lane.
        """
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

        if is_slow:
            self.submit_slowly(job, turn)
        else:
            self.submit(job, turn)
        return await done

    def close(self) -> None:
        """Finish the queued jobs, then end the threads. Blocks."""
        self._slow_lane.stop()
        self._lane.stop()
        for thread in self._threads:
            thread.join()


def _work_slowly(lane: Lane) -> None:
    with contextlib.suppress(AttributeError, OSError):  # Linux has a priority for each thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SLOW_NICENESS)
    lane.work(0)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores this process may use: affinity, limited by a container's CPU quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = cgroup.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control groups, or "max": no quota
        return cores
