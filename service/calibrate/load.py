"""HTTP load on one thread: as fast as answers come (closed loop), or at a given rate (open loop).

A closed loop waits for answers, so it cannot overload a server; an open loop can, as real traffic
does. Its latencies count from the moment a request was due, not from when it could be sent
("coordinated omission"). A request costs tens of microseconds of CPU; see ``own_cores``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

MAX_CONNECTIONS = 2000
PATIENCE = 30.0
"""Seconds to wait for answers after the last request was sent."""


@dataclass(slots=True)
class Load:
    """Result of a load. ``latencies``: seconds, of 200s only; ``own_cores``: cores that it used."""

    seconds: float = 0.0
    offered: int = 0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refusal_latencies: list[float] = field(default_factory=list)
    own_cores: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers of 200 a second."""
        return len(self.latencies) / self.seconds

    @property
    def failed(self) -> int:
        """Requests without an answer of 200."""
        return self.offered - len(self.latencies)

    def percentile(self, percent: float) -> float:
        """Return a percentile of the latencies of 200s, in seconds; infinite without any."""
        return percentile(self.latencies, percent)


def percentile(values: list[float], percent: float) -> float:
    """Return the nearest-rank percentile; infinite for no values.

    It is the smallest value that at least ``percent`` (0 to 100) of the values do not exceed.
    """
    if not values:
        return float("inf")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


@dataclass(frozen=True, slots=True)
class Target:
    """A request to send repeatedly, and its address."""

    host: str
    port: int
    request: bytes

    @classmethod
    def post(cls, url: str, body: bytes, content_type: str, token: str) -> Target:
        """Build a POST request with a bearer token."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {token}\r\n"
            f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return cls(host, port, head.encode() + body)


class _Connection(asyncio.Protocol):
    """Connection for one request at a time. ``done`` gets its status, 0 if the connection ended."""

    def __init__(self, done: Callable[[_Connection, int], None]) -> None:
        self._done = done
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.sent_at = 0.0
        self.is_busy = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, at: float) -> None:
        assert self._transport is not None  # noqa: S101 - it is connected before it is used
        self.sent_at, self.is_busy = at, True
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Called by asyncio and by the parser.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.is_busy = False
        self._done(self, self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.is_busy:
            self.is_busy = False
            self._done(self, 0)


class _Generator:
    """Connections and counters that both loops share."""

    def __init__(self, target: Target) -> None:
        self.target, self.load = target, Load()
        self._pending = 0
        self._idle = asyncio.Event()

    async def connect(self, done: Callable[[_Connection, int], None]) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: _Connection(done), self.target.host, self.target.port
        )
        return connection

    def send(self, connection: _Connection, at: float) -> None:
        self.load.offered += 1
        self._pending += 1
        self._idle.clear()
        connection.send(self.target.request, at)

    def count(self, connection: _Connection, status: int) -> None:
        self._pending -= 1
        seconds = time.perf_counter() - connection.sent_at
        self.load.statuses[status] += 1
        if status == 200:
            self.load.latencies.append(seconds)
        elif status:
            self.load.refusal_latencies.append(seconds)
        if not self._pending:
            self._idle.set()

    async def settle(self) -> None:
        if self._pending:
            async with asyncio.timeout(PATIENCE):
                await self._idle.wait()


async def closed_loop(target: Target, clients: int, seconds: float) -> Load:
    """Run ``clients`` connections, each sending its next request after an answer.

    Raises:
        OSError: if no server listens.
        TimeoutError: if answers are missing after ``PATIENCE``.
    """
    generator = _Generator(target)
    cpu, began = time.process_time(), time.perf_counter()
    end = began + seconds

    def done(connection: _Connection, status: int) -> None:
        generator.count(connection, status)
        now = time.perf_counter()
        if now < end and connection.is_open:
            generator.send(connection, now)

    connections = [await generator.connect(done) for _ in range(clients)]
    for connection in connections:
        generator.send(connection, time.perf_counter())
    await asyncio.sleep(max(0, end - time.perf_counter()))
    await generator.settle()
    return _finished(generator, connections, cpu, began)


async def open_loop(target: Target, rate: float, seconds: float) -> Load:
    """Send ``rate`` requests a second at even intervals, independent of earlier answers.

    Raises:
        OSError: if no server listens.
        TimeoutError: if answers are missing after ``PATIENCE``.
    """
    generator = _Generator(target)
    free: deque[_Connection] = deque()

    def done(connection: _Connection, status: int) -> None:
        generator.count(connection, status)
        free.append(connection)

    connections = [await generator.connect(done) for _ in range(min(64, MAX_CONNECTIONS))]
    free.extend(connections)
    cpu, began = time.process_time(), time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        elif number % 16 == 0:
            await asyncio.sleep(0)  # late requests go out together; answers must be read meanwhile
        while free and not free[0].is_open:
            free.popleft()
        if not free and len(connections) < MAX_CONNECTIONS:
            connections.append(await generator.connect(done))
            free.append(connections[-1])
        if free:
            generator.send(free.popleft(), due)
        else:
            generator.load.offered += 1  # no free connection: it counts as failed
    await generator.settle()
    return _finished(generator, connections, cpu, began, seconds)


def _finished(
    generator: _Generator,
    connections: list[_Connection],
    cpu: float,
    began: float,
    seconds: float | None = None,
) -> Load:
    load = generator.load
    elapsed = time.perf_counter() - began
    load.seconds = seconds or elapsed
    load.own_cores = (time.process_time() - cpu) / elapsed
    for connection in connections:
        connection.close()
    return load
