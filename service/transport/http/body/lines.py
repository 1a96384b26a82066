"""The lines of a body, read as they arrive: each within limits of bytes, time and the byte budget.

Memory holds one piece of the body, one line that has begun, and the lines not yet released. A body
whose lines are not taken is not read, and the client is then held back by TCP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect, Request

from schemas.errors import (
    NotReady,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMediaType,
    UploadTimeout,
)
from service.core.engine.pool import WorkerPool
from service.transport.budget import Reservation
from service.transport.http.body.body import BYTES_PER_SECOND, BodyReader, content_encoding
from service.transport.http.body.compressed_body import json_cost
from service.transport.http.body.line_splitter import Line, LineSplitter, TooLong
from service.transport.http.middleware.compression import ENCODINGS, StreamDecompressor


@dataclass(slots=True, eq=False)
class HeldLine:
    """A line with its share of the byte budget, which its ``with`` block releases.

    Attributes:
        error: why the line was not taken; ``data`` is then empty.
    """

    data: bytes
    error: ServiceError | None
    _hold: Reservation
    _held: set[HeldLine]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Drop the line, and give its share back."""
        self.data = b""
        self._hold.release()
        self._held.discard(self)


class LineReader:
    """Reader of the lines of one request; ``close`` it."""

    def __init__(
        self,
        request: Request,
        reader: BodyReader,
        pool: WorkerPool,
        draining: asyncio.Event,
        *,
        max_line: int,
        max_decompressed: int,
    ) -> None:
        """Prepare to read.

        Args:
            pool: decompresses.
            draining: set when no further lines are to be read.
            max_line: bytes of one line.
            max_decompressed: bytes of a compressed body, once it is not.

        Raises:
            UnsupportedMediaType: the body is compressed in an unsupported way.
        """
        encoding = content_encoding(request)
        if encoding and encoding not in ENCODINGS:
            raise UnsupportedMediaType("Request bodies compressed in this way are not supported.")
        self._request, self._reader, self._max_line = request, reader, max_line
        self._pool, self._draining = pool, draining
        self._decompressor = StreamDecompressor(encoding, max_decompressed) if encoding else None
        self._splitter = LineSplitter(max_line)
        self._lines: Iterator[Line] = iter(())
        self._hold, self._piece_hold = reader.budget.hold(), reader.budget.hold()
        self._held: set[HeldLine] = set()
        self._is_received = self._has_ended = False
        self._received, self._waited = 0, 0.0

    async def next(self) -> HeldLine | None:
        """Return the next line; None at the end.

        Raises:
            UploadTimeout: the body arrives too slowly; the time in which no line was asked for
                does not count.
            InvalidRequest, PayloadTooLarge: the body cannot be decompressed within the limits.
            NotReady: the server is being stopped.
            Overloaded: all callers together send more than the budget.
            ClientDisconnect: the caller is gone.
        """
        while True:
            for line in self._lines:
                return self._taken(line)
            try:
                self._hold.reserve(self._splitter.held)
            except Overloaded as error:
                self._splitter.drop()
                return self._line(b"", error)
            piece = await self._piece()
            if piece is not None:
                self._piece_hold.reserve(len(piece))
                self._lines = self._splitter.feed(piece)
            elif self._has_ended:
                return None
            else:
                self._has_ended = True
                self._lines = self._splitter.end()

    def close(self) -> None:
        """Release all lines: those begun, and those returned whose block was never entered."""
        self._hold.release()
        self._piece_hold.release()
        for line in [*self._held]:
            line.release()

    def _taken(self, line: Line) -> HeldLine:
        if line is TooLong.LINE:
            size = f"{self._max_line / 2**20:.3g} MiB"
            return self._line(b"", PayloadTooLarge(f"A line may have {size}."))
        try:
            self._hold.reserve(len(line) + json_cost(line, len(line)))
        except Overloaded as error:
            return self._line(b"", error)
        return self._line(line, None)

    def _line(self, data: bytes, error: ServiceError | None) -> HeldLine:
        """Return a line with the share of the one that has begun; begin that of the next one."""
        line = HeldLine(data, error, self._hold, self._held)
        self._held.add(line)
        self._hold = self._reader.budget.hold()
        return line

    async def _piece(self) -> bytes | None:
        """Return some more bytes of the body, decompressed; None at the end."""
        if self._decompressor is None:
            return await self._receive()
        while not (output := await self._pool.run(self._decompressor.step)):
            piece = await self._receive()
            if piece is None:
                self._decompressor.end()
                return None
            self._decompressor.feed(piece)
        return output

    async def _receive(self) -> bytes | None:
        """Return some more bytes of the body as it was sent; None at the end."""
        while not self._is_received:
            if self._draining.is_set():
                raise NotReady("The server is being stopped.")
            began = time.monotonic()
            event = await self._request.receive()
            self._waited += time.monotonic() - began
            if event["type"] == "http.disconnect":
                raise ClientDisconnect
            self._is_received = not event.get("more_body", False)
            if piece := event.get("body", b""):
                self._received += len(piece)
                return bytes(piece)
            # The protocol's sweep wakes us about once a second while nothing arrives.
            if self._waited > self._reader.timeout + self._received / BYTES_PER_SECOND:
                self._reader.metrics.reject("slow_client")
                raise UploadTimeout
        return None
