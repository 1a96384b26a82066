"""Many requests over one stream: worked on side by side, answered in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")
Work = Coroutine[Any, Any, Answer]


async def answer_in_order(
    read: Callable[[], Awaitable[Work[Answer] | None]],
    write: Callable[[Answer], Awaitable[object]],
    at_a_time: int,
) -> None:
    """Serve one stream to its end; on cancellation all work ends.

    The next request is read once fewer than ``at_a_time`` are unanswered, so a caller that takes no
    answers is not read from.

    Args:
        read: returns the work of the next request, None at the end. What it raises ends the stream
            once the requests before are answered.
        write: sends an answer, and waits until the caller takes more.

    Raises:
        Exception: of ``read``, ``write`` or the work of a request.
    """
    answers: asyncio.Queue[asyncio.Task[Answer] | None] = asyncio.Queue()
    slots = asyncio.Semaphore(at_a_time)
    reading = asyncio.create_task(_read(read, answers, slots))
    answer = None
    try:
        while (answer := await answers.get()) is not None:
            await write(await answer)
            slots.release()
        await reading
    finally:
        # If the caller has left, the remaining answers are not needed.
        unfinished: list[asyncio.Task[Any]] = [reading, *([answer] if answer is not None else [])]
        while not answers.empty():
            if (left := answers.get_nowait()) is not None:
                unfinished.append(left)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


async def _read(
    read: Callable[[], Awaitable[Work[Answer] | None]],
    answers: asyncio.Queue[asyncio.Task[Answer] | None],
    slots: asyncio.Semaphore,
) -> None:
    """Begin the work of requests to the end of the stream; put None after the last answer."""
    try:
        while True:
            await slots.acquire()
            work = await read()
            if work is None:
                return
            answers.put_nowait(asyncio.create_task(work))
    finally:
        answers.put_nowait(None)
