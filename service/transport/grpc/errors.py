"""gRPC status of every error, without internals: no traceback, path or library message."""

from __future__ import annotations

import math

from grpc import StatusCode

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import ErrorCode, ServerFault, ServiceError

CODE_KEY = "error-code"
RETRY_KEY = "retry-after"
Metadata = tuple[tuple[str, str], ...]

STATUS: dict[ErrorCode, StatusCode] = {
    ErrorCode.INVALID_REQUEST: StatusCode.INVALID_ARGUMENT,
    ErrorCode.INVALID_PARAMETER: StatusCode.INVALID_ARGUMENT,
    ErrorCode.INVALID_TENSOR: StatusCode.INVALID_ARGUMENT,
    ErrorCode.UPDATE_REFUSED: StatusCode.INVALID_ARGUMENT,
    ErrorCode.UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
    ErrorCode.INVALID_CREDENTIALS: StatusCode.UNAUTHENTICATED,
    ErrorCode.INSUFFICIENT_SCOPE: StatusCode.PERMISSION_DENIED,
    ErrorCode.MODEL_FORBIDDEN: StatusCode.PERMISSION_DENIED,
    ErrorCode.SITE_FORBIDDEN: StatusCode.PERMISSION_DENIED,
    ErrorCode.CROSS_ORIGIN_REFUSED: StatusCode.PERMISSION_DENIED,
    ErrorCode.NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorCode.MODEL_NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorCode.METHOD_NOT_ALLOWED: StatusCode.UNIMPLEMENTED,
    ErrorCode.CONFLICT: StatusCode.FAILED_PRECONDITION,
    ErrorCode.MODEL_NOT_CHOSEN: StatusCode.FAILED_PRECONDITION,
    ErrorCode.NOT_ACCEPTABLE: StatusCode.INVALID_ARGUMENT,
    ErrorCode.UPLOAD_TIMEOUT: StatusCode.DEADLINE_EXCEEDED,
    ErrorCode.PAYLOAD_TOO_LARGE: StatusCode.INVALID_ARGUMENT,
    ErrorCode.IMAGE_TOO_LARGE: StatusCode.INVALID_ARGUMENT,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: StatusCode.INVALID_ARGUMENT,
    ErrorCode.UNSUPPORTED_IMAGE: StatusCode.INVALID_ARGUMENT,
    ErrorCode.INVALID_IMAGE: StatusCode.INVALID_ARGUMENT,
    ErrorCode.UNSUPPORTED: StatusCode.UNIMPLEMENTED,
    ErrorCode.RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.OVERLOADED: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.NOT_READY: StatusCode.UNAVAILABLE,
    ErrorCode.DEADLINE_EXCEEDED: StatusCode.DEADLINE_EXCEEDED,
    ErrorCode.INFERENCE_FAILED: StatusCode.INTERNAL,
    ErrorCode.INTERNAL_ERROR: StatusCode.INTERNAL,
}
"""Covers all of ``ErrorCode``, as a test checks.

Clients retry ``UNAVAILABLE`` on their own, so a full queue is ``RESOURCE_EXHAUSTED``.
"""

_LATER = {StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE}


def error_message(error: ServiceError) -> str:
    """Return the message for the caller, with a pointer and detail for each violation."""
    return error.detail + "".join(
        f" {fault.pointer}: {fault.detail}." for fault in error.violations
    )


def metadata(error: ServiceError) -> Metadata:
    """Return trailing metadata: our error code, and whole seconds before a retry may succeed."""
    code = (CODE_KEY, error.code.value)
    if STATUS[error.code] not in _LATER:
        return (code,)
    return code, (RETRY_KEY, str(max(1, math.ceil(error.retry_after or 1))))


class Faults:
    """Error counter for all errors, and log of server faults."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def to_service_error(self, error: Exception, request_id: str) -> ServiceError:
        """Count an error, log server faults, and return the error to send to the caller."""
        fault = error if isinstance(error, ServiceError) else ServerFault()
        self._metrics.errors.labels(fault.code).inc()
        log = get_logger("grpc")
        if fault is not error:
            log.error("unexpected error", request_id=request_id, exc_info=error)
        elif isinstance(fault, ServerFault):
            cause = repr(fault.__cause__)
            log.error("server fault", code=fault.code, cause=cause, request_id=request_id)
        return fault
