"""Traces of one stream: of the connection, and one of each frame, linked to it.

A stream lasts for hours. Were its frames spans of its trace, they would be sent at its end only,
and more than a trace can hold. So each frame is drawn and sent alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from observability.request import enter, leave
from observability.tracing.conventions import describe_frame, describe_http, describe_stream
from observability.tracing.span import Trace
from observability.tracing.tracing import Tracing
from schemas.errors import ServiceError
from service.transport.http.middleware.errors import STATUS
from service.transport.http.server.upgrading import STREAM_PATH
from service.transport.http.stream.session.actions import Frame

HOLD = "hold"
"""Span of a frame's wait for the one before it, in mode ``latest``."""


class StreamTraces:
    """The traces of one stream; none if tracing is off, or if they are not drawn."""

    def __init__(
        self, tracing: Tracing | None, claimed: str, request_id: str, address: str
    ) -> None:
        """``claimed``: the client's ``traceparent``; empty if absent."""
        self._tracing, self._request_id, self._address = tracing, request_id, address
        self._trace = tracing.begin(claimed) if tracing else None

    @contextmanager
    def of_stream(self) -> Iterator[None]:
        """Make the stream the current request; call ``refused`` or ``ended`` within the block."""
        token = enter(self._request_id, self._trace)
        try:
            yield
        finally:
            leave(token)
            self._send(self._trace)

    def refused(self, status: int) -> None:
        """Describe a handshake that gets an HTTP status instead of a WebSocket."""
        if self._trace is not None:
            describe_http(
                self._trace,
                method="GET",
                route=STREAM_PATH,
                status=status,
                received=0,
                sent=0,
                address=self._address,
                request_id=self._request_id,
            )

    def ended(self, code: int, frames: int) -> None:
        """Describe a stream by its close code and the number of its frames."""
        if self._trace is not None:
            describe_stream(
                self._trace,
                route=STREAM_PATH,
                code=code,
                frames=frames,
                address=self._address,
                request_id=self._request_id,
            )

    @contextmanager
    def of_frame(self, frame: Frame, now: float) -> Iterator[Trace | None]:
        """Make a frame the current request; ``now``: on the session's clock, in seconds."""
        trace = self._tracing.begin("") if self._tracing else None
        token = enter(self._request_id, trace)
        if trace is not None:
            trace.linked = self._trace
            if frame.options.mode == "latest":
                trace.hold(HOLD, now - frame.arrived)
        try:
            yield trace
        except ServiceError as error:
            note_outcome(trace, error)
            raise
        finally:
            leave(token)
            if trace is not None:
                describe_frame(
                    trace, route=STREAM_PATH, number=frame.number, request_id=self._request_id
                )
            self._send(trace)

    def _send(self, trace: Trace | None) -> None:
        if self._tracing is not None and trace is not None and trace.is_sampled:
            self._tracing.end(trace)


def note_outcome(trace: Trace | None, outcome: object) -> None:
    """Record the error of a frame, if its outcome is one."""
    if trace is not None and isinstance(outcome, ServiceError):
        trace.error = outcome.code
        trace.is_failure = STATUS[outcome.code] >= 500
