"""Attributes of a request's span, by OpenTelemetry's semantic conventions.

Bounded, without personal data: the route, never the path; no query, header, body or caller.
https://opentelemetry.io/docs/specs/semconv/http/http-spans/, .../rpc/grpc/
"""

from __future__ import annotations

from observability.span import Trace

OTHER = "_OTHER"
GRPC_SERVER_FAULTS = frozenset({2, 4, 12, 13, 14, 15})
"""Server faults: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""


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
