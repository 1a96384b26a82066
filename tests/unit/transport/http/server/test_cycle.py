"""One request and its response: pieces of a body without copies, heads without forbidden bytes."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from service.transport.http.server.coalescing_transport import CoalescingTransport
from service.transport.http.server.cycle import MAX_WAITING, SMALL_PIECE, Cycle

pytestmark = pytest.mark.anyio


class Wire:
    """A transport that records what is written, and whether reading is paused."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = self.is_paused = False
        self.get_extra_info = self.get_write_buffer_size = self.abort = self.write_eof = None

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Exchange:
    """A cycle on a recorded wire."""

    def __init__(self, *, method: str = "POST", keep_alive: bool = True) -> None:
        self.wire, self.completions = Wire(), 0
        transport = CoalescingTransport(cast("Any", self.wire))
        self.cycle = Cycle(
            cast("Any", {"type": "http", "method": method, "http_version": "1.1"}),
            transport,
            FlowControl(cast("Any", transport)),
            logging.getLogger("test"),
            [(b"date", b"today")],
            expects_continue=False,
            keep_alive=keep_alive,
            on_response=self._complete,
        )

    def _complete(self) -> None:
        self.completions += 1

    async def answer(self, *headers: tuple[bytes, bytes], body: bytes = b"{}") -> None:
        await self.cycle.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.cycle.send({"type": "http.response.body", "body": body, "more_body": False})


async def test_piece_of_a_body_is_passed_on_without_a_copy() -> None:
    cycle, piece = Exchange().cycle, bytes(SMALL_PIECE)
    cycle.take(piece)
    message = await cycle.receive()
    assert cast("Any", message)["body"] is piece
    assert cast("Any", message)["more_body"]


async def test_small_pieces_are_kept_as_one_object() -> None:
    cycle = Exchange().cycle
    for number in range(1000):
        cycle.take(bytes((number % 256,)))
    assert len(cycle._pieces) == 2
    cycle.more_body = False
    message = cast("Any", await cycle.receive())
    assert message["body"] == bytes(number % 256 for number in range(1000))
    assert not message["more_body"]


async def test_flood_lasts_until_the_body_is_read() -> None:
    cycle = Exchange().cycle
    cycle.take(bytes(MAX_WAITING + 1))
    assert cycle.is_flooded
    await cycle.receive()
    assert not cycle.is_flooded


async def test_rest_of_an_answered_request_is_no_flood() -> None:
    exchange = Exchange()
    exchange.cycle.take(bytes(MAX_WAITING + 1))
    await exchange.answer((b"content-length", b"2"))
    assert not exchange.cycle.is_flooded
    assert exchange.completions == 1


async def test_head_and_body_are_one_write() -> None:
    exchange = Exchange()
    await exchange.answer((b"Content-Length", b"2"), (b"x", b"y"))
    assert exchange.wire.writes == [
        b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\nx: y\r\n\r\n{}"
    ]
    assert not exchange.wire.is_closed


async def test_body_of_unknown_length_is_chunked_and_a_last_response_closes() -> None:
    exchange = Exchange(keep_alive=False)
    await exchange.answer(body=b"0123456789")
    (written,) = exchange.wire.writes
    head, _, chunks = written.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nconnection: close\r\ntransfer-encoding: chunked")
    assert chunks == b"a\r\n0123456789\r\n0\r\n\r\n"
    assert exchange.wire.is_closed


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b", b"\x7f", b"\x0b"])
async def test_header_with_a_forbidden_byte_is_not_sent(value: bytes) -> None:
    exchange = Exchange()
    with pytest.raises(RuntimeError, match="forbidden"):
        await exchange.answer((b"x", value), (b"content-length", b"2"))
    assert exchange.wire.writes == []


@pytest.mark.parametrize("length", [b"1", b"3"])
async def test_body_of_another_length_than_announced_is_a_bug(length: bytes) -> None:
    with pytest.raises(RuntimeError, match="Content-Length"):
        await Exchange().answer((b"content-length", length))
