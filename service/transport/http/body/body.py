"""Request bodies within limits: bytes, time, and bytes held for all callers together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from observability.metrics.metrics import Metrics
from observability.request import start_span
from schemas.errors import PayloadTooLarge, UnsupportedMediaType, UploadTimeout
from service.transport.budget import BodyBudget, Reservation

BYTES_PER_SECOND = 4096
"""A body may take its time-out plus one second per this many bytes received."""


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Reader of whole bodies. ``timeout``: seconds, see ``BYTES_PER_SECOND``."""

    budget: BodyBudget
    timeout: float
    metrics: Metrics

    async def read(
        self, request: Request, hold: Reservation, limit: int, *, encodings: Collection[str] = ()
    ) -> bytes:
        """Return the body of a request, as it was sent.

        Args:
            encodings: content encodings that the body may have.

        Raises:
            PayloadTooLarge: before the body is read if its length is announced, else as soon as
                more than ``limit`` bytes arrived.
            UnsupportedMediaType: the body is compressed, but not in one of ``encodings``.
            UploadTimeout: the body arrives too slowly.
            Overloaded: all callers together send more than the budget.
            ClientDisconnect: the caller is gone.
        """
        _check_headers(request, limit, encodings)
        with start_span("receive"):
            return await self._received(request, hold, limit)

    async def pieces(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """Yield the body of a request as it arrives, for a caller that does not keep it.

        Raises:
            PayloadTooLarge, UnsupportedMediaType, UploadTimeout, ClientDisconnect: see ``read``.
        """
        _check_headers(request, limit, ())
        began, received, has_more = time.monotonic(), 0, True
        while has_more:
            event: Message = await request.receive()
            if event["type"] == "http.disconnect":
                raise ClientDisconnect
            if piece := event.get("body", b""):
                received += len(piece)
                if received > limit:
                    raise _too_large(limit)
                yield piece
            has_more = event.get("more_body", False)
            if has_more and time.monotonic() - began > self.timeout + received / BYTES_PER_SECOND:
                self.metrics.reject("slow_client")
                raise UploadTimeout

    async def _received(self, request: Request, hold: Reservation, limit: int) -> bytes:
        began, received = time.monotonic(), 0
        chunks: list[bytes] = []
        receive = request.receive
        while True:
            event: Message = await receive()
            if event["type"] == "http.disconnect":
                raise ClientDisconnect
            if chunk := event.get("body", b""):
                chunks.append(chunk)
                received += len(chunk)
                if received > limit:
                    raise _too_large(limit)
                hold.reserve(received)
            if not event.get("more_body", False):
                # The only copy of the body, and none of one that arrived in one piece.
                return b"".join(chunks)
            # The protocol's sweep wakes us about once a second while nothing arrives.
            if time.monotonic() - began > self.timeout + received / BYTES_PER_SECOND:
                self.metrics.reject("slow_client")
                raise UploadTimeout


def content_encoding(request: Request) -> str:
    """Return the content encodings of the body, joined by commas; empty if not compressed."""
    values = [
        value.strip().lower()
        for name, value in request.scope["headers"]
        if name == b"content-encoding"
    ]
    found = b",".join(value for value in values if value not in (b"", b"identity"))
    return found.decode("latin-1")


def _check_headers(request: Request, limit: int, encodings: Collection[str]) -> None:
    """Check the announced length and encoding of a body; see ``BodyReader.read``."""
    announced = 0
    for name, value in request.scope["headers"]:
        if name == b"content-length":
            announced = int(value)
        elif name == b"content-encoding" and content_encoding(request) not in ("", *encodings):
            message = "Request bodies compressed in this way are not supported."
            raise UnsupportedMediaType(message)
    if announced > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the {limit / 2**20:.3g} MiB that are taken.")
