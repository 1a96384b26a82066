"""A small server of the framed protocol: windows, results and safe in SQLite, no model.

As a process: ``python -m tests.support.sensors.tcp.small_server PORT DATABASE LENGTH``.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from schemas.sensor_wire.frames import FIRST_FRAME, FrameDecoder, from_device
from schemas.sensor_wire.messages import (
    Ack,
    Bye,
    Data,
    Error,
    Hello,
    Message,
    Ping,
    Result,
    Token,
    encode,
    parse,
)
from schemas.sensors import SensorAnswer
from tests.support.waiting import eventually

TABLES = """
create table if not exists results (
    name text, epoch integer, first integer, value real, primary key (name, epoch, first)
);
create table if not exists epochs (
    name text, epoch integer, safe integer, primary key (name, epoch)
);
"""


@dataclass
class SmallServer:
    """Answers each window with its first number. Checks that devices keep to their credit.

    Attributes:
        length: samples in a window, and its stride.
        credit: in windows.
        refuses: called with each HELLO; returns an error to refuse it with.
        hellos: received, oldest first.
        tokens: received within streams.
        gaps: samples that never came.
        repeated: samples that came again.
        faults: of devices.
    """

    database: Path
    length: int = 100
    channels: int = 1
    credit: int = 4
    refuses: Callable[[Hello], Error | None] = lambda _: None
    answers: bool = True
    hellos: list[Hello] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    gaps: int = 0
    repeated: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._store = sqlite3.connect(self.database, check_same_thread=False)
        self._store.execute("pragma journal_mode=wal")
        self._store.executescript(TABLES)
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def credit_bytes(self) -> int:
        return self.credit * self.length * self.channels * 4

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[SmallServer]:
        """Listen on 127.0.0.1."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.drop_connections()
            await eventually(lambda: not self._writers)
            self._store.close()

    def drop_connections(self) -> None:
        """End all connections as a broken network does."""
        for writer in self._writers:
            writer.transport.abort()

    def results(self, name: str = "pump-3") -> dict[int, float]:
        """First sequence and first number of the windows of all epochs."""
        query = "select first, value from results where name = ? order by epoch, first"
        return dict(self._store.execute(query, [name]).fetchall())

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = _Connection(self, self._store, writer)
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65_536):
                    for frame in connection.decoder.feed(data):
                        connection.take(parse(frame))
                    await writer.drain()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._writers.discard(writer)


class _Connection:
    def __init__(
        self, server: SmallServer, store: sqlite3.Connection, writer: asyncio.StreamWriter
    ) -> None:
        self.decoder = FrameDecoder(FIRST_FRAME)
        self._server, self._store, self._writer = server, store, writer
        self._hello = Hello(0, 0, "none")
        self._safe = self._received = 0
        self._held: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []

    def take(self, message: Message) -> None:
        server = self._server
        match message:
            case Hello():
                self._enter(message)
            case Data():
                self._data(message)
            case Token():
                server.tokens.append(message.token)
                self._ack()
            case Ping():
                self._ack()
            case Bye():
                self._ack()
                self._writer.close()
            case _:
                raise AssertionError(message)

    def _enter(self, hello: Hello) -> None:
        self._server.hellos.append(hello)
        if error := self._server.refuses(hello):
            self._send(error)
            self._writer.close()
            return
        self._hello = hello
        query = "select safe from epochs where name = ? and epoch = ?"
        row = self._store.execute(query, [hello.name, hello.epoch]).fetchone()
        self._safe = self._received = row[0] if row else 0
        self.decoder.limits = from_device()
        self._ack()

    def _data(self, data: Data) -> None:
        server = self._server
        values = data.values(server.channels)
        if data.first > self._received:
            server.gaps += data.first - self._received
            start = -(-data.first // server.length) * server.length
            values = values[start - data.first :]
            self._safe, self._received, self._held = start, start, []
        else:
            server.repeated += min(len(values), self._received - data.first)
            values = values[self._received - data.first :]
        if len(values):
            self._held.append(values)
            self._received += len(values)
        if (self._received - self._safe) * server.channels * 4 > server.credit_bytes:
            server.faults.append("the device sends beyond its credit")
        self._cut()

    def _cut(self) -> None:
        server, length = self._server, self._server.length
        if not server.answers or self._received - self._safe < length:
            return
        values = np.concatenate(self._held)
        count = len(values) // length
        firsts = [self._safe + place * length for place in range(count)]
        rows = [
            (self._hello.name, self._hello.epoch, first, float(values[first - self._safe, 0]))
            for first in firsts
        ]
        self._safe += count * length
        self._held = [values[count * length :]] if len(values) > count * length else []
        with self._store:
            self._store.executemany("insert or ignore into results values (?, ?, ?, ?)", rows)
            self._store.execute(
                "insert or replace into epochs values (?, ?, ?)",
                [self._hello.name, self._hello.epoch, self._safe],
            )
        for first in firsts:
            self._send(Result(first, _answer(self._hello.epoch, first)))
        self._ack()

    def _ack(self) -> None:
        self._send(Ack(self._safe, self._server.credit_bytes))

    def _send(self, message: Message) -> None:
        self._writer.write(encode(message))


def _answer(epoch: int, first: int) -> bytes:
    answer = SensorAnswer(
        epoch=epoch,
        first_sequence=first,
        label="healthy",
        score=1.0,
        predictions=[],
        model="none",
        version=1,
        at=datetime.now(UTC),
        sampled_at=None,
    )
    return answer.model_dump_json().encode()


async def _main(port: int, database: Path, length: int) -> None:
    async with SmallServer(database, length).serve(port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
