"""Lines of a request as they arrive: within the budget and the time, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from observability.metrics.metrics import Metrics
from schemas.errors import (
    InvalidRequest,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    UnsupportedMediaType,
    UploadTimeout,
)
from service.core.engine.pool import WorkerPool
from service.transport.budget import BodyBudget
from service.transport.http.body.body import BodyReader
from service.transport.http.body.lines import LineReader

pytestmark = pytest.mark.anyio
CAPACITY, LIMIT = 1000, 400
DISCONNECT: Message = {"type": "http.disconnect"}


class Body:
    """A body in pieces, and what reads its lines. An empty piece is a second without bytes."""

    def __init__(
        self, pool: WorkerPool, *pieces: bytes, encoding: str = "", timeout: float = 60.0
    ) -> None:
        self.budget = BodyBudget(CAPACITY, Metrics())
        self.draining = asyncio.Event()
        self.events: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
        ]
        self.received = 0
        headers = [(b"content-encoding", encoding.encode())] if encoding else []
        self.lines = LineReader(
            Request({"type": "http", "headers": headers}, self._receive),
            BodyReader(self.budget, timeout, Metrics()),
            pool,
            self.draining,
            max_line=LIMIT,
            max_decompressed=CAPACITY,
        )

    async def _receive(self) -> Message:
        self.received += 1
        if self.events:
            return self.events.pop(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def next(self) -> bytes | None:
        """The next line, released at once; raises its error."""
        line = await self.lines.next()
        if line is None:
            return None
        with line:
            if line.error is not None:
                raise line.error
            return line.data

    async def rest(self) -> list[bytes]:
        """All lines that are left."""
        lines = []
        while (line := await self.next()) is not None:
            lines.append(line)
        return lines

    def is_free(self) -> bool:
        """Whether all of the budget is free."""
        with self.budget.hold() as hold:
            try:
                hold.reserve(CAPACITY)
            except Overloaded:
                return False
        return True


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool("lines", 1)
    yield made
    made.close()


async def test_lines_are_read_as_they_are_asked_for(pool: WorkerPool) -> None:
    body = Body(pool, b"one\ntw", b"", b"o\nthree")
    assert await body.next() == b"one"
    assert body.received == 1
    assert await body.next() == b"two"
    assert [await body.next(), await body.next(), await body.next()] == [b"three", None, None]
    body.lines.close()
    assert body.is_free()


async def test_every_line_holds_its_share_until_it_is_released(pool: WorkerPool) -> None:
    body = Body(pool, b"x" * 300 + b"\n", b"y" * 300 + b"\n", b"z" * 300 + b"\n", b"1\n")
    first, second = await body.lines.next(), await body.lines.next()
    with pytest.raises(Overloaded):
        await body.next()
    assert first is not None
    with first:
        pass
    assert await body.next() == b"1"
    assert second is not None
    assert not body.is_free()
    body.lines.close()
    assert body.is_free(), "the second line was returned, but never entered"


async def test_line_beyond_the_budget_is_refused_and_the_next_is_not(pool: WorkerPool) -> None:
    body = Body(pool, b"x" * 200, b"x" * 150, b"x\nnext\n")
    with body.budget.hold() as others:
        others.reserve(500)
        with pytest.raises(Overloaded):
            await body.next()
        assert await body.next() == b"next"


async def test_values_of_json_are_charged_before_they_are_parsed(pool: WorkerPool) -> None:
    body = Body(pool, b"[" + b"1," * 100 + b"1]\n", b"[1]\n")
    with pytest.raises(Overloaded):
        await body.next()
    assert await body.next() == b"[1]"


async def test_too_long_line_is_refused_and_the_next_is_not(pool: WorkerPool) -> None:
    body = Body(pool, b"x" * 300, b"x" * 300, b"\nnext\n")
    with pytest.raises(PayloadTooLarge):
        await body.next()
    assert await body.next() == b"next"


async def test_slow_body_times_out(pool: WorkerPool) -> None:
    body = Body(pool, b"one\n", b"", timeout=-1.0)
    assert await body.next() == b"one"
    with pytest.raises(UploadTimeout):
        await body.next()


async def test_client_that_left_and_stopping_server_end_the_lines(pool: WorkerPool) -> None:
    body = Body(pool, b"one\ntwo")
    body.events.append(DISCONNECT)
    assert await body.next() == b"one"
    with pytest.raises(ClientDisconnect):
        await body.next()
    body = Body(pool, b"one\n", b"two\n")
    assert await body.next() == b"one"
    body.draining.set()
    with pytest.raises(NotReady):
        await body.next()


async def test_compressed_lines_are_read_in_pieces(pool: WorkerPool) -> None:
    packed = gzip.compress(b"one\ntwo\n")
    body = Body(pool, *(packed[at : at + 1] for at in range(len(packed))), encoding="gzip")
    assert await body.rest() == [b"one", b"two"]


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (b"no gzip", InvalidRequest),
        (gzip.compress(b"one\n")[:-1], InvalidRequest),
        (gzip.compress(b"one\n") + b"x", InvalidRequest),
        (gzip.compress(bytes(CAPACITY + 1)), PayloadTooLarge),
    ],
    # The bytes have the time in them: workers would collect different tests.
    ids=["no gzip", "cut", "more behind", "too long"],
)
async def test_bad_compression_ends_the_lines(
    pool: WorkerPool, packed: bytes, error: type[Exception]
) -> None:
    body = Body(pool, packed, encoding="gzip")
    with pytest.raises(error):
        await body.rest()


async def test_unsupported_compression_is_refused(pool: WorkerPool) -> None:
    with pytest.raises(UnsupportedMediaType):
        Body(pool, encoding="br")
