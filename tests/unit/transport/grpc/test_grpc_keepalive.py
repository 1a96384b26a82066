"""Keep-alive pings are allowed as often as the settings say, on an idle connection too."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc
import pytest

from service.settings import LimitSettings
from service.transport.grpc.server.server import MIN_PING_MS, server_options

pytestmark = pytest.mark.anyio

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
ACK = 1
MIN_PING_SECONDS = 0.1
"""Replaces ``MIN_PING_MS``, with which a test would take a minute."""
ALLOWED, MOST = 6, 100
"""gRPC forgives two pings that come too early."""


def frame(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """A frame of stream 0 (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + bytes(4) + payload


@dataclass
class Connection:
    """A client connection without any call."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ping(self) -> bytes:
        """Send a ping; return the message of a GOAWAY, or empty if the server answers."""
        self.writer.write(frame(PING, b"a potoo."))
        while True:
            head = await asyncio.wait_for(self.reader.readexactly(9), 30)
            payload = await self.reader.readexactly(int.from_bytes(head[:3]))
            kind, flags = head[3], head[4]
            if kind == GOAWAY:
                return payload[8:]
            if kind == PING and flags & ACK:
                return b""
            if kind == PING:
                self.writer.write(frame(PING, payload, ACK))


async def pings(count: int, pause: float) -> list[bytes]:
    """The server's replies to pings with this pause, in seconds; up to its GOAWAY."""
    shorter = ("grpc.http2.min_ping_interval_without_data_ms", int(MIN_PING_SECONDS * 1000))
    options = [
        shorter if name == shorter[0] else (name, value)
        for name, value in server_options(LimitSettings())
    ]
    assert shorter in options
    server = grpc.aio.server(options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(PREFACE + frame(SETTINGS))
        connection, found = Connection(reader, writer), []
        for _ in range(count):
            found.append(await connection.ping())
            if found[-1]:
                break
            await asyncio.sleep(pause)  # the interval between pings is the subject
        return found
    finally:
        writer.close()
        await server.stop(0)


async def test_idle_connection_may_ping_as_often_as_allowed() -> None:
    assert await pings(ALLOWED, MIN_PING_SECONDS * 1.5) == [b""] * ALLOWED


async def test_idle_connection_that_pings_more_often_is_closed() -> None:
    assert (await pings(MOST, 0))[-1] == b"too_many_pings"


def test_documented_interval_is_allowed() -> None:
    documented_ms = 30_000  # docs/operating/load-balancing.md
    assert documented_ms > MIN_PING_MS
