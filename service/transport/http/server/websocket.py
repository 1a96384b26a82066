"""uvicorn's WebSocket protocol with the limits it lacks.

Here too no state of a connection lasts for ever:

* messages are small until the client is known;
* messages are charged to the budget of all uploads as they come in, and their fragments counted;
* messages of no size cannot pile up, nor answers to pings;
* a client that takes no bytes is dropped: a close waits for a full buffer for ever;
* at shutdown the stream finishes what it has accepted, and closes the connection itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.http11 import Request

from schemas.errors import Overloaded
from service.transport.http.server.protocol import STATE_KEY, ConnectionContext
from service.transport.http.server.swept import SweptConnection

WIRE_KEY = "potoo.websocket"
"""Key of the scope's state: this protocol."""
DRAIN_MESSAGE = "potoo.drain"
"""Type of the ASGI message by which a stream learns of the restart."""
FIRST_MESSAGE_BYTES = 64 * 2**10
"""Limit of a message before the client is known: a hello with its token."""
MOST_FRAGMENTS = 1024
MOST_QUEUED = 256
"""Messages of one read that wait for the stream; a client has fewer credits by far."""
_TRY_AGAIN, _POLICY = 1013, 1008
"""Close codes "try again later" and "policy violation" (the IANA registry of RFC 6455)."""

# uvicorn logs the path of every WebSocket with its query, where careless clients put tokens.
_log = logging.getLogger("uvicorn.error.websocket")
_log.setLevel(logging.WARNING)


class StreamProtocol(WebSocketsSansIOProtocol, SweptConnection):
    """Protocol of one connection after its upgrade."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._context = cast("ConnectionContext", app_state[STATE_KEY])
        self.logger = _log
        self.conn.max_message_size = FIRST_MESSAGE_BYTES
        self._hold = self._context.budget.hold()
        self._queued_bytes = 0

    # Called by asyncio and by uvicorn.

    def data_received(self, data: bytes) -> None:
        """Charge the bytes of messages that the stream has not received to the budget."""
        super().data_received(data)
        if not self.handshake_complete or self.close_sent or self.transport.is_closing():
            return
        unfinished = len(self.conn.reader.buffer) + sum(map(len, self.frames))
        held = self._queued_bytes + unfinished
        if not held:
            self._release()
            return
        try:
            self._hold.reserve(held)
        except Overloaded:
            self._fail(_TRY_AGAIN, "too many uploads")

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the budget's bytes back."""
        self._release()
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        """Make the protocol known to the application."""
        super().handle_connect(event)
        if not self.handshake_complete:  # it is, if the handshake was refused
            self.scope["state"][WIRE_KEY] = self

    def handle_cont(self, event: Frame) -> None:
        """Bound the fragments of a message: each takes more memory than its bytes."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self._fail(_POLICY, "too many fragments")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Bound the messages that wait for the stream."""
        self._queued_bytes += sum(map(len, self.frames))
        if self.queue.qsize() >= MOST_QUEUED:
            self._fail(_POLICY, "too many messages")
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer a ping, unless the client does not take what was written before."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))

    async def receive(self) -> ASGIReceiveEvent:
        """Hand a message over; the stream charges its frames itself."""
        message = await super().receive()
        if self.queue.empty():
            self._queued_bytes = 0
            self._release()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        """Send; note that a refused handshake is complete, which uvicorn logs as an error else."""
        await super().send(message)
        is_last = message["type"] == "websocket.http.response.body" and not message.get("more_body")
        self.handshake_complete = self.handshake_complete or is_last

    def shutdown(self) -> None:
        """Tell the stream to finish; it closes the connection."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.queue.put_nowait(cast("Any", {"type": DRAIN_MESSAGE}))
        else:
            super().shutdown()

    # Called by the stream.

    def accept_messages(self, max_bytes: int) -> None:
        """Accept messages of that size from now on."""
        self.conn.max_message_size = max_bytes

    # Called by the server.

    def sweep(self, now: float) -> None:
        """Drop a client that takes no bytes."""
        if self._is_stuck(now):
            self._context.metrics.reject("slow_client")
            self.transport.abort()

    def _fail(self, code: int, reason: str) -> None:
        if self.close_sent:
            return
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def _release(self) -> None:
        self._hold.__exit__(None, None, None)
        self._hold = self._context.budget.hold()
