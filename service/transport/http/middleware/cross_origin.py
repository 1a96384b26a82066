"""Calls from web pages of other origins (the CORS protocol of the Fetch standard)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.errors import CrossOriginRefused
from service.transport.http.middleware.errors import ErrorResponder

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
READ_HEADERS = (
    *("Authorization", "Content-Type", "Content-Encoding", "X-Request-ID"),
    *("Inference-Header-Content-Length", "traceparent", "tracestate"),
)
"""Request headers that are read; instrumented pages add the last two to every call."""
EXPOSED_HEADERS = (
    *("X-Request-ID", "Server-Timing", "Retry-After"),
    *("RateLimit", "RateLimit-Policy", "WWW-Authenticate"),
    *("Inference-Header-Content-Length", "Potoo-Model"),
)
_ASKED_METHOD = "access-control-request-method"
_ASKED_HEADERS = "access-control-request-headers"


def cross_origin(origins: Sequence[str], answer: ErrorResponder) -> Middleware:
    """Allow web pages of exactly these origins to call, without cookies."""
    return Middleware(CrossOrigin, origins, answer)


class CrossOrigin(CORSMiddleware):
    """Pure ASGI: answers preflights, and lets the pages of some origins read responses.

    A refused preflight is a problem that names the setting: browsers show only that a call failed.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str], answer: ErrorResponder) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=READ_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; without ``origins`` only preflights are treated."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and _ASKED_METHOD in headers:
                await self._preflight(scope, headers)(scope, receive, send)
                return
        if self.allow_origins:
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _preflight(self, scope: Scope, headers: Headers) -> Response:
        origin, method = headers["origin"], headers[_ASKED_METHOD]
        # Several lines are one list (RFC 9110, section 5.3).
        asked = ",".join(headers.getlist(_ASKED_HEADERS))
        names = {name.strip(" \t").lower() for name in asked.split(",")} - {""}
        is_allowed = self.is_allowed_origin(origin)
        if not is_allowed:
            reason = "Pages of this origin may not call: add it to the setting 'cors_origins'."
        elif method not in self.allow_methods:
            reason = f"Pages of 'cors_origins' may use only {', '.join(METHODS)}."
        elif not names <= set(self.allow_headers):
            reason = f"Pages of 'cors_origins' may send only {', '.join(READ_HEADERS)}."
        else:
            return self.preflight_response(
                Headers({"origin": origin, _ASKED_METHOD: method, _ASKED_HEADERS: ",".join(names)})
            )
        response = self._answer(CrossOriginRefused(reason), scope)
        if is_allowed:
            self.allow_explicit_origin(response.headers, origin)
        return response
