"""Handshake of a stream: what is refused here gets a problem and no WebSocket."""

from __future__ import annotations

import time
from typing import cast
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.limiting.limits import Allowance
from observability.logs.logging import get_logger
from observability.middleware import REQUEST_ID_HEADER, request_id
from observability.tracing.tracing import Tracing
from schemas.errors import CrossOriginRefused, InvalidRequest, NotReady, ServiceError
from service.transport.app_state import AppState, state_of
from service.transport.http.middleware.errors import ErrorResponder
from service.transport.http.stream.access import Access
from service.transport.http.stream.connection import StreamConnection
from service.transport.http.stream.pacing import FramePace
from service.transport.http.stream.session.resumption import Resumptions
from service.transport.http.stream.session.session import Session
from service.transport.http.stream.traces import StreamTraces
from service.transport.open_streams import OpenStreams

SUBPROTOCOL = "potoo.v1"


class StreamEndpoint:
    """Pure ASGI: serves one WebSocket after the other with what streams share in a process."""

    def __init__(self, scope: Scope, tracing: Tracing | None) -> None:
        """``scope``: of any connection of the application."""
        self._tracing = tracing
        self._state: AppState = state_of(HTTPConnection(scope))
        self._answer = ErrorResponder(self._state.metrics, ())
        limits = self._state.settings.limits
        self._pace = FramePace(limits.stream_frames_per_second)
        self._streams = OpenStreams(limits.streams_per_principal, self._state.metrics)
        self._resumptions = Resumptions()
        self._origins = {*self._state.settings.cors_origins}
        if self._state.settings.public_url:
            self._origins.add(self._state.settings.public_url)
        is_logged = self._state.settings.observability.access_log
        self._log = get_logger("access").info if is_logged else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one WebSocket."""
        connection = HTTPConnection(scope)
        identifier = request_id(connection.headers.get("x-request-id", "").encode("latin-1"))
        scope["state"]["request_id"] = identifier
        address = scope["client"][0] if scope.get("client") else ""
        access = Access(self._state.runtime, address, self._streams)
        claimed = ",".join(connection.headers.getlist("traceparent"))
        traces = StreamTraces(self._tracing, claimed, identifier, address)
        with traces.of_stream():
            try:
                await receive()  # websocket.connect
                response = await self._refusal(connection, access)
                if response is not None:
                    traces.refused(response.status_code)
                    await response(scope, receive, send)
                    return
                await send(
                    {
                        "type": "websocket.accept",
                        "subprotocol": SUBPROTOCOL,
                        "headers": [(REQUEST_ID_HEADER, identifier.encode())],
                    }
                )
                await self._run(scope, receive, send, access, traces)
            finally:
                access.leave()

    async def _refusal(self, connection: HTTPConnection, access: Access) -> Response | None:
        """Check the handshake; return the response if it is refused."""
        allowance = Allowance()
        try:
            self._check(connection)
            if authorization := connection.headers.getlist("authorization"):
                await access.enter(authorization, allowance=allowance)
        except ServiceError as error:
            response = self._answer(error, connection.scope)
            response.headers["x-request-id"] = connection.scope["state"]["request_id"]
            for name, value in allowance.headers():
                response.headers[name.decode()] = value.decode()
            return response
        return None

    async def _run(
        self, scope: Scope, receive: Receive, send: Send, access: Access, traces: StreamTraces
    ) -> None:
        state, began = self._state, time.monotonic()
        session = Session(
            idle_seconds=state.settings.limits.stream_idle_seconds,
            rate=self._pace,
            budget=state.runtime.budget,
            now=began,
        )
        stream = StreamConnection(
            scope, receive, send, state, session, access, self._resumptions, traces
        )
        state.metrics.streams.in_flight.inc()
        code = 1006
        try:
            code = await stream.run()
        finally:
            counters, seconds = session.state.counters, time.monotonic() - began
            state.metrics.streams.in_flight.dec()
            state.metrics.streams.count_end(code)
            traces.ended(code, counters.received)
            if self._log:
                self._log(
                    "stream",
                    code=code,
                    seconds=round(seconds, 2),
                    frames=counters.received,
                    dropped=counters.dropped,
                    client=scope["client"][0] if scope.get("client") else None,
                    principal=access.principal.name if access.principal else None,
                    request_id=scope["state"]["request_id"],
                )

    def _check(self, connection: HTTPConnection) -> None:
        """Check what does not depend on the caller.

        Raises:
            CrossOriginRefused: a web page of another origin opened the WebSocket.
            InvalidRequest: the subprotocol is not offered, or there is a query.
            NotReady: the server is being stopped.
        """
        origins = connection.headers.getlist("origin")
        # Browsers send the header always, and pages cannot change it (RFC 6455, section 10.2).
        if origins and not self._may_connect(origins, connection.headers.get("host", "")):
            raise CrossOriginRefused(
                "Pages of this origin may not connect: add it to the setting 'cors_origins'."
            )
        if SUBPROTOCOL not in cast("list[str]", connection.scope.get("subprotocols", [])):
            raise InvalidRequest(f"Offer the subprotocol {SUBPROTOCOL}.")
        if connection.scope["query_string"]:
            raise InvalidRequest("There is no query: options and token are in the hello message.")
        if self._state.runtime.shutdown.draining.is_set():
            raise NotReady("The server is being stopped.")

    def _may_connect(self, origins: list[str], host: str) -> bool:
        if len(origins) > 1:
            return False
        (origin,) = origins
        if origin in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        # Our own page. Behind a proxy the scheme is not ours, and the host is.
        is_web = parts.scheme in {"http", "https"}
        return is_web and bool(host) and parts.netloc.lower() == host.lower()
