"""Attributes of a request's span, by OpenTelemetry's semantic conventions.

Bounded, without personal data: the route, never the path; no query, header, body or caller.
https://opentelemetry.io/docs/specs/semconv/http/http-spans/, .../rpc/grpc/
"""

from __future__ import annotations

from observability.tracing.span import Trace

OTHER = "_OTHER"
GRPC_SERVER_FAULTS = frozenset({2, 4, 12, 13, 14, 15})
"""Server faults: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""

STREAM_SERVER_FAULTS = frozenset({1011, 4500, 4503, 4504})
"""Close codes that are server faults; see ``docs/websocket.md``."""
FIRST_OWN_CODE = 4000
"""From here on a close code of the server says why it refuses to go on."""


def describe_http(
    trace: Trace,
    *,
    method: str | None,
    route: str | None,
    status: int | None,
    received: int,
    sent: int,
    address: str | None,
    request_id: str,
) -> None:
    """Set HTTP span attributes.

    Args:
        method: None if it is not a standard one.
        route: the template; None if unmatched.
        status: None if the caller left before the answer.
    """
    trace.name = " ".join(part for part in (method or "HTTP", route) if part)
    attributes: dict[str, str | int] = {
        "http.request.method": method or OTHER,
        "http.request.body.size": received,
        "http.response.body.size": sent,
        "potoo.request_id": request_id,
    }
    if route:
        attributes["http.route"] = route
    if address:
        attributes["client.address"] = address
    if status is None:
        trace.error = trace.error or "client_closed"
    else:
        attributes["http.response.status_code"] = status
    trace.is_failure = status is not None and status >= 500
    trace.attributes = attributes


def describe_stream(
    trace: Trace, *, route: str, code: int, frames: int, address: str | None, request_id: str
) -> None:
    """Set the attributes of a WebSocket's span, which lasts as long as the connection.

    Args:
        code: with which it was closed.
        frames: number of frames received.
    """
    trace.name = f"WS {route}"
    attributes: dict[str, str | int] = {
        "http.request.method": "GET",
        "http.route": route,
        "potoo.stream.close_code": code,
        "potoo.stream.frames": frames,
        "potoo.request_id": request_id,
    }
    if address:
        attributes["client.address"] = address
    trace.is_failure = code in STREAM_SERVER_FAULTS
    trace.error = str(code) if code >= FIRST_OWN_CODE or trace.is_failure else ""
    trace.attributes = attributes


def describe_frame(trace: Trace, *, route: str, number: int | None, request_id: str) -> None:
    """Set the attributes of a frame's span; its error is set already.

    Args:
        number: as given by the client; None if it could not be read.
        request_id: of the stream.
    """
    trace.name = f"WS {route} frame"
    attributes: dict[str, str | int] = {"http.route": route, "potoo.request_id": request_id}
    if number is not None:
        attributes["potoo.frame"] = number
    trace.attributes = attributes


def describe_rpc(
    trace: Trace, *, path: str, code: int, address: str | None, request_id: str
) -> None:
    """Set RPC span attributes.

    Args:
        path: ``/package.Service/Method``, or a placeholder for an unknown method.
    """
    trace.name = path.lstrip("/")
    service, _, method = trace.name.rpartition("/")
    attributes: dict[str, str | int] = {
        "rpc.system": "grpc",
        "rpc.method": method,
        "rpc.grpc.status_code": code,
        "potoo.request_id": request_id,
    }
    if service:
        attributes["rpc.service"] = service
    if address:
        attributes["client.address"] = address
    trace.is_failure = code in GRPC_SERVER_FAULTS
    trace.attributes = attributes
