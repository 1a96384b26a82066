"""One request and its response on a connection: uvicorn's cycle with fewer steps and copies.

uvicorn searches each response header twice for forbidden bytes and copies a body three times. Here
a head is checked as a whole, and a body is passed on in the pieces that arrived.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.transport.http.server.coalescing_transport import CoalescingTransport

if TYPE_CHECKING:
    from uvicorn._types import (
        ASGIReceiveEvent,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
        HTTPScope,
    )

SMALL_PIECE = 2**14
"""Pieces of a body below this many bytes are copied together: an object for each piece of a few
bytes would take many times their memory."""
MAX_WAITING = 2**16
"""Bytes of a body that wait for their reader before no more are taken from the socket."""
_BODILESS = (204, 304)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))
_LINE_END = b"\r\n"
# Bytes that names and values of headers may have. Of a head only its line ends are left without.
_ALLOWED = bytes({*range(0x20, 0x100), 0x09} - {0x7F})


class Cycle(RequestResponseCycle):
    """One request and its response."""

    def __init__(
        self,
        scope: HTTPScope,
        transport: CoalescingTransport,
        flow: FlowControl,
        logger: logging.Logger,
        default_headers: list[tuple[bytes, bytes]],
        *,
        expects_continue: bool,
        keep_alive: bool,
        on_response: Callable[[], None],
    ) -> None:
        super().__init__(
            scope,
            transport,  # type: ignore[arg-type]
            flow,
            logger,
            logger,
            False,  # noqa: FBT003 - our own access log is written
            default_headers,
            asyncio.Event(),
            expects_continue,
            keep_alive,
            on_response,
        )
        self._held = transport
        self._pieces: list[bytes | bytearray] = []
        self._waiting = 0

    @property
    def is_flooded(self) -> bool:
        """Whether the application should read what arrived before more is taken."""
        is_read = not self.response_complete  # the rest of an answered request is dropped
        return self._waiting > MAX_WAITING and is_read and self.more_body

    def take(self, piece: bytes) -> None:
        """Take a piece of the body from the parser."""
        self._waiting += len(piece)
        if len(piece) >= SMALL_PIECE or not self._pieces:
            self._pieces.append(piece)
        elif isinstance(last := self._pieces[-1], bytearray):
            last += piece
        else:
            self._pieces.append(bytearray(piece))
        self.message_event.set()

    async def receive(self) -> ASGIReceiveEvent:
        """Return what arrived of the body; wait if there is nothing new."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(_CONTINUE)
            self.waiting_for_100_continue = False
        event = self.message_event
        if not self.disconnected and not self.response_complete:
            if not event.is_set():
                self.flow.resume_reading()
                await event.wait()
            event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        pieces = self._pieces
        # A single piece is not copied.
        body = b"".join(pieces)
        if pieces:
            self._pieces, self._waiting = [], 0
            self.flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: ASGISendEvent) -> None:
        """Write the head of the response, held back until its body, or a part of the body."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"a response cannot begin with {message['type']}")
            self._begin(message)
        elif not self.response_complete:
            if message["type"] != "http.response.body":
                raise RuntimeError(f"a response cannot go on with {message['type']}")
            self._go_on(message)
        else:
            raise RuntimeError(f"{message['type']} after the end of the response")

    def _begin(self, message: HTTPResponseStartEvent) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        status = message["status"]
        parts, lines = [STATUS_LINE[status]], 2
        closes = False
        for given, value in (*self.default_headers, *message.get("headers", ())):
            name = given.lower()
            parts += name, b": ", value, _LINE_END
            lines += 1
            if name not in _FRAMING:
                continue
            if name == b"content-length" and self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                self.expected_content_length = 0
                self.chunked_encoding = True
            elif name == b"connection":
                closes = closes or b"close" in map(bytes.strip, value.lower().split(b","))
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            parts.append(b"connection: close\r\n")
            lines += 1
        has_length = self.chunked_encoding is not None
        if not has_length and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        parts.append(_LINE_END)
        head = b"".join(parts)
        if head.translate(None, _ALLOWED) != lines * _LINE_END:
            raise RuntimeError("a response header has a forbidden byte")
        self._held.hold(head)

    def _go_on(self, message: HTTPResponseBodyEvent) -> None:
        body, has_more = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
        elif self.chunked_encoding:
            end = b"" if has_more else b"0\r\n\r\n"
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self.transport.write(chunk + end)
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the body is longer than its Content-Length")
            self.transport.write(body)
        if not has_more:
            if self.expected_content_length:
                raise RuntimeError("the body is shorter than its Content-Length")
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()
