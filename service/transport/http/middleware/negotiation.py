"""HTTP rules for every resource: content negotiation and HEAD (RFC 9110)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.errors import NotAcceptable
from service.transport.http.middleware.media_type import list_of, parse_preferences

HEAD_KEY = "potoo.head"
"""Key of a request's scope that is there if the method was HEAD: an endless body must not begin."""
_JSON_RANGES = {"*/*", "application/*", "application/json", "application/problem+json"}


def require_json(connection: HTTPConnection) -> None:
    """Raise ``NotAcceptable`` if the Accept header rules JSON out."""
    for name, value in connection.scope["headers"]:
        if name == b"accept" and value != b"*/*":
            break
    else:
        return
    accept = list_of(connection, b"accept")
    if accept and not _takes_json(accept):
        raise NotAcceptable


def prefers(connection: HTTPConnection, media_type: str) -> bool:
    """Return whether the Accept header names a media type, and before JSON."""
    for name, is_acceptable in parse_preferences(list_of(connection, b"accept")):
        if is_acceptable and name in {media_type, "application/json"}:
            return name == media_type
    return False


def best_of(connection: HTTPConnection, offered: Sequence[str]) -> str:
    """Return the media type of ``offered`` that the Accept header names first; else the first one.

    Raises:
        NotAcceptable: the header excludes all of them.
    """
    accept = list_of(connection, b"accept")
    if not accept:
        return offered[0]
    preferences = parse_preferences(accept)
    refused = {name for name, is_acceptable in preferences if not is_acceptable}
    for wanted in (name for name, is_acceptable in preferences if is_acceptable):
        for one in offered:
            if one not in refused and _is_within(one, wanted):
                return one
    shown = offered[0] if len(offered) == 1 else f"{', '.join(offered[:-1])} and {offered[-1]}"
    verb = "is" if len(offered) == 1 else "are"
    raise NotAcceptable(f"Only {shown} {verb} available, which the Accept header excludes.")


def _is_within(media_type: str, media_range: str) -> bool:
    """Return whether a media type is in a range: ``a/b``, ``a/*`` or ``*/*``."""
    kind, _, _ = media_type.partition("/")
    return media_range in {media_type, f"{kind}/*", "*/*"}


def never_stored(response: Response) -> None:
    """Forbid caches to store the response; for routes that return secrets or personal data."""
    response.headers["cache-control"] = "no-store"


class HeadAsGet:
    """Pure ASGI: passes HEAD to routes as GET; the server omits the body (section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner = {**scope, "method": "GET", HEAD_KEY: True}
        try:
            await self._app(inner, receive, send)
        finally:
            scope["route"] = inner.get("route")  # for the metrics


def _takes_json(accept: str) -> bool:
    return any(
        is_acceptable and media_range in _JSON_RANGES
        for media_range, is_acceptable in parse_preferences(accept)
    )
