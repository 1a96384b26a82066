"""Close codes of a stream (RFC 6455, section 7.4); ``docs/websocket.md`` explains them to clients.

A stream that is refused after its handshake is closed with 4000 plus the HTTP status that the same
refusal has elsewhere, such as 4401. The codes below have no such status.
"""

from __future__ import annotations

from enum import IntEnum

REFUSED = 4000
"""Added to an HTTP status."""


class CloseCode(IntEnum):
    """Reason why the server closes a stream."""

    RESTART = 1012
    """The server is being stopped: connect again. (RFC 6455's registry: service restart.)"""
    FAULT = 1011
    """The server failed."""
    FIRST_MESSAGE = 4400
    """The first message is no valid ``hello``."""
    SILENT = 4408
    """No ``hello``, or no message at all, in time."""
    EXPIRED = 4410
    """The token expired and was not renewed."""
    NO_CREDIT = 4420
    """The client sent more frames than it had credits for."""


def refusal_code(status: int) -> int:
    """Return the close code of a refusal with an HTTP status (400 to 599)."""
    return REFUSED + status
