"""A device that speaks frames over a real socket, well or badly."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder
from schemas.sensor_wire.messages import (
    Ack,
    Bye,
    Error,
    Hello,
    Message,
    data_of,
    encode,
    parse,
)
from schemas.sensor_wire.packing import Packing, Samples

PATIENCE = 60


class WireDevice:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._decoder = FrameDecoder(FROM_SERVER)
        self._received: list[Message] = []

    def send(self, *messages: Message | bytes) -> None:
        """Send messages, or any bytes."""
        for message in messages:
            self.writer.write(message if isinstance(message, bytes) else encode(message))

    def send_samples(
        self, first: int, values: Samples, packing: Packing = Packing.PLAIN, time_us: int = 0
    ) -> None:
        self.send(data_of(first, values, packing=packing, time_us=time_us))

    def pause_reading(self) -> None:
        """Read nothing."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    @property
    def _transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self.writer.transport)

    async def receive(self) -> Message | None:
        """The next message; None at the end."""
        async with asyncio.timeout(PATIENCE):
            while not self._received:
                piece = await self.reader.read(65_536)
                if not piece:
                    return None
                self._received += map(parse, self._decoder.feed(piece))
        return self._received.pop(0)

    async def rest(self) -> list[Message]:
        """All messages to the end of the connection."""
        found = []
        while (message := await self.receive()) is not None:
            found.append(message)
        return found

    async def ends(self) -> bool:
        """Wait for the end of the connection; return whether nothing was sent before."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read() == b""
            except ConnectionError:  # reset, as by an abort
                return True

    async def enter(self, name: str, token: str | None, epoch: int = 1) -> Ack:
        """Say HELLO; return the ACK."""
        self.send(Hello(epoch, 0, name, token))
        message = await self.receive()
        assert isinstance(message, Ack), message
        return message

    async def refusal(self) -> Error:
        """The fatal error that ends the connection."""
        *_, last = await self.rest()
        assert isinstance(last, Error), last
        assert last.fatal
        return last

    async def farewell(self) -> str:
        """The reason of the BYE that ends the connection."""
        *_, last = await self.rest()
        assert isinstance(last, Bye), last
        return last.reason

    async def safe_from(self, sequence: int) -> list[Message]:
        """The messages up to an ACK of at least that sequence."""
        found: list[Message] = []
        while True:
            message = await self.receive()
            assert message is not None, found
            found.append(message)
            if isinstance(message, Ack) and message.safe >= sequence:
                return found


@asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireDevice]:
    """A device that is connected to a port of this machine, with little memory for answers."""
    own = socket.socket()
    try:
        own.settimeout(0)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(
            sock=own, ssl=tls, server_hostname="localhost" if tls else None
        )
    except BaseException:
        own.close()
        raise
    try:
        yield WireDevice(reader, writer)
    finally:
        writer.transport.abort()
