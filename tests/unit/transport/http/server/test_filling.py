"""Large bodies on a real connection, received directly into their buffer, on both event loops."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np
import pytest
import uvicorn
import uvloop
from prometheus_client import CollectorRegistry
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from observability.metrics.metrics import Metrics
from schemas.errors import ServiceError
from service.settings import LimitSettings
from service.shutdown import Shutdown
from service.transport.budget import BodyBudget
from service.transport.http.body.body import BodyReader
from service.transport.http.body.whole_body import LEAST_BYTES
from service.transport.http.server.protocol import STATE_KEY, ConnectionContext, PotooProtocol

PATIENCE = 60
CAPACITY = 4 * LEAST_BYTES
BODY = np.random.default_rng(1).bytes(2 * LEAST_BYTES + 12_345)
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Bench:
    """A server of one connection whose application answers with a digest of the body.

    Attributes:
        outcomes: of all requests, in order: ``read``, ``left``, or the code of the error.
        begun, ended: set by the first request.
    """

    def __init__(self) -> None:
        metrics = Metrics(CollectorRegistry())
        self.budget = BodyBudget(CAPACITY, metrics)
        self._reader = BodyReader(self.budget, 20, metrics)
        self.outcomes: list[str] = []
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        self.protocol: PotooProtocol
        limits = LimitSettings()
        context = ConnectionContext(limits, metrics, (), Shutdown(), self.budget)
        self._state = {STATE_KEY: context}
        self._config = uvicorn.Config(
            self._app, log_config=None, interface="asgi3", proxy_headers=False
        )

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 200, b""
        self.begun.set()
        with self.budget.hold() as hold:
            try:
                found = await self._reader.read(Request(scope, receive), hold, 2**30)
                body = hashlib.sha256(found).hexdigest().encode()
                self.outcomes.append("read")
            except ServiceError as error:
                status = 503
                self.outcomes.append(error.code)
            except ClientDisconnect:
                self.outcomes.append("left")
                self.ended.set()
                return
        length = b"%d" % len(body)
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _connect(self) -> PotooProtocol:
        self.protocol = PotooProtocol(self._config, ServerState(), cast("Any", self._state))
        return self.protocol

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self._connect, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            listener.close()
            await asyncio.gather(*self.protocol.tasks)

    def sweep(self) -> None:
        """Let the reader look at the time, as the server does once a second."""
        self.protocol.wake_reader()


def request(body: bytes, *headers: bytes) -> bytes:
    lines = (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join((*lines, b"", body))


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    return int(head.split()[1]), await reader.readexactly(length)


def digest(body: bytes) -> tuple[int, bytes]:
    return 200, hashlib.sha256(body).hexdigest().encode()


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner


def test_requests_behind_a_large_one_are_answered(runner: asyncio.Runner) -> None:
    async def work() -> None:
        bench = Bench()
        async with bench.connection() as (reader, writer):
            writer.write(request(BODY) + request(b"small") + request(BODY[::-1]) + request(b""))
            for body in (BODY, b"small", BODY[::-1], b""):
                assert await answer(reader) == digest(body)
        assert bench.outcomes == ["read"] * 4

    runner.run(asyncio.wait_for(work(), PATIENCE))


@pytest.mark.parametrize("first", [0, 1, 2**14, 2**16 + 1, len(BODY) - 1])
def test_body_may_be_split_anywhere(runner: asyncio.Runner, first: int) -> None:
    async def work() -> None:
        bench = Bench()
        whole = request(BODY)
        cut = len(whole) - len(BODY) + first
        async with bench.connection() as (reader, writer):
            writer.write(whole[:cut])
            await writer.drain()
            await bench.begun.wait()
            bench.sweep()
            writer.write(whole[cut:])
            assert await answer(reader) == digest(BODY)
            writer.write(request(b"next"))
            assert await answer(reader) == digest(b"next")

    runner.run(asyncio.wait_for(work(), PATIENCE))


def test_connection_lost_within_the_body_frees_the_budget(runner: asyncio.Runner) -> None:
    async def work() -> None:
        bench = Bench()
        async with bench.connection() as (_, writer):
            writer.write(request(BODY)[: LEAST_BYTES + 2**16])
            await bench.begun.wait()
            writer.close()
            await bench.ended.wait()
        assert bench.outcomes == ["left"]
        bench.budget.take(CAPACITY)

    runner.run(asyncio.wait_for(work(), PATIENCE))


def test_refused_body_is_dropped_and_the_next_request_answered(runner: asyncio.Runner) -> None:
    async def work() -> None:
        bench = Bench()
        held = bench.budget.hold()
        with held:
            held.reserve(CAPACITY - LEAST_BYTES)
            async with bench.connection() as (reader, writer):
                writer.write(request(BODY) + request(b"next"))
                assert (await answer(reader))[0] == 503
                assert await answer(reader) == digest(b"next")
        assert bench.outcomes == ["overloaded", "read"]
        bench.budget.take(CAPACITY)

    runner.run(asyncio.wait_for(work(), PATIENCE))


def test_continue_is_sent_before_a_large_body(runner: asyncio.Runner) -> None:
    async def work() -> None:
        bench = Bench()
        async with bench.connection() as (reader, writer):
            whole = request(BODY, b"Expect: 100-continue")
            writer.write(whole[: -len(BODY)])
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(BODY)
            assert await answer(reader) == digest(BODY)

    runner.run(asyncio.wait_for(work(), PATIENCE))
