"""Errors of all sources as ``application/problem+json`` (RFC 9457).

Paths of other protocols have their own error format: see ``error_formats.py``.

FastAPI has four sources of errors (ours, its validation, the router, all others); this module
handles all four. Responses contain no internals: no traceback, no path, no message of a library.
"""

from __future__ import annotations

import http
import math
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from observability.request import note_error
from schemas.errors import (
    ErrorCode,
    InsufficientScope,
    InvalidParameter,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ServerFault,
    ServiceError,
    Unauthenticated,
    Violation,
)
from schemas.http.problem import Problem, ProblemViolation
from service.transport.http.middleware.error_formats import ErrorFormat, error_format_at

PROBLEM_TYPE = "application/problem+json"
REALM = "potoo"

STATUS: dict[ErrorCode, int] = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.INVALID_PARAMETER: 422,
    ErrorCode.INVALID_TENSOR: 400,
    ErrorCode.UPDATE_REFUSED: 422,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.INVALID_CREDENTIALS: 401,
    ErrorCode.INSUFFICIENT_SCOPE: 403,
    ErrorCode.MODEL_FORBIDDEN: 403,
    ErrorCode.SITE_FORBIDDEN: 403,
    ErrorCode.CROSS_ORIGIN_REFUSED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.MODEL_NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.CONFLICT: 409,
    ErrorCode.MODEL_NOT_CHOSEN: 409,
    ErrorCode.NOT_ACCEPTABLE: 406,
    ErrorCode.UPLOAD_TIMEOUT: 408,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.IMAGE_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.UNSUPPORTED_IMAGE: 415,
    ErrorCode.INVALID_IMAGE: 422,
    ErrorCode.UNSUPPORTED: 400,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.NOT_READY: 503,
    ErrorCode.DEADLINE_EXCEEDED: 504,
    ErrorCode.INFERENCE_FAILED: 500,
    ErrorCode.INTERNAL_ERROR: 500,
}
"""HTTP status per error code; total over ``ErrorCode``, which a test checks."""

OTHERS_STATUS: dict[ErrorCode, int] = STATUS | {
    ErrorCode.INVALID_PARAMETER: 400,
    ErrorCode.UNSUPPORTED_IMAGE: 400,
    ErrorCode.INVALID_IMAGE: 400,
    ErrorCode.UPDATE_REFUSED: 400,
}
"""HTTP status per error code in other protocols, for every code: invalid input is a bad request."""

TITLES = {
    **{status.value: status.phrase for status in http.HTTPStatus},
    413: "Content Too Large",  # RFC 9110's names; Python 3.11 and 3.12 have older ones
    422: "Unprocessable Content",
}


def problem_response(error: ServiceError, request_id: str) -> Response:
    """Build the problem response for ``error``."""
    status = STATUS[error.code]
    return Response(
        problem_of(error, request_id).model_dump_json(exclude_none=True),
        status,
        headers=_headers(error, status),
        media_type=PROBLEM_TYPE,
    )


def problem_of(error: ServiceError, request_id: str) -> Problem:
    """Build the problem for ``error``."""
    status = STATUS[error.code]
    violations: Sequence[Violation] = error.violations
    if status == 422 and not violations:
        violations = (Violation("/body", error.detail),)
    return Problem(
        title=TITLES[status],
        status=status,
        detail=_detail(error),
        code=error.code,
        request_id=request_id,
        expected_wait_ms=None if error.expected_wait is None else round(error.expected_wait * 1000),
        errors=[ProblemViolation(pointer=v.pointer, detail=v.detail) for v in violations] or None,
    )


def _detail(error: ServiceError) -> str:
    """Return the explanation: of the only invalid field, if there is one."""
    if len(error.violations) != 1 or error.detail != error.default_detail:
        return error.detail
    (fault,) = error.violations
    _, _, place = fault.pointer.lstrip("/").partition("/")
    sentence = fault.detail.rstrip(".") + "."
    return f"{place}: {sentence}" if place else sentence


def formatted_response(error: ServiceError, error_format: ErrorFormat) -> Response:
    """Build the error response of another protocol; uncompressed, as its clients expect."""
    status = OTHERS_STATUS[error.code]
    places = "".join(f" {fault.pointer}: {fault.detail}." for fault in error.violations)
    headers = _headers(error, status)
    if status == 415 and error_format.encodings:  # RFC 7694, section 3
        headers["accept-encoding"] = ", ".join(error_format.encodings)
    return Response(
        orjson.dumps(error_format.body(status, error.code, error.detail + places)),
        status,
        headers=headers,
        media_type="application/json",
    )


def _headers(error: ServiceError, status: int) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if status in {429, 503}:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after or 1)))
    if isinstance(error, Unauthenticated):
        # A request without a token gets no error code (RFC 6750, section 3.1).
        fault = "" if error.detail == Unauthenticated.default_detail else ', error="invalid_token"'
        headers["www-authenticate"] = f'Bearer realm="{REALM}"{fault}'
    if isinstance(error, InsufficientScope):
        headers["www-authenticate"] = (
            f'Bearer realm="{REALM}", error="insufficient_scope", scope="{error.scope}"'
        )
    if status == 408:
        headers["connection"] = "close"
    return headers


def violations_of(
    error: ValidationError | RequestValidationError, prefix: str = ""
) -> tuple[Violation, ...]:
    """Return up to 20 Pydantic errors with JSON pointers, without the offending values."""
    return tuple(
        Violation(
            prefix + "".join(f"/{escaped(part)}" for part in fault["loc"]),
            fault["msg"].removeprefix("Value error, "),
        )
        for fault in _faults(error)[:20]
    )


def _faults(error: ValidationError | RequestValidationError) -> Sequence[Any]:
    if isinstance(error, ValidationError):
        return error.errors(include_url=False, include_context=False, include_input=False)
    return error.errors()


def record_error(metrics: Metrics, error: ServiceError, request_id: str) -> None:
    """Count an error that a caller gets; log it too if it is a server fault."""
    metrics.errors.labels(error.code).inc()
    note_error(error.code)
    if isinstance(error, ServerFault):
        get_logger("http").error(
            "server fault", code=error.code, cause=repr(error.__cause__), request_id=request_id
        )


class ErrorResponder:
    """Builder of error responses; counts the errors, and logs server faults."""

    def __init__(self, metrics: Metrics, error_formats: Sequence[ErrorFormat]) -> None:
        """Create the builder; ``error_formats``: error formats of other protocols."""
        self._metrics, self._error_formats = metrics, error_formats

    def __call__(self, error: ServiceError, scope: Scope) -> Response:
        """Build the response for ``error``; ``scope`` is the request's, with its path and id."""
        request_id = scope["state"]["request_id"]
        record_error(self._metrics, error, request_id)
        error_format = error_format_at(scope["path"], self._error_formats)
        return (
            formatted_response(error, error_format)
            if error_format
            else problem_response(error, request_id)
        )


class ErrorBoundary:
    """Pure ASGI: unhandled exceptions become error responses; server faults are logged."""

    def __init__(self, app: ASGIApp, answer: ErrorResponder) -> None:
        self._app, self._answer = app, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        try:
            await self._app(scope, receive, send)
        except ServiceError as error:
            await self._answer(error, scope)(scope, receive, send)
        except ClientDisconnect:
            pass  # there is no client left to answer
        except Exception as error:
            if scope["type"] != "http":
                raise
            state = scope["state"]
            get_logger("http").exception("unexpected error", request_id=state["request_id"])
            if state.get("response_started"):
                raise  # the connection is closed, so that the client sees a truncated response
            fault = ServerFault()
            fault.__cause__ = error
            await self._answer(fault, scope)(scope, receive, send)


def add_error_handlers(app: FastAPI, answer: ErrorResponder) -> None:
    """Send errors of FastAPI and its router to ``answer``, before their own handlers."""

    async def on_service_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)  # noqa: S101 - registered for this type
        return answer(error, request.scope)

    async def on_validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - see above
        fault = InvalidParameter(violations=violations_of(error))
        return answer(fault, request.scope)

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - see above
        response = answer(_from_http(error), request.scope)
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        if error.status_code == 405:
            response.headers["allow"] = ", ".join(_allowed(request))
        return response

    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)


def _allowed(request: Request) -> list[str]:
    """Return all methods of the path (RFC 9110, 10.2.1); the router knows one route's only."""
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _from_http(error: HTTPException) -> ServiceError:
    """Convert an exception of the router or of Starlette's parsers to a ``ServiceError``."""
    match error.status_code:
        case 404:
            return NotFound()
        case 405:
            return MethodNotAllowed()
        case 413:
            return PayloadTooLarge()
        case status if status < 500:
            return InvalidRequest()
        case _:
            return ServerFault()


def escaped(part: object) -> str:
    """Return a reference token of a JSON pointer (RFC 6901, section 3), cut to 64 characters."""
    return str(part)[:64].replace("~", "~0").replace("/", "~1")
