"""Sessions that a later connection of the same principal may resume."""

from __future__ import annotations

import os
from collections import OrderedDict

from service.transport.http.stream.session.actions import SessionState

RESUME_SECONDS = 60.0
"""Time after the end of a connection."""
MOST_ENDED = 4096
"""Ended sessions that are kept; the oldest are dropped first."""


class Resumptions:
    """Sessions of one process by opaque id. Times in seconds, all on one clock."""

    def __init__(self) -> None:
        self._open: dict[str, SessionState] = {}
        self._ended: OrderedDict[str, tuple[SessionState, float]] = OrderedDict()

    def keep(self, state: SessionState) -> str:
        """Return the id of a new session. Call ``end`` when its connection ends."""
        identifier = os.urandom(16).hex()
        self._open[identifier] = state
        return identifier

    def end(self, identifier: str, now: float) -> None:
        """Keep a session for ``RESUME_SECONDS``, unless it was resumed meanwhile."""
        state = self._open.pop(identifier, None)
        if state is None:
            return
        self._ended[identifier] = state, now + RESUME_SECONDS
        while self._ended:
            oldest, (_, until) = next(iter(self._ended.items()))
            if until > now and len(self._ended) <= MOST_ENDED:
                break
            del self._ended[oldest]

    def take(self, identifier: str, owner: str, now: float) -> SessionState | None:
        """Return and forget a session of ``owner``; None if there is no such one.

        A session whose connection is still open can be resumed too: clients that change networks
        come back before the server notices that they left.
        """
        state = self._open.get(identifier)
        if state is None:
            state, until = self._ended.get(identifier, (None, 0.0))
            if state is None or until <= now:
                return None
        if state.owner != owner:
            return None
        self._open.pop(identifier, None)
        self._ended.pop(identifier, None)
        return state
