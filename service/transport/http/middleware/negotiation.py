"""What HTTP asks of every resource: content negotiation, HEAD (RFC 9110), other origins."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.errors import NotAcceptable

_JSON_RANGES = {"*/*", "application/*", "application/json", "application/problem+json"}


def require_json(connection: HTTPConnection) -> None:
    """Raises ``NotAcceptable`` if the Accept header rules JSON out."""
    for name, value in connection.scope["headers"]:
        if (
            name == b"accept"
            and value not in (b"", b"*/*")
            and not _takes_json(value.decode("latin-1"))
        ):
            raise NotAcceptable


def never_stored(response: Response) -> None:
    """Declared by routes that answer secrets or somebody's data: no cache may keep them."""
    response.headers["cache-control"] = "no-store"


class HeadAsGet:
    """Pure ASGI: routes see HEAD as GET, whose body the server leaves out (section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, send)
        finally:
            scope["route"] = inner.get("route")  # for the metrics


def cross_origin(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Lets web pages of other origins call (the CORS protocol): exactly those, without cookies."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            *("Authorization", "Content-Type", "Content-Encoding", "X-Request-ID"),
            "Inference-Header-Content-Length",
        ],
        expose_headers=[
            *("X-Request-ID", "Server-Timing", "Retry-After"),
            *("RateLimit", "RateLimit-Policy", "WWW-Authenticate"),
            "Inference-Header-Content-Length",
        ],
    )


def _takes_json(accept: str) -> bool:
    ranges = [entry.partition(";") for entry in accept.lower().split(",")]
    return any(
        media_range.strip() in _JSON_RANGES and not _is_zero(parameters)
        for media_range, _, parameters in ranges
    )


def _is_zero(parameters: str) -> bool:
    """Whether the weight is ``q=0``: not acceptable."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            return value.strip("0.") == "" and value.startswith("0")
    return False
