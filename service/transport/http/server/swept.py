"""The interface of a connection to the server, for HTTP and WebSocket."""

from __future__ import annotations

import asyncio

DRAIN_SECONDS = 10.0
"""Limit for the rest of an answered request, and for a client that reads no response bytes."""


class SweptConnection:
    """A connection whose states the server bounds in time."""

    transport: asyncio.Transport
    _unsent_bytes = 0
    _stuck_since: float | None = None

    def sweep(self, now: float) -> None:
        """End a state that has lasted too long; called about once a second.

        ``now``: of ``time.monotonic``.
        """
        raise NotImplementedError

    def close_after_response(self) -> None:
        """Make the response under way, if there is one, the last of the connection."""

    def _is_stuck(self, now: float) -> bool:
        """Return whether unsent bytes have waited too long without progress."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent_bytes:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        self._unsent_bytes = unsent
        return self._stuck_since is not None and now - self._stuck_since > DRAIN_SECONDS
