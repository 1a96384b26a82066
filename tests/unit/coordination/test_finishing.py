"""Work that a cancelled task finishes first."""

from __future__ import annotations

import asyncio

import pytest

from service.coordination.finishing import finish

pytestmark = pytest.mark.anyio


async def test_result_and_error_pass() -> None:
    async def work(number: int) -> int:
        return 10 // number

    assert await finish(work(5)) == 2
    with pytest.raises(ZeroDivisionError):
        await finish(work(0))


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_task_finishes_its_work(fails: bool) -> None:
    began, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        await may_end.wait()
        ended.set()
        if fails:
            raise ValueError

    task = asyncio.create_task(finish(work()))
    await began.wait()
    task.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
