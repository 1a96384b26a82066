"""uvicorn's HTTP/1.1 protocol with the deadlines and limits it lacks.

uvicorn alone never times out a slow request: its keep-alive timer is reset by every byte, and
neither headers nor connections are bounded. Here every state a client can leave us in ends:

* a connection that sends no complete headers within ``header_timeout_seconds`` is closed (408);
* headers over ``max_header_bytes`` are refused (431), ambiguous framing too (400);
* a body that comes too slowly ends in 408, said by ``body.py`` where it is read, else by us;
* a body that nobody reads any more is drained for a while, so that the client sees our answer;
* an answer that the client does not take is dropped;
* the connections of a process are counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from observability.metrics import Metrics
from service.settings import LimitSettings
from service.shutdown import Shutdown
from service.transport.http.body.body import BYTES_PER_SECOND
from service.transport.http.middleware.departure import LEFT
from service.transport.http.middleware.manners import Manner
from service.transport.http.server.framing import is_ambiguous
from service.transport.http.server.one_write import OneWrite
from service.transport.http.server.refusals import refusal

STATE_KEY = "potoo.wire"
DRAIN_SECONDS = 10.0
"""How long an answered request may go on sending, and a client may take nothing of an answer."""
LINGER_SECONDS = 1.0
"""An idle connection is kept for so long at shutdown: a request may be under way already. So is
one that was refused: closing while bytes come in would reset it before our answer is read."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What the protocol needs to know; travels in uvicorn's lifespan state."""

    limits: LimitSettings
    metrics: Metrics
    manners: tuple[Manner, ...]
    shutdown: Shutdown


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
        # When the state began that the connection is in; None if it is not in it.
        self._headers_since: float | None = None
        self._body_since: float | None = None
        self._stuck_since: float | None = None
        self._ends_at: float | None = None
        # Of the message that is being received: all bytes, and those of its header and body.
        self._raw_bytes = self._header_bytes = self._body_bytes = 0
        self._unsent_bytes = 0
        self._refusal = 400
        self._is_deaf = False
        self._answering: RequestResponseCycle | None = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts the connection, or refuses it."""
        super().connection_made(cast("asyncio.Transport", OneWrite(transport)))
        self._headers_since = time.monotonic()
        if len(self.connections) > self._wire.limits.max_connections:
            self._wire.metrics.reject("connections")
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells every request of the connection, not only the last."""
        for cycle in (self._answering, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                leave = cast("Callable[[], None] | None", cycle.scope.get(LEFT))
                if leave is not None:
                    leave()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Starts the clocks of a new message and checks what the parser holds back."""
        if self._is_deaf or self.transport.is_closing():
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
        """Counts it. A trailer is no header (RFC 9110, section 6.5.1): it is dropped."""
        if self._body_since is None:
            super().on_header(name, value)
        self._count_header(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Refuses ambiguous framing before the application hears of the request."""
        if is_ambiguous(self.headers, self.parser.get_http_version()):
            raise ValueError("ambiguous framing")  # reaches uvicorn as a parser error
        self._headers_since = None
        self._body_since = time.monotonic()
        super().on_headers_complete()
        if self._wire.shutdown.is_announced or self.parser.should_upgrade():
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

    # Called by uvicorn.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Sends what was held back."""
        cast("OneWrite", self.transport).flush()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Called for whatever the parser refuses."""
        del msg
        self._wire.metrics.reject("bad_http")
        self._refuse(self._refusal)

    # Called by the server.

    def let_go(self) -> None:
        """Tells the client to leave after the answer that is under way, if there is one.

        An answer that has begun can say so no more: the next one will.
        """
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_started:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """Lets a request that is under way arrive and be answered, then closes."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is None or cycle.response_started:
            self.loop.call_later(LINGER_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def sweep(self, now: float) -> None:
        """Ends what has lasted too long; called about once a second."""
        if self._is_stuck(now):
            self.transport.abort()
        elif self._ends_at is not None:
            if now > self._ends_at:
                self.transport.close()
        elif self._headers_since is not None:
            if now - self._headers_since > self._wire.limits.header_timeout_seconds:
                self._wire.metrics.reject("slow_client")
                if self._raw_bytes:
                    self._refuse(408)
                else:
                    self.transport.close()
        elif self._body_since is not None:
            self._sweep_body(now - self._body_since)

    def _sweep_body(self, seconds: float) -> None:
        if self.cycle.response_complete:
            if seconds > DRAIN_SECONDS:
                self.transport.close()
            return
        patience = self._wire.limits.body_timeout_seconds + self._body_bytes / BYTES_PER_SECOND
        if seconds > patience + 2:  # nobody who reads the body has said so
            self._wire.metrics.reject("slow_client")
            self._refuse(408)
        else:
            self.cycle.message_event.set()  # whoever reads the body looks at the clock

    def _is_stuck(self, now: float) -> bool:
        """Whether bytes of ours have waited, none of them taken, for too long."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent_bytes:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        self._unsent_bytes = unsent
        return self._stuck_since is not None and now - self._stuck_since > DRAIN_SECONDS

    def _most_raw_bytes(self) -> int:
        """Bytes a body may take on the wire: chunks of one byte cost six, and a header's worth."""
        return 8 * self._body_bytes + self._wire.limits.max_header_bytes

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._wire.limits.max_header_bytes:
            self._refusal = 431
            raise ValueError("headers too large")  # reaches uvicorn as a parser error

    def _path(self) -> str:
        """Of the request that is being received, as far as it came."""
        url: bytes = getattr(self, "url", b"")
        return url.partition(b"?")[0].decode("latin-1")

    def _refuse(self, status: int) -> None:
        """Answers in the application's stead; nothing more is read."""
        self._is_deaf = True
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_complete:
            if self._body_since is None:
                # Earlier requests are still to be answered; the connection ends after them.
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        self.transport.write(refusal(status, self._path(), self._wire.manners))
        cast("OneWrite", self.transport).write_eof()
        self._ends_at = time.monotonic() + LINGER_SECONDS
