"""The interface of a connection to the server, for HTTP and WebSocket."""

from __future__ import annotations


class SweptConnection:
    """A connection whose states the server bounds in time."""

    def sweep(self, now: float) -> None:
        """End a state that has lasted too long; called about once a second.

        ``now``: of ``time.monotonic``.
        """
        raise NotImplementedError

    def close_after_response(self) -> None:
        """Make the response under way, if there is one, the last of the connection."""
