"""Open-loop load: requests at given rates, independent of earlier ones, with checked answers.

Each picture has its own right answer, so that an answer to another client counts as wrong.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import grpc
import httpx

from benchmarks.failures.asking import (
    DEADLINE_SECONDS,
    HTTP,
    INFER,
    PREDICT,
    SIGN_IN,
    Ask,
    Refused,
)

GRPC = "gRPC"
PROTOCOLS = {HTTP: HTTP, PREDICT: GRPC, INFER: GRPC, SIGN_IN: SIGN_IN}
"""Protocol that each client call counts for."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second, by protocol."""

    http: float = 15
    grpc: float = 15
    sign_in: float = 0.5

    def of(self, way: str) -> float:
        """Return the rate of one client call; gRPC's methods share theirs."""
        return {HTTP: self.http, SIGN_IN: self.sign_in}.get(way, self.grpc / 2)


@dataclass(slots=True)
class Tally:
    """Outcomes of the requests of one protocol. Times in seconds since the scheduled time."""

    requests: int = 0
    slowest: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Number of failures that a client saw."""
        return self.failures.total()


class Load:
    """Load generator. ``tallies``: outcomes by protocol."""

    def __init__(
        self, ways: AbstractAsyncContextManager[dict[str, Ask]], pictures: Sequence[bytes]
    ) -> None:
        """Create a generator; ``ways``: client calls by name, see ``asking``."""
        self._ways, self._pictures = ways, pictures
        self._right: dict[tuple[str, bytes], object] = {}
        self.tallies = {name: Tally() for name in (HTTP, GRPC, SIGN_IN)}

    @asynccontextmanager
    async def running(self, rates: Rates) -> AsyncIterator[None]:
        """Send while the block runs, then wait for the last answers."""
        stop = asyncio.Event()
        async with self._ways as ways, asyncio.TaskGroup() as streams:
            await self._learn(ways)
            for way, ask in ways.items():
                streams.create_task(self._stream(way, ask, rates.of(way), stop))
            try:
                yield
            finally:
                stop.set()

    async def _learn(self, ways: dict[str, Ask]) -> None:
        """Record the right answers, which also warms caches."""
        for way, ask in ways.items():
            answers = [await ask(picture) for picture in self._pictures]
            self._right |= {
                (way, key): one for key, one in zip(self._pictures, answers, strict=True)
            }
            assert way == SIGN_IN or len(set(answers)) == len(answers), "pictures are alike"

    async def _stream(self, way: str, ask: Ask, rate: float, stop: asyncio.Event) -> None:
        began, pictures = time.monotonic(), itertools.cycle(self._pictures)
        async with asyncio.TaskGroup() as sent:
            for number in itertools.count():
                due = began + number / rate
                try:
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        await stop.wait()
                except TimeoutError:
                    sent.create_task(self._one(way, ask, next(pictures), due))
                else:
                    return

    async def _one(self, way: str, ask: Ask, picture: bytes, due: float) -> None:
        tally = self.tallies[PROTOCOLS[way]]
        tally.requests += 1
        failure = await self._failure(way, ask, picture)
        tally.slowest = max(tally.slowest, time.monotonic() - due)
        if failure:
            tally.failures[failure] += 1

    async def _failure(self, way: str, ask: Ask, picture: bytes) -> str | None:
        """Return the failure that a client sees; None for the right answer in time."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer = await ask(picture)
        except TimeoutError:
            return "no answer in time"
        except Refused as error:
            return str(error)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        except httpx.TransportError as error:
            return type(error).__name__
        return None if answer == self._right[way, picture] else "a wrong answer"
