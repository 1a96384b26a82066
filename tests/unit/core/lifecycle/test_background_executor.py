"""The background thread has low priority, and threads that it starts do not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from service.core.engine.pool import SLOW_NICENESS
from service.core.lifecycle.background_executor import (
    BackgroundExecutor,
    InlineExecutor,
    threads_at_full_priority,
)

pytestmark = pytest.mark.anyio


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.fixture
def loader() -> Iterator[BackgroundExecutor]:
    made = BackgroundExecutor()
    yield made
    made.close()


async def test_loader_thread_has_low_priority(loader: BackgroundExecutor) -> None:
    usual = niceness()
    assert await loader.run(niceness) == max(usual, SLOW_NICENESS)
    assert niceness() == usual
    assert await InlineExecutor().run(niceness) == usual


async def test_loader_raises_the_jobs_exception(loader: BackgroundExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        await loader.run(lambda: 1 // 0)


async def test_session_threads_regain_normal_priority(loader: BackgroundExecutor) -> None:
    if os.geteuid() != 0:
        pytest.skip("it takes a privilege")
    go, found = threading.Event(), list[int]()

    def serve() -> None:
        go.wait(10)
        found.append(niceness())

    def load() -> threading.Thread:
        with threads_at_full_priority():
            thread = threading.Thread(target=serve)
            thread.start()
        return thread

    thread = await loader.run(load)
    go.set()
    thread.join()
    assert found == [0]
    assert await loader.run(niceness) == SLOW_NICENESS
