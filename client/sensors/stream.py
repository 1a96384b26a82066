"""One connection from HELLO to its end: sends what credit allows, and keeps it alive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from client.sensors.errors import Disconnected, Refused, is_refusal, refusal
from client.sensors.links.ports import Greeting, Link
from client.sensors.progress import Progress
from client.sensors.queue.worker import QueueWorker
from client.sensors.tokens import AccessToken
from schemas.sensor_wire.messages import (
    Ack,
    Bye,
    Error,
    Message,
    Ping,
    Result,
    Token,
    encode,
)

BURST_BYTES = 256 * 1024
"""Read from the queue and handed to the connection at a time: memory is bounded by it."""
_TOKEN_PAUSE = 10.0
"""Seconds until a token that was not renewed is asked for again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    Attributes:
        handshake: until the first ACK.
        silence: without a message of the server, after which a PING is sent.
        answer: for the answer to a PING; then the connection counts as lost.
        quiet: without progress, after which the rest counts as an incomplete window on closing.
        stall: without progress, after which a link that may lose messages sends again.
    """

    handshake: float = 15.0
    silence: float = 15.0
    answer: float = 10.0
    stall: float = 5.0
    quiet: float = 1.0


class EpochSpent(Exception):
    """The server knows numbers of this epoch that the queue has lost: begin another epoch."""


class Stream:
    """Sends the samples of a queue over one connection.

    Attributes:
        progress: how far it is.
        last_heard: ``time.monotonic`` of the last message.
    """

    def __init__(
        self,
        link: Link,
        worker: QueueWorker,
        *,
        name: str,
        channels: int,
        fetch_token: Callable[[], Awaitable[AccessToken | None]],
        on_progress: Callable[[], object],
        on_result: Callable[[Result], object],
        timing: Timing,
    ) -> None:
        self._link, self._worker, self._name = link, worker, name
        self._fetch_token, self._timing = fetch_token, timing
        self._on_progress, self._on_result = on_progress, on_result
        self.progress = Progress(channels)
        self._wake = asyncio.Event()
        self._acked = asyncio.Event()
        self._is_greeted = False
        self._renew_at: float | None = None
        self.last_heard = self._moved = time.monotonic()
        self._stall = timing.stall

    def wake(self) -> None:
        """Look for samples to send."""
        self._wake.set()

    async def run(self, *, is_first: bool) -> None:
        """Send and receive until the connection ends; always raises.

        Args:
            is_first: whether this is the first stream since the queue was opened.

        Raises:
            Disconnected: the connection ended.
            Refused: the server refused the device.
            EpochSpent: only if ``is_first``.
            TokenUnavailable: there is no token.
        """
        async with _together(self._receive()) as receiving:
            await _first(self._greet(is_first=is_first), receiving)
            self._on_progress()
            await _first(self._send_all(), receiving)

    async def finish(self) -> bool:
        """End the conversation so that answers to what was sent come before.

        Returns:
            Whether it has ended; False: the server ends the connection after its last answer.

        Raises:
            Disconnected: the connection ended.
        """
        began = time.monotonic()
        # The samples that remain belong to a window that is not complete.
        while self.progress.safe < self.progress.position:
            rest = max(began, self._moved) + self._timing.quiet - time.monotonic()
            if rest <= 0:
                break
            self._acked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._acked.wait()
        if self._link.may_lose or self.progress.safe >= self.progress.position:
            return True
        await self._link.send([encode(Bye("closed"))])
        return False

    async def ask(self) -> None:
        """Send PING, and wait for the ACK.

        Raises:
            Disconnected: there was none in time.
        """
        self._acked.clear()
        await self._link.send([encode(Ping())])
        try:
            async with asyncio.timeout(self._timing.answer):
                await self._acked.wait()
        except TimeoutError:
            raise Disconnected("the server does not answer") from None

    async def _greet(self, *, is_first: bool) -> None:
        token = await self._fetch_token()
        queue = self._worker.queue
        self._renew_at = token.renew_at if token else None
        greeting = Greeting(
            self._name, queue.epoch, queue.first_sequence, token.text if token else None
        )
        await self._link.greet(greeting)
        try:
            async with asyncio.timeout(self._timing.handshake):
                await self._acked.wait()
        except TimeoutError:
            raise Disconnected("the server does not answer") from None
        if is_first and self.progress.safe > queue.began:
            raise EpochSpent
        self._moved, self._is_greeted = time.monotonic(), True

    async def _send_all(self) -> None:
        while True:
            self._wake.clear()
            if await self._send_some():
                continue
            await self._renew_token()
            await self._keep_alive()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    async def _send_some(self) -> bool:
        progress = self.progress
        at, below = progress.position, self._worker.sendable
        if at >= below or progress.is_held_back:
            return False
        size = min(BURST_BYTES, progress.room_bytes)
        frames = await self._worker.read(at, below=below, max_bytes=size)
        if progress.position != at:  # an ACK went on meanwhile
            return True
        sent = progress.take(frames)
        if not sent:
            return False
        await self._link.send(sent)
        self._on_progress()
        return True

    async def _keep_alive(self) -> None:
        """Ask after silence; send again if the link may have lost messages."""
        now = time.monotonic()
        if self._link.may_lose and self._is_stalled(now):
            await self.ask()
            if self._is_stalled(now):
                self._stall = min(2 * self._stall, 60 * self._timing.stall)
                self._moved = now
                self.progress.go_back()
                self._wake.set()
        elif now - self.last_heard >= self._timing.silence:
            await self.ask()

    def _is_stalled(self, now: float) -> bool:
        is_under_way = self.progress.position > self.progress.safe
        return is_under_way and now - self._moved >= self._stall

    async def _renew_token(self) -> None:
        if self._renew_at is None or time.time() < self._renew_at or self._link.may_lose:
            return
        token = await self._fetch_token()
        if token is not None:
            await self._link.send([encode(Token(token.text))])
            soonest = time.time() + _TOKEN_PAUSE
            self._renew_at = None if token.renew_at is None else max(token.renew_at, soonest)

    def _pause(self) -> float:
        """Return the seconds until something is due."""
        now = time.monotonic()
        due = [self.last_heard + self._timing.silence - now]
        if self._renew_at is not None and not self._link.may_lose:
            due.append(self._renew_at - time.time())
        if self._link.may_lose and self.progress.position > self.progress.safe:
            due.append(self._moved + self._stall - now)
        return max(0.0, min(due))

    async def _receive(self) -> None:
        while True:
            for message in await self._link.receive():
                self.last_heard = time.monotonic()
                self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Ack():
                if self.progress.acknowledge(message):
                    self._moved, self._stall = self.last_heard, self._timing.stall
                self._acked.set()
                self._wake.set()
                if self._is_greeted:
                    self._on_progress()
            case Result():
                self._on_result(message)
            case Error() if message.fatal or (not self._is_greeted and is_refusal(message.code)):
                raise refusal(message.code, message.detail, message.retry_after)
            case Bye():
                raise Disconnected(f"the server ended the connection: {message.reason}")
            case _:
                pass  # a fault that does not end the stream: the server counts it


@asynccontextmanager
async def _together(work: Awaitable[None]) -> AsyncIterator[asyncio.Future[None]]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Disconnected, Refused):
            await task


async def _first(work: Awaitable[None], receiving: asyncio.Future[None]) -> None:
    """Run ``work`` until it ends, or until receiving fails."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if receiving.done():
            receiving.result()  # raises why the connection ended
        await task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
