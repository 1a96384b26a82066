"""Work that one process of all does, by a lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from observability.logs.logging import get_logger
from schemas.errors import NotReady
from service.coordination.ports import LeaseLost, Leases

RESTART_SECONDS = 5.0
"""Pause after work ended with an error that nobody expected."""
Run: TypeAlias = Callable[[], Awaitable[None]]


@asynccontextmanager
async def working(leases: Leases, lease: str, runs: Sequence[Run]) -> AsyncIterator[None]:
    """Run all of ``runs`` in the background whenever this process holds the lease."""
    task = asyncio.create_task(_take_turns(leases, lease, runs), name=lease)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _take_turns(leases: Leases, lease: str, runs: Sequence[Run]) -> None:
    while True:
        try:
            async with leases.hold(lease), asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(_steadily(run))
        except LeaseLost:
            get_logger("results").info("another process delivers results", lease=lease)
        except NotReady:  # the store logs why
            pass
        except Exception as error:  # noqa: BLE001 - as below
            get_logger("results").error("lease failed", lease=lease, exc_info=error)
        await asyncio.sleep(RESTART_SECONDS)


async def _steadily(run: Run) -> None:
    """Run an output, again after an error: it affects neither the server nor other outputs."""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - an error of ours, or of a library
            get_logger("results").error("output failed", exc_info=error)
        else:  # it has nothing more to do until the next start
            await asyncio.Event().wait()
        await asyncio.sleep(RESTART_SECONDS)
