"""A thread of low priority, on which models are loaded and freed beside live traffic."""

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


class Runner(Protocol):
    """Does blocking work somewhere."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Does ``work`` and gives what it returns or raises."""


class AtOnce:
    """Does it here and now: at the start there is nobody to make room for."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Blocks the event loop meanwhile."""
        return work()


class Loader:
    """Does one thing at a time; whoever waits for a core goes first.

    ONNX Runtime lets go of the interpreter while it builds a session, so that the event loop and
    the workers go on meanwhile.
    """

    def __init__(self, name: str = "potoo-loader") -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_step_back)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Queues ``work`` and waits for what it returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """What has not begun is dropped; what runs ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)


@contextmanager
def threads_at_full_priority() -> Iterator[None]:
    """Gives threads that are started meanwhile the usual priority back, where that is allowed.

    They inherit that of the thread that starts them, and a session's own will serve requests. It
    takes a privilege (``CAP_SYS_NICE``); without it they stay behind others until the next start,
    which is felt only where an image is alone with all the cores and somebody else wants them too.
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
    except OSError:  # not Linux: a priority belongs to the whole process there
        return set()


def _step_back() -> None:
    with contextlib.suppress(AttributeError, OSError):  # Linux has a priority for each thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SLOW_NICENESS)
