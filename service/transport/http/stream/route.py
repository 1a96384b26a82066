"""Route of ``WS /v1/stream``; imports the rest once the first WebSocket is opened."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from observability.tracing.tracing import Tracing
from service.transport.http.server.upgrading import STREAM_PATH


class LazyEndpoint:
    """Pure ASGI: the endpoint, made when it is first needed."""

    def __init__(self, tracing: Tracing | None) -> None:
        self._tracing = tracing
        self._endpoint: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one WebSocket."""
        if self._endpoint is None:
            from service.transport.http.stream.endpoint import StreamEndpoint

            self._endpoint = StreamEndpoint(scope, self._tracing)
        await self._endpoint(scope, receive, send)


def add_stream_route(app: FastAPI, tracing: Tracing | None) -> None:
    """Register the route on the application; ``tracing``: None if it is off."""
    app.router.routes.append(WebSocketRoute(STREAM_PATH, LazyEndpoint(tracing), name="stream"))
