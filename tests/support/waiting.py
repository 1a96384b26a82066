"""Wait for a condition by polling, up to a limit that a busy machine never reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 90.0
"""Seconds."""


def wait_until(
    is_so: Callable[[], object], *, patience: float = PATIENCE, pause: float = 0.02
) -> bool:
    """Poll until a condition holds.

    Args:
        is_so: the condition.
        patience: seconds after which waiting ends.
        pause: seconds between two polls.

    Returns:
        False if it did not hold in time.
    """
    deadline = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


async def turns(number: int = 10) -> None:
    """Let the event loop look at its sockets and run its tasks so many times.

    What one end of a connection of this machine has written is readable at once at the other.
    """
    for _ in range(number):
        await asyncio.sleep(0)


async def eventually(is_so: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Run the tasks of the event loop until a condition holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    async with asyncio.timeout(patience):
        while not is_so():  # noqa: ASYNC110 - no event says when it happens
            await asyncio.sleep(0.005)
