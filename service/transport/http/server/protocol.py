"""uvicorn's HTTP/1.1 protocol with the deadlines and limits it lacks.

uvicorn alone never times out a slow request: its keep-alive timer is reset by every byte, and
neither headers nor connections are bounded. Here every state of a connection has a limit:

* a connection that sends no complete headers within ``header_timeout_seconds`` is closed (408);
* headers over ``max_header_bytes`` are refused (431), ambiguous framing too (400);
* a body that comes too slowly ends in 408, sent by ``body.py`` while it reads, else from here;
* a body that is no longer read is drained for a while, so that the client sees the response;
* a response that the client does not take is dropped;
* a client that closes its sending half is answered, and checked periodically for a disconnect;
* connections over ``max_connections`` in a process are refused (503).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from observability.metrics.metrics import Metrics
from service.runtime.shutdown import Shutdown
from service.settings import LimitSettings
from service.transport.budget import BodyBudget
from service.transport.http.body.body import BYTES_PER_SECOND
from service.transport.http.middleware.disconnect import LEFT
from service.transport.http.middleware.error_formats import ErrorFormat
from service.transport.http.server.coalescing_transport import CoalescingTransport
from service.transport.http.server.cycle import Cycle
from service.transport.http.server.framing import is_ambiguous
from service.transport.http.server.refusals import refusal
from service.transport.http.server.swept import DRAIN_SECONDS, SweptConnection
from service.transport.http.server.upgrading import is_for_stream

STATE_KEY = "potoo.wire"
LINGER_SECONDS = 1.0
"""Delay before closing an idle connection at shutdown, as a request may be under way already, and
a refused one: closing while bytes come in would reset it before the response is read."""
PROBE_SECONDS = 1.0
"""Delay before a client that closed its sending half is checked; most are answered before."""
_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Interim response that every client ignores (RFC 9110, section 15.2)."""


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """Context of the protocol; travels in uvicorn's lifespan state."""

    limits: LimitSettings
    metrics: Metrics
    error_formats: tuple[ErrorFormat, ...]
    shutdown: Shutdown
    budget: BodyBudget


class PotooProtocol(HttpToolsProtocol, SweptConnection):
    """Protocol of one connection.

    The parser's callbacks are written out here: uvicorn's take twice as long, with features that
    are off (WebSockets at any path, a limit of tasks, a timer for each idle connection).
    """

    cycle: Cycle
    transport: CoalescingTransport  # type: ignore[assignment]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._context = cast("ConnectionContext", app_state[STATE_KEY])
        self._max_header_bytes = self._context.limits.max_header_bytes
        super().__init__(config, server_state, app_state, _loop)
        # When the connection entered each state, and when it is to close; None outside the state.
        self._headers_since: float | None = None
        self._body_since: float | None = None
        self._ends_at: float | None = None
        self._half_closed_since: float | None = None
        self._idle_since: float | None = None
        # Bytes of the message being received: in all, of its headers, of its body.
        self._raw_bytes = self._header_bytes = self._body_bytes = 0
        self._refusal = 400
        self._ignores_input = False
        self._upgrades = False
        self._answering: Cycle | None = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or refuse it if there are too many."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport)))
        self._headers_since = time.monotonic()
        if len(self.connections) > self._context.limits.max_connections:
            self._context.metrics.reject("connections")
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify every request of the connection, not only the last."""
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
        """Start the clocks of a new message and limit the bytes that the parser holds back."""
        if self._ignores_input or self.transport.is_closing():
            return
        if self._headers_since is None and self._body_since is None:
            self._headers_since = time.monotonic()  # the next request of this connection
        self._raw_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade:
            self._upgrade()
        if self._has_ended():  # the parser may have refused it
            return
        # The parser reports a header, chunk extension or trailer only once it is complete.
        if self._headers_since is not None:
            if self._raw_bytes > self._max_header_bytes:
                self._refusal = 431
                self.send_400_response("")
        elif self._raw_bytes - self._header_bytes > 8 * self._body_bytes + self._max_header_bytes:
            # A body takes at most six bytes for each of its own, in chunks of one, and headers.
            self.send_400_response("")
        elif self.cycle.is_flooded:
            self.flow.pause_reading()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether to stay open for the answers to all requests that arrived whole.

        A client may send FIN after its request and still read (RFC 9293, section 3.6).
        """
        cycle = cast("Cycle | None", self.cycle)  # None before the first request
        is_cut_off = self._body_since is not None
        if cycle is None or cycle.response_complete or is_cut_off or self._has_ended():
            return False
        cycle.keep_alive = False  # the last request of the connection
        self._half_closed_since = self._half_closed_since or time.monotonic()
        return True

    # Called by the parser.

    def on_url(self, url: bytes) -> None:
        """Count the URL as header bytes."""
        self.url += url
        self._header_bytes += len(url)
        if self._header_bytes > self._max_header_bytes:
            self._refuse_header()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header or trailer; drop trailers, which are not headers (RFC 9110, 6.5.1)."""
        if self._body_since is None:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._max_header_bytes:
            self._refuse_header()

    def on_headers_complete(self) -> None:
        """Start the work of a request, or queue it behind an earlier one of the connection.

        Ambiguous framing is refused before the application receives the request.
        """
        parser, version = self.parser, self.parser.get_http_version()
        if is_ambiguous(self.headers, version):
            raise ValueError("ambiguous framing")  # reaches ``data_received`` as a parser error
        self._headers_since = None
        upgrades = parser.should_upgrade()
        self._upgrades = upgrades and self._is_for_websocket()
        if self._upgrades:
            self.scope["method"] = "GET"  # for the hand-over
            return
        self._body_since = time.monotonic()
        self._complete_scope(version)
        # Other upgrades are not supported; the bytes that follow are not a request.
        is_last = self._context.shutdown.is_announced or upgrades
        earlier = cast("Cycle | None", self.cycle)  # None before the first request
        cycle = self.cycle = Cycle(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.server_state.default_headers,
            expects_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and not is_last and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if earlier is None or earlier.response_complete:
            self._start(cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Count body bytes, and pass them on unless the request is answered already."""
        self._body_bytes += len(body)
        if not self.cycle.response_complete:
            self.cycle.take(body)

    def on_message_complete(self) -> None:
        """Stop the clocks and reset the counts."""
        if self._upgrades:
            return
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        self._body_since = None
        self._raw_bytes = self._header_bytes = self._body_bytes = 0

    def _complete_scope(self, version: str) -> None:
        """Add what the request line says to the scope (ASGI's ``http`` connection scope)."""
        scope, url = self.scope, httptools.parse_url(self.url)
        scope["method"] = self.parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""

    def _start(self, cycle: Cycle) -> None:
        """Run the application for a request."""
        self._answering, self._idle_since = cycle, None
        task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    # Called by uvicorn.

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; this protocol receives nothing more."""
        # Takes 50 ms once: only where WebSockets are used.
        from service.transport.http.server.websocket import StreamProtocol

        self._ignores_input = True
        self.ws_protocol_class = StreamProtocol
        self.transport = self.transport.wrapped  # type: ignore[assignment]
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """Write a head that was held back, and begin the next request of the connection."""
        transport = self.transport
        transport.flush()
        self.server_state.total_requests += 1
        if transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start(self.pipeline.pop()[0])  # type: ignore[arg-type]
        else:
            self._idle_since = time.monotonic()

    def send_400_response(self, msg: str) -> None:
        """Refuse a message that fails the parser or a limit."""
        del msg
        self._context.metrics.reject("bad_http")
        self._refuse(self._refusal)

    # Called by the server.

    def close_after_response(self) -> None:
        """Make the current response, if there is one, the last of the connection.

        A response that has begun cannot announce it; then the next one does.
        """
        cycle = cast("Cycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_started:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close once the current request, if there is one, has been received and answered."""
        cycle = cast("Cycle | None", self.cycle)  # None before the first request
        if cycle is None or cycle.response_started:
            self.loop.call_later(LINGER_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def sweep(self, now: float) -> None:
        """End a state that has lasted too long; called about once a second."""
        if self._half_closed_since is not None and now - self._half_closed_since > PROBE_SECONDS:
            self._probe()
        if self._is_stuck(now):
            self.transport.abort()
        elif self._ends_at is not None:
            if now > self._ends_at:
                self.transport.close()
        elif self._headers_since is not None:
            if now - self._headers_since > self._context.limits.header_timeout_seconds:
                self._context.metrics.reject("slow_client")
                if self._raw_bytes:
                    self._refuse(408)
                else:
                    self.transport.close()
        elif self._body_since is not None:
            self._sweep_body(now)
        elif self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()

    def _upgrade(self) -> None:
        """Become a stream, or ignore the header: what follows is then not a request."""
        if self._upgrades:
            self.handle_websocket_upgrade()

    def _is_for_websocket(self) -> bool:
        """Return whether a request for an upgrade becomes a stream.

        Not while an earlier request is answered: the answer would end up in the stream.
        """
        cycle = cast("Cycle | None", self.cycle)  # None before the first request
        parser = self.parser
        return (
            self._get_upgrade() == b"websocket"
            and (cycle is None or cycle.response_complete)
            and is_for_stream(
                parser.get_method(), self._path(), parser.get_http_version(), self.headers
            )
        )

    def _probe(self) -> None:
        """Write to a client that closed its sending half, which may have closed the other too.

        Both look the same until the system refuses what is written: then ``connection_lost``
        cancels the work. It takes two probes, because the first one's refusal is not read.
        """
        cycle = self._answering
        if cycle is not None and not cycle.response_started and _knows_interim(cycle):
            self.transport.write(_PROBE)

    def _sweep_body(self, now: float) -> None:
        cycle, received = self.cycle, self._body_bytes / BYTES_PER_SECOND
        if cycle.response_started and cycle.is_flooded:
            # Answered while it is received, and held back: the client is not the slow one.
            self._body_since = max(self._body_since or 0.0, now - received)
        seconds = now - (self._body_since or now)
        if cycle.response_complete:
            if seconds > DRAIN_SECONDS:
                self.transport.close()
            return
        patience = self._context.limits.body_timeout_seconds + received
        if seconds > patience + 2:  # no reader of the body has refused it
            self._context.metrics.reject("slow_client")
            self._refuse(408)
        else:
            self.cycle.message_event.set()  # the reader of the body checks the time

    def _refuse_header(self) -> NoReturn:
        self._refusal = 431
        raise ValueError("headers too large")  # reaches ``data_received`` as a parser error

    def _has_ended(self) -> bool:
        """Return whether the rest of the input is ignored."""
        return self._ignores_input or self.transport.is_closing()

    def _path(self) -> str:
        """Return the path of the request being received, as far as it arrived."""
        url: bytes = getattr(self, "url", b"")
        return url.partition(b"?")[0].decode("latin-1")

    def _refuse(self, status: int) -> None:
        """Respond instead of the application; read nothing more."""
        self._ignores_input = True
        cycle = cast("Cycle | None", self.cycle)  # None before the first request
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
        self.transport.write(refusal(status, self._path(), self._context.error_formats))
        self.transport.write_eof()
        self._ends_at = time.monotonic() + LINGER_SECONDS


def _knows_interim(cycle: Cycle) -> bool:
    """Return whether the client supports interim responses: not with HTTP/1.0."""
    return cycle.scope["http_version"] == "1.1"
