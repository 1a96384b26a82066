"""A low-priority thread that loads and frees models beside live traffic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from service.core.engine.pool import SLOW_NICENESS

Result = TypeVar("Result")
_TASKS = Path("/proc/self/task")


class Executor(Protocol):
    """A place to run blocking work."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run ``work``; return its result or raise its error."""


class InlineExecutor:
    """An executor on the event loop's own thread, for the start, when there is no traffic."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run ``work``; the event loop is blocked meanwhile."""
        return work()


class BackgroundExecutor:
    """An executor on one low-priority thread, one job at a time.

    ONNX Runtime releases the GIL while it builds a session, so the event loop and the workers
    continue meanwhile.
    """

    def __init__(self, name: str = "potoo-loader") -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_step_back)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Queue ``work`` and wait for it; return its result or raise its error."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Drop queued work; running work ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)


@contextmanager
def threads_at_full_priority() -> Iterator[None]:
    """Give threads started within the block the process's priority, where permitted.

    A thread inherits the priority of the one that starts it, and a session's threads will serve
    requests. Raising it takes ``CAP_SYS_NICE``; without it they keep low priority until the next
    start, which matters only if a lone image uses all cores and other work wants them too.
    """
    before = _threads()
    yield
    usual = os.getpriority(os.PRIO_PROCESS, os.getpid())
    for thread in _threads() - before:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, usual)


def _threads() -> set[int]:
    try:
        return {int(path.name) for path in _TASKS.iterdir()}
    except OSError:  # not Linux: priority is per process there
        return set()


def _step_back() -> None:
    with contextlib.suppress(AttributeError, OSError):  # on Linux priority is per thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SLOW_NICENESS)
