"""Which requests become WebSockets (RFC 6455, section 4.2.1)."""

from __future__ import annotations

from collections.abc import Iterable

STREAM_PATH = "/v1/stream"
"""The only path of WebSockets; elsewhere the header ``Upgrade`` is ignored."""
_BODIES = frozenset({b"content-length", b"transfer-encoding"})


def is_for_stream(
    method: bytes, path: str, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bool:
    """Return whether a request for a WebSocket is one that we serve.

    Args:
        version: of HTTP, as ``1.1``.
        headers: names in lower case; a body would be read as frames.
    """
    is_ours = (method, path, version) == (b"GET", STREAM_PATH, "1.1")
    return is_ours and not any(name in _BODIES for name, _ in headers)
