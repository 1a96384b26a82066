"""What HTTP asks of every resource: content negotiation and HEAD (RFC 9110)."""

from __future__ import annotations

from starlette.requests import HTTPConnection
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
