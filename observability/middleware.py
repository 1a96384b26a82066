"""Outermost middleware of every request: id, access log line and metrics. Pure ASGI."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from observability.logs.logging import event_logger
from observability.metrics.metrics import METHODS, HttpSeries, Metrics, bounded_method
from observability.request import enter, leave
from observability.tracing.conventions import describe_http
from observability.tracing.tracing import Tracing

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID_HEADER = b"x-request-id"
UNMATCHED = "unmatched"
CLIENT_CLOSED = 499
"""Status logged when the caller left before the answer (nginx's convention)."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class ObservabilityMiddleware:
    """Middleware that counts and logs HTTP requests, with an id that every answer echoes.

    A caller's ``X-Request-ID`` is kept if it is 1 to 128 of ``A-Za-z0-9._-``, otherwise replaced.
    """

    def __init__(
        self,
        app: App,
        *,
        metrics: Metrics,
        access_log: bool,
        unlogged: Iterable[str] = (),
        routes: Iterable[tuple[str, str]] = (),
        headers: tuple[tuple[bytes, bytes], ...] = (),
        tracing: Tracing | None = None,
    ) -> None:
        """``headers`` are added to every answer.

        ``unlogged``: path templates whose successes get no access log line.

        ``routes``: method and path template; their series exist before the first request.
        """
        self._app = app
        self._metrics = metrics
        self._headers, self._tracing = headers, tracing
        self._log = event_logger("access", "request") if access_log else None
        self._unlogged = frozenset(unlogged)
        self._series: dict[str, HttpSeries] = {UNMATCHED: metrics.http(UNMATCHED)}
        for method, path in routes:
            self._series[path] = metrics.http(path)
            self._series[path].requests(method, 200)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; count and log it even if it fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        identifier = _request_id(scope["headers"])
        state = scope.setdefault("state", {})
        state["request_id"] = identifier
        status, received, sent = CLIENT_CLOSED, 0, 0
        trace = self._tracing.begin(_traceparent(scope)) if self._tracing else None
        token = enter(identifier, trace)

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        def counted_send(message: Message) -> Awaitable[None]:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                state["response_started"] = True
                more = state.get("answer_headers")
                message["headers"] = [
                    *message.get("headers", ()),
                    (REQUEST_ID_HEADER, identifier.encode()),
                    *self._headers,
                    *(more() if more else ()),
                ]
            else:
                sent += len(message.get("body", b""))
            return send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            self._metrics.in_flight.dec()
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", UNMATCHED)
            series = self._series.get(route)
            if series is None:
                series = self._series[route] = self._metrics.http(route)
            series.requests(bounded_method(scope["method"]), status).inc()
            series.duration(status // 100).observe(seconds, trace.exemplar if trace else None)
            series.request_bytes.inc(received)
            series.response_bytes.inc(sent)
            client = scope.get("client")
            if self._log and not (route in self._unlogged and status < 400):
                self._log(
                    method=scope["method"],
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 2),
                    received=received,
                    sent=sent,
                    client=client[0] if client else None,
                    principal=state.get("principal_name"),
                    request_id=identifier,
                )
            leave(token)
            if self._tracing and trace and trace.is_sampled:
                describe_http(
                    trace,
                    method=scope["method"] if scope["method"] in METHODS else None,
                    route=None if route == UNMATCHED else route,
                    status=None if status == CLIENT_CLOSED else status,
                    received=received,
                    sent=sent,
                    address=client[0] if client else None,
                    request_id=identifier,
                )
                self._tracing.end(trace)


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == REQUEST_ID_HEADER:
            return request_id(value)
    return request_id(b"")


def _traceparent(scope: Scope) -> str:
    """Return the ``traceparent`` header; several are joined, so that they do not parse."""
    values = [value for name, value in scope["headers"] if name == b"traceparent"]
    return b",".join(values).decode("latin-1")


def request_id(given: bytes) -> str:
    """Return the given id if it is safe to log and echo, else a new one."""
    if given and _REQUEST_ID.fullmatch(given):
        return str(given, "ascii")
    # Unique, not secret: the system's source gives the interpreter's lock up.
    return f"{random.getrandbits(128):032x}"
