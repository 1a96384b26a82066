"""Reaction of a device to the codes in ERROR and the reasons in BYE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from schemas.errors import ErrorCode
from schemas.sensors import SensorFault

Advice = Literal["go on", "again", "later", "new token", "stop"]
"""``go on``: nothing. ``again``: connect at once. ``later``: connect after ``retry_after``, else
with growing pauses. ``new token``: connect with one. ``stop``: until somebody changes something.
"""

ADVICE: Mapping[str, Advice] = {
    # Refusals: the connection ends.
    ErrorCode.UNAUTHENTICATED: "new token",
    ErrorCode.INVALID_CREDENTIALS: "new token",
    ErrorCode.INSUFFICIENT_SCOPE: "stop",
    ErrorCode.MODEL_FORBIDDEN: "stop",
    ErrorCode.NOT_FOUND: "later",
    ErrorCode.MODEL_NOT_FOUND: "later",
    ErrorCode.CONFLICT: "later",
    ErrorCode.MODEL_NOT_CHOSEN: "stop",
    ErrorCode.UNSUPPORTED: "stop",
    ErrorCode.INVALID_REQUEST: "stop",
    ErrorCode.INVALID_PARAMETER: "stop",
    ErrorCode.INVALID_TENSOR: "stop",
    ErrorCode.PAYLOAD_TOO_LARGE: "stop",
    ErrorCode.UPLOAD_TIMEOUT: "again",
    ErrorCode.RATE_LIMITED: "later",
    ErrorCode.OVERLOADED: "later",
    ErrorCode.NOT_READY: "later",
    ErrorCode.DEADLINE_EXCEEDED: "later",
    ErrorCode.INFERENCE_FAILED: "later",
    ErrorCode.INTERNAL_ERROR: "later",
    # Of HTTP, of images and of sites: never sent to devices.
    ErrorCode.CROSS_ORIGIN_REFUSED: "stop",
    ErrorCode.METHOD_NOT_ALLOWED: "stop",
    ErrorCode.NOT_ACCEPTABLE: "stop",
    ErrorCode.IMAGE_TOO_LARGE: "stop",
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: "stop",
    ErrorCode.UNSUPPORTED_IMAGE: "stop",
    ErrorCode.INVALID_IMAGE: "stop",
    ErrorCode.UPDATE_REFUSED: "stop",
    ErrorCode.SITE_FORBIDDEN: "stop",
    # Faults of samples: fatal where the frame says so.
    SensorFault.BAD_DATA: "later",
    SensorFault.TOO_LARGE: "stop",
    SensorFault.WRONG_CHANNELS: "stop",
    SensorFault.IN_USE: "later",
    SensorFault.STALE_EPOCH: "stop",
    SensorFault.NOT_FINITE: "go on",
    SensorFault.GAP: "go on",
    SensorFault.LATE: "go on",
    SensorFault.DUPLICATE: "go on",
    SensorFault.MODEL: "go on",
}
"""By code, of both kinds, as a test checks; ``overloaded`` is of both. If ``fatal`` is false, the
stream goes on whatever the code.
"""
FAREWELLS: Mapping[str, Advice] = {
    "drained": "again",
    "changed": "again",
    "idle": "again",
    "expired": "new token",
    "replaced": "stop",
    "removed": "stop",
}
"""By the reason in BYE."""
