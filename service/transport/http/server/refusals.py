"""Responses made before the application receives a request, as bytes ready to be written."""

from __future__ import annotations

import os
from collections.abc import Sequence

import orjson

from schemas.errors import ErrorCode
from schemas.http.problem import Problem
from service.transport.http.middleware.error_formats import ErrorFormat, error_format_at
from service.transport.http.middleware.errors import PROBLEM_TYPE, TITLES

_REFUSALS = {
    400: (ErrorCode.INVALID_REQUEST, "The request is not valid HTTP/1.1."),
    408: (ErrorCode.UPLOAD_TIMEOUT, "The request did not arrive in time."),
    431: (ErrorCode.PAYLOAD_TOO_LARGE, "The request's headers are too large."),
    503: (ErrorCode.OVERLOADED, "Too many connections are open."),
}


def refusal(status: int, path: str, error_formats: Sequence[ErrorFormat]) -> bytes:
    """Build an HTTP/1.1 response that ends the connection; ``status``: 400, 408, 431 or 503.

    Args:
        path: of the request, as far as it is known.
        error_formats: error formats of other protocols.
    """
    code, detail = _REFUSALS[status]
    request_id = os.urandom(16).hex()
    if error_format := error_format_at(path, error_formats):
        content_type, body = (
            "application/json",
            orjson.dumps(error_format.body(status, code, detail)),
        )
    else:
        problem = Problem(
            title=TITLES[status], status=status, detail=detail, code=code, request_id=request_id
        )
        content_type, body = PROBLEM_TYPE, problem.model_dump_json(exclude_none=True).encode()
    head = [
        f"HTTP/1.1 {status} {TITLES[status]}",
        f"content-type: {content_type}",
        f"content-length: {len(body)}",
        f"x-request-id: {request_id}",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        *(["retry-after: 1"] if status == 503 else []),
        "connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
