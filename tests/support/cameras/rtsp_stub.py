"""An RTSP camera that answers requests with prepared text, and a relay that vanishes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import Enum, auto

Reply = Callable[[str], bytes | None]
"""From the first line of a request to the answer; ``CSEQ`` in it is replaced; None: silence."""


class RtspStub:
    """Answers as ``reply`` says.

    Attributes:
        requests: all requests, with their headers.
        asked: set with each request.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.port = 0
        self.requests: list[str] = []
        self.asked = asyncio.Event()

    def url(self, path: str = "/cam", host: str = "127.0.0.1") -> str:
        return f"rtsp://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while answer := await self._answer(reader):
                writer.write(answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(request)
        self.asked.set()
        answer = self._reply(request.split("\r\n")[0])
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError
        found = re.search(r"CSeq: (\d+)", request)
        return answer.replace(b"CSEQ", found[1].encode() if found else b"0")


@asynccontextmanager
async def rtsp_stub(reply: Reply) -> AsyncIterator[RtspStub]:
    """Run a stub on a free port."""
    stub = RtspStub(reply)
    async with _served(stub.serve) as port:
        stub.port = port
        yield stub


class State(Enum):
    """Of a relay."""

    UP = auto()
    HALF_OPEN = auto()
    """Connections are accepted and stay silent for ever, those from before too."""
    REFUSING = auto()
    """Connections are closed, and so are those from before."""


class Relay:
    """A relay in front of a camera, which vanishes as cameras do.

    Attributes:
        held: set when a half-open relay holds a connection, or data of one from before.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._state = State.UP
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.held = asyncio.Event()
        self._epoch = 0

    def be(self, state: State) -> None:
        """Change the state. Connections from before a half-open time never come back."""
        self._state = state
        self._epoch += 1
        self.held.clear()
        if state is State.REFUSING:
            for writer in self._writers:
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        epoch = self._epoch
        self._writers.add(writer)
        try:
            if self._state is State.REFUSING:
                return
            if self._state is State.HALF_OPEN:
                self.held.set()
                await asyncio.Event().wait()
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(
                    self._copy(reader, inner_writer, epoch), self._copy(inner_reader, writer, epoch)
                )
            finally:
                inner_writer.transport.abort()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, epoch: int
    ) -> None:
        while data := await reader.read(65536):
            if self._epoch != epoch:
                self.held.set()
                await asyncio.Event().wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def relay(target: int) -> AsyncIterator[Relay]:
    """Run a relay to a port of this machine."""
    running = Relay(target)
    async with _served(running.serve) as port:
        running.port = port
        yield running


@asynccontextmanager
async def _served(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]],
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
