"""Requests of a stream: answered in order, a bounded number at a time, and ended together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from service.transport.in_order import Work, answer_in_order

pytestmark = pytest.mark.anyio


class Stream:
    """A stream of numbers. Work waits for its gate; answers are written to ``sent``."""

    def __init__(self, count: int, *, fails_at: int | None = None) -> None:
        self.gates = [asyncio.Event() for _ in range(count)]
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.sent: list[int] = []
        self._numbers: Iterator[int] = iter(range(count))
        self._fails_at = fails_at
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def read(self) -> Work[int] | None:
        number = next(self._numbers, None)
        if number is not None and number == self._fails_at:
            raise ConnectionError
        return None if number is None else self._work(number)

    async def write(self, answer: int) -> None:
        await self.may_write.wait()
        self.sent.append(answer)

    async def _work(self, number: int) -> int:
        self.begun.append(number)
        try:
            await self.gates[number].wait()
        finally:
            self.ended.append(number)
        return number

    def start(self, at_a_time: int) -> asyncio.Task[None]:
        return asyncio.create_task(answer_in_order(self.read, self.write, at_a_time))


async def breathe() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_answers_keep_the_order_of_the_requests() -> None:
    stream = Stream(5)
    running = stream.start(5)
    await breathe()
    for gate in reversed(stream.gates):
        assert stream.sent == []
        gate.set()
        await breathe()
    await running
    assert stream.sent == [0, 1, 2, 3, 4]


async def test_no_more_than_the_allowed_number_is_read() -> None:
    stream = Stream(6)
    stream.may_write.clear()
    running = stream.start(2)
    for gate in stream.gates:
        gate.set()
    await breathe()
    assert stream.begun == [0, 1], "no answer was taken"
    stream.may_write.set()
    await running
    assert stream.sent == [0, 1, 2, 3, 4, 5]


async def test_failed_read_ends_the_stream_after_earlier_answers() -> None:
    stream = Stream(4, fails_at=2)
    running = stream.start(4)
    for gate in stream.gates:
        gate.set()
    with pytest.raises(ConnectionError):
        await running
    assert stream.sent == [0, 1]


async def test_cancellation_ends_all_work() -> None:
    stream = Stream(5)
    running = stream.start(3)
    await breathe()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(stream.ended) == [0, 1, 2]


async def test_failed_write_ends_all_work() -> None:
    stream = Stream(3)

    async def write(_: int) -> None:
        raise ConnectionError

    running = asyncio.create_task(answer_in_order(stream.read, write, 3))
    await breathe()
    stream.gates[0].set()
    with pytest.raises(ConnectionError):
        await running
    assert sorted(stream.ended) == [0, 1, 2]
