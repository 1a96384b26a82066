"""Read messages within limits: bytes, time, and the memory budget of all callers.

A message is read once the caller is known, so that no caller sends megabytes without a token. gRPC
collects a whole message before Potoo sees a byte. So the number of messages collected from one
connection at a time is bounded; messages without a token are bounded by time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from observability.request import start_span
from schemas.errors import InvalidRequest, NotReady, PayloadTooLarge, UploadTimeout
from service.settings import LimitSettings
from service.transport.budget import BodyBudget, Reservation
from service.transport.grpc.call import Call

ANONYMOUS_SECONDS = 5.0
"""Time limit for receiving a message without a token."""
ANONYMOUS_IDLE_SECONDS = 60.0
"""Longest wait between two messages of a stream without a token."""
BYTES_PER_SECOND = 2**18
"""A message may take the body time-out, plus the time for its size limit at this rate."""


class Reader:
    """Reader of single messages."""

    def __init__(self, limits: LimitSettings, budget: BodyBudget, stopping: asyncio.Event) -> None:
        """``stopping``: set when no further messages of streams are to be read."""
        self.budget, self.stopping = budget, stopping
        self._timeout = limits.body_timeout_seconds
        self._at_a_time = max(1, limits.max_body_bytes_in_flight // limits.max_message_bytes)
        self._queues: dict[str, _Queue] = {}

    async def only(
        self, call: Call, hold: Reservation, max_bytes: int, check: Callable[[bytes], int]
    ) -> bytes:
        """Return the message of a method that takes one.

        Raises:
            InvalidRequest: the call has no message.
            PayloadTooLarge, Overloaded: it exceeds the limit, or the budget of all messages.
            UploadTimeout: it arrives too slowly.
        """
        with start_span("receive"):
            if call.name is None:
                data = await _read(call, ANONYMOUS_SECONDS)
            else:
                data = await self._read_in_turn(call, self._timeout + max_bytes / BYTES_PER_SECOND)
        if data is None:
            raise InvalidRequest("The call has no message.")
        take(data, hold, max_bytes, check)
        return data

    async def _read_in_turn(self, call: Call, patience: float) -> bytes | None:
        """Read once fewer than the allowed messages of the connection are being read."""
        queue = self._queues.get(call.peer)
        if queue is None:
            queue = self._queues[call.peer] = _Queue(asyncio.Semaphore(self._at_a_time))
        queue.users += 1
        try:
            async with queue.turns:
                return await _read(call, patience)
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[call.peer]


@dataclass(slots=True)
class _Queue:
    """The messages of one connection that are being read or wait for it."""

    turns: asyncio.Semaphore
    users: int = 0


async def _read(call: Call, patience: float) -> bytes | None:
    """Read a message within ``patience`` seconds, without a task of its own.

    Raises:
        UploadTimeout: it takes longer.
    """
    try:
        async with asyncio.timeout(patience):
            return await call.read()
    except TimeoutError:
        raise UploadTimeout from None


class Messages:
    """The messages of a stream, in order."""

    def __init__(
        self,
        call: Call,
        reader: Reader,
        max_bytes: int,
        check: Callable[[bytes], int],
        reauthorize: Callable[[], Awaitable[None]],
    ) -> None:
        """``reauthorize``: checks the caller again; raises if its access has ended."""
        self._call, self._reader = call, reader
        self._max_bytes, self._check, self._reauthorize = max_bytes, check, reauthorize

    async def next(self) -> bytes | None:
        """Return the next message; None at the end.

        Raises:
            NotReady: the server is being stopped.
            UploadTimeout: a caller without a token sent nothing for too long.
            Unauthenticated, InsufficientScope, RateLimited: the caller's access has ended.
        """
        reading = asyncio.ensure_future(self._call.read())
        stopping = asyncio.ensure_future(self._reader.stopping.wait())
        patience = ANONYMOUS_IDLE_SECONDS if self._call.name is None else None
        try:
            await asyncio.wait(
                (reading, stopping), timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            if stopping.done() and not reading.done():
                raise NotReady("The server is being stopped.")
            if not reading.done():
                raise UploadTimeout
            data = reading.result()
        finally:
            reading.cancel()
            stopping.cancel()
        if data is not None:
            await self._reauthorize()
        return data

    async def only(self) -> bytes:
        """Return the message of a method with one message and many answers; see ``Reader.only``."""
        with self._reader.budget.hold() as hold:
            return await self._reader.only(self._call, hold, self._max_bytes, self._check)

    @contextmanager
    def held(self, data: bytes) -> Iterator[None]:
        """Charge a message to the budget while it is processed.

        Raises:
            InvalidRequest, PayloadTooLarge, Overloaded: see ``Reader.only``.
        """
        with self._reader.budget.hold() as hold:
            take(data, hold, self._max_bytes, self._check)
            yield


def take(data: bytes, hold: Reservation, max_bytes: int, check: Callable[[bytes], int]) -> None:
    """Check a message before it is parsed, and hold the bytes that it will take.

    Raises:
        PayloadTooLarge, Overloaded: it exceeds the limit, or the budget of all messages.
        InvalidRequest: raised by ``check``.
    """
    if len(data) > max_bytes:
        raise PayloadTooLarge(f"A message of this method may have {max_bytes} bytes.")
    hold.reserve(len(data))
    hold.reserve(check(data))
