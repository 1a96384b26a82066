"""A broker that speaks just enough MQTT, and misbehaves as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CONNECT, PUBLISH, DISCONNECT = 0x10, 0x30, 0xE0
TAKEN_OVER = bytes((DISCONNECT, 2, 0x8E, 0))


@dataclass
class ScriptedBroker:
    """Accepts and acknowledges.

    Attributes:
        connack: by protocol level, the bytes that answer a CONNECT; none: no answer.
        puback: reason code of acknowledgements; None: none are sent.
        levels: protocol levels of the clients that connected.
        published: topics of messages.
    """

    port: int = 0
    connack: dict[int, bytes] = field(default_factory=dict)
    puback: int | None = 0
    levels: list[int] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        level = 0
        try:
            while True:
                kind, body = await _packet(reader)
                if kind & 0xF0 == CONNECT:
                    level = body[6]
                    self.levels.append(level)
                    success = b"\x20\x03\x00\x00\x00" if level == 5 else b"\x20\x02\x00\x00"
                    writer.write(self.connack.get(level, success))
                if kind & 0xF0 == PUBLISH:
                    end = 2 + int.from_bytes(body[:2])
                    self.published.append(body[2:end].decode())
                    if self.puback is not None:
                        reason = bytes((self.puback,)) if level == 5 else b""
                        head = bytes((0x40, 2 + len(reason)))
                        writer.write(head + body[end : end + 2] + reason)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def send(self, data: bytes) -> None:
        """Send bytes to the newest client."""
        self.writers[-1].write(data)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    (kind,) = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind, await reader.readexactly(length)


@asynccontextmanager
async def scripted_broker() -> AsyncIterator[ScriptedBroker]:
    """Run it on a free port."""
    broker = ScriptedBroker()
    server = await asyncio.start_server(broker.talk, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        for writer in broker.writers:
            writer.close()
        await server.wait_closed()
