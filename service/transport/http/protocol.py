"""uvicorn's HTTP/1.1 protocol with the deadlines and limits it lacks.

uvicorn alone never times out a slow request: its keep-alive timer is reset by every byte, and
neither headers nor connections are bounded. Here every state a client can leave us in ends:

* a connection that sends no complete headers within ``header_timeout_seconds`` is closed (408);
* headers over ``max_header_bytes`` are refused (431), ambiguous framing too (400, RFC 9112);
* a body that nobody reads any more is drained for a while, so that the client sees our answer;
* an answer that the client does not take is dropped;
* the connections of a process are counted.

Bodies that are being read have their own deadline in ``body.py``, which can still answer.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from observability.metrics import Metrics
from schemas.problem import Problem
from service.settings import LimitSettings
from service.transport.http.errors import PROBLEM_TYPE, TITLES

STATE_KEY = "potoo.wire"
DRAIN_SECONDS = 10.0
"""An answered request may go on sending its body for so long; so may a client be slow to read."""
LINGER_SECONDS = 1.0
"""An idle connection is kept for so long at shutdown: a request may be under way already."""

_DETAILS = {
    400: "The request is not valid HTTP/1.1.",
    408: "The request's headers did not arrive in time.",
    431: "The request's headers are too large.",
    503: "Too many connections are open.",
}
_CODES = {
    400: "invalid_request",
    408: "upload_timeout",
    431: "payload_too_large",
    503: "overloaded",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """What the protocol needs to know; travels in uvicorn's lifespan state."""

    limits: LimitSettings
    metrics: Metrics


class OneWrite:
    """The part of a transport that uvicorn uses; writes an answer's head together with its body.

    uvicorn writes them apart, which costs a system call and wakes the client for nothing.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Holds a head back; ``flush`` or the next write sends it."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
        else:
            self._transport.write(self._head + data if self._head else data)
            self._head = b""

    def flush(self) -> None:
        """Sends a head that had no body."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """As a transport does, after a flush."""
        self.flush()
        self._transport.close()


class PotooProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._wire = cast("Wire", app_state[STATE_KEY])
        super().__init__(config, server_state, app_state, _loop)
        self._headers_since: float | None = None
        self._body_since: float | None = None
        self._closing_since: float | None = None
        # Of the message that is being received: all bytes, and those of its header and body.
        self._raw_bytes = self._header_bytes = self._body_bytes = 0
        self._refusal = 400

    # Called by asyncio.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts the connection, or refuses it."""
        super().connection_made(cast("asyncio.Transport", OneWrite(transport)))
        self._headers_since = time.monotonic()
        if len(self.connections) > self._wire.limits.max_connections:
            self._wire.metrics.reject("connections")
            self._refuse(503)

    def data_received(self, data: bytes) -> None:
        """Starts the clocks of a new message and checks what the parser holds back."""
        if self.transport.is_closing():
            return
        if self._headers_since is None and self._body_since is None:
            self._headers_since = time.monotonic()  # the next request of this connection
        self._raw_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        # The parser reports a header, chunk extension or trailer only once it has all of it.
        if self._headers_since is not None:
            if self._raw_bytes > self._wire.limits.max_header_bytes:
                self._refusal = 431
                self.send_400_response("")
        elif self._raw_bytes - self._header_bytes > self._most_raw_bytes():
            self.send_400_response("")

    # Called by the parser.

    def on_url(self, url: bytes) -> None:
        """Counts it as header."""
        super().on_url(url)
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts it; trailers too."""
        super().on_header(name, value)
        self._count_header(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Refuses ambiguous framing before the application hears of the request."""
        self._check_framing()
        self._headers_since = None
        self._body_since = time.monotonic()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            # We upgrade to nothing; whatever follows is not a request of ours.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Counts it."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stops the clocks."""
        super().on_message_complete()
        self._body_since = None
        self._raw_bytes = self._header_bytes = self._body_bytes = 0

    def on_response_complete(self) -> None:
        """Sends what was held back."""
        cast("OneWrite", self.transport).flush()
        super().on_response_complete()

    # Called by the server.

    def shutdown(self) -> None:
        """Lets a request that is under way arrive, then closes."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is None or cycle.response_complete:
            self.loop.call_later(LINGER_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def sweep(self, now: float) -> None:
        """Ends what has lasted too long; called about once a second."""
        limits = self._wire.limits
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > DRAIN_SECONDS:
                self.transport.abort()
        elif self._headers_since is not None:
            if now - self._headers_since > limits.header_timeout_seconds:
                self._wire.metrics.reject("slow_client")
                if self._raw_bytes:
                    self._refuse(408)
                else:
                    self.transport.close()
        elif self._body_since is not None:
            if not self.cycle.response_complete:
                self.cycle.message_event.set()  # whoever reads the body looks at the clock
            elif now - self._body_since > DRAIN_SECONDS:
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for whatever its parser refuses."""
        del msg
        self._wire.metrics.reject("bad_http")
        self._refuse(self._refusal)

    def _most_raw_bytes(self) -> int:
        """Bytes a body may take on the wire: chunks of one byte cost six, and a header's worth."""
        return 8 * self._body_bytes + self._wire.limits.max_header_bytes

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._wire.limits.max_header_bytes:
            self._refusal = 431
            message = "headers too large"
            raise ValueError(message)  # reaches uvicorn as a parser error

    def _check_framing(self) -> None:
        """One way to read the message, or none (RFC 9112, sections 3.2 and 6.1)."""
        lengths, hosts, codings = 0, 0, []
        for name, value in self.headers:
            if name == b"content-length":
                lengths += 1
            elif name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                codings.append(value.strip().lower())
        is_old = self.parser.get_http_version() != "1.1"
        if (
            lengths + len(codings) > 1
            or codings not in ([], [b"chunked"])
            or (is_old and codings)
            or hosts > 1
            or (hosts == 0 and not is_old)
        ):
            message = "ambiguous framing"
            raise ValueError(message)

    def _refuse(self, status: int) -> None:
        """Answers in the application's stead and closes."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        request_id = uuid.uuid4().hex
        problem = Problem.model_validate(
            {
                "title": TITLES[status],
                "status": status,
                "detail": _DETAILS[status],
                "code": _CODES[status],
                "request_id": request_id,
            }
        )
        body = problem.model_dump_json(exclude_none=True).encode()
        head = (
            f"HTTP/1.1 {status} {TITLES[status]}\r\n"
            f"content-type: {PROBLEM_TYPE}\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            + ("retry-after: 1\r\n" if status == 503 else "")
            + "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
