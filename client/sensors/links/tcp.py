"""Framed TCP, with or without TLS; the format is in ``schemas.sensor_wire``."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from client.sensors.errors import Disconnected
from client.sensors.links.address import Address
from client.sensors.links.ports import Greeting
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder, WireError
from schemas.sensor_wire.messages import Hello, Message, encode, parse

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0
CLOSE_SECONDS = 1.0
_READ_BYTES = 65_536


class TcpLink:
    """See ``Link``."""

    may_lose = False

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._decoder = FrameDecoder(FROM_SERVER)

    async def greet(self, greeting: Greeting) -> None:
        """Send HELLO; see ``Link``."""
        hello = Hello(greeting.epoch, greeting.next_sequence, greeting.name, greeting.token)
        await self.send([encode(hello)])

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send frames; see ``Link``."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                self._writer.writelines(frames)
                await self._writer.drain()
        except TimeoutError:
            raise Disconnected("the server reads nothing") from None
        except OSError as error:
            raise Disconnected(str(error)) from error

    async def receive(self) -> Sequence[Message]:
        """Wait for messages; see ``Link``."""
        try:
            data = await self._reader.read(_READ_BYTES)
        except OSError as error:
            raise Disconnected(str(error)) from error
        if not data:
            raise Disconnected("the server closed the connection")
        try:
            return [parse(frame) for frame in self._decoder.feed(data)]
        except WireError as error:
            raise Disconnected(f"the server sent: {error.detail}") from error

    async def close(self) -> None:
        """Close, without waiting for data that is under way."""
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()
        self._writer.transport.abort()


@asynccontextmanager
async def open_tcp(address: Address, tls: ssl.SSLContext | None) -> AsyncIterator[TcpLink]:
    """Connect; see ``OpenLink``.

    Args:
        tls: for ``tcps``; None: the system's certificates.
    """
    context = (tls or ssl.create_default_context()) if address.is_tls else None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    except TimeoutError:
        raise Disconnected("the server does not answer") from None
    except OSError as error:  # of TLS too
        raise Disconnected(str(error)) from error
    link = TcpLink(reader, writer)
    try:
        yield link
    finally:
        await link.close()
