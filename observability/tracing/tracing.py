"""Sampling of requests, and the delivery of their traces once they have ended.

A share of all requests is drawn here: sampling by the caller's trace id would let callers choose to
be sampled. A caller's ``traceparent`` is obeyed once a token has identified the caller: a trace not
sampled there is not sampled here; a sampled one is sampled here too, up to a limit per second.
Until then a request has a trace of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from observability import request
from observability.metrics.metrics import Metrics
from observability.settings import ObservabilitySettings
from observability.tracing.span import Trace

BURST_SECONDS = 2.0


class Parent(NamedTuple):
    """The caller's span that is the parent of a request."""

    trace_id: int
    span_id: int
    is_sampled: bool


class Sender(Protocol):
    """Sender of traces to a collector."""

    def send(self, trace: Trace) -> None:
        """Queue the trace of an ended request; never block."""

    def parent(self, claimed: str) -> Parent | None:
        """Parse a ``traceparent``; return None if it is invalid."""

    def close(self) -> None:
        """Send the remaining traces within a bounded time. Blocks."""


OpenSender = Callable[[ObservabilitySettings, str, Metrics], Sender]


def _open_otlp(settings: ObservabilitySettings, version: str, metrics: Metrics) -> Sender:
    from observability.tracing.otlp import OtlpSender  # slow and 7 MB: only if tracing is on

    return OtlpSender(settings, version, metrics)


class Tracing:
    """Tracing of one process. Created only if it is on; does nothing outside ``running``."""

    def __init__(
        self,
        settings: ObservabilitySettings,
        version: str,
        metrics: Metrics,
        *,
        open_sender: OpenSender = _open_otlp,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._version, self._metrics = settings, version, metrics
        self._open, self._draw = open_sender, draw
        self._ratio = settings.trace_sample_ratio
        self._parents = _Bucket(settings.trace_parents_per_second, clock)
        self._sender: Sender | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send traces within the block, and the remaining ones at its end.

        Raises:
            OperatorError: if an ``OTEL_`` variable is invalid.
        """
        self._sender = sender = self._open(self._settings, self._version, self._metrics)
        try:
            yield
        finally:
            self._sender = None
            sender.close()

    def begin(self, claimed: str) -> Trace | None:
        """Begin the trace of a request; return None if it will not be traced.

        Args:
            claimed: its ``traceparent``; empty if absent.
        """
        is_drawn = self._draw() < self._ratio
        if self._sender is None or not (is_drawn or claimed):
            return None
        trace = Trace(claimed, self._follow)
        if is_drawn:
            trace.sample()
        return trace

    def end(self, trace: Trace) -> None:
        """End and send a trace whose attributes are set."""
        trace.ended = time.perf_counter()
        if self._sender is not None:
            self._sender.send(trace)

    def _follow(self, trace: Trace) -> None:
        claimed, trace.claimed = trace.claimed, ""
        parent = self._sender.parent(claimed) if self._sender and claimed else None
        if parent is None:
            return
        if not parent.is_sampled:
            trace.drop()
        elif trace.is_sampled or self._parents.take():
            trace.trace_id, trace.parent = parent.trace_id, parent.span_id
            trace.sample()


class _Bucket:
    """A token bucket: ``rate`` per second on average, ``BURST_SECONDS`` of it at once."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._left = self._most = max(1.0, rate * BURST_SECONDS) if rate else 0.0
        self._filled = clock()

    def take(self) -> bool:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._filled) * self._rate)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def follow_caller() -> None:
    """Apply the ``traceparent`` of the current request, whose caller has been verified."""
    current = request.current()
    if current is not None and current.trace is not None:
        current.trace.follow(current.trace)
        if not current.trace.is_sampled:
            current.trace = None
