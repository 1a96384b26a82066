"""Errors as frames."""

from __future__ import annotations

from schemas.errors import ServiceError
from schemas.sensor_wire.messages import Error
from service.sensors.records import EpochRefused


def error_of(error: ServiceError, *, fatal: bool = False) -> Error:
    """Return the frame's content for an error."""
    code = error.fault.value if isinstance(error, EpochRefused) else error.code.value
    return Error(code, error.detail, error.retry_after, fatal)
